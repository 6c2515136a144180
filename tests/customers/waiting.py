"""Two transactions at once, the second of which has to wait for the first."""

import asyncio

from chassis.db import Database, driver

WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND cardinality(pg_blocking_pids(pid)) > 0"
)


async def waits(database: Database, many: int = 1) -> None:
    """Until so many wait for locks."""
    while True:
        async with database.transaction() as session:
            if await (await driver(session)).fetchval(WAITING) >= many:
                return
        await asyncio.sleep(0)
