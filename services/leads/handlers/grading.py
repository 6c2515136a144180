"""Put an activated rubric to the leads that are there: each step grades a page of them, in one transaction."""

from typing import Never

import structlog

from chassis.clock import now
from chassis.db import Database, database_is_away
from chassis.rest import rest
from services.leads.queries.grading import grade_page, grading_to_carry_on

log = structlog.get_logger()

PAGE = 250
"""Leads at once: few enough that the largest rubric takes less time than a transaction may rest."""
REST_S = 0.5
"""Seconds between looks for an activated rubric."""
FAULT_REST_S = 10.0
"""Seconds after a fault of ours before the same page is tried again."""


async def carry_out_gradings(database: Database) -> Never:
    """Grade by what was activated, until cancelled; any number of processes may do so.

    A database that is away is waited for; after a fault of ours the page is tried again, and it is logged each time.
    """
    while True:
        rest_s = REST_S
        try:
            while await move_on(database):
                pass
        except Exception as error:
            if not database_is_away(error):
                log.exception("grading failed")
                rest_s = FAULT_REST_S
        await rest(rest_s)


async def move_on(database: Database) -> bool:
    """Take one step of the open grading; whether there was one to take."""
    async with database.transaction() as session:
        grading = await grading_to_carry_on(session)
        return grading is not None and await grade_page(session, grading, PAGE, now())
