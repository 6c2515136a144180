"""What people set: the words of it, beside the facts that it is."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import driver
from chassis.writes import put_off
from services.scoring.domain.calendar import Share
from services.scoring.domain.days import local_day, start_of_day
from services.scoring.domain.facts import Fact
from services.scoring.domain.overridden import Fate, OverrideNotFound, Said, fates
from services.scoring.domain.overrides import Field, detail
from services.scoring.domain.standing import NoStanding
from services.scoring.queries.facts import append_facts
from services.scoring.queries.parties import Members, members_now
from services.scoring.queries.recording import LEAST
from services.scoring.queries.rulings import Connection

SETTING = 7_010
"""Advisory lock of whoever sets something, held behind the locks of parties."""
TOPIC = "scoring.overrides"
"""Where their facts come from, as no log has them."""


class Concerned(NamedTuple):
    """Whom an override of a party concerns."""

    party_id: UUID
    """The party that the id leads to."""
    members: Members
    parties: frozenset[UUID]
    """All that have to be locked: these two, and whoever holds any of the identities at any time."""


async def concerned(connection: Connection, party_id: UUID) -> Concerned:
    """Whom an override of the party that an id leads to concerns. Raises `NoStanding` for an id that is not known."""
    top = await connection.fetchval("SELECT resolves_to FROM party WHERE party_id = $1", party_id)
    if top is None:
        raise NoStanding
    members = await members_now(connection, (), (top,))
    holders = (members.holders(identity) for identity, _ in members.of((top,))[top])
    return Concerned(top, members, frozenset((party_id, top)).union(*holders))


async def party_overridden(connection: Connection, override_id: UUID) -> UUID:
    """The party that has an override now. Raises `OverrideNotFound`."""
    row = await connection.fetchrow(_OVERRIDE, override_id)
    if row is None:
        raise OverrideNotFound("There is no such override.")
    members = await members_now(connection, (row["identity_id"],), ())
    return members.holder(row["identity_id"], local_day(row["set_at"], ZoneInfo(row["time_zone"])))


async def oldest_identity(connection: Connection, whom: Concerned, named: UUID, day: int) -> UUID | None:
    """The identity that what is done to a party is recorded under, of those that the party holds on a local day.

    The one that the party was named by at its beginning, else the one that was assigned to it first; of a party that
    was merged, those that it brought come before all others, so that they take it along when the merge is undone.
    """
    held = [id for id, _ in whom.members.of((whom.party_id,))[whom.party_id] if _holds(whom, id, day)]
    oldest: UUID | None = await connection.fetchval(_OLDEST, held, named, whom.party_id)
    return oldest


def _holds(whom: Concerned, identity_id: UUID, day: int) -> bool:
    return whom.members.holder(identity_id, day) == whom.party_id


async def overrides_of(
    connection: Connection, members: Sequence[tuple[UUID, Share]], zone: ZoneInfo
) -> list[asyncpg.Record]:
    """All that was ever set for a party, or ended, each on a day on which its identity is the party's; last first."""
    begins = [share.start and start_of_day(share.start.toordinal(), zone) for _, share in members]
    ends = [share.until and start_of_day(share.until.toordinal(), zone) for _, share in members]
    return await connection.fetch(_OF_PARTY, [identity for identity, _ in members], begins, ends)


async def take_instant(connection: Connection, at: datetime) -> datetime:
    """The first instant from one on at which nothing was set, of whatever party; nobody else takes one meanwhile."""
    await connection.execute("SELECT pg_advisory_xact_lock($1)", SETTING)
    while await connection.fetchval("SELECT EXISTS (SELECT FROM override WHERE set_at = $1)", at):
        at += LEAST
    return at


def fates_of(rows: Sequence[asyncpg.Record], zone: ZoneInfo, today: int) -> Mapping[UUID, Fate]:
    """What became of each override of a party up to a local day."""
    return fates(
        (
            Said(
                id=row["fact_id"],
                field=Field(row["field"]),
                value=row["value"],
                detail=detail(row["set_at"], Field(row["field"]), row["value"], row["until_day"]),
                day=local_day(row["set_at"], zone),
                until=row["until_day"] and row["until_day"].toordinal(),
                ended=row["ended"] and frozenset(row["ended"]),
            )
            for row in rows
        ),
        today,
    )


async def append_override(
    session: AsyncSession,
    fact: Fact,
    *,
    field: Field,
    value: str,
    until: date | None,
    why: str | None,
    by: str,
    ends: UUID | None = None,
    ended: Sequence[UUID] | None = None,
) -> None:
    """Have the fact of an override, or of its end, stored with the words of it (`chassis.writes`).

    It `ends` the one that was named, and with it all that are `ended`.
    """
    place = TOPIC, 0, 0, await (await driver(session)).fetchval("SELECT nextval('override_place')")
    await append_facts(session, [fact], {fact.fact_id: place})
    put_off(
        session, _APPEND, fact.fact_id, fact.identity_id, field, value, why, by, fact.occurred_at, until, ends, ended
    )


_OLDEST = """
SELECT held.identity_id FROM unnest($1::uuid[]) AS held(identity_id)
LEFT JOIN LATERAL (
    SELECT min(recorded_at) FILTER (WHERE $2 = ANY(parties)) AS to_named, min(recorded_at) AS at_all
    FROM assignment_told AS told WHERE told.identity_id = held.identity_id AND parties && ARRAY[$2, $3]::uuid[]
) AS first ON true
ORDER BY held.identity_id <> $2, to_named NULLS LAST, held.identity_id <> $3, at_all NULLS LAST, held.identity_id
LIMIT 1
"""

_OVERRIDE = """
SELECT identity_id, set_at, time_zone FROM override CROSS JOIN installation WHERE fact_id = $1 AND ends IS NULL
"""

_OF_PARTY = """
SELECT override.* FROM unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[]) AS held(identity_id, begin, until)
JOIN override USING (identity_id)
WHERE (begin IS NULL OR set_at >= begin) AND (until IS NULL OR set_at < until)
ORDER BY set_at DESC, fact_id DESC
"""

_APPEND = """
overridden AS (
    INSERT INTO override (fact_id, identity_id, field, value, why, set_by, set_at, until_day, ends, ended)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
)
"""
