"""A new ruling reaches everybody, stretch by stretch of ids, in processes of their own.

Most stand as before, and only what is counted of them is another: they are read without a lock, decided together and
written by one statement, but for those whom an event has written meanwhile. Whoever comes to stand otherwise is told,
and goes the way of everybody whom anything changes.
"""

import asyncio
import gc
from datetime import datetime
from functools import lru_cache, partial
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis import consumer
from chassis.db import Database, away_told_plainly, connect, driver
from chassis.pressure import lifted
from chassis.processes import Processes
from services.scoring.domain.quiet import Stood, quiet
from services.scoring.handlers.assessing import assess_rows
from services.scoring.queries.parties import pass_barrier
from services.scoring.queries.reading import Stretch, stretches
from services.scoring.queries.renewing import kept, take_older, write_quiet
from services.scoring.queries.rulings import present, still

LENGTH = 2_500
"""Parties of a stretch, which are written at once: what waits for the barrier waits for that."""
SILENCE_S = 60.0
"""Of any statement here; who is due waits for as long where the other side is gone without a word."""
BATCH = 500
"""Parties that are assessed and told at once under their locks, for some 150 ms."""


async def renew(database: Database, until: datetime | None) -> None:
    """Have processes assess everybody under the ruling in force; whoever is held by others meanwhile is left over.

    Events that come meanwhile do not wait for the arithmetic. Stretches that fail are left over, too, and told of in an
    `ExceptionGroup` when the others are done.
    """
    processes = Processes()
    async with database.transaction() as session:
        everybody = [stretch async for stretch in stretches(await driver(session), LENGTH)]
    try:
        every = [(database.url, until, stretch) for stretch in everybody]
        await processes.each(renew_apart, every, before=partial(lifted, database))
    finally:
        processes.close()


def renew_apart(url: str, until: datetime | None, stretch: Stretch) -> None:
    """In a process of its own: assess the parties of a stretch that stand under an older ruling."""
    runner, database = of_process(url)
    with away_told_plainly():
        runner.run(renew_stretch(database, until, stretch))
    gc.collect()


@lru_cache(maxsize=1)
def of_process(url: str) -> tuple[asyncio.Runner, Database]:
    """Of a process of a pool: what runs its coroutines, and its database, from its first work to its last."""
    # What was imported stays. Calendars come and go without circles: to look through them on the way took a quarter of
    # the time, and once behind each stretch is enough.
    gc.freeze()
    gc.disable()
    return asyncio.Runner(), connect(url, pool_size=1, settings=consumer.SESSION_SETTINGS, silence_s=SILENCE_S)


async def renew_stretch(database: Database, until: datetime | None, stretch: Stretch) -> None:
    """Assess the parties of a stretch that stand under an older ruling and that nobody holds."""
    await _renew_quiet(database, until, stretch)
    after: UUID | None = stretch.after
    while after:
        async with database.transaction() as session:
            after = await _renew_rest(session, until, stretch, after)


async def _renew_quiet(database: Database, until: datetime | None, stretch: Stretch) -> None:
    # Decided outside a transaction: it would hold up whoever waits for the barrier, and end where processors are rare.
    async with database.transaction() as session:
        connection = await driver(session)
        here = await present(connection)
        parties = await kept(connection, stretch, here)
    at = [max(party.assessed_at, until) if until else party.assessed_at for party in parties]
    stood = [
        Stood(party.calendar, party.grades, party.assessed_at, then, party.since, party.steady)
        for party, then in zip(parties, at, strict=True)
    ]
    if found := quiet(stood, here.as_lived):
        async with database.transaction() as session:
            connection = await driver(session)
            await pass_barrier(connection)
            if await still(connection, here):
                await write_quiet(connection, parties, at, found, here.ruling_id)


async def _renew_rest(session: AsyncSession, until: datetime | None, stretch: Stretch, after: UUID) -> UUID | None:
    """Assess the next parties under the ruling in force; return the last, None behind the last of all."""
    connection = await driver(session)
    await pass_barrier(connection)
    here = await present(connection)
    rows = await take_older(connection, stretch, here.ruling_id, after, BATCH)
    await assess_rows(session, rows, until)
    return rows[-1]["party_id"] if len(rows) == BATCH else None
