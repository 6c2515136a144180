"""Reads over many parties, page by page in flat memory, each with its whole calendar."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import date, datetime
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

import asyncpg

from chassis.db import Database, driver
from contracts.scoring import Stage, Tier
from services.scoring.domain.calendar import Calendar, Share
from services.scoring.domain.digest import Digest, line
from services.scoring.domain.history import History
from services.scoring.domain.moment import Moment
from services.scoring.domain.standing import assess
from services.scoring.domain.trajectory import Move, trajectory
from services.scoring.queries.parties import NOBODY, calendars, members_now, opened, party_calendar
from services.scoring.queries.rulings import Connection, activations, present
from services.scoring.queries.watermark import watermark

PAGE = 500
"""Parties that are read at once."""
EVERYBODY = UUID(int=(1 << 128) - 1)
"""Behind every party."""
BREATH = 25
"""Parties; assessing so many keeps the event loop for some 10 ms, a report for some 25 ms."""

Some = TypeVar("Some")


class Read(NamedTuple):
    """A party as it is stored."""

    row: asyncpg.Record
    calendar: Calendar
    members: Sequence[tuple[UUID, Share]]
    """Its identities, each with the days that are its own."""


Pages = AsyncIterator[list[Read]]
"""Parties, page by page."""


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


async def by_party(
    connection: Connection, after: UUID | None = None, until: UUID = EVERYBODY
) -> AsyncIterator[list[Read]]:
    """Parties that may have a standing, in id order, behind an id up to and with another."""
    async for page in _pages(connection, _BY_PARTY, after or NOBODY, until):
        yield page


async def party_spans(connection: Connection, parties: int) -> list[tuple[UUID, UUID]]:
    """Pairs of ids, so many who may have a standing in each part: behind the one, up to and with the other."""
    ends = [row["party_id"] for row in await connection.fetch(_ENDS, parties)]
    return list(pairwise([NOBODY, *ends, EVERYBODY]))


async def by_identity(connection: Connection) -> AsyncIterator[list[Read]]:
    """Parties that may have a standing, in the order of their smallest identity; of one, by the days they hold it."""
    async for page in _pages(connection, _BY_IDENTITY):
        yield page


async def one(connection: Connection, party_id: UUID) -> Read | None:
    """The party that an id leads to."""
    row = await connection.fetchrow(_ONE, party_id)
    return (await _with_calendars(connection, [row]))[0] if row else None


async def moment(connection: Connection, as_of: date | None, now: datetime) -> Moment:
    """The end of a local day, or as late as everything was read."""
    reached = await watermark(connection)
    return Moment((await present(connection)).ruling, as_of, min(now, reached) if reached else None)


async def implied_moves(connection: Connection, read: Read, then: Moment) -> list[Move]:
    """The history of a party up to a moment, as its facts imply it under the rulings of each time."""
    seen = then.seen(read.calendar, read.row["assessed_at"])
    if seen is None:
        return []
    beginning, *later = await activations(connection)
    return trajectory(*seen, beginning.ruling, later)


async def values_now(connection: Connection, now: datetime) -> list[int]:
    """What every party with a purchase is worth."""
    then = await moment(connection, None, now)
    values = []
    async for reads in by_party(connection):
        for read in reads:
            seen = then.seen(read.calendar, read.row["assessed_at"])
            if seen:
                history, day = History(seen[0], then.ruling), then.ruling.day(seen[1])
                if history.purchases(day):
                    values.append(history.value(day))
    return values


Cells = dict[tuple[Stage, Tier], tuple[int, int]]
"""How many parties stand where, and what they are worth."""


async def cells(pages: Pages, then: Moment) -> Cells:
    """How many parties of each stage and tier there are at a moment, and what they are worth."""
    found: Cells = {}
    async for reads in pages:
        async for read in breathing(reads):
            seen = then.seen(read.calendar, read.row["assessed_at"])
            decided = seen and assess(*seen, then.ruling)
            if decided and decided.stage and decided.tier:
                count, value = found.get((decided.stage, decided.tier), (0, 0))
                found[decided.stage, decided.tier] = count + 1, value + decided.value_minor
    return found


async def digest_of(pages: Pages, then: Moment, day: date) -> Digest:
    """One hash over how every party stands after a whole local day, of pages in the order of identities."""
    ruling, whole = then.ruling, Digest()
    under: dict[str, Any] = {
        "currency": ruling.rates.currency, "policy": ruling.policy, "model": ruling.model, "zone": ruling.zone,
    }  # fmt: skip
    async for reads in pages:
        async for read in breathing(reads):
            seen = then.seen(read.calendar, read.row["assessed_at"])
            standing = seen and assess(*seen, ruling)
            if standing and standing.stage is not None:
                whole.take(line(standing, as_of=day.toordinal(), **under))
    return whole


async def _pages(connection: Connection, query: str, *arguments: object) -> AsyncIterator[list[Read]]:
    cursor = await connection.cursor(query, *arguments)
    while rows := await cursor.fetch(PAGE):
        yield await _with_calendars(connection, rows)


async def _with_calendars(connection: Connection, rows: list[asyncpg.Record]) -> list[Read]:
    ids = [row["party_id"] for row in rows]
    members = (await members_now(connection, (), ids)).of(ids)
    stored = await calendars(connection, {identity for held in ids for identity, _ in members[held]})
    known = opened(stored)
    return [Read(row, party_calendar(held, known)[0], held) for row in rows for held in (members[row["party_id"]],)]


_COLUMNS = """
SELECT party.party_id, resolves_to, revision, first_identity, stage, tier, since, value_minor, spend_minor,
       purchase_days, first_day, last_day, last_sign_day, loss_reason, next_change_at, next_stage_at, next_stage,
       assessed_at, ruling, owner_id, team_id
FROM party
"""

_ONE = f"{_COLUMNS} WHERE party_id = (SELECT resolves_to FROM party WHERE party_id = $1)"

_BY_PARTY = f"""
{_COLUMNS}
WHERE party_id > $1 AND party_id <= $2 AND (first_identity IS NOT NULL OR stage IS NOT NULL) ORDER BY party_id
"""

_ENDS = """
SELECT party_id FROM (
    SELECT party_id, row_number() OVER (ORDER BY party_id) AS place
    FROM party WHERE first_identity IS NOT NULL OR stage IS NOT NULL
) AS placed WHERE place % $1 = 0 ORDER BY party_id
"""

_BY_IDENTITY = f"""
{_COLUMNS}
LEFT JOIN assignment ON assignment.identity_id = party.first_identity
WHERE first_identity IS NOT NULL
ORDER BY first_identity, array_position(assignment.parties, party.party_id), party.party_id
"""
