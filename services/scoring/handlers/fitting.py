"""Models are fitted by themselves every so many days, and activated by themselves where that is the rule."""

from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Never

import structlog

from chassis.clock import now
from chassis.db import Database, database_is_away, driver
from chassis.rest import rest
from contracts.problems import Problem
from services.scoring.domain.fitting import Fitted
from services.scoring.queries.fitting import day_to_fit, fit_as_of
from services.scoring.queries.models import activate, alone, check_activation, last_fitting, note_fitting
from services.scoring.queries.recording import deciding_instant

log = structlog.get_logger()

REST_S = 60.0
"""Seconds between looks whether a fit is due."""
AGAIN = timedelta(days=1)
"""After so long it is tried again where there was not enough to fit."""


class Activating(StrEnum):
    """Who has a model decide that was fitted by itself."""

    BY_HAND = "by_hand"
    BY_RULE = "by_rule"
    """It decides at once, unless it was not judged, or is worse than the active one by more than the margin."""


async def keep_fitting(database: Database, every: timedelta, activating: Activating, margin: float) -> Never:
    """Fit a model whenever the last one is so old, until cancelled; one process at a time does."""
    while True:
        try:
            await fit_if_due(database, every, activating, margin)
        except Exception as error:
            if not database_is_away(error):
                raise
            log.warning("fit interrupted", error=str(error), error_class=type(error).__name__)
        await rest(REST_S)


async def fit_if_due(database: Database, every: timedelta, activating: Activating, margin: float) -> bool:
    """Fit a model as of yesterday, the last whole day, if it is time; whether there was one to fit."""
    async with database.transaction() as session:
        connection = await driver(session)
        last = await last_fitting(connection)
        if last is not None and now() < last[0] + (every if last[1] else min(every, AGAIN)):
            return False
        if not await alone(connection):
            return False
        at = now()
        today = await day_to_fit(database, None, at)
        fitted = await _fitted(database, today - timedelta(days=1), at)
        await note_fitting(connection, at, enough=fitted is not None)
    if fitted is not None and activating is Activating.BY_RULE:
        await _activate(database, fitted, margin)
    return fitted is not None


async def _fitted(database: Database, as_of: date, at: datetime) -> Fitted | None:
    async for step in fit_as_of(database, as_of, at, None):
        if isinstance(step, Fitted):
            log.info("model fitted", model=step.model.content_hash, parties=step.model.parties, flags=step.model.flags)
            return step
    return None


async def _activate(database: Database, fitted: Fitted, margin: float) -> None:
    model = fitted.model.content_hash
    if fitted.quality.last is None:
        log.info("model not activated", model=model, reason="no period after an earlier fit is over yet")
        return
    try:
        async with database.transaction() as session:
            connection = await driver(session)
            at = await deciding_instant(connection, now())
            await check_activation(connection, model, margin=margin, force=False)
            await activate(connection, model, at, None)
    except Problem as problem:
        log.info("model not activated", model=model, reason=problem.detail, **problem.extensions)
    else:
        log.info("model activated", model=model)
