"""Carry out trials: the whole history under a draft and under the active policy, in one state of the database.

Nothing of it touches a standing. A trial whose process is killed is begun anew by the next one.
"""

import asyncio
import contextlib
import os
import time
from collections import Counter, deque
from collections.abc import AsyncGenerator
from concurrent.futures import ProcessPoolExecutor
from datetime import date, datetime
from multiprocessing import get_context
from typing import Never
from uuid import UUID

import asyncpg
import msgspec
import structlog

from chassis.clock import now
from chassis.db import Database, database_is_away, driver
from chassis.rest import rest
from services.scoring.domain.moment import Moment
from services.scoring.domain.trials import Scope, Tally, Trial, outcome
from services.scoring.handlers.apart import Row, Seen, begin_apart, try_apart
from services.scoring.queries.policies import tried as was_tried
from services.scoring.queries.reading import by_party, moment, snapshot
from services.scoring.queries.rulings import Connection, ruling_asked
from services.scoring.queries.trials import alone, begin, fail, finish, go_on, open_trial

log = structlog.get_logger()

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
    async with contextlib.aclosing(_tried(reading, trial, then, keeps=job["keep_moves"])) as pages:
        async for parties, counted, rows in pages:
            tally.update(counted)
            waiting += rows
            done += parties
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


async def _tried(
    reading: Connection, trial: Trial, then: Moment, *, keeps: bool
) -> AsyncGenerator[tuple[int, Tally, list[Row]]]:
    """Page by page in the order of party ids: how many parties, what they add up to, and their moves.

    The arithmetic has processes of its own. Events that come meanwhile do not wait for it.
    """
    loop, processes = asyncio.get_running_loop(), os.cpu_count() or 1
    pool = ProcessPoolExecutor(processes, get_context("spawn"), begin_apart, (_to_send(trial), keeps))
    under_way: deque[tuple[int, asyncio.Future[tuple[Tally, list[Row]]]]] = deque()
    try:
        async for reads in by_party(reading):
            seen = [(read.row["party_id"], then.seen(read.calendar, read.row["assessed_at"])) for read in reads]
            page: list[Seen] = [(party_id, *found) for party_id, found in seen if found]
            under_way.append((len(reads), loop.run_in_executor(pool, try_apart, page)))
            if len(under_way) > 2 * processes:
                parties, result = under_way.popleft()
                yield parties, *await result
        for parties, result in under_way:
            yield parties, *await result
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _to_send(trial: Trial) -> Trial:
    """A trial that another process can be given: what a model has remembered stays here."""
    return msgspec.structs.replace(trial, draft=trial.draft.unused(), active=trial.active.unused())


def _last_day(then: Moment, at: datetime) -> date:
    return then.as_of or date.fromordinal(then.ruling.day(then.reached or at))


async def _told(database: Database, trial_id: UUID, done: int, kept: int, moves: list[Row]) -> bool:
    """Write down how far it is; whether it goes on. What was kept of one that does not is forgotten by who ended it."""
    async with database.transaction() as session:
        return await go_on(await driver(session), trial_id, done, kept, moves)
