"""Backups by the addresses of databases, as an operator with a cluster makes them; no product runs."""

import asyncio
import json
import shutil
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from os import listdir
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from chassis.db import plain_url
from chassis.installation import fingerprint
from chassis.migrations import versions
from deploy import VERSION, backups, databases, restoring
from deploy.backups import NoBackup
from deploy.cli import backups as commands
from deploy.postgres import Postgres
from deploy.roles import PACKAGES
from tests.deploy.test_cli import shuke

KEY = "ab" * 32
OTHERS = {"installation.json": json.dumps({"time_zone": "Europe/Berlin", "currency": "EUR", "example": "none"})}
_numbers = count()


async def made(server: Postgres) -> dict[str, str]:
    """Databases with owners of their own, and nothing in them."""
    number = next(_numbers)

    def url(name: str) -> str:
        return f"postgresql+asyncpg://b{number}_{name}:secret@127.0.0.1:{server.port}/b{number}_{name}"

    urls = {name: url(name) for name in PACKAGES}
    await databases.have(
        server.url("postgres", role="postgres"), urls, log_reader_password=server.passwords[databases.LOG_READER]
    )
    return urls


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(plain_url(url))
    try:
        yield connection
    finally:
        await connection.close()


async def execute(url: str, statement: str, *values: object) -> None:
    async with opened(url) as connection:
        await connection.execute(statement, *values)


async def content(urls: dict[str, str]) -> dict[str, str]:
    """A hash over every row of every table, but of those that say how the database came to be."""
    found = {}
    for name, url in urls.items():
        async with opened(url) as connection:
            tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            for (table,) in tables:
                rows = f"SELECT md5(coalesce(string_agg(row::text, ',' ORDER BY row::text), '')) FROM {table} AS row"
                found[f"{name}.{table}"] = await connection.fetchval(rows)
    return found


@pytest.fixture(scope="module")
async def filled(server: Postgres) -> dict[str, str]:
    """The databases of an installation."""
    urls = await made(server)
    await databases.bring_up(urls)
    await execute(urls["customers"], "INSERT INTO identity_key VALUES (true, $1)", fingerprint(bytes.fromhex(KEY)))
    await execute(urls["customers"], _OUTBOX, 1)
    await execute(urls["gateway"], "INSERT INTO api_key (id, name, scopes, secret_hash, created_at)"
                  " VALUES ($1, 'one', '{admin}', 'hash', now())", uuid4())  # fmt: skip
    return urls


@pytest.fixture(scope="module")
async def backup(filled: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("backup") / "night"
    seen: list[tuple[int, int]] = []
    await backups.take(target, filled, KEY, OTHERS, lambda done, of: seen.append((done, of)))
    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1]
    return target


async def put_back(source: Path, workspace: Path, urls: dict[str, str], *, force: bool = False) -> restoring.Restored:
    return await restoring.into_databases(backups.opened(source, workspace), urls, force=force, told=nothing)


def test_only_its_owner_may_read_a_backup_and_it_says_what_is_in_it(backup: Path) -> None:
    told = json.loads((backup / "manifest.json").read_text())

    assert stat.S_IMODE(backup.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in backup.iterdir()} == {0o600}
    assert {name: dump["revision"] for name, dump in told["services"].items()} == {
        name: versions(package)[-1] for name, package in PACKAGES.items()
    }
    assert told["product"] == VERSION
    assert set(told["sha256"]) == {path.name for path in backup.iterdir()} - {"manifest.json"}
    assert (backup / "identity.key").read_text().strip() == KEY


async def test_a_backup_in_one_file_is_restored_by_the_commands_row_for_row(
    server: Postgres, filled: dict[str, str], tmp_path: Path
) -> None:
    key, other_key = tmp_path / "key", tmp_path / "other.key"
    key.write_text(KEY)
    target = await made(server)
    file = tmp_path / "night.tar"

    done = shuke("backup", str(file), **named(filled, key), SHUKE_TIME_ZONE="Europe/Berlin", SHUKE_CURRENCY="EUR")
    assert done.returncode == 0, done.stderr
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "It holds the identity key" in done.stderr
    done = shuke("restore", str(file), "--json", **named(target, other_key))

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["settings"] == {"SHUKE_TIME_ZONE": "Europe/Berlin", "SHUKE_CURRENCY": "EUR"}
    assert (told["epoch"], set(map(tuple, told["applied"].values()))) == (None, {()})
    assert other_key.read_text().strip() == KEY
    assert stat.S_IMODE(other_key.stat().st_mode) == 0o600
    assert await content(target) == await content(filled)
    assert set(listdir(tmp_path)) == {"key", "other.key", "night.tar"}


def named(urls: dict[str, str], key: Path) -> dict[str, str]:
    return {databases.variable(name): url for name, url in urls.items()} | {"SHUKE_IDENTITY_KEY_FILE": str(key)}


async def test_what_is_not_empty_is_replaced_only_by_force(
    server: Postgres, filled: dict[str, str], backup: Path, tmp_path: Path
) -> None:
    target = await made(server)
    await databases.bring_up(target)
    before = await content(target)

    with pytest.raises(NoBackup, match="is not empty"):
        await put_back(backup, tmp_path, target)
    assert await content(target) == before

    await put_back(backup, tmp_path, target, force=True)
    assert await content(target) == await content(filled)


async def test_a_restore_that_was_cut_short_starts_nothing_and_is_begun_again_without_force(
    server: Postgres, filled: dict[str, str], backup: Path, tmp_path: Path
) -> None:
    target = await made(server)

    def cut(done: int, of: int) -> None:
        if done > of / 2:
            raise KeyError("cut short")

    with pytest.raises(KeyError):
        await restoring.into_databases(backups.opened(backup, tmp_path), target, force=False, told=cut)

    with pytest.raises(databases.CannotMigrate, match="not restored to its end"):
        await databases.bring_up(target)
    await put_back(backup, tmp_path, target)
    assert await content(target) == await content(filled)
    await databases.bring_up(target)


