"""Parties under their locks: who makes them up, and the calendars of their identities."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from uuid import UUID

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.writes import put_off
from contracts.customers import Assignment, PartyOwnerChanged
from services.scoring.domain.calendar import Calendar, Share, pack_year, shares, total, unpack
from services.scoring.queries.rulings import BARRIER, Connection

EMPTY = Calendar()
NOBODY = UUID(int=0)
"""Before every party."""


async def pass_barrier(connection: Connection) -> None:
    """Wait for what must not happen beside the writing of standings, and keep it waiting until the end."""
    await connection.execute("SELECT pg_advisory_xact_lock_shared($1)", BARRIER)


async def parties_to_change(
    connection: Connection, parties: Collection[UUID], there: Collection[UUID]
) -> dict[UUID, asyncpg.Record]:
    """The rows of parties, made where they are missing, locked in id order until the transaction ends.

    `there` are those known to have a row, which they keep.
    """
    ids = sorted(parties)
    if missing := [party_id for party_id in ids if party_id not in there]:
        # A statement of its own: the locking one would not see rows that another transaction makes meanwhile.
        await connection.execute(_HAVE, missing)
    return {row["party_id"]: row for row in await connection.fetch(_LOCK, ids)}


async def standings_to_change(connection: Connection, parties: Collection[UUID]) -> dict[UUID, asyncpg.Record]:
    """The rows of parties that are there, locked in id order until the transaction ends."""
    return {row["party_id"]: row for row in await connection.fetch(_LOCK, sorted(parties))}


@dataclass(slots=True)
class Members:
    """Whose identities are. An identity without an entry is its own party."""

    versions: dict[UUID, int] = field(default_factory=dict)
    shares: dict[UUID, tuple[Share, ...]] = field(default_factory=dict)

    def assign(self, identity_id: UUID, version: int, holdings: Sequence[tuple[UUID, date | None]]) -> None:
        """Take an assignment."""
        self.versions[identity_id] = version
        self.shares[identity_id] = shares(holdings)

    def holders(self, identity_id: UUID) -> frozenset[UUID]:
        """The parties that hold an identity at any time."""
        held = self.shares.get(identity_id)
        return frozenset((identity_id,)) if held is None else frozenset(share.party_id for share in held)

    def holder(self, identity_id: UUID, day: int) -> UUID:
        """The party that has what an identity does on a local day (ordinal)."""
        held = self.shares.get(identity_id, ())
        begun = [share.party_id for share in held if share.start is None or share.start.toordinal() <= day]
        return begun[-1] if begun else identity_id

    def of(self, parties: Iterable[UUID]) -> dict[UUID, list[tuple[UUID, Share]]]:
        """The identities of parties, each with the days that are theirs, in identity order."""
        members: defaultdict[UUID, list[tuple[UUID, Share]]] = defaultdict(list)
        for identity_id in sorted(self.shares):
            for share in self.shares[identity_id]:
                members[share.party_id].append((identity_id, share))
        for party_id in parties:
            if party_id not in self.shares:
                members[party_id].append((party_id, Share(party_id)))
                if len(members[party_id]) > 1:
                    members[party_id].sort(key=lambda member: member[0])
        return members


async def members_now(connection: Connection, identities: Iterable[UUID], parties: Iterable[UUID]) -> Members:
    """The assignments that concern identities or parties.

    Asked behind the rows of these parties: it holds as long as these are locked, or nobody writes them.
    """
    members = Members()
    parties = list(parties)
    for row in await connection.fetch(_ASSIGNED, list({*identities, *parties}), parties):
        members.assign(row["identity_id"], row["version"], list(zip(row["parties"], row["from_days"], strict=True)))
    return members


async def write_assignments(connection: Connection, assignments: Sequence[Assignment]) -> None:
    """Store whole assignments in the place of former ones."""
    ordered = sorted(assignments, key=lambda assignment: assignment.identity_id)
    await connection.executemany(
        _ASSIGN,
        [
            (each.identity_id, each.version, [held.party_id for held in each.holdings],
             [held.from_day for held in each.holdings])
            for each in ordered
        ],
    )  # fmt: skip
    ids = [each.identity_id for each in ordered]
    await connection.execute("DELETE FROM holder WHERE identity_id = ANY($1)", ids)
    pairs = sorted({(held.party_id, each.identity_id) for each in ordered for held in each.holdings})
    await connection.copy_records_to_table("holder", records=pairs, columns=["party_id", "identity_id"])


async def write_owners(connection: Connection, owners: Iterable[PartyOwnerChanged]) -> None:
    """Store who takes care of locked parties, where that is newer."""
    rows = [(each.subject, each.version, each.owner_id, each.team_id) for each in owners]
    await connection.execute(_OWN, *map(list, zip(*rows, strict=True)))


Years = Mapping[int, bytes]


async def calendars(connection: Connection, identities: Iterable[UUID]) -> dict[UUID, dict[int, bytes]]:
    """The stored years of identities that have any."""
    found: defaultdict[UUID, dict[int, bytes]] = defaultdict(dict)
    for identity_id, year, days in await connection.fetch(_CALENDARS, list(identities)):
        found[identity_id][year] = days
    return found


def party_calendar(
    members: Sequence[tuple[UUID, Share]], by_identity: Mapping[UUID, Calendar]
) -> tuple[Calendar, UUID | None]:
    """What a party's identities bring on the days that are theirs, and the smallest that brings anything."""
    parts = [
        (identity, part)
        for identity, share in members
        if identity in by_identity and (part := by_identity[identity].between(share.start, share.until))
    ]
    return (total(part for _, part in parts), parts[0][0]) if parts else (EMPTY, None)


