"""The clock in: standings move as time passes, and a new ruling reaches everybody.

Whom it concerns is read without a lock. A few are decided again under it, as the worker may have been faster; many are
written as they were decided, where nobody has written them since.
"""

import gc
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import compress
from typing import Never
from uuid import UUID

import asyncpg
import structlog

from chassis.clock import now
from chassis.db import Database, away_told_plainly, database_is_away, driver
from chassis.pressure import lifted
from chassis.processes import Processes
from chassis.rest import rest
from services.scoring.handlers.activating import activate_next, next_activation
from services.scoring.handlers.assessing import assess_again, assessed, with_years
from services.scoring.handlers.growing import grow
from services.scoring.handlers.passing import passed
from services.scoring.handlers.renewing import of_process, renew
from services.scoring.handlers.standings import record, reruled
from services.scoring.queries.growing import grown
from services.scoring.queries.parties import NOBODY, pass_barrier
from services.scoring.queries.rulings import present, still
from services.scoring.queries.standings import sum_cells
from services.scoring.queries.sweeping import (
    Part,
    applied,
    due,
    due_rows,
    lock_as_read,
    many_due,
    many_under_older_ruling,
    refreshed,
    refreshed_at,
    under_older_ruling,
    unrefreshed,
)
from services.scoring.queries.watermark import Head, Source, move_watermark, watermark, what_holds

log = structlog.get_logger()

BATCH = 200
"""Parties; assessing so many keeps the event loop, and their locks, for some 50 ms."""
DECIDED_APART = 10_000
"""Parties that a process of its own decides at once, of which none is locked meanwhile: each step that any of them goes
through is a pass of arrays, however few go that far."""
BATCH_APART = 500
"""Parties that it writes and tells of at once, under their locks."""
MANY = 5_000
"""More parties than these are left to processes of their own, which take half a second to begin."""
REST_S = 1.0
"""Seconds between two looks at the clock, and those that go to values which may wait."""
REFRESH_AFTER = timedelta(days=6) / 7
"""Of each day that stored values may be old by the policy: so much is left for a pass over all. Lists sort by them."""


async def sweep(database: Database, source_urls: Mapping[str, str], topics: Sequence[str]) -> Never:
    """Follow the clock up to the watermark until cancelled."""
    sources, refresh = [Followed(Source(name, url)) for name, url in source_urls.items()], Refresh()
    try:
        while True:
            try:
                for source in sources:
                    await source.follow(database, topics)
                await lifted(database)
                await sweep_once(database, refresh)
            except Exception as error:
                if not database_is_away(error):
                    raise
                log.warning("sweeper interrupted", error=str(error), error_class=type(error).__name__)
            await rest(REST_S)
    finally:
        for source in sources:
            source.source.close()


