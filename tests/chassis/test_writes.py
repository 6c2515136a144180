import contextlib
from typing import Any

import asyncpg
import pytest

from chassis.db import Database, driver
from chassis.writes import carry_out, put_off, rows_in

NUMBERS = {"number": "int", "name": "text"}


class Undone(Exception):
    """Rolls a transaction back."""


@pytest.fixture
async def kept(database: Database, connection: "asyncpg.Connection[asyncpg.Record]") -> Any:
    await connection.execute("CREATE TABLE kept (number int PRIMARY KEY, name text); CREATE TABLE other (number int)")

    async def rows() -> list[tuple[int, str | None]]:
        return [tuple(row) for row in await connection.fetch("SELECT * FROM kept ORDER BY number")]

    return rows


async def test_what_is_put_off_is_written_by_one_statement_at_the_end(database: Database, kept: Any) -> None:
    await fetched(database, "INSERT INTO kept SELECT n, 'old' FROM generate_series(10, 12) AS n")
    async with database.transaction() as session:
        connection = await driver(session)
        put_off(session, rows_in("kept", **NUMBERS), (1, 2), ("one", None))
        put_off(session, "renamed AS (UPDATE kept SET name = $1 WHERE number = $2)", "new", 10)
        put_off(session, "gone AS (DELETE FROM kept WHERE number = $1 RETURNING number), "
                         "told AS (INSERT INTO other SELECT number + $2 FROM gone)", 11, 100)  # fmt: skip
        assert await connection.fetchval("SELECT count(*) FROM kept WHERE name = 'old'") == 3

    assert await kept() == [(1, "one"), (2, None), (10, "new"), (12, "old")]
    assert await fetched(database, "SELECT number FROM other") == [111]


async def test_what_is_put_off_can_be_called_for_and_is_written_once(database: Database, kept: Any) -> None:
    async with database.transaction() as session:
        connection = await driver(session)
        for number in (1, 2):
            put_off(session, rows_in("kept", **NUMBERS), (number,), (str(number),))
            await carry_out(session, connection)
            assert await connection.fetchval("SELECT count(*) FROM kept") == number
        await carry_out(session, connection)

    assert await kept() == [(1, "1"), (2, "2")]


async def test_what_is_put_off_goes_with_the_transaction_and_is_unknown_to_the_next(
    database: Database, kept: Any
) -> None:
    with contextlib.suppress(Undone):
        async with database.transaction() as session:
            put_off(session, rows_in("kept", **NUMBERS), (1,), ("one",))
            raise Undone
    async with database.transaction() as session:
        put_off(session, rows_in("kept", **NUMBERS), (2,), ("two",))

    assert await kept() == [(2, "two")]


async def test_what_cannot_be_written_undoes_all_of_the_transaction(database: Database, kept: Any) -> None:
    async def write_again() -> None:
        async with database.transaction() as session:
            await (await driver(session)).execute("INSERT INTO kept VALUES (1, 'one')")
            put_off(session, rows_in("kept", **NUMBERS), (1, 2), ("again", "two"))

    with pytest.raises(asyncpg.UniqueViolationError):
        await write_again()

    assert await kept() == []


async def fetched(database: Database, query: str) -> list[Any]:
    async with database.transaction() as session:
        return [row[0] for row in await (await driver(session)).fetch(query)]
