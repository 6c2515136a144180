"""Planned activations take place when their instant comes."""

from datetime import datetime

import structlog

from chassis.db import Database, driver
from contracts.problems import Problem
from services.scoring.queries import models, policies
from services.scoring.queries.activations import due_from, next_due, refuse, took_place
from services.scoring.queries.rulings import BARRIER

log = structlog.get_logger()


async def next_activation(database: Database, at: datetime) -> datetime | None:
    """From when the first activation is to count that is due by an instant; None where none is."""
    async with database.transaction() as session:
        return await due_from(await driver(session), at)


async def activate_next(database: Database, at: datetime) -> bool:
    """Have the first activation take place that is due by an instant; whether there was one.

    It counts from the instant that was planned. One that what happened since forbids is refused, and it is told why.
    """
    async with database.transaction() as session:
        connection = await driver(session)
        await connection.execute("SELECT pg_advisory_xact_lock($1)", BARRIER)
        plan = await next_due(connection, at)
        if plan is None:
            return False
        try:
            # All of it or nothing: what a refused one had written goes with it.
            async with connection.transaction():
                if plan["margin"] is not None:
                    await models.refuse_worse(connection, plan["model"], plan["margin"])
                for room, hash in ((policies, plan["policy"]), (models, plan["model"])):
                    if hash is not None:
                        await room.activate(connection, hash, plan["active_from"], plan["planned_by"])
        except Problem as problem:
            log.error("planned activation refused", hash=plan["policy"] or plan["model"], reason=problem.detail)
            await refuse(connection, plan["id"], problem, at)
        else:
            await took_place(connection, plan["id"], at)
    return True
