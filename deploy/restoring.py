"""A backup becomes an installation again: into databases that are there, or into a data folder."""

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from chassis import epochs, sequencer
from chassis.clock import now
from chassis.db import plain_url
from chassis.migrations import versions
from deploy import databases, postgres, roles
from deploy.backups import IDENTITY_KEY, INTERNAL_SECRET, Backup, Connection, Gauge, NoBackup, Told, run
from deploy.databases import UNFINISHED
from deploy.postgres import write_secret
from deploy.supervisor import Supervisor
from services.scoring.app import tell_standings_again

INSTALLATION = ("postgres", "secrets.json", IDENTITY_KEY, "admin.key", "installation.json")
"""What of a data folder is replaced by a restore. The brokers stay: they may be ahead."""
STAGING = "restoring"
SWAPPING = "swapping"


@dataclass(frozen=True)
class Restored:
    """What a restore did."""

    applied: Mapping[str, list[str]]
    """Migrations that the backup lacked, by service."""
    epoch: int | None
    """The epoch that every stream begins; None where no broker knows of the installation."""


def check_versions(backup: Backup) -> None:
    """Raise `NoBackup` where a newer version made the backup."""
    for name, dump in backup.manifest.services.items():
        if name not in roles.PACKAGES or dump.revision not in versions(roles.PACKAGES[name]):
            made = backup.manifest.product
            raise NoBackup(
                f"Version {made} of the product made the backup, {name} at {dump.revision}: restore it by that one."
            )


async def into_databases(backup: Backup, urls: Mapping[str, str], *, force: bool, told: Told) -> Restored:
    """Put a backup into empty databases, or with `force` in the place of what they hold. Begun again it begins anew.

    Raises `NoBackup` before anything is changed where that must not be.
    """
    check_versions(backup)
    services = backup.manifest.services
    if missing := [databases.variable(name) for name in services if name not in urls]:
        raise NoBackup(f"The backup has databases that nothing names: set {', '.join(missing)}.")
    urls = {name: urls[name] for name in services}
    connections = {name: await asyncpg.connect(plain_url(url), timeout=10) for name, url in urls.items()}
    try:
        await _refuse(connections, force=force)
        for connection in connections.values():
            await _clear(connection)
        await _load(backup, urls, told)
        applied = await databases.bring_up(urls, restoring=True)
        epoch = await epochs.begin(connections, now())
        if epoch and "scoring" in urls:
            await tell_standings_again(urls["scoring"], epoch)
            # Here, and not at the next start, which would look as if its events got no numbers.
            while await sequencer.number(connections["scoring"]):
                pass
        for connection in connections.values():
            await connection.execute(f"DROP TABLE {UNFINISHED}")
    finally:
        for connection in connections.values():
            await connection.close()
    return Restored(applied, epoch)


async def _refuse(connections: Mapping[str, Connection], *, force: bool) -> None:
    if running := [name for name, each in connections.items() if await each.fetchval(_RUNNING)]:
        raise NoBackup(f"The product runs on {', '.join(running)}: end all of its processes first.")
    begun = [name for name, each in connections.items() if await databases.is_unfinished(each)]
    filled = [name for name, each in connections.items() if await each.fetchval(_FILLED)]
    if filled and not begun and not force:
        raise NoBackup(f"{', '.join(filled)} is not empty. With --force the backup takes the place of what is there.")


async def _clear(connection: Connection) -> None:
    async with connection.transaction():
        for drop in await connection.fetch(_DROPS):
            # What went along with something before it is gone already.
            await connection.execute(drop["statement"])
        await connection.execute(f"CREATE TABLE {UNFINISHED} ()")


async def _load(backup: Backup, urls: Mapping[str, str], told: Told) -> None:
    services = backup.manifest.services
    gauge = Gauge({name: dump.tables for name, dump in services.items()}, told)
    jobs = f"--jobs={max(2, min(4, os.cpu_count() or 1))}"
    for name, dump in services.items():
        words = (jobs, "--no-owner", "--no-privileges", "--exit-on-error", str(backup.folder / dump.file))
        await run("pg_restore", words, urls[name], gauge.of(name, _LOADED, ended=True))
        gauge.finish(name)


def unfinished(folder: Path) -> bool:
    """Whether a restore into a data folder was cut short when it had begun to replace what is there."""
    return (folder / STAGING / SWAPPING).exists()


