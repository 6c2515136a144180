"""Carry out fits of models, each in a process of its own; one is asked for every so many days.

One whose process is killed is begun anew by the next one.
"""

import asyncio
import time
from contextlib import aclosing
from datetime import timedelta
from enum import StrEnum
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from typing import Any, Never
from uuid import UUID

import asyncpg
import structlog

from chassis.clock import now
from chassis.db import Database, connect, database_is_away, driver
from chassis.ids import uuid7
from chassis.processes import step_back
from chassis.rest import rest
from contracts.problems import Problem
from services.scoring.domain.bgnbd import NotEnough
from services.scoring.domain.buyers import Gathering
from services.scoring.domain.fitting import FitNotJudged, Fitted, FitUnderWay, ModelActive, fit
from services.scoring.queries.fits import (
    alone,
    ask_for_fit,
    begin,
    fail,
    finish,
    go_on,
    last_fitting,
    note_fitting,
    open_fit,
)
from services.scoring.queries.fitting import day_to_fit, gathered
from services.scoring.queries.models import activate, add_model, check_activation
from services.scoring.queries.reading import snapshot
from services.scoring.queries.recording import deciding_instant
from services.scoring.queries.rulings import Connection, present

log = structlog.get_logger()

REST_S = 1.0
"""Seconds between looks for a fit."""
LOOK_S = 60.0
"""Seconds between looks whether one is due."""
TELL_S = 0.5
"""Seconds between two notes of how far a fit is."""
AGAIN = timedelta(days=1)
"""After so long it is tried again where there was not enough to fit, or it failed."""
MOST_TRIES = 3
"""So often a fit is begun whose process is killed: it may be the fit that is too large for the machine."""


class Activating(StrEnum):
    """Who has a model decide that was fitted by itself."""

    BY_HAND = "by_hand"
    BY_RULE = "by_rule"
    """It decides at once, unless it was not judged, or is worse than the active one by more than the margin."""


async def keep_asking(database: Database, every: timedelta, activating: Activating) -> Never:
    """Ask for a fit whenever the last one is so old, until cancelled."""
    while True:
        try:
            await ask_if_due(database, every, activating)
        except Exception as error:
            if not database_is_away(error):
                raise
            log.warning("fit not asked for", error=str(error), error_class=type(error).__name__)
        await rest(LOOK_S)


async def ask_if_due(database: Database, every: timedelta, activating: Activating) -> bool:
    """Ask for a fit as of yesterday, the last whole day, if it is time and none is under way; whether it was asked."""
    async with database.transaction() as session:
        connection, at = await driver(session), now()
        last = await last_fitting(connection)
        if last is not None and at < last[0] + (every if last[1] else min(every, AGAIN)):
            return False
        yesterday = await day_to_fit(connection, None, at) - timedelta(days=1)
        by_rule = activating is Activating.BY_RULE
        try:
            await ask_for_fit(connection, uuid7(), yesterday, activate=by_rule, force=False, at=at, by=None)
        except FitUnderWay:
            return False
        await note_fitting(connection, at, enough=True)
    return True


async def carry_out_fits(database: Database, margin: float) -> Never:
    """Have fits carried out that were asked for, until cancelled; any number of processes may do so."""
    while True:
        try:
            while await _is_asked_for(database):
                await _apart(database.url, margin)
                await rest(REST_S)
        except Exception as error:
            if not database_is_away(error):
                raise
            log.warning("fit interrupted", error=str(error), error_class=type(error).__name__)
        await rest(REST_S)


async def _is_asked_for(database: Database) -> bool:
    """Whether there is a fit that nobody carries out."""
    async with database.transaction() as session:
        connection = await driver(session)
        return await open_fit(connection) is not None and await alone(connection)


async def _apart(url: str, margin: float) -> None:
    """Carry out the next fit in a process of its own, which is ended where this is cancelled."""
    process = get_context("spawn").Process(target=fit_apart, args=(url, margin), daemon=True)
    process.start()
    try:
        await _ended(process)
    finally:
        process.kill()
        process.join()
    if process.exitcode:
        log.error("the process of a fit ended", exitcode=process.exitcode)