async def test_an_older_backup_is_upgraded_and_one_of_a_newer_version_is_refused(
    server: Postgres, filled: dict[str, str], tmp_path: Path
) -> None:
    older, target = await made(server), await made(server)
    await databases.bring_up({name: url for name, url in older.items() if name != "leads"})
    [*_, before, _] = newest = versions(PACKAGES["leads"])
    await databases.bring_up({"leads": older["leads"]}, to=before)
    await backups.take(tmp_path / "old", older, KEY, OTHERS, nothing)

    restored = await put_back(tmp_path / "old", tmp_path, target)

    assert restored.applied == {name: newest[-1:] if name == "leads" else [] for name in PACKAGES}
    told = json.loads((tmp_path / "old" / "manifest.json").read_text())
    told["services"]["leads"]["revision"] = "9999"
    (tmp_path / "old" / "manifest.json").write_text(json.dumps(told))
    with pytest.raises(NoBackup, match=r"leads at 9999: restore it by that one"):
        await put_back(tmp_path / "old", tmp_path, target, force=True)


async def test_a_damaged_backup_is_refused_before_anything_is_touched(backup: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(backup, damaged)
    with (damaged / "scoring.dump").open("r+b") as file:
        file.seek(1_000)
        file.write(b"x")

    with pytest.raises(NoBackup, match=r"damaged: scoring\.dump"):
        backups.opened(damaged, tmp_path)


async def test_a_backup_with_another_identity_key_is_refused_and_leaves_nothing(
    filled: dict[str, str], tmp_path: Path
) -> None:
    with pytest.raises(NoBackup, match="not that of customers"):
        await backups.take(tmp_path / "night", filled, "cd" * 32, OTHERS, nothing)

    assert not listdir(tmp_path)


async def test_a_data_folder_on_which_nothing_runs_is_restored_and_backed_up(
    server: Postgres, filled: dict[str, str], backup: Path, tmp_path: Path
) -> None:
    folder, again, target = tmp_path / "data", tmp_path / "again.tar", await made(server)

    restored, _ = await commands.restored(backup, folder, nothing, force=False)
    made_again = await commands.taken(again, folder, nothing)
    await put_back(again, tmp_path, target)

    assert restored.epoch is None
    assert set(listdir(folder)) == {*restoring.INSTALLATION, "run", "logs"} - {"admin.key"}
    assert json.loads((folder / "installation.json").read_text()) == json.loads(OTHERS["installation.json"])
    kept = {"identity.key", "internal.secret", "installation.json"}
    assert set(made_again.sha256) == {*(f"{name}.dump" for name in PACKAGES), *kept}
    assert await content(target) == await content(filled)
    with pytest.raises(NoBackup, match="holds an installation"):
        await commands.restored(backup, folder, nothing, force=False)
    with pytest.raises(NoBackup, match="holds no installation"):
        await commands.taken(tmp_path / "none", tmp_path / "nowhere", nothing)


def nothing(done: int, of: int) -> None:
    """Say nothing of how far it is."""


def test_a_folder_in_which_parts_were_changing_places_starts_nothing_until_it_is_begun_again(tmp_path: Path) -> None:
    (tmp_path / "restoring").mkdir()
    (tmp_path / "restoring" / "swapping").touch()
    (tmp_path / "identity.key").write_text(KEY)

    done = shuke("up", "--data", str(tmp_path))

    assert done.returncode == 1
    assert "was not restored to its end" in " ".join(done.stderr.split())
    restoring.refuse_folder(tmp_path, force=False)


async def test_nobody_is_ahead_of_what_it_was_told_in_a_backup_that_was_taken_meanwhile(
    server: Postgres, filled: dict[str, str], tmp_path: Path
) -> None:
    """Each number is written to one database and, once that is committed, to the next one, as an event travels."""
    way = ["customers", "scoring", "leads", "customers", "community"]
    ended = asyncio.Event()
    longest_s = 0.0

    async def travel() -> int:
        nonlocal longest_s
        loop = asyncio.get_running_loop()
        connections = [await asyncpg.connect(plain_url(filled[name])) for name in way]
        for number in count(100):
            for place, connection in enumerate(connections):
                began = loop.time()
                await connection.execute(_OUTBOX, number * 10 + place)
                longest_s = max(longest_s, loop.time() - began)
            if ended.is_set():
                break
        for connection in connections:
            await connection.close()
        return number

    travelling = asyncio.create_task(travel())
    reached = []
    for night in ("one", "two", "three"):
        await backups.take(tmp_path / night, filled, KEY, OTHERS, nothing)
        target = await made(server)
        await put_back(tmp_path / night, tmp_path, target)
        has = []
        for place, name in enumerate(way):
            async with opened(target[name]) as connection:
                query = "SELECT max(seq / 10) FROM (SELECT key_hash AS seq FROM outbox) AS row WHERE seq % 10 = $1"
                has.append(await connection.fetchval(query, place) or 0)
        reached.append(has)
    ended.set()

    assert await travelling > reached[-1][0]
    assert all(has == sorted(has, reverse=True) for has in reached)
    assert reached[0][0] < reached[1][0] < reached[2][0]
    assert longest_s < 5


_OUTBOX = """
INSERT INTO outbox (event_id, topic, key, key_hash, type, payload, occurred_at)
VALUES (gen_random_uuid(), 'topic', 'key', $1, 'type', '{}', now())
"""
