"""Carry out trials: the whole history under a draft and under the active policy, in one state of the database.

Nothing of it touches a standing. A trial whose process is killed is begun anew by the next one.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable
from datetime import date, datetime
from typing import Never
from uuid import UUID

import asyncpg
import structlog

from chassis.clock import now
from chassis.db import Database, database_is_away, driver
from chassis.rest import rest
from services.scoring.domain.days import start_of_day
from services.scoring.domain.moment import Moment
from services.scoring.domain.trajectory import Move
from services.scoring.domain.trials import Scope, Tally, Trial, outcome, tried
from services.scoring.queries.policies import tried as was_tried
from services.scoring.queries.reading import Read, by_party, moment, snapshot
from services.scoring.queries.rulings import Connection, ruling_asked
from services.scoring.queries.trials import Row, alone, begin, fail, finish, go_on, open_trial

log = structlog.get_logger()

FEW = 50
"""Parties that are tried at a stretch."""
REST_S = 1.0
"""Seconds between looks for a trial."""
TELL_S = 0.5
"""Seconds between two notes of how far a trial is."""
MOST_MOVES = 20_000
"""So many kept moves are written at once."""


async def carry_out_trials(database: Database) -> Never:
    """Carry out what was asked for, one trial at a time, until cancelled; any number of processes may do so.

    A fault of ours ends the trial as failed; a database that is away is waited for.
    """
    while True:
        try:
            while await try_next(database):
                pass
        except Exception as error:
            if not database_is_away(error):
                raise
            log.warning("trial interrupted", error=str(error), error_class=type(error).__name__)
        await rest(REST_S)


async def try_next(database: Database) -> bool:
    """Carry out the next trial; whether there was one that nobody else carries out."""
    async with database.transaction() as session:
        trial_id = await open_trial(await driver(session))
    if trial_id is None:
        return False
    async with snapshot(database) as reading:
        if not await alone(reading):
            return False
        async with database.transaction() as session:
            job = await begin(await driver(session), trial_id, now())
        if job is None:
            return True
        try:
            await _carry_out(database, reading, job)
        except Exception as error:
            if database_is_away(error):
                raise
            log.exception("trial failed")
            async with database.transaction() as session:
                await fail(await driver(session), trial_id, now(), f"{type(error).__name__}: {error}")
    return True


async def _carry_out(database: Database, reading: Connection, job: asyncpg.Record) -> None:
    trial, then = await _prepared(reading, job)
    tally: Tally = Counter()
    waiting: list[Row] = []
    done = kept = 0
    told = time.monotonic()
    async for reads in by_party(reading):
        for start in range(0, len(reads), FEW):
            rows = _try(trial, then, reads[start : start + FEW], tally)
            waiting += rows if job["keep_moves"] else ()
            # The sweeper shares this process: it does not have to wait for a whole page.
            await asyncio.sleep(0)
        done += len(reads)
        if time.monotonic() - told > TELL_S or len(waiting) >= MOST_MOVES:
            if not await _told(database, job["id"], done, kept, waiting):
                return
            kept, waiting, told = kept + len(waiting), [], time.monotonic()
    async with database.transaction() as session:
        connection = await driver(session)
        if await go_on(connection, job["id"], done, kept, waiting):
            await finish(connection, job["id"], outcome(tally, trial, _last_day(then, now())), now())
            await was_tried(connection, job["policy"], now())


async def _prepared(reading: Connection, job: asyncpg.Record) -> tuple[Trial, Moment]:
    """Both sides, and the moment up to which they are looked at."""
    then = await moment(reading, job["until_day"], now())
    draft = await ruling_asked(reading, None, policy=job["policy"], model=job["model"])
    first = job["from_day"] and job["from_day"].toordinal()
    return Trial(draft, then.ruling, Scope(first, draft.policy.horizon_days)), then


def _try(trial: Trial, then: Moment, reads: Iterable[Read], tally: Tally) -> list[Row]:
    rows: list[Row] = []
    for read in reads:
        seen = then.seen(read.calendar, read.row["assessed_at"])
        if seen:
            counted, moves = tried(trial, *seen)
            tally.update(counted)
            rows += [_row(read.row["party_id"], move, why, trial) for move, why in moves]
    return rows


def _row(party_id: UUID, move: Move, why: str, trial: Trial) -> Row:
    at = start_of_day(move.day.toordinal(), trial.draft.zone)
    return party_id, at, move.from_stage, move.to_stage, move.from_tier, move.to_tier, move.kind, why


def _last_day(then: Moment, at: datetime) -> date:
    return then.as_of or date.fromordinal(then.ruling.day(then.reached or at))


async def _told(database: Database, trial_id: UUID, done: int, kept: int, moves: list[Row]) -> bool:
    """Write down how far it is; whether it goes on. What was kept of one that does not is forgotten by who ended it."""
    async with database.transaction() as session:
        return await go_on(await driver(session), trial_id, done, kept, moves)