async def _ended(process: BaseProcess) -> None:
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(process.sentinel, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(process.sentinel)


def fit_apart(url: str, margin: float) -> None:
    """In a process of its own: carry out the next fit."""
    step_back()
    asyncio.run(_fit_apart(url, margin))


async def _fit_apart(url: str, margin: float) -> None:
    database = connect(url, pool_size=2)
    try:
        await fit_next(database, margin)
    finally:
        await database.close()


async def fit_next(database: Database, margin: float) -> bool:
    """Carry out the next fit; whether there was one that nobody else carries out.

    A fault of ours ends the fit as failed; one whose database is away waits to be begun anew.
    """
    async with database.transaction() as session:
        fit_id = await open_fit(await driver(session))
    if fit_id is None:
        return False
    async with snapshot(database) as reading:
        if not await alone(reading):
            return False
        async with database.transaction() as session:
            job = await begin(await driver(session), fit_id, now())
        if job is None:
            return True
        try:
            await _carry_out(database, reading, job, margin)
        except Exception as error:
            if database_is_away(error):
                raise
            log.exception("fit failed")
            await _fail(database, job, f"{type(error).__name__}: {error}")
    return True


async def _carry_out(database: Database, reading: Connection, job: asyncpg.Record, margin: float) -> None:
    if job["tries"] > MOST_TRIES:
        await _fail(database, job, f"The process of the fit was killed {MOST_TRIES} times: is there memory enough?")
        return
    ruling = (await present(reading)).ruling
    gathering, done, told = Gathering(ruling.rates), 0, time.monotonic()
    async with aclosing(gathered(reading, gathering)) as pages:
        async for done in pages:
            if time.monotonic() - told > TELL_S:
                if not await _told(database, job["id"], done):
                    return
                told = time.monotonic()
    if not await _told(database, job["id"], done):
        return
    found = fit(gathering.ledger(), job["as_of"], ruling.policy, ruling.rates.currency, ruling.model)
    async with database.transaction() as session:
        connection = await driver(session)
        if not await go_on(connection, job["id"], done):
            return
        if isinstance(found, NotEnough):
            await finish(connection, job["id"], now(), not_enough=found._asdict())
            if job["asked_by"] is None:
                await note_fitting(connection, now(), enough=False)
            return
        await add_model(connection, found.model, found.quality, now(), job["asked_by"])
        refused = await _activated(connection, job, found, margin) if job["activate"] else None
        activated = job["activate"] and refused is None
        await finish(connection, job["id"], now(), model=found.model.content_hash, activated=activated, refused=refused)
    model = found.model
    log.info("model fitted", model=model.content_hash, parties=model.parties, flags=model.flags, activated=activated)


async def _told(database: Database, fit_id: UUID, done: int) -> bool:
    async with database.transaction() as session:
        return await go_on(await driver(session), fit_id, done)


async def _activated(
    connection: Connection, job: asyncpg.Record, fitted: Fitted, margin: float
) -> dict[str, Any] | None:
    """Have the model decide; why that is refused, if it is. What a refused activation had written goes with it."""
    hash = fitted.model.content_hash
    try:
        if job["asked_by"] is None and fitted.quality.last is None:
            raise FitNotJudged("No period after an earlier fit is over yet. Activate it by hand if it is meant so.")
        async with connection.transaction():
            at = await deciding_instant(connection, now())
            await check_activation(connection, hash, margin=margin, force=job["force"])
            await activate(connection, hash, at, job["asked_by"])
    except ModelActive:
        # As it was asked for: the same facts give the same model.
        return None
    except Problem as problem:
        log.info("model not activated", model=hash, reason=problem.detail)
        return {**problem.extensions, "code": problem.code(), "detail": problem.detail}
    return None


async def _fail(database: Database, job: asyncpg.Record, error: str) -> None:
    async with database.transaction() as session:
        connection, at = await driver(session), now()
        await fail(connection, job["id"], at, error)
        if job["asked_by"] is None:
            await note_fitting(connection, at, enough=False)
