"""Facts and withdrawals: the memory, append-only."""

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from services.scoring.domain.calendar import Share
from services.scoring.domain.days import start_of_day
from services.scoring.domain.facts import Fact, Kind
from services.scoring.domain.reasons.behind import MOST, Behind, Precedence
from services.scoring.queries.copying import append
from services.scoring.queries.rulings import Connection

Place = tuple[str, int, int, int]
"""Topic, partition, epoch, seq."""

Withdrawn = tuple[UUID, UUID]
"""A fact and the identity that it must be about."""


async def append_facts(session: AsyncSession, facts: Sequence[Fact], places: Mapping[UUID, Place]) -> None:
    """Store facts that are not there (see `append`)."""
    rows = [
        (fact.fact_id, fact.identity_id, fact.kind, fact.occurred_at, fact.recorded_at, fact.amount_minor,
         fact.detail, fact.replaces, fact.opened_at, fact.rating, fact.channel, fact.competitor,
         *places[fact.fact_id])
        for fact in facts
    ]  # fmt: skip
    await append(session, "fact", _STORED, rows)


async def append_withdrawals(session: AsyncSession, withdrawals: Sequence[tuple[UUID, UUID, UUID, datetime]]) -> None:
    """Remember withdrawals that are not there (see `append`): fact, identity, event that said so, when recorded."""
    await append(session, "withdrawal", _WITHDRAWAL, withdrawals)


async def keep_earliest(connection: Connection, withdrawals: Iterable[tuple[UUID, UUID, UUID, datetime]]) -> None:
    """Of several withdrawals of one fact the one that was recorded first is remembered, in whatever order they came."""
    await connection.execute(_KEEP_EARLIEST, *map(list, zip(*withdrawals, strict=True)))


async def facts_of(connection: Connection, identities: Collection[UUID]) -> tuple[list[Fact], set[Withdrawn]]:
    """All facts of identities, also those that do not count, and which these are."""
    ids = list(identities)
    facts = [fact_of(row) for row in await connection.fetch(_FACTS_OF, ids)]
    gone = await connection.fetch(_WITHDRAWN_OF, ids)
    return facts, {(row["fact_id"], row["identity_id"]) for row in gone}


async def facts_known(
    connection: Connection, identities: Collection[UUID], known_at: datetime
) -> AsyncIterator[list[Fact]]:
    """The facts of identities that counted by what was recorded up to an instant, page by page."""
    cursor = await connection.cursor(_KNOWN, list(identities), known_at)
    while rows := await cursor.fetch(PAGE):
        yield [fact_of(row) for row in rows]


async def latest_facts(
    connection: Connection,
    members: Sequence[tuple[UUID, Share]],
    zone: ZoneInfo,
    *,
    until: date | None,
    behind: Mapping[Behind, Precedence],
    known_at: datetime | None = None,
) -> tuple[list[Fact], int]:
    """The latest facts that count for a party up to a whole local day, at most `LATEST`, and how many there are.

    Those `behind` its standing are among them, at most `MOST` for each thing that they decide, however many are later.
    With `known_at` those that counted by what was recorded up to that instant.
    """
    begins = [share.start and start_of_day(share.start.toordinal(), zone) for _, share in members]
    ends = [share.until and start_of_day(share.until.toordinal(), zone) for _, share in members]
    end = start_of_day(until.toordinal() + 1, zone) if until else None
    identities = [identity for identity, _ in members]
    wanted = [(int(kind), day, int(decides), rank, MOST[decides]) for (kind, day), (decides, rank) in behind.items()]
    columns = list(map(list, zip(*wanted, strict=True))) or [[], [], [], [], []]
    rows = await connection.fetch(_LATEST, identities, begins, ends, end, LATEST, known_at, zone.key, *columns)
    return [fact_of(row) for row in rows], rows[0]["total"] if rows else 0


LATEST = 100
PAGE = 2_000
"""Facts that are held at once, of however many a page of parties has."""


def fact_of(row: asyncpg.Record) -> Fact:
    """The fact in a row."""
    return fact_of_values([row[name] for name in FACT])


def fact_of_values(values: Sequence[Any]) -> Fact:
    """The fact behind the values of `FACT`."""
    fact_id, identity_id, kind, *others = values
    return Fact(fact_id, identity_id, Kind(kind), *others)


