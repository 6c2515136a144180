"""Carry out rebuilds: each step is one transaction that says how far it came, so a killed one goes on."""

from collections import defaultdict
from typing import Never
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg
import structlog

from chassis.clock import now
from chassis.db import Database, database_is_away, driver
from chassis.rest import rest
from services.scoring.domain.calendar import fold
from services.scoring.domain.facts import Fact
from services.scoring.queries.facts import facts_of
from services.scoring.queries.parties import NOBODY
from services.scoring.queries.rebuilds import (
    begin,
    change_places,
    end_writing,
    folded_up_to,
    give_up,
    identities_behind,
    rebuild_to_carry_on,
    take_touched,
    touched,
    write_rebuilt,
)
from services.scoring.queries.rulings import Connection

log = structlog.get_logger()

PAGE = 250
"""Identities of one step."""
FEW = 200
"""So many touched identities are left for the moment in which nobody else writes."""
REST_S = 1.0
"""Seconds between looks for a rebuild, and after one that others held up."""
LOCK_TIMEOUT_S = 1.0
"""For so long others may be held up, waiting for readers of the old calendars to end."""


async def carry_out_rebuilds(database: Database) -> Never:
    """Carry out what was asked for, until cancelled; any number of processes may do so.

    A fault of ours ends the rebuild as failed, without an effect; a database that is away is waited for.
    """
    while True:
        try:
            while await move_on(database):
                pass
        except Exception as error:
            if not database_is_away(error):
                log.exception("rebuild failed")
                await _fail(database, f"{type(error).__name__}: {error}")
        await rest(REST_S)


async def move_on(database: Database) -> bool:
    """Take one step of the open rebuild; whether there was one to take."""
    async with database.transaction() as session:
        connection = await driver(session)
        job = await rebuild_to_carry_on(connection)
        if job is None:
            return False
        if job["state"] == "waiting":
            await begin(connection, job["id"], now())
        elif page := await identities_behind(connection, job["after_identity"] or NOBODY, PAGE):
            await _fold(connection, page, ZoneInfo(job["time_zone"]))
            await folded_up_to(connection, job["id"], page[-1], len(page))
        elif await touched(connection) > FEW:
            await _fold(connection, await take_touched(connection, PAGE), ZoneInfo(job["time_zone"]))
        else:
            await _finish(connection, job)
    return True


async def _finish(connection: Connection, job: asyncpg.Record) -> None:
    """Let the calendars change places, with nobody writing, once the rest of what was touched is folded again."""
    # Nothing of it is taken before: a worker that touches the same would wait for us, and we for all workers.
    await end_writing(connection, lock_timeout_s=LOCK_TIMEOUT_S)
    while identities := await take_touched(connection, PAGE):
        await _fold(connection, identities, ZoneInfo(job["time_zone"]))
    await change_places(connection, job["id"], job["time_zone"], now())


async def _fold(connection: Connection, identities: list[UUID], zone: ZoneInfo) -> None:
    facts, gone = await facts_of(connection, identities)
    counting: defaultdict[UUID, list[Fact]] = defaultdict(list)
    for fact in facts:
        if (fact.fact_id, fact.identity_id) not in gone:
            counting[fact.identity_id].append(fact)
    await write_rebuilt(connection, identities, {who: fold(told, zone) for who, told in counting.items()})


async def _fail(database: Database, error: str) -> None:
    async with database.transaction() as session:
        connection = await driver(session)
        job = await rebuild_to_carry_on(connection)
        if job is not None:
            await give_up(connection, job["id"], now(), error)
