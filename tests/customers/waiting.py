"""Two transactions at once, the second of which has to wait for the first."""

import asyncio

from chassis.db import Database, driver

WAITING = (
    "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()"
    " AND cardinality(pg_blocking_pids(pid)) > 0)"
)


async def waits(database: Database) -> None:
    """Until somebody waits for a lock."""
    while True:
        async with database.transaction() as session:
            if await (await driver(session)).fetchval(WAITING):
                return
        await asyncio.sleep(0)
