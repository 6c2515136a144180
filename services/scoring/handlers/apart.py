"""The arithmetic of a trial, in processes of its own. What these import is all that they have to load."""

import asyncio
import gc
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from chassis.db import Database, away_told_plainly, connect, driver
from chassis.processes import step_back
from services.scoring.domain.crowd.trials import Seen, tried_together
from services.scoring.domain.moment import Moment
from services.scoring.domain.trials import Tally, Trial
from services.scoring.queries.reading import by_party, snapshot
from services.scoring.queries.rulings import Connection
from services.scoring.queries.trials import keep_moves

ENTRIES = 50_000
"""Entries of calendars that are looked at together, and held at once; at least those of one read."""
MOVES = 32
"""Bits of a place that tell the moves of one span apart."""


class Job(NamedTuple):
    """A trial that is carried out, for whoever takes part in it."""

    trial_id: UUID
    begun_at: datetime
    trial: Trial
    then: Moment
    keeps: bool
    """Whether moves are written down."""


class Span(NamedTuple):
    """Parties behind one id up to and with another."""

    place: int
    """Of all spans in the order of ids; their moves are kept in it."""
    after: UUID
    until: UUID


class Part(NamedTuple):
    """What came of some parties."""

    parties: int
    tally: Tally


async def parts(database: Database, reading: Connection, job: Job, span: Span) -> AsyncGenerator[Part]:
    """Look at the parties of a span, some at a time; the moves of some are written before these are told.

    It ends early where the trial has ended meanwhile. The arithmetic keeps nobody waiting who shares the process.
    """
    first = span.place << MOVES
    async for parties, seen in _seen(reading, job.then, span):
        tally, moves = await asyncio.to_thread(tried_together, job.trial, seen, keeps=job.keeps)
        if moves:
            async with database.transaction() as session:
                if not await keep_moves(await driver(session), job.trial_id, job.begun_at, first, moves):
                    return
            first += len(moves)
        yield Part(parties, tally)


async def _seen(reading: Connection, then: Moment, span: Span) -> AsyncIterator[tuple[int, Sequence[Seen]]]:
    """How many parties were read, and what is to be seen of them, up to `ENTRIES` at once."""
    parties, entries, some = 0, 0, list[Seen]()
    async for reads in by_party(reading, span.after, span.until):
        for read in reads:
            found = then.seen(read.calendar, read.row["assessed_at"])
            if found:
                some.append((read.row["party_id"], *found))
                entries += len(found[0].entries)
        parties += len(reads)
        if entries >= ENTRIES:
            yield parties, some
            parties, entries, some = 0, 0, []
    if parties:
        yield parties, some


class _Apart(NamedTuple):
    job: Job
    database: Database
    shared: str
    runner: asyncio.Runner


_here: list[_Apart] = []
"""In a process of the pool: what it works for, and with what."""


def begin_apart(job: Job, url: str, shared: str) -> None:
    """Make a process of the pool ready for a trial that is carried out in a shared state of the database."""
    step_back()
    # What was imported stays: it is not looked through for garbage again and again, as calendars come and go.
    gc.freeze()
    _here[:] = [_Apart(job, connect(url, pool_size=2), shared, asyncio.Runner())]


def try_apart(span: Span) -> Part:
    """What comes of the parties of a span. Their moves are written where they are kept."""
    (here,) = _here
    with away_told_plainly():
        return here.runner.run(_tried(here, span))


async def _tried(here: _Apart, span: Span) -> Part:
    parties, tally = 0, Counter[tuple[str, ...]]()
    async with snapshot(here.database, here.shared) as reading:
        async for part in parts(here.database, reading, here.job, span):
            parties += part.parties
            tally.update(part.tally)
    return Part(parties, tally)
