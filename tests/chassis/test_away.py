import ast
import asyncio
import os
import pickle
from urllib.parse import urlsplit

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from bench.faults.wires import Wires
from chassis.db import Database, away_told_plainly, connect, database_is_away, driver
from deploy.cli.quality import ROOT
from deploy.ports import free_port


async def cut_off(database: Database) -> None:
    async with database.transaction() as session:
        pid = await (await driver(session)).fetchval("SELECT pg_backend_pid()")
        async with database.transaction() as other:
            await other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
        with away_told_plainly():
            await session.execute(text("SELECT 1"))


async def refused(database: Database) -> None:
    async with database.transaction() as session:
        with away_told_plainly():
            await session.execute(text("SELECT 1 / 0"))


async def test_an_error_of_a_database_that_went_away_says_so_in_another_process_too(database: Database) -> None:
    with pytest.raises(ConnectionError) as told:
        await cut_off(database)

    assert database_is_away(pickle.loads(pickle.dumps(told.value)))


async def test_what_a_database_refuses_is_told_as_it_is(database: Database) -> None:
    with pytest.raises(DBAPIError) as told:
        await refused(database)

    assert not database_is_away(told.value)
    assert isinstance(told.value.orig.__cause__ if told.value.orig else None, asyncpg.DivisionByZeroError)


@pytest.mark.parametrize("by_driver", [True, False])
async def test_what_was_prepared_before_a_table_grew_may_be_asked_again(database: Database, by_driver: bool) -> None:
    one = connect(database.url, pool_size=1)

    async def asked() -> None:
        async with one.transaction() as session:
            if by_driver:
                await (await driver(session)).fetch("SELECT * FROM growing")
            else:
                await session.execute(text("SELECT * FROM growing"))

    async with database.transaction() as session:
        await session.execute(text("CREATE TABLE growing (id int)"))
    await asked()
    async with database.transaction() as session:
        await session.execute(text("ALTER TABLE growing ADD COLUMN more text"))
    with pytest.raises((DBAPIError, asyncpg.PostgresError)) as refused:
        await asked()
    assert database_is_away(refused.value)
    await asked()
    await one.close()


async def test_a_connection_whose_other_side_is_gone_without_a_word_is_given_up_and_replaced(
    database: Database,
) -> None:
    behind, door = urlsplit(database.url).port or 0, free_port()
    wires = Wires(lambda: {"me": os.getpid()})
    await wires.door("postgres", [behind], at=door)
    far = connect(database.url.replace(f":{behind}/", f":{door}/"), pool_size=1, silence_s=0.5)
    try:
        async with far.transaction() as session:
            await session.execute(text("SELECT 1"))
        wires.lose_targets(lambda client, target: True)
        with pytest.raises((OSError, DBAPIError)) as given_up:
            async with asyncio.timeout(10), far.transaction() as session:
                await session.execute(text("SELECT 1"))
        assert database_is_away(given_up.value)
        async with asyncio.timeout(10), far.transaction() as session:
            assert await session.scalar(text("SELECT 2")) == 2
    finally:
        await far.close()
        await wires.close()


def test_no_process_waits_for_ever_for_what_a_connection_of_its_own_is_asked() -> None:
    places = [path for folder in ("chassis", "services", "gateway") for path in (ROOT / folder).rglob("*.py")]
    calls = [
        (path.relative_to(ROOT), call)
        for path in places
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "asyncpg.connect"
    ]

    assert len(calls) > 10
    assert [str(path) for path, call in calls if "command_timeout" not in {each.arg for each in call.keywords}] == []