class Followed:
    """A source and the head that has to be read before time may pass up to it.

    The same head until it is reached: under load the newest one never would be.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self._head: Head | None = None
        self._held_by: str | None = None

    async def follow(self, database: Database, topics: Sequence[str]) -> None:
        """Move the watermark of the source if all was read; otherwise tell what holds it."""
        held_by: str | None = None
        try:
            self._head = self._head or await self.source.head(topics)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            self.source.close()
            held_by = f"{self.source.name} does not answer ({type(error).__name__})"
        async with database.transaction() as session:
            connection = await driver(session)
            if self._head:
                held_by = await what_holds(connection, "scoring", self._head)
            elif held_by is None:
                held_by = f"{self.source.name} has no streams yet"
            reached = self._head.until if self._head and held_by is None else None
            await move_watermark(connection, self.source.name, reached, now(), held_by)
        if reached:
            self._head = None
        if held_by != self._held_by and held_by and not held_by.endswith("unread events"):
            log.error("watermark held", source=self.source.name, held_by=held_by)
        self._held_by = held_by


class Refresh:
    """A pass over stored values that were not looked at for days, in pieces: whoever is due does not wait for it."""

    def __init__(self) -> None:
        self._after = NOBODY
        self._began: datetime | None = None

    async def go_on(self, database: Database, until: datetime) -> None:
        """Begin a pass if it is time, or go on with it for a while."""
        async with database.transaction() as session:
            connection = await driver(session)
            last = await refreshed_at(connection)
            since = until - (await present(connection)).ruling.policy.refresh_days * REFRESH_AFTER
        if last is not None and last > since:
            return
        self._began = self._began or until
        ends = time.monotonic() + REST_S
        while await self._step(database, since, until) and time.monotonic() < ends:
            pass

    async def _step(self, database: Database, since: datetime, until: datetime) -> bool:
        """Assess the next of them; whether there were any."""
        async with database.transaction() as session:
            connection = await driver(session)
            await pass_barrier(connection)
            parties = await unrefreshed(connection, since, self._after, BATCH)
            if parties:
                await assess_again(session, parties, until)
            else:
                await refreshed(connection, self._began or until)
        self._after = parties[-1] if parties else NOBODY
        if not parties:
            self._began = None
        return bool(parties)


async def sweep_once(database: Database, refresh: Refresh | None = None) -> None:
    """Whoever is due, then whoever stands under an older ruling, then values that were not looked at for days."""
    async with database.transaction() as session:
        connection = await driver(session)
        await sum_cells(connection)
        until, more = await watermark(connection), await grown(connection)
    # What time brought before an activation is decided by what was active then.
    while until and (active_from := await next_activation(database, until)):
        await _due_until(database, active_from)
        await activate_next(database, until)
    if until:
        await _due_until(database, until)
    if more:
        await grow(database)
    async with database.transaction() as session:
        connection = await driver(session)
        here = await present(connection)
        many = not here.applied and await many_under_older_ruling(connection, here.ruling_id, MANY)
    if many:
        await renew(database, until)
    after: UUID | None = NOBODY
    while after and (after := await _step_ruling(database, after, until)):
        pass
    if until:
        await (refresh or Refresh()).go_on(database, until)


async def _due_until(database: Database, until: datetime) -> None:
    async with database.transaction() as session:
        many = await many_due(await driver(session), until, MANY)
    if many:
        await _due_apart(database, until)
    while await _step_due(database, until):
        pass


async def _due_apart(database: Database, until: datetime) -> None:
    """Have a process for each processor take parties that are due until none is left that nobody holds.

    Events that come meanwhile do not wait for the arithmetic. What is left over is for whoever called.
    """
    processes = Processes()
    try:
        parts = [Part(nth, processes.count) for nth in range(processes.count)]
        while parts:
            every = [(database.url, until, part) for part in parts]
            more = await processes.each(take_due_apart, every, before=partial(lifted, database))
            parts = list(compress(parts, more))
    finally:
        processes.close()


def take_due_apart(url: str, until: datetime, part: Part) -> bool:
    """`take_some_due` in a process of its own."""
    runner, database = of_process(url)
    with away_told_plainly():
        more = runner.run(take_some_due(database, until, part))
    gc.collect()
    return more


async def take_some_due(database: Database, until: datetime, part: Part) -> bool:
    """Assess the longest due of a part, without those that others hold or have written since they were read.

    Return whether there may be more to assess.
    """
    async with database.transaction() as session:
        connection = await driver(session)
        here = await present(connection)
        stored = await with_years(connection, await due_rows(connection, until, part, DECIDED_APART))
        reruled_by = await reruled(connection, here, stored.rows.values())
    # Outside of any transaction: arrays want many, whoever has news of one would wait for all, and one that asks
    # nothing for seconds is ended.
    parties = assessed(stored, until)
    known = passed(parties, here.ruling, reruled_by)
    any_taken = False
    for begin in range(0, len(parties), BATCH_APART):
        some = parties[begin : begin + BATCH_APART]
        async with database.transaction() as session:
            connection = await driver(session)
            await pass_barrier(connection)
            if not await still(connection, here):
                # What is left is decided anew, by the ruling in force now.
                return True
            locked = await lock_as_read(connection, [party.row for party in some])
            taken = [party for party in some if party.party_id in locked]
            if taken:
                await record(session, connection, here, taken, known)
        any_taken = any_taken or bool(taken)
    return any_taken


async def _step_due(database: Database, until: datetime) -> bool:
    async with database.transaction() as session:
        connection = await driver(session)
        await pass_barrier(connection)
        parties = await due(connection, until, BATCH)
        if parties:
            await assess_again(session, parties, until)
    return len(parties) == BATCH


async def _step_ruling(database: Database, after: UUID, until: datetime | None) -> UUID | None:
    """Assess the next parties under the ruling in force; return the last of them, None behind the last of all."""
    async with database.transaction() as session:
        connection = await driver(session)
        await pass_barrier(connection)
        here = await present(connection)
        if here.applied:
            return None
        parties = await under_older_ruling(connection, here.ruling_id, after, BATCH)
        if not parties:
            await applied(connection, here.ruling_id, now())
            return None
        await assess_again(session, parties, until)
    return parties[-1]
