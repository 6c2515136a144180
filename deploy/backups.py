"""A backup: all databases as of one moment, taken while they serve, with the keys that a product needs to go on."""

import asyncio
import hashlib
import json
import os
import random
import re
import shutil
import tarfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import unquote, urlsplit

import asyncpg

from chassis.db import KEEPALIVE, plain_url
from chassis.installation import fingerprint
from deploy import VERSION, databases, postgres, roles, supervisor
from deploy.postgres import write_secret

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

Told = Callable[[int, int], None]
"""Called with how many bytes of how many are done."""

FORMAT = 1
"""Of the backup's own parts; what is in the databases has versions of its own."""
MANIFEST = "manifest.json"
IDENTITY_KEY = "identity.key"
INTERNAL_SECRET = "internal.secret"
"""What secrets of webhooks and of second steps are encrypted with."""
LOCK_TIMEOUT_S = 0.5
"""So long commands may wait behind the moment that a backup waits for."""
TRIES = 60


class NoBackup(Exception):
    """A backup cannot be made, or is none that can be used; why, and what to do."""


@dataclass(frozen=True)
class Dump:
    """The database of a service in a backup."""

    file: str
    revision: str
    """The newest migration that it has."""
    tables: Mapping[str, int]
    """Bytes of each, by which progress is told."""


@dataclass(frozen=True)
class Manifest:
    """What a backup holds."""

    product: str
    """Version of the product that made it."""
    made_at: str
    services: Mapping[str, Dump]
    sha256: Mapping[str, str]
    """Of each file."""
    postgres: str
    """Version of the server."""
    format: int = FORMAT

    def text(self) -> str:
        """As it is written."""
        return json.dumps(asdict(self), indent=2) + "\n"


def manifest(text: str) -> Manifest:
    """What a backup says that it holds. Raises `NoBackup` where this version cannot know."""
    try:
        told: dict[str, Any] = json.loads(text)
        if told["format"] > FORMAT:
            raise NoBackup(
                f"A newer version of the product made the backup ({told['product']}): restore it by that one."
            )
        services = {name: Dump(**dump) for name, dump in told.pop("services").items()}
        return Manifest(**told, services=services)
    except (ValueError, KeyError, TypeError) as error:
        raise NoBackup(f"{MANIFEST} cannot be read: {error}") from error


