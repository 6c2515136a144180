import asyncio

import asyncpg

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
