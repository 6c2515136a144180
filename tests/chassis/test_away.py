import pickle

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from chassis.db import Database, away_told_plainly, database_is_away, driver


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
