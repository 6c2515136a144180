"""Reads over many parties, page by page in flat memory, each with its whole calendar."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import date, datetime
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple, TypeVar
from uuid import UUID

import asyncpg

from chassis.db import Database, driver
from services.scoring.domain.calendar import Calendar, Share, unpack_each
from services.scoring.domain.moment import Moment
from services.scoring.domain.standing import Standing
from services.scoring.domain.together import assess_together
from services.scoring.domain.trajectory import Move, trajectory
from services.scoring.queries.parties import EMPTY, NOBODY, calendars, members_now, opened, party_calendar
from services.scoring.queries.rulings import Connection, activations, present
from services.scoring.queries.watermark import watermark

PAGE = 500
"""Parties that are read at once; assessing so many together keeps the event loop for some 15 ms."""
BREATH = 25
"""Parties; a report on so many keeps the event loop for some 25 ms."""
EVERYBODY = UUID(int=2**128 - 1)
"""Behind every party."""

Some = TypeVar("Some")


class Read(NamedTuple):
    """A party as it is stored."""

    row: asyncpg.Record
    """`party_id`, `revision`, `assessed_at`, `owner_id`, `team_id`."""
    calendar: Calendar
    members: Sequence[tuple[UUID, Share]]
    """Its identities, each with the days that are its own."""


class Stretch(NamedTuple):
    """Ids behind one, up to and with another."""

    after: UUID = NOBODY
    until: UUID = EVERYBODY


class Found(NamedTuple):
    """A party with how it stands at an instant."""

    read: Read
    at: datetime
    standing: Standing

    @property
    def party_id(self) -> UUID:
        """Whose standing it is."""
        party_id: UUID = self.read.row["party_id"]
        return party_id


@asynccontextmanager
async def snapshot(database: Database, shared: str | None = None) -> AsyncIterator[Connection]:
    """A connection that sees one state of the database until it is given back: that of another one where it is shared.

    A state can be shared (`pg_export_snapshot()`) as long as the connection that saw it first is not given back.
    """
    async with database.sessions() as session, session.begin():
        await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        connection = await driver(session)
        if shared is not None:
            await connection.execute(f"SET TRANSACTION SNAPSHOT '{shared}'")
        # Before anything is seen: a rebuild lets calendars change places only while nobody reads them.
        await connection.execute("LOCK TABLE calendar IN ACCESS SHARE MODE")
        yield connection


async def breathing(parties: Iterable[Some]) -> AsyncIterator[Some]:
    """The same, with a turn for others after every few of them."""
    for place, party in enumerate(parties):
        if place % BREATH == 0:
            await asyncio.sleep(0)
        yield party


async def stretches(
    connection: Connection, size: int, after: UUID | None = None, until: UUID = EVERYBODY
) -> AsyncIterator[Stretch]:
    """All ids behind one up to and with another, in order, cut so that so many parties lie in each; last come fewer."""
    begin = after or NOBODY
    while (end := await connection.fetchval(_CUT, begin, size - 1)) and end < until:
        yield Stretch(begin, end)
        begin = end
    yield Stretch(begin, until)


async def party_spans(connection: Connection, parties: int) -> list[tuple[UUID, UUID]]:
    """Pairs of ids, so many parties in each part: behind the one, up to and with the other."""
    return [(stretch.after, stretch.until) async for stretch in stretches(connection, parties)]


async def by_party(
    connection: Connection, after: UUID | None = None, until: UUID = EVERYBODY
) -> AsyncIterator[list[Read]]:
    """Parties that may have a standing, in id order, behind an id up to and with another."""
    async for stretch in stretches(connection, PAGE, after, until):
        yield await parties_of(connection, stretch)


async def parties_of(connection: Connection, stretch: Stretch) -> list[Read]:
    """Parties of a stretch that may have a standing, in id order."""
    return await _with_own_calendars(connection, stretch, await connection.fetch(_BY_PARTY, *stretch))


async def identities_of(connection: Connection, stretch: Stretch) -> list[Read]:
    """Parties that may have a standing and whose smallest identity is of a stretch, in the order of these.

    Of one identity by the days on which they hold it.
    """
    return await _with_own_calendars(connection, stretch, await connection.fetch(_BY_IDENTITY, *stretch))


async def one(connection: Connection, party_id: UUID) -> Read | None:
    """The party that an id leads to."""
    row = await connection.fetchrow(_ONE, party_id)
    return (await with_calendars(connection, [row]))[0] if row else None


async def moment(connection: Connection, as_of: date | None, now: datetime) -> Moment:
    """The end of a local day, or as late as everything was read."""
    reached = await watermark(connection)
    here = await present(connection)
    return Moment(here.as_lived if as_of is None else here.ruling, as_of, min(now, reached) if reached else None)


async def implied_moves(connection: Connection, read: Read, then: Moment) -> list[Move]:
    """The history of a party up to a moment, as its facts imply it under the rulings of each time."""
    seen = then.seen(read.calendar, read.row["assessed_at"])
    if seen is None:
        return []
    beginning, *later = await activations(connection)
    return trajectory(*seen, beginning.ruling, later)


def found(reads: Iterable[Read], then: Moment) -> list[Found]:
    """How parties stand at a moment, without those that stand nowhere or are not looked at."""
    if then.care is not None:
        reads = [read for read in reads if then.looks_at(read.row["owner_id"], read.row["team_id"])]
    seen = [(read, counts) for read in reads if (counts := then.seen(read.calendar, read.row["assessed_at"]))]
    standings = assess_together([counts for _, counts in seen], then.ruling)
    return [
        Found(read, at, standing)
        for (read, (_, at)), standing in zip(seen, standings, strict=True)
        if standing.stage is not None
    ]


async def with_calendars(connection: Connection, rows: Sequence[asyncpg.Record]) -> list[Read]:
    """Parties, each with the whole calendar of its identities."""
    ids = [row["party_id"] for row in rows]
    members = (await members_now(connection, (), ids)).of(ids)
    known = opened(await calendars(connection, {identity for held in ids for identity, _ in members[held]}))
    return [Read(row, party_calendar(held, known)[0], held) for row in rows for held in (members[row["party_id"]],)]


async def own_years(connection: Connection, stretch: Stretch) -> dict[UUID, list[bytes]]:
    """The stored years of the identities of a stretch that have any, each in order.

    Not joined to the parties: where the statistics expect few of them, as while everybody changes, the sum of all years
    would be made for each party anew.
    """
    rows = await connection.fetch(_OWN_YEARS, *stretch)
    return {identity: [days for _, days in years] for identity, years in groupby(rows, itemgetter(0))}


async def _with_own_calendars(connection: Connection, stretch: Stretch, rows: Sequence[asyncpg.Record]) -> list[Read]:
    """The same where most parties have no identity but their own, whose calendars are read at once."""
    years = await own_years(connection, stretch)
    known = dict(zip(years, unpack_each(list(years.values())), strict=True))
    others = {row["party_id"] for row in await connection.fetch(WITH_OTHERS, *stretch)}
    shared = [row for row in rows if row["party_id"] in others or not stretch.after < row["party_id"] <= stretch.until]
    whole = {read.row["party_id"]: read for read in await with_calendars(connection, shared)} if shared else {}
    return [
        whole.get(party_id) or Read(row, known.get(party_id, EMPTY), ((party_id, Share(party_id)),))
        for row in rows
        for party_id in (row["party_id"],)
    ]


_COLUMNS = "party.party_id, revision, assessed_at, owner_id, team_id"

_ONE = f"SELECT {_COLUMNS} FROM party WHERE party_id = (SELECT resolves_to FROM party WHERE party_id = $1)"

_CUT = "SELECT party_id FROM party WHERE party_id > $1 ORDER BY party_id OFFSET $2 LIMIT 1"

_OWN_YEARS = """
SELECT identity_id, days FROM calendar WHERE identity_id > $1 AND identity_id <= $2 ORDER BY identity_id, year
"""

_BY_PARTY = f"""
SELECT {_COLUMNS} FROM party
WHERE party_id > $1 AND party_id <= $2 AND (first_identity IS NOT NULL OR stage IS NOT NULL) ORDER BY party_id
"""

# No index says whose smallest identity is of the stretch. It is the party's own, or one that the party holds.
_BY_IDENTITY = f"""
SELECT {_COLUMNS}
FROM (
    SELECT * FROM party WHERE party_id > $1 AND party_id <= $2
    UNION ALL
    SELECT * FROM party
    WHERE party_id IN (SELECT party_id FROM holder WHERE identity_id > $1 AND identity_id <= $2)
    AND NOT (party_id > $1 AND party_id <= $2)
) AS party
LEFT JOIN assignment ON assignment.identity_id = party.first_identity
WHERE first_identity > $1 AND first_identity <= $2
ORDER BY first_identity, array_position(assignment.parties, party.party_id), party.party_id
"""

WITH_OTHERS = """
SELECT party_id FROM holder WHERE party_id > $1 AND party_id <= $2
UNION
SELECT identity_id FROM assignment WHERE identity_id > $1 AND identity_id <= $2
"""