Posted = tuple[Collection[int], Calendar, Iterable[int]]
"""Which years of a calendar are stored, what it is now, and the years that changed."""


def write_calendars(session: AsyncSession, changed: Mapping[UUID, Posted]) -> None:
    """Have the years of calendars that changed stored with the last statement (`chassis.writes`)."""
    kept: list[tuple[UUID, int, bytes]] = []
    gone: list[tuple[UUID, int]] = []
    for identity_id in sorted(changed):
        stored, calendar, years = changed[identity_id]
        for year in years:
            days = pack_year(calendar, year)
            if days is not None:
                kept.append((identity_id, year, days))
            elif year in stored:
                gone.append((identity_id, year))
    if kept:
        put_off(session, _KEEP_YEARS, *zip(*kept, strict=True))
    if gone:
        put_off(session, _DROP_YEARS, *zip(*gone, strict=True))


def opened(years: Mapping[UUID, Mapping[int, bytes]]) -> dict[UUID, Calendar]:
    """The calendars behind stored years."""
    return {identity: unpack(stored) for identity, stored in years.items()}


_HAVE = """
INSERT INTO party (party_id, resolves_to) SELECT id, id FROM unnest($1::uuid[]) AS id ORDER BY id
ON CONFLICT DO NOTHING
"""

STOOD = """party_id, resolves_to, resolution_version, revision, stage, tier, since, satisfaction_band, loyalty_band,
    level, posture, treatment, flags, vip, potential, loss_reason, next_change_at, assessed_at, ruling"""
"""What is read of a party that is about to change."""

_LOCK = f"SELECT {STOOD} FROM party WHERE party_id = ANY($1) ORDER BY party_id FOR NO KEY UPDATE"

_ASSIGNED = """
WITH wanted AS (
    SELECT unnest($1::uuid[]) AS identity_id UNION SELECT identity_id FROM holder WHERE party_id = ANY($2)
)
SELECT identity_id, version, parties, from_days FROM wanted JOIN assignment USING (identity_id)
"""

_ASSIGN = """
INSERT INTO assignment (identity_id, version, parties, from_days) VALUES ($1, $2, $3, $4)
ON CONFLICT (identity_id) DO UPDATE
SET version = excluded.version, parties = excluded.parties, from_days = excluded.from_days
"""

_OWN = """
UPDATE party SET owner_version = new.version, owner_id = new.owner_id, team_id = new.team_id
FROM unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::uuid[]) AS new(party_id, version, owner_id, team_id)
WHERE party.party_id = new.party_id AND party.owner_version < new.version
"""

_CALENDARS = "SELECT identity_id, year, days FROM calendar WHERE identity_id = ANY($1)"

_KEEP_YEARS = """
kept_years AS (
    INSERT INTO calendar (identity_id, year, days) SELECT * FROM unnest($1::uuid[], $2::smallint[], $3::bytea[])
    ON CONFLICT (identity_id, year) DO UPDATE SET days = excluded.days
)
"""

_DROP_YEARS = """
dropped_years AS (
    DELETE FROM calendar USING unnest($1::uuid[], $2::smallint[]) AS gone(identity_id, year)
    WHERE calendar.identity_id = gone.identity_id AND calendar.year = gone.year
)
"""