async def take(
    target: Path, urls: Mapping[str, str], identity_key: str, others: Mapping[str, str], told: Told
) -> Manifest:
    """Make a backup of databases at `target`: a folder or, where it ends in `.tar`, one file.

    Only its owner may read it, and it is there when it is whole, or not at all. `others` are further files of the
    installation, by name. Raises `NoBackup`.
    """
    if await asyncio.to_thread(target.exists):
        raise NoBackup(f"{target} is there already. Choose another name, or remove it.")
    unfinished = target.with_name(f"{target.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700, parents=True)
    try:
        made_at = datetime.now(UTC).isoformat(timespec="seconds")
        async with moment(urls) as snapshots:
            for name, snapshot in snapshots.items():
                if snapshot.fingerprint not in (None, fingerprint(bytes.fromhex(identity_key))):
                    raise NoBackup(f"The identity key is not that of {name}: a backup with it could not go on.")
            dumps = await _dump_all(unfinished, urls, snapshots, told)
            server = next(iter(snapshots.values())).server
        for name, text in {**others, IDENTITY_KEY: identity_key.strip() + "\n"}.items():
            write_secret(unfinished / name, text)
        names = sorted(path.name for path in unfinished.iterdir())
        sums = {name: await asyncio.to_thread(checksum, unfinished / name) for name in names}
        made = Manifest(VERSION, made_at, dumps, sums, server)
        write_secret(unfinished / MANIFEST, made.text())
        if target.suffix == ".tar":
            await asyncio.to_thread(_pack, unfinished, target, [MANIFEST, *names])
        else:
            unfinished.replace(target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return made


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[dict[str, str]]:
    """The databases of a data folder by service; where no product runs on it, PostgreSQL alone runs meanwhile."""
    if not (folder / "postgres").exists():
        raise NoBackup(f"{folder} holds no installation.")
    if places := supervisor.endpoints(folder).get("postgres"):
        secret = postgres.passwords(folder)
        yield {name: f"postgresql://{name}:{secret[name]}@{place}" for name, place in places.items()}
        return
    keeper = supervisor.Supervisor(folder)
    with supervisor.only_one(folder):
        keeper.clear()
        server = postgres.at(folder)
        try:
            await keeper.start(server.process())
            await databases.bring_up({name: server.url(name, scheme="postgresql+asyncpg") for name in roles.PACKAGES})
            yield {name: server.url(name) for name in roles.PACKAGES}
        finally:
            await keeper.stop()


@dataclass(frozen=True)
class Snapshot:
    """One database at the moment, for as long as its transaction is held."""

    id: str
    server: str
    revision: str
    fingerprint: bytes | None
    tables: Mapping[str, int]


@asynccontextmanager
async def moment(urls: Mapping[str, str]) -> AsyncIterator[dict[str, Snapshot]]:
    """One moment of all databases, kept readable while everybody goes on.

    For a few milliseconds no transaction with events commits, nowhere, and no consumer moves on: so of everything that
    anybody has taken in, or was answered, what it came from is in the backup too. Commands that come meanwhile wait and
    are carried out. Where a lock is not to be had at once, all are given back, and it is tried again.

    Raises `NoBackup`.
    """
    async with AsyncExitStack() as stack:
        readers = {name: await _connected(stack, url) for name, url in urls.items()}
        holders = [await _connected(stack, url) for url in urls.values()]
        for tried in range(TRIES):
            try:
                snapshots = await _snapshots(holders, readers)
                break
            except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError, asyncpg.UndefinedTableError):
                for connection in (*holders, *readers.values()):
                    await connection.execute("ROLLBACK")
                # Not at the same beat as whoever holds the lock.
                await asyncio.sleep(min(0.2 * (tried + 1), 3) * (0.5 + random.random()))
        else:
            raise NoBackup(
                f"No moment was found in {TRIES} tries: pg_stat_activity shows which transaction is so long."
            )
        yield snapshots


async def _connected(stack: AsyncExitStack, url: str) -> Connection:
    try:
        connection = await asyncpg.connect(
            plain_url(url),
            timeout=10,
            server_settings={
                "application_name": "backup",
                "idle_in_transaction_session_timeout": "0",
                "transaction_timeout": "0",
                "statement_timeout": "0",
                **KEEPALIVE,
            },
        )
    except asyncpg.UndefinedObjectError:
        raise NoBackup("A backup needs PostgreSQL 17 or newer.") from None
    stack.push_async_callback(connection.close)
    return connection


async def _snapshots(holders: Sequence[Connection], readers: Mapping[str, Connection]) -> dict[str, Snapshot]:
    for holder in holders:
        await holder.execute(f"BEGIN; SET LOCAL lock_timeout = '{LOCK_TIMEOUT_S}s'; {_HOLD}")
    try:
        for reader in readers.values():
            await reader.execute(_BEGIN)
            # What is read is locked before anybody can drop it.
            tables = ", ".join(row["name"] for row in await reader.fetch(_TABLES))
            await reader.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_S}s'")
            await reader.execute(f"LOCK TABLE {tables} IN ACCESS SHARE MODE")
    finally:
        for holder in holders:
            await holder.execute("ROLLBACK")
    return {name: await _described(reader) for name, reader in readers.items()}


async def _described(reader: Connection) -> Snapshot:
    has_key = await reader.fetchval("SELECT to_regclass('identity_key') IS NOT NULL")
    return Snapshot(
        id=await reader.fetchval("SELECT pg_export_snapshot()"),
        server=await reader.fetchval("SHOW server_version"),
        revision=await reader.fetchval("SELECT version_num FROM alembic_version"),
        fingerprint=await reader.fetchval("SELECT fingerprint FROM identity_key") if has_key else None,
        tables={row["name"]: row["bytes"] for row in await reader.fetch(_SIZES)},
    )


async def _dump_all(
    folder: Path, urls: Mapping[str, str], snapshots: Mapping[str, Snapshot], told: Told
) -> dict[str, Dump]:
    gauge = Gauge({name: snapshot.tables for name, snapshot in snapshots.items()}, told)
    dumps = {}
    for name, snapshot in snapshots.items():
        dumps[name] = Dump(f"{name}.dump", snapshot.revision, snapshot.tables)
        output = folder / dumps[name].file
        output.touch(mode=0o600)
        words = ("--format=custom", "--compress=1", "--no-owner", "--no-privileges", f"--snapshot={snapshot.id}")
        await run("pg_dump", (*words, f"--file={output}"), urls[name], gauge.of(name, _DUMPING, ended=False))
        gauge.finish(name)
    return dumps


