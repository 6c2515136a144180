"""Parties as a report sees them: what is known up to the day of the report, read under the present ruling."""

from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Sequence
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from contracts.scoring import Cause, Stage
from services.scoring.domain.calendar import Calendar, Share
from services.scoring.domain.history import History
from services.scoring.domain.moment import Moment
from services.scoring.domain.reports.periods import ReportAhead
from services.scoring.domain.reports.weeks import Turn
from services.scoring.domain.trajectory import Move, stage_moves
from services.scoring.queries.reading import PAGE, Read, breathing, by_party, moment, with_calendars
from services.scoring.queries.rulings import Connection


class Seen(NamedTuple):
    """A party up to the day of a report."""

    row: asyncpg.Record
    calendar: Calendar
    members: Sequence[tuple[UUID, Share]]
    history: History
    at: datetime

    @property
    def party_id(self) -> UUID:
        """Whom it is about."""
        party_id: UUID = self.row["party_id"]
        return party_id

    @property
    def day(self) -> int:
        """The last local day (ordinal) that is known."""
        return self.history.ruling.day(self.at)

    def moves(self, since: int | None = None) -> list[Move]:
        """The moves of the days on which its stage changed, from a day on (None: all).

        They are what its facts imply, as if the present ruling had always held.
        """
        return stage_moves(self.history, None if since is None else since - 1, self.day)

    def told(self, move: Move) -> int | None:
        """The day (ordinal) of the declaration that says why one of its moves lost it, if there is one."""
        day = move.day.toordinal()
        # What the clock does comes before the facts of the day.
        said = self.history.told(move.to_stage, day - 1 if move.cause is Cause.CLOCK else day)
        return None if said is None else said[0]

    def turns(self, since: int) -> list[Turn]:
        """Its stages, each from its first day on: all, or those from a day on where it became no prospect meanwhile."""
        later = _turns(self.moves(since))
        if any(stage is Stage.PROSPECT for _, stage in later):
            return _turns(self.moves())
        stage, begun = self.history.stage(since - 1), self.history.since_by_this(since - 1)
        return later if stage is None or begun is None else [(begun, stage), *later]


def _turns(of: Iterable[Move]) -> list[Turn]:
    return [(move.day.toordinal(), move.to_stage) for move in of if move.from_stage is not move.to_stage]


async def everybody(
    connection: Connection, as_of: date | None, now: datetime, *, after: UUID | None = None
) -> AsyncIterator[Seen]:
    """All parties that have a calendar, in id order, behind an id."""
    then = await moment(connection, as_of, now)
    async for reads in by_party(connection, after):
        async for seen in breathing(_seen(reads, then)):
            yield seen


async def those(
    connection: Connection, party_ids: Iterable[UUID], as_of: date | None, now: datetime
) -> AsyncIterator[Seen]:
    """Some parties, in id order; ids that lead elsewhere are left out."""
    then, ids = await moment(connection, as_of, now), sorted(set(party_ids))
    for place in range(0, len(ids), PAGE):
        rows = await connection.fetch(_THOSE, ids[place : place + PAGE])
        async for seen in breathing(_seen(await with_calendars(connection, rows), then)):
            yield seen


async def survivors(connection: Connection, party_ids: Collection[UUID]) -> dict[UUID, UUID]:
    """To which party each id leads; without ids that nothing was told of."""
    rows = await connection.fetch("SELECT party_id, resolves_to FROM party WHERE party_id = ANY($1)", list(party_ids))
    return {row["party_id"]: row["resolves_to"] for row in rows}


async def last_day(connection: Connection, asked: date | None, now: datetime) -> date:
    """The last local day that a report sees: the one asked for, or today as far as everything was read.

    Raises `ReportAhead` for a later one.
    """
    then = await moment(connection, None, now)
    read = date.fromordinal(then.ruling.day(then.reached or now))
    if asked is not None and asked > read:
        raise ReportAhead("A report is about days that have come and were read.", last=read.isoformat())
    return asked or read


def _seen(reads: Iterable[Read], then: Moment) -> Iterator[Seen]:
    for read in reads:
        found = then.seen(read.calendar, read.row["assessed_at"])
        if found and found[0]:
            calendar, at = found
            yield Seen(read.row, calendar, read.members, History(calendar, then.ruling), at)


_THOSE = """
SELECT party_id, assessed_at, owner_id, team_id FROM party
WHERE party_id = ANY($1) AND resolves_to = party_id AND first_identity IS NOT NULL ORDER BY party_id
"""
