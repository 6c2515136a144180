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
from services.scoring.domain.trials import Scope, Tally, Trial, looked_at_somebody, outcome
from services.scoring.handlers.apart import Job, Part, Span, begin_apart, parts, try_apart
from services.scoring.queries.parties import NOBODY
from services.scoring.queries.policies import tried as was_tried
from services.scoring.queries.reading import EVERYBODY, moment, party_spans, snapshot
from services.scoring.queries.rulings import Connection, ruling_asked
from services.scoring.queries.trials import alone, begin, fail, finish, go_on, open_trial

log = structlog.get_logger()

REST_S = 1.0
"""Seconds between looks for a trial."""
TELL_S = 0.5
"""Seconds between two notes of how far a trial is."""
FEW = 20_000
"""Up to so many parties no other processes are begun."""
SPAN = 5_000
"""Parties that another process is given at once."""


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


async def _carry_out(database: Database, reading: Connection, asked: asyncpg.Record) -> None:
    trial, then = await _prepared(reading, asked)
    job = Job(asked["id"], asked["started_at"], trial, then, asked["keep_moves"])
    tally: Tally = Counter()
    done, told = 0, time.monotonic()
    # Few are looked at before another process would have begun.
    few = asked["parties"] <= FEW
    looking = parts(database, reading, job, Span(0, NOBODY, EVERYBODY)) if few else _apart(database, reading, job)
    async with contextlib.aclosing(looking) as found:
        async for part in found:
            tally.update(part.tally)
            done += part.parties
            if time.monotonic() - told > TELL_S:
                if not await _told(database, job.trial_id, done):
                    return
                told = time.monotonic()
    async with database.transaction() as session:
        connection = await driver(session)
        if await go_on(connection, job.trial_id, done):
            await finish(connection, job.trial_id, outcome(tally, trial, _last_day(then, now())), now())
            if looked_at_somebody(tally, done):
                await was_tried(connection, asked["policy"], now())


async def _prepared(reading: Connection, asked: asyncpg.Record) -> tuple[Trial, Moment]:
    """Both sides, and the moment up to which they are looked at."""
    then = (await moment(reading, asked["until_day"], now())).from_the_beginning()
    draft = await ruling_asked(reading, None, policy=asked["policy"], model=asked["model"])
    first = asked["from_day"] and asked["from_day"].toordinal()
    # Both convert by the same rates: what is worked out by them is worked out once.
    draft = msgspec.structs.replace(draft, rates=then.ruling.rates)
    return Trial(draft, then.ruling, Scope(first, draft.policy.horizon_days)), then


async def _apart(database: Database, reading: Connection, job: Job) -> AsyncGenerator[Part]:
    """Span by span in the order of party ids. Each is read and looked at by one of several processes.

    Events that come meanwhile do not wait for the arithmetic.
    """
    shared = await reading.fetchval("SELECT pg_export_snapshot()")
    spans = [Span(place, *ids) for place, ids in enumerate(await party_spans(reading, SPAN))]
    loop, processes = asyncio.get_running_loop(), os.cpu_count() or 1
    pool = ProcessPoolExecutor(
        processes, get_context("spawn"), begin_apart, (_to_send(job), database.url, shared)
    )  # fmt: skip
    try:
        under_way: deque[asyncio.Future[Part]] = deque()
        for span in spans:
            under_way.append(loop.run_in_executor(pool, try_apart, span))
            if len(under_way) > 2 * processes:
                yield await under_way.popleft()
        for part in under_way:
            yield await part
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _to_send(job: Job) -> Job:
    """A trial that another process can be given: what a model has remembered stays here."""
    draft, active = job.trial.draft.unused(), job.trial.active.unused()
    trial = msgspec.structs.replace(job.trial, draft=draft, active=active)
    return job._replace(trial=trial, then=msgspec.structs.replace(job.then, ruling=active))


def _last_day(then: Moment, at: datetime) -> date:
    return then.as_of or date.fromordinal(then.ruling.day(then.reached or at))


async def _told(database: Database, trial_id: UUID, done: int) -> bool:
    """Write down how far it is; whether it goes on. What was kept of one that does not is forgotten by who ended it."""
    async with database.transaction() as session:
        return await go_on(await driver(session), trial_id, done)
