"""The tables of the feed: staged, numbered, read, and let go of."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, TypeAlias
from uuid import UUID

import asyncpg

from gateway.domain.feed import Holdings, Told, Wanted

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

STAGED = "feed_staged"
"""Channel on which a consumer tells that it has staged events."""
GREW = "feed"
"""Channel on which the feed tells that it grew."""
AT_ONCE = 2_000
"""Events that are numbered in one transaction."""
FORGOTTEN_AT_ONCE = 200_000


class Staged(NamedTuple):
    """An event that waits for its number."""

    event_id: UUID
    type: str
    party_id: UUID
    stage: str | None
    tier: str | None
    historic: bool
    waits: bool
    """Whether all that was recorded before it must have come."""
    revision: int
    """Orders what was recorded at one instant."""
    recorded_at: datetime
    body: str


class Reach(NamedTuple):
    """From which number to which the feed goes."""

    first_seq: int
    last_seq: int


async def stage(connection: Connection, events: Sequence[Staged]) -> None:
    """Have events wait for their numbers, in this order, and wake who numbers them when this commits."""
    await connection.execute(_STAGE, *map(list, zip(*events, strict=True)), STAGED)


async def oldest_staged(connection: Connection) -> datetime | None:
    """When the first of the events that wait for their numbers was recorded; None where none waits."""
    oldest: datetime | None = await connection.fetchval("SELECT min(recorded_at) FROM feed_staged")
    return oldest


async def number(connection: Connection, until: datetime | None, at: datetime) -> int | None:
    """Give the events that wait their numbers, at most `AT_ONCE`; return how many, None if another is at it.

    Of those that wait for what was recorded before them, only those up to `until`: None is none of them. One at a time
    (advisory lock, held until the numbers are committed), so no reader meets a number before the one in front of it.
    """
    async with connection.transaction():
        if not await connection.fetchval("SELECT pg_try_advisory_xact_lock(hashtext('feed'))"):
            return None
        numbered: int = await connection.fetchval(_NUMBER, until, AT_ONCE, GREW, at)
    return numbered


async def reach(connection: Connection) -> Reach:
    """What the feed has."""
    row = await connection.fetchrow("SELECT first_seq, last_seq FROM feed_reach")
    assert row is not None
    return Reach(*row)


async def read(connection: Connection, after: int, until: int, wanted: Wanted, limit: int) -> list[Told]:
    """Up to `limit` events that are wanted, after one number and up to another, with who looks after the party now."""
    lists = [
        None if each is None else sorted(each) for each in (wanted.types, wanted.stages, wanted.tiers, wanted.parties)
    ]
    return [Told(*row) for row in await connection.fetch(_READ, after, until, *lists, wanted.historic, limit)]


async def learn_holders(connection: Connection, found: Mapping[UUID, Holdings]) -> None:
    """Keep who holds identities, unless something later is known."""
    if found:
        known = sorted(found.items())
        rows = [(id, held.version, list(held.days), list(held.parties)) for id, held in known]
        await connection.executemany(_LEARN_HOLDER, rows)


async def learn_owners(connection: Connection, found: Mapping[UUID, tuple[int, UUID | None, UUID | None]]) -> None:
    """Keep who looks after parties, each as version, user and team, unless something later is known."""
    if found:
        rows = [(party_id, *owner) for party_id, owner in sorted(found.items())]
        await connection.execute(_LEARN_OWNERS, *map(list, zip(*rows, strict=True)))


async def holders(connection: Connection, identities: Iterable[UUID]) -> dict[UUID, Holdings]:
    """Who holds identities, as far as it is not each its own party."""
    rows = await connection.fetch(_HOLDERS, list(identities))
    return {row["identity_id"]: Holdings(row["version"], row["days"], row["parties"]) for row in rows}


async def forget(connection: Connection, at: datetime, *, days: int) -> None:
    """Let go of events that were told so long ago, from the first one on."""
    await connection.execute(_FORGET, at - timedelta(days=days), FORGOTTEN_AT_ONCE)


_STAGE = """
WITH staged AS (
    INSERT INTO feed_staged (event_id, type, party_id, stage, tier, historic, waits, revision, recorded_at, body)
    SELECT event_id, type, party_id, stage, tier, historic, waits, revision, recorded_at, body
    FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::text[], $6::boolean[], $7::boolean[], $8::bigint[],
                $9::timestamptz[], $10::text[])
        WITH ORDINALITY AS row(event_id, type, party_id, stage, tier, historic, waits, revision, recorded_at, body,
                               place)
    ORDER BY place
)
SELECT pg_notify($11, '')
"""

# In the order of recording, and of one instant in that of the revisions: the last change of a party that was merged has
# a lower one than the next change of the survivor. Up to the last of those that are taken, not of a list of them:
# planned on what looks empty since the last vacuum, that list would be read anew for each row.
_NUMBER = """
WITH first AS MATERIALIZED (
    SELECT recorded_at, revision, id FROM feed_staged
    WHERE NOT waits OR recorded_at <= $1::timestamptz ORDER BY recorded_at, revision, id LIMIT $2
), last AS MATERIALIZED (
    SELECT * FROM first ORDER BY recorded_at DESC, revision DESC, id DESC LIMIT 1
), taken AS (
    DELETE FROM feed_staged AS staged USING last
    WHERE (staged.recorded_at, staged.revision, staged.id) <= (last.recorded_at, last.revision, last.id)
        AND (NOT staged.waits OR staged.recorded_at <= $1::timestamptz)
    RETURNING staged.*
), placed AS (
    SELECT *, row_number() OVER (ORDER BY recorded_at, revision, id) AS place FROM taken
), run AS (
    SELECT count(*)::int AS events FROM taken
), moved AS (
    UPDATE feed_reach SET last_seq = last_seq + run.events FROM run WHERE run.events > 0
    RETURNING last_seq - run.events AS before
), told AS (
    INSERT INTO feed (seq, event_id, type, party_id, stage, tier, historic, told_at, body)
    SELECT moved.before + place, event_id, type, party_id, stage, tier, historic, $4,
           '{"sequence":' || moved.before + place || ',' || substr(body, 2)
    FROM placed CROSS JOIN moved
)
SELECT events, CASE WHEN events > 0 THEN pg_notify($3, '') END FROM run
"""

_READ = """
SELECT seq, type, party_id, stage, tier, historic, owner_id, team_id, body
FROM feed LEFT JOIN feed_owner USING (party_id)
WHERE seq > $1 AND seq <= $2 AND ($3::text[] IS NULL OR type = ANY($3)) AND ($4::text[] IS NULL OR stage = ANY($4))
    AND ($5::text[] IS NULL OR tier = ANY($5)) AND ($6::uuid[] IS NULL OR party_id = ANY($6)) AND ($7 OR NOT historic)
