"""Changes of a database give way to whoever reads and writes it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from chassis import migrations
from chassis.db import plain_url
from tests.conftest import MakeDatabase

VERSION = """
from alembic import op
from chassis import migrations
revision = {revision!r}
down_revision = {before!r}
def upgrade():
    {change}
"""
ENOUGH_S = 60


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A service with a table, then a column more, then an index."""
    name = f"service_of_{tmp_path.name}"
    folder = tmp_path / name / "migrations"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    changes = (
        'op.execute("CREATE TABLE thing AS SELECT generate_series(1, 1000) AS id")',
        'op.execute("ALTER TABLE thing ADD COLUMN name text")',
        'migrations.index("thing_by_id", "thing (id)")',
    )
    for number, change in enumerate(changes, 1):
        before = f"{number - 1:04}" if number > 1 else None
        text = VERSION.format(revision=f"{number:04}", before=before, change=change)
        (folder / f"{number:04}_step.py").write_text(text)
    return name


@pytest.fixture
async def url(make_database: MakeDatabase) -> str:
    return (await make_database(None)).url


@pytest.fixture
async def opened(url: str) -> AsyncIterator[list[asyncpg.Connection]]:
    connections = [await asyncpg.connect(plain_url(url)) for _ in range(2)]
    yield connections
    for connection in connections:
        await connection.close()


async def test_nobody_waits_behind_a_change_that_waits_for_a_long_reader(
    url: str, package: str, opened: list[asyncpg.Connection]
) -> None:
    long, short = opened
    assert await migrations.migrate(url, package, to="0001") == ["0001"]
    reading = long.transaction()
    await reading.start()
    await long.fetchval("SELECT count(*) FROM thing")

    changing = asyncio.create_task(migrations.migrate(url, package, to="0002"))
    async with asyncio.timeout(ENOUGH_S):
        while not await short.fetchval(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND locktype = 'relation')"
        ):
            await asyncio.sleep(0.02)
        for number in range(5):
            await short.execute("INSERT INTO thing VALUES ($1)", number)
    assert not changing.done()
    await reading.rollback()

    assert await changing == ["0002"]
    assert await short.fetchval("SELECT count(*) FROM thing WHERE name IS NULL") == 1_005


async def test_a_change_whose_table_is_always_in_use_is_given_up_and_what_came_before_stays(
    url: str, package: str, opened: list[asyncpg.Connection]
) -> None:
    long, short = opened
    await migrations.migrate(url, package, to="0001")
    async with long.transaction():
        await long.execute("LOCK TABLE thing IN ACCESS SHARE MODE")
        with pytest.raises(TimeoutError, match="in use for 0 s without a pause"):
            await migrations.migrate(url, package, patience_s=0)

    assert await short.fetchval("SELECT version_num FROM alembic_version") == "0001"
    assert await migrations.migrate(url, package) == ["0002", "0003"]


async def test_an_index_is_made_while_others_write_and_anew_after_it_was_cut_short(
    url: str, package: str, opened: list[asyncpg.Connection]
) -> None:
    long, short = opened
    await migrations.migrate(url, package, to="0002")
    writing = long.transaction()
    await writing.start()
    await long.execute("INSERT INTO thing VALUES (0)")

    cut = asyncio.create_task(migrations.migrate(url, package))
    async with asyncio.timeout(ENOUGH_S):
        while await short.fetchval(_VALID) is None:
            await asyncio.sleep(0.02)
        await short.execute("INSERT INTO thing VALUES (0)")
    cut.cancel()
    await asyncio.gather(cut, return_exceptions=True)
    await writing.commit()
    assert await short.fetchval(_VALID) is False

    assert await migrations.migrate(url, package) == ["0003"]
    assert await short.fetchval(_VALID) is True


async def test_of_several_at_once_one_applies_each_version(url: str, package: str) -> None:
    applied = await asyncio.gather(*(migrations.migrate(url, package) for _ in range(3)))

    assert sorted(applied) == [[], [], ["0001", "0002", "0003"]]


_WAITS = "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'thing'::regclass AND NOT granted)"

_VALID = """
SELECT indisvalid FROM pg_index JOIN pg_class ON oid = indexrelid WHERE relname = 'thing_by_id'
"""
