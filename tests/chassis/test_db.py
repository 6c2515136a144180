import asyncio

import asyncpg
import pytest

from chassis.db import Database, driver


async def backend(database: Database) -> int:
    async with database.transaction() as session:
        return int(await (await driver(session)).fetchval("SELECT pg_backend_pid()"))


async def test_a_connection_that_the_server_ended_is_not_handed_out_again(
    database: Database, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    first = await backend(database)

    await connection.fetchval("SELECT pg_terminate_backend($1, 5000)", first)
    await asyncio.sleep(0.1)

    assert await backend(database) != first


@pytest.mark.parametrize("statement", ["BEGIN", "ROLLBACK"])
async def test_a_statement_cancelled_at_the_edge_swallows_no_later_transaction(
    database: Database, connection: "asyncpg.Connection[asyncpg.Record]", statement: str
) -> None:
    async with database.sessions() as session:
        await (await driver(session)).execute("SELECT 1")
        raw = await (await session.connection()).get_raw_connection()
        assert raw.dbapi_connection
        assert raw.driver_connection
        if statement == "BEGIN":
            raw.dbapi_connection._transaction = None
        else:
            raw.dbapi_connection._transaction = raw.driver_connection._top_xact = None

    async with database.transaction() as session:
        await (await driver(session)).execute("CREATE TABLE kept ()")

    assert await connection.fetchval("SELECT to_regclass('kept') IS NOT NULL")
    assert not await connection.fetch(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction'"
    )
