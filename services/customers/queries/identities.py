"""Identities come into being: with a party of their own, or in the hands of a party that is there."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from uuid import UUID

from asyncpg import Record
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.clock import now
from chassis.db import driver
from chassis.ids import uuid7
from contracts.customers import Holding, PartyKind
from contracts.identity import Identity, PartyNotFound, PartyRef
from contracts.problems import Problem
from services.customers.queries.assignments import parties_to_change, reassign


async def introduce(session: AsyncSession, identities: Iterable[Identity]) -> set[UUID]:
    """Have the identities; return those that are new, which nobody holds yet.

    Another writer of the same ones is waited for, in id order. One that an event made known without its identifier
    has it from now on.
    """
    ordered = sorted(set(identities), key=lambda identity: identity.id)
    rows = await (await driver(session)).fetch(_INTRODUCE_NAMED, *_columns(ordered), now())
    return {row["id"] for row in rows}


async def have_identities(session: AsyncSession, identities: Iterable[Identity]) -> set[UUID]:
    """Have the identities; return those that are new, each its own party.

    One that an event made known without its identifier has it from now on.
    """
    ordered = sorted(set(identities), key=lambda identity: identity.id)
    if not ordered:
        return set()
    rows = await (await driver(session)).fetch(_INTRODUCE_OWN, *_columns(ordered), now())
    return {row["id"] for row in rows}


async def forget_identities(session: AsyncSession, identities: Iterable[UUID]) -> None:
    """Take back identities of this transaction, and their own parties, that nothing names after all."""
    await (await driver(session)).execute(_FORGET, list(identities))


def _columns(identities: Sequence[Identity]) -> list[list[object]]:
    return [
        [identity.id for identity in identities],
        [identity.scheme for identity in identities],
        [identity.system for identity in identities],
        [identity.value for identity in identities],
    ]


async def have_party(session: AsyncSession, party_id: UUID, kind: PartyKind = PartyKind.PERSON) -> None:
    """Make a party that nobody knows yet."""
    await (await driver(session)).execute(_HAVE_PARTY, party_id, kind, now())


async def hold(session: AsyncSession, holders: Mapping[UUID, UUID]) -> None:
    """Give new identities their first holders: identity to party."""
    await (await driver(session)).execute(_HOLD, list(holders), list(holders.values()), now())


async def holdings_of(session: AsyncSession, identity_id: UUID) -> tuple[Holding, ...]:
    """The holders of an identity as named, in day order; none for an unknown one."""
    rows = await (await driver(session)).fetch(_HOLDINGS, identity_id)
    return tuple(Holding(party_id=row["party_id"], from_day=row["from_day"]) for row in rows)


async def hand_over(session: AsyncSession, identity_id: UUID, holdings: Sequence[Holding]) -> None:
    """Write down the last of the holdings, which ends the one before."""
    last = holdings[-1]
    await (await driver(session)).execute(
        _HAND_OVER, identity_id, len(holdings) - 1, last.party_id, last.from_day, now()
    )


async def subjects(
    session: AsyncSession, named: Sequence[tuple[PartyRef, date]]
) -> tuple[list[UUID | Problem], set[UUID]]:
    """The identity under which each fact of a day is recorded, or why there is none; and which of them are new.

    An identifier that is not known becomes its own party. A party by id is recorded under the oldest identity that it
    holds now and held on that day; without one it gets a random identity.
    """
    identities = {party for party, _ in named if isinstance(party, Identity)}
    parties = {(party, day) for party, day in named if isinstance(party, UUID)}
    by_party = await _subjects_of_parties(session, parties) if parties else {}
    fresh = await have_identities(session, identities)
    return [party.id if isinstance(party, Identity) else by_party[party, day] for party, day in named], fresh


async def _subjects_of_parties(
    session: AsyncSession, parties: set[tuple[UUID, date]]
) -> dict[tuple[UUID, date], UUID | Problem]:
    found: dict[tuple[UUID, date], UUID | Problem] = {}
    ids = sorted({party for party, _ in parties})
    connection = await driver(session)
    known = {row["id"] for row in await connection.fetch("SELECT id FROM party WHERE id = ANY($1)", ids)}
    for party, day in parties:
        if party not in known:
            found[party, day] = PartyNotFound("There is no such party.")
    found |= _oldest(await connection.fetch(_HELD, ids), parties)
    if missing := sorted({party for party, day in parties if (party, day) not in found}):
        connected = await parties_to_change(session, *missing)
        found |= _oldest(await connection.fetch(_HELD, ids), parties)
        # Nobody else can give them one now.
        if missing := sorted({party for party, day in parties if (party, day) not in found}):
            made = {uuid7(): party for party in missing}
            await introduce(session, map(Identity, made))
            await hold(session, made)
            await reassign(session, connected, made)
            found |= _oldest(await connection.fetch(_HELD, ids), parties)
    return found


def _oldest(held: Sequence[Record], parties: set[tuple[UUID, date]]) -> dict[tuple[UUID, date], UUID | Problem]:
    by_party: dict[UUID, list[Record]] = {}
    for row in held:
        by_party.setdefault(row["party_id"], []).append(row)
    found: dict[tuple[UUID, date], UUID | Problem] = {}
    for party, day in parties:
        for row in by_party.get(party, ()):
            if row["from_day"] is None or row["from_day"] <= day:
                found[party, day] = row["identity_id"]
                break
    return found


_INTRODUCE = """
INSERT INTO identity (id, scheme, system, value, created_at)
SELECT id, scheme, system, value, $5 FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[])
    AS new(id, scheme, system, value)
ORDER BY id
ON CONFLICT (id) DO NOTHING
RETURNING id
"""

_NAMED = """
named AS (
    UPDATE identity SET scheme = said.scheme, system = said.system, value = said.value
    FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) AS said(id, scheme, system, value)
    WHERE identity.id = said.id AND said.scheme IS NOT NULL AND identity.scheme IS NULL
)
"""

_INTRODUCE_NAMED = f"WITH {_NAMED} {_INTRODUCE}"

_INTRODUCE_OWN = f"""
WITH {_NAMED},
fresh AS ({_INTRODUCE}),
own AS (INSERT INTO party (id, resolves_to, created_at) SELECT id, id, $5 FROM fresh),
held AS (INSERT INTO holding (identity_id, nth, party_id, assigned_at) SELECT id, 0, id, $5 FROM fresh)
SELECT id FROM fresh
"""

_FORGET = """
WITH held AS (DELETE FROM holding WHERE identity_id = ANY($1)), own AS (DELETE FROM party WHERE id = ANY($1))
DELETE FROM identity WHERE id = ANY($1)
"""

_HAVE_PARTY = "INSERT INTO party (id, resolves_to, kind, created_at) VALUES ($1, $1, $2, $3)"

_HOLD = """
INSERT INTO holding (identity_id, nth, party_id, assigned_at)
SELECT identity_id, 0, party_id, $3 FROM unnest($1::uuid[], $2::uuid[]) AS new(identity_id, party_id)
"""

_HOLDINGS = "SELECT party_id, from_day FROM holding WHERE identity_id = $1 ORDER BY nth"

_HAND_OVER = """
WITH ended AS (UPDATE holding SET until_day = $4 WHERE identity_id = $1 AND nth = $2 - 1)
INSERT INTO holding (identity_id, nth, party_id, from_day, assigned_at) VALUES ($1, $2, $3, $4, $5)
"""

_HELD = """
SELECT party_id, identity_id, from_day FROM holding
WHERE party_id = ANY($1) AND until_day IS NULL
ORDER BY assigned_at, identity_id <> party_id, identity_id
"""