FACT: Mapping[str, str] = {
    "fact_id": "uuid", "identity_id": "uuid", "kind": "smallint", "occurred_at": "timestamptz",
    "recorded_at": "timestamptz", "amount_minor": "bigint", "detail": "text", "replaces": "uuid",
    "opened_at": "timestamptz", "rating": "smallint", "channel": "text", "competitor": "text",
}  # fmt: skip
"""The columns of a fact and their types, in the order of its members."""
_STORED = {**FACT, "topic": "text", "partition": "smallint", "epoch": "int", "seq": "bigint"}

_WITHDRAWAL = {"fact_id": "uuid", "identity_id": "uuid", "by_event": "uuid", "recorded_at": "timestamptz"}

_SELECT = f"SELECT {', '.join(FACT)} FROM fact"

_FACTS_OF = f"{_SELECT} WHERE identity_id = ANY($1)"

_WITHDRAWN_OF = """
SELECT fact_id, withdrawal.identity_id FROM fact JOIN withdrawal USING (fact_id) WHERE fact.identity_id = ANY($1)
"""

_KEEP_EARLIEST = """
UPDATE withdrawal SET by_event = again.by_event, recorded_at = again.recorded_at
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[]) AS again(fact_id, identity_id, by_event, recorded_at)
WHERE withdrawal.fact_id = again.fact_id AND withdrawal.identity_id = again.identity_id
  AND withdrawal.recorded_at > again.recorded_at
"""

_KNOWN = f"""
{_SELECT}
WHERE identity_id = ANY($1) AND recorded_at <= $2
  AND NOT EXISTS (
      SELECT FROM withdrawal
      WHERE withdrawal.fact_id = fact.fact_id AND withdrawal.identity_id = fact.identity_id
        AND withdrawal.recorded_at <= $2
  )
ORDER BY identity_id
"""

# All facts of a party are counted, and no more than those behind its standing are put in an order.
_LATEST = f"""
WITH counted AS MATERIALIZED (
    SELECT fact_id, kind, rating, occurred_at
    FROM unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[]) AS held(identity_id, begin, until)
    JOIN fact USING (identity_id)
    WHERE (begin IS NULL OR occurred_at >= begin) AND (until IS NULL OR occurred_at < until)
      AND ($4::timestamptz IS NULL OR occurred_at < $4)
      AND ($6::timestamptz IS NULL OR recorded_at <= $6)
      AND NOT EXISTS (
          SELECT FROM withdrawal
          WHERE withdrawal.fact_id = fact.fact_id AND withdrawal.identity_id = fact.identity_id
            AND ($6::timestamptz IS NULL OR withdrawal.recorded_at <= $6)
      )
), latest AS (
    SELECT fact_id FROM counted ORDER BY occurred_at DESC, fact_id DESC LIMIT $5
), behind AS (
    SELECT DISTINCT ON (fact_id) fact_id, occurred_at, decides, rank, most
    FROM (
        SELECT fact_id, kind, occurred_at FROM counted WHERE kind = ANY($8)
        UNION ALL
        SELECT fact_id, CASE WHEN rating > 0 THEN {Kind.RATED_WELL:d} ELSE {Kind.RATED_POORLY:d} END, occurred_at
        FROM counted WHERE rating <> 0
    ) AS said
    JOIN unnest($8::smallint[], $9::date[], $10::smallint[], $11::smallint[], $12::smallint[])
        AS wanted(kind, day, decides, rank, most)
        ON wanted.kind = said.kind AND wanted.day = (occurred_at AT TIME ZONE $7)::date
    ORDER BY fact_id, decides, rank
), kept AS (
    SELECT fact_id
    FROM (
        SELECT fact_id, most,
            row_number() OVER (PARTITION BY decides ORDER BY rank, occurred_at DESC, fact_id DESC) AS place
        FROM behind
    ) AS placed
    WHERE place <= most
), told AS (
    SELECT {", ".join(FACT)} FROM fact
    WHERE fact_id IN (SELECT fact_id FROM kept UNION SELECT fact_id FROM latest)
    ORDER BY fact_id IN (SELECT fact_id FROM kept) DESC, occurred_at DESC, fact_id DESC LIMIT $5
)
SELECT *, (SELECT count(*) FROM counted) AS total FROM told ORDER BY occurred_at DESC, fact_id DESC
"""