class Gauge:
    """How much is done of several databases, by the bytes of the tables that a program tells of."""

    def __init__(self, databases: Mapping[str, Mapping[str, int]], told: Told) -> None:
        self._left = {name: dict(tables) for name, tables in databases.items()}
        self._of = max(1, sum(sum(tables.values()) for tables in databases.values()))
        self._done = 0
        self._told = told

    def of(self, database: str, pattern: re.Pattern[str], *, ended: bool) -> Callable[[str], None]:
        """Takes the lines of a program that tells of each table at its end or, where not `ended`, at its begin."""
        begun: list[str] = []

        def heard(line: str) -> None:
            if found := pattern.search(line):
                begun.append(found[1])
                if ended or len(begun) > 1:
                    self._count(database, begun.pop(0))

        return heard

    def finish(self, database: str) -> None:
        """All of a database is done."""
        for table in list(self._left[database]):
            self._count(database, table)

    def _count(self, database: str, table: str) -> None:
        self._done += self._left[database].pop(table, 0)
        self._told(self._done, self._of)


async def run(program: str, words: Sequence[str], url: str, heard: Callable[[str], None]) -> None:
    """Run a program of PostgreSQL on a database; `heard` gets each line that it says. Raises `NoBackup` where it fails.

    The password goes by the environment: everybody on the machine reads the words of a command.
    """
    parts = urlsplit(plain_url(url))
    place = parts._replace(netloc=parts.netloc.replace(f":{parts.password}@", "@") if parts.password else parts.netloc)
    child = await asyncio.create_subprocess_exec(
        *(postgres.binary(program), "--verbose", "--no-password", f"--dbname={place.geturl()}", *words),
        env={**os.environ, "PGPASSWORD": unquote(parts.password or ""), "LC_ALL": "C"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert child.stderr is not None
    last: list[str] = []
    try:
        async for raw in child.stderr:
            line = raw.decode(errors="replace").rstrip()
            heard(line)
            last = [*last[-2:], line]
        code = await child.wait()
    except BaseException:
        child.kill()
        await child.wait()
        raise
    if code:
        raise NoBackup(f"{program} failed: {' '.join(last)}")


def checksum(path: Path) -> str:
    """SHA-256 of a file, which is on the disk then."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
        os.fsync(file.fileno())
    return found


def _pack(folder: Path, target: Path, names: Sequence[str]) -> None:
    packed = folder / "packed"
    packed.touch(mode=0o600)
    with packed.open("wb") as file, tarfile.open(fileobj=file, mode="w") as tar:
        for name in names:
            tar.add(folder / name, name)
            (folder / name).unlink()
        tar.close()
        os.fsync(file.fileno())
    packed.replace(target)


@dataclass(frozen=True)
class Backup:
    """A backup that was found to be whole, unpacked."""

    folder: Path
    manifest: Manifest

    def text(self, name: str) -> str | None:
        """A file of the installation; None where the backup has none of this name."""
        return (self.folder / name).read_text() if name in self.manifest.sha256 else None


def opened(source: Path, workspace: Path) -> Backup:
    """Check a backup, a folder or a `.tar` that is unpacked into `workspace`. Raises `NoBackup`."""
    if not source.exists():
        raise NoBackup(f"There is no backup {source}.")
    folder = source if source.is_dir() else _unpacked(source, workspace)
    if not (folder / MANIFEST).exists():
        raise NoBackup(f"{source} is no backup: it has no {MANIFEST}.")
    made = manifest((folder / MANIFEST).read_text())
    for name, wanted in made.sha256.items():
        path = folder / name
        if Path(name).name != name or not path.is_file() or checksum(path) != wanted:
            raise NoBackup(f"{source} is damaged: {name} is not what was written. Take another backup.")
    return Backup(folder, made)


def _unpacked(source: Path, workspace: Path) -> Path:
    try:
        with tarfile.open(source) as tar:
            for member in tar:
                content = tar.extractfile(member)
                if content is None or Path(member.name).name != member.name:
                    raise NoBackup(f"{source} is no backup.")
                target = workspace / member.name
                target.touch(mode=0o600)
                with target.open("wb") as file:
                    shutil.copyfileobj(content, file)
    except tarfile.TarError as error:
        raise NoBackup(f"{source} is no backup, or a part of one: {error}.") from error
    return workspace


_DUMPING = re.compile(r'dumping contents of table "(?:[^".]+\.)?([^"]+)"')

# A consumer locks its offsets first and writes its events last.
_HOLD = "LOCK TABLE consumer_offset, outbox IN EXCLUSIVE MODE"

_BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

_TABLES = """
SELECT oid::regclass::text AS name FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') ORDER BY oid
"""

_SIZES = """
SELECT relname AS name, pg_table_size(oid) AS bytes FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY oid
"""
