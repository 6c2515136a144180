"""Decide what was told about pairs of identities, as long as the process lives."""

from typing import Never
from zoneinfo import ZoneInfo

import structlog

from chassis.db import Database, database_is_away
from chassis.rest import rest
from services.customers.queries.deciding import decide

log = structlog.get_logger()

REST_S = 0.25
"""Seconds between looks for pairs that nobody decided."""


async def decide_pairs(database: Database, zone: ZoneInfo) -> Never:
    """Take one step after the other, until cancelled. Of several processes one at a time does."""
    while True:
        more = False
        try:
            async with database.transaction() as session:
                more = await decide(session, zone)
        except Exception as error:
            if not database_is_away(error):
                raise
            log.warning("pairs are decided later", error=str(error))
        if not more:
            await rest(REST_S)
