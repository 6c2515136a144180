"""Standings that hold more than they did are assessed again, so that everybody has what is new."""

import structlog

from chassis.clock import now
from chassis.db import Database, driver
from services.scoring.queries.growing import assess_as_grown, grown
from services.scoring.queries.recording import deciding_instant

log = structlog.get_logger()


async def grow(database: Database) -> None:
    """Have everybody assessed by what is stored of a standing now, once no process runs that stores less."""
    async with database.transaction() as session:
        connection = await driver(session)
        at = await deciding_instant(connection, now())
        # Of several sweepers one is first.
        if await grown(connection):
            await assess_as_grown(connection, at)
            log.info("standings hold more than before: everybody is assessed again")