def refuse_folder(folder: Path, *, force: bool) -> None:
    """Raise `NoBackup` where a data folder holds an installation that nobody said to replace."""
    if any((folder / name).exists() for name in INSTALLATION) and not unfinished(folder) and not force:
        raise NoBackup(
            f"{folder} holds an installation. With --force the backup takes its place; Kafka stays as it is."
        )


async def into_folder(backup: Backup, folder: Path, told: Told) -> Restored:
    """Put a backup into a data folder on which nothing runs, beside what is there, and then in its place.

    Cut short before that, it has changed nothing; after that, the folder starts no product until it is begun again.
    """
    check_versions(backup)
    staging = folder / STAGING / "new"
    # One that was killed has left its PostgreSQL.
    postgres.Postgres(staging / "postgres", 0, {}).clear()
    if not unfinished(folder):
        shutil.rmtree(folder / STAGING, ignore_errors=True)
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True, mode=0o700)
    for name in backup.manifest.sha256:
        if name in INSTALLATION:
            write_secret(staging / name, backup.text(name) or "")
    if internal := backup.text(INTERNAL_SECRET):
        # What is missing beside it is made: passwords of databases are new.
        write_secret(staging / "secrets.json", json.dumps({"internal": internal.strip()}) + "\n")
    server = postgres.at(staging)
    urls = {name: server.url(name, scheme="postgresql+asyncpg") for name in roles.PACKAGES}
    keeper = Supervisor(folder / STAGING)
    try:
        await keeper.start(server.process())
        superuser = server.url("postgres", role="postgres")
        await databases.have(superuser, urls, log_reader_password=server.passwords[databases.LOG_READER])
        restored = await into_databases(backup, urls, force=False, told=told)
    finally:
        await keeper.stop()
    _swap(folder, staging)
    return restored


def _swap(folder: Path, staging: Path) -> None:
    (folder / STAGING / SWAPPING).touch()
    for name in INSTALLATION:
        if (folder / name).exists():
            _remove(folder / STAGING / f"old-{name}")
            (folder / name).rename(folder / STAGING / f"old-{name}")
        if (staging / name).exists():
            (staging / name).rename(folder / name)
    # The sign last: while it is there, nothing starts.
    for path in (folder / STAGING).iterdir():
        if path.name != SWAPPING:
            _remove(path)
    shutil.rmtree(folder / STAGING)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def settings(backup: Backup) -> dict[str, str]:
    """What of an installation stands in the environment where no data folder holds it."""
    told = json.loads(backup.text("installation.json") or "{}")
    names = {"time_zone": "SHUKE_TIME_ZONE", "currency": "SHUKE_CURRENCY"}
    return {variable: told[name] for name, variable in names.items() if told.get(name)}


def another_secret(backup: Backup, present: str | None) -> bool:
    """Whether a backup's secrets were encrypted with another secret of the installation than the present one."""
    told = backup.text(INTERNAL_SECRET)
    return told is not None and told.strip() != (present or "").strip()


def keep_identity_key(backup: Backup, path: Path) -> bool:
    """Write the identity key where the services read it, unless it is there; whether it was written.

    Raises `NoBackup` where another one is there.
    """
    key = backup.text(IDENTITY_KEY)
    if key is None:
        raise NoBackup("The backup has no identity key.")
    if not path.exists():
        write_secret(path, key)
        return True
    if bytes.fromhex(path.read_text().strip()) != bytes.fromhex(key.strip()):
        raise NoBackup(
            f"{path} holds another identity key than the backup. Move it away, if nothing needs it any more."
        )
    return False


_LOADED = re.compile(r"finished item \d+ TABLE DATA (\S+)")

_RUNNING = """
SELECT EXISTS (
    SELECT FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name LIKE 'shuke%'
)
"""

_FILLED = f"""
SELECT EXISTS (
    SELECT FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND relname <> '{UNFINISHED}'
)
"""

_DROPS = """
SELECT format('DROP %s IF EXISTS %s CASCADE', kind, name) AS statement FROM (
    SELECT CASE relkind WHEN 'v' THEN 'VIEW' WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, oid::regclass::text
    FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'S')
    UNION ALL
    SELECT 'ROUTINE', oid::regprocedure::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL
    SELECT 'TYPE', oid::regtype::text FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typtype = 'e'
) AS thing(kind, name) ORDER BY kind <> 'TABLE'
"""
