import asyncio

import asyncpg
import pytest

from chassis.db import Database, database_is_away, driver


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


async def test_a_connection_that_ends_before_its_transaction_begins_is_a_database_that_is_away(
    database: Database, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    async def begin() -> None:
        async with database.transaction() as session:
            raw = (await (await session.connection()).get_raw_connection()).driver_connection
            assert raw
            await connection.fetchval("SELECT pg_terminate_backend($1, 5000)", raw.get_server_pid())
            await driver(session)

    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)) as raised:
        await begin()

    assert database_is_away(raised.value)


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


async def test_transactions_that_look_up_have_connections_and_plans_of_their_own(database: Database) -> None:
    async def shown(*, lookups: bool) -> tuple[str, str, int]:
        async with database.transaction(lookups=lookups) as session:
            connection = await driver(session)
            settings = [await connection.fetchval(f"SHOW {name}") for name in ("plan_cache_mode", "enable_hashjoin")]
            return settings[0], settings[1], await connection.fetchval("SELECT pg_backend_pid()")

    *usual, one = await shown(lookups=False)
    *looking_up, other = await shown(lookups=True)

    assert usual == ["auto", "on"]
    assert looking_up == ["force_generic_plan", "off"]
    assert one != other
    assert (await shown(lookups=False))[2] == one
