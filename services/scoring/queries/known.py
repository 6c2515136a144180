"""Parties as they were known at a recorded time: by the facts, withdrawals and assignments recorded up to then.

Nothing of this is stored as it was. Calendars are folded again, in the time zone of the present, page by page.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from itertools import groupby
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg

from contracts.customers import Assignment
from services.scoring.domain.calendar import Calendar, Share, fold
from services.scoring.queries.facts import facts_known
from services.scoring.queries.parties import EMPTY, Members, party_calendar
from services.scoring.queries.reading import Read, Stretch
from services.scoring.queries.rulings import Connection


async def known_parties_of(connection: Connection, stretch: Stretch, known_at: datetime, zone: ZoneInfo) -> list[Read]:
    """Parties of a stretch in id order, also those that held nothing yet."""
    rows = await connection.fetch(_BY_PARTY, known_at, *stretch)
    return [read for read, _ in await _reads(connection, rows, known_at, zone)]


async def known_identities_of(
    connection: Connection, stretch: Stretch, known_at: datetime, zone: ZoneInfo
) -> list[Read]:
    """Parties whose smallest identity that brought anything is of a stretch, in the order of these.

    Of one identity by the days on which they held it.
    """
    identities = [row["identity_id"] for row in await connection.fetch(_IDENTITIES, *stretch)]
    members = await _members(connection, identities, (), known_at)
    held = {party for identity in identities for party in members.holders(identity)}
    rows = await connection.fetch(_OF_PARTIES, known_at, list(held))
    found = {read.row["party_id"]: (read, first) for read, first in await _reads(connection, rows, known_at, zone)}
    return [
        read
        for identity in identities
        for party in _in_order(members, identity)
        for read, first in (found[party],)
        if first == identity
    ]


async def known_one(connection: Connection, known_at: datetime, zone: ZoneInfo, party_id: UUID) -> Read | None:
    """The party of an id where it held anything; else the one that the id leads to today."""
    for query in (_OF_PARTIES, _LED_TO):
        rows = await connection.fetch(query, known_at, [party_id])
        for read, _ in await _reads(connection, rows, known_at, zone):
            if read.calendar:
                return read
    return None


async def append_assignments(connection: Connection, told: Iterable[tuple[Assignment, datetime]]) -> None:
    """Remember every version of assignments that was told, each with the first time at which it was recorded."""
    versions = {(each.identity_id, each.version): (each, recorded_at) for each, recorded_at in told}
    new = await connection.fetch(
        _NOT_TOLD,
        [identity_id for identity_id, _ in versions],
        [version for _, version in versions],
        [recorded_at for _, recorded_at in versions.values()],
    )
    rows = [
        (each.identity_id, each.version, [held.party_id for held in each.holdings],
         [held.from_day for held in each.holdings], recorded_at)
        for row in new for each, recorded_at in (versions[row["identity_id"], row["version"]],)
    ]  # fmt: skip
    if rows:
        await connection.executemany(_TELL, rows)


async def _reads(
    connection: Connection, rows: Sequence[asyncpg.Record], known_at: datetime, zone: ZoneInfo
) -> list[tuple[Read, UUID | None]]:
    """Parties with what they held, and the smallest of their identities that brought anything."""
    ids = [row["party_id"] for row in rows]
    members = (await _members(connection, (), ids, known_at)).of(ids)
    identities = {identity for held in ids for identity, _ in members[held]}
    calendars = await _calendars(connection, identities, known_at, zone)
    found = []
    for row in rows:
        held = members[row["party_id"]]
        calendar, first = party_calendar(held, calendars)
        found.append((Read(row, calendar, held), first))
    return found


def _in_order(members: Members, identity: UUID) -> Iterable[UUID]:
    """The parties that held an identity, in the order of the days on which they first did."""
    return dict.fromkeys(share.party_id for share in members.shares.get(identity, (Share(identity),)))


async def _members(
    connection: Connection, identities: Iterable[UUID], parties: Iterable[UUID], known_at: datetime
) -> Members:
    members = Members()
    parties = list(parties)
    for row in await connection.fetch(_ASSIGNED, list({*identities, *parties}), parties, known_at):
        members.assign(row["identity_id"], row["version"], list(zip(row["parties"], row["from_days"], strict=True)))
    return members


async def _calendars(
    connection: Connection, identities: Collection[UUID], known_at: datetime, zone: ZoneInfo
) -> dict[UUID, Calendar]:
    found: dict[UUID, Calendar] = {}
    async for facts in facts_known(connection, identities, known_at):
        for identity, told in groupby(facts, key=lambda fact: fact.identity_id):
            found[identity] = found.get(identity, EMPTY) + fold(told, zone)
    return {identity: calendar for identity, calendar in found.items() if calendar}


_ROWS = """
SELECT party_id, owner_id, team_id, $1::timestamptz AS assessed_at, (
    SELECT coalesce(max(revision), 0) FROM lived_move
    WHERE lived_move.party_id = party.party_id AND lived_move.assessed_at <= $1
      AND ruling <= (SELECT max(id) FROM ruling WHERE active_from <= $1)
) AS revision
FROM party
"""

_BY_PARTY = f"{_ROWS} WHERE party_id > $2 AND party_id <= $3 ORDER BY party_id"

_IDENTITIES = """
SELECT DISTINCT identity_id FROM fact WHERE identity_id > $1 AND identity_id <= $2 ORDER BY identity_id
"""

_OF_PARTIES = f"{_ROWS} WHERE party_id = ANY($2)"

_LED_TO = f"{_ROWS} WHERE party_id IN (SELECT resolves_to FROM party WHERE party_id = ANY($2))"

_ASSIGNED = """
WITH wanted AS (
    SELECT unnest($1::uuid[]) AS identity_id UNION SELECT identity_id FROM assignment_told WHERE parties && $2::uuid[]
)
SELECT DISTINCT ON (identity_id) identity_id, version, parties, from_days
FROM wanted JOIN assignment_told USING (identity_id)
WHERE recorded_at <= $3
ORDER BY identity_id, version DESC
"""

_NOT_TOLD = """
SELECT identity_id, version
FROM unnest($1::uuid[], $2::bigint[], $3::timestamptz[]) AS told(identity_id, version, recorded_at)
WHERE NOT EXISTS (
    SELECT FROM assignment_told AS kept
    WHERE kept.identity_id = told.identity_id AND kept.version = told.version AND kept.recorded_at <= told.recorded_at
)
ORDER BY identity_id, version
"""

_TELL = """
INSERT INTO assignment_told (identity_id, version, parties, from_days, recorded_at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (identity_id, version) DO UPDATE SET recorded_at = least(assignment_told.recorded_at, excluded.recorded_at)
"""
