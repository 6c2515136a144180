"""Fitting a model to everybody, in one state of the database."""

import asyncio
from collections.abc import AsyncIterator
from datetime import date, datetime
from typing import NamedTuple

from chassis.db import Database, driver
from services.scoring.domain.bgnbd import NotEnough
from services.scoring.domain.buyers import Gathering
from services.scoring.domain.fitting import FitInFuture, Fitted, fit
from services.scoring.queries.models import add_model
from services.scoring.queries.reading import by_party, snapshot
from services.scoring.queries.rulings import present


class Progress(NamedTuple):
    """How many parties are read so far, of how many."""

    read: int
    parties: int


async def day_to_fit(database: Database, as_of: date | None, at: datetime) -> date:
    """The local day that a fit is to be as of, today where none is given. Raises `FitInFuture`."""
    async with database.transaction() as session:
        ruling = (await present(await driver(session))).ruling
    today = date.fromordinal(ruling.day(at))
    if as_of is not None and as_of > today:
        raise FitInFuture("A model is fitted as of a day that has come.", today=today.isoformat())
    return as_of or today


async def fit_as_of(
    database: Database, as_of: date, at: datetime, by: str | None
) -> AsyncIterator[Progress | Fitted | NotEnough]:
    """Read the purchases of everybody, tell how far that is, and at last give the model, which then is stored."""
    async with snapshot(database) as reading:
        ruling = (await present(reading)).ruling
        parties = await reading.fetchval("SELECT count(*) FROM party WHERE first_identity IS NOT NULL")
        gathering, done = Gathering(ruling.rates), 0
        async for reads in by_party(reading):
            for read in reads:
                gathering.take(read.calendar)
            done += len(reads)
            yield Progress(done, max(done, parties))
    # In a thread: others want answers meanwhile.
    found = await asyncio.to_thread(fit, gathering.ledger(), as_of, ruling.policy, ruling.rates.currency, ruling.model)
    if isinstance(found, Fitted):
        async with database.transaction() as session:
            await add_model(await driver(session), found.model, found.quality, at, by)
    yield found