ORDER BY seq LIMIT $8
"""

_LEARN_HOLDER = """
INSERT INTO feed_holder (identity_id, version, days, parties) VALUES ($1, $2, $3, $4)
ON CONFLICT (identity_id) DO UPDATE
SET version = excluded.version, days = excluded.days, parties = excluded.parties
WHERE feed_holder.version < excluded.version
"""

_LEARN_OWNERS = """
INSERT INTO feed_owner (party_id, version, owner_id, team_id)
SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::uuid[]) AS new(party_id, version, owner_id, team_id)
ORDER BY party_id
ON CONFLICT (party_id) DO UPDATE
SET version = excluded.version, owner_id = excluded.owner_id, team_id = excluded.team_id
WHERE feed_owner.version < excluded.version
"""

_HOLDERS = "SELECT identity_id, version, days, parties FROM feed_holder WHERE identity_id = ANY($1)"

# Numbers and times rise together, so what is too old is a beginning of the feed.
_FORGET = """
WITH gone AS (
    DELETE FROM feed WHERE seq <= (SELECT max(seq) FROM (SELECT seq FROM feed ORDER BY seq LIMIT $2) AS first)
        AND told_at < $1
    RETURNING seq
), last AS (
    SELECT max(seq) AS seq FROM gone
)
UPDATE feed_reach SET first_seq = greatest(first_seq, last.seq + 1) FROM last WHERE last.seq IS NOT NULL
"""
