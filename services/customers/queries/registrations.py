"""Parties made known by the thousand: in the hands of whom they belong to, announced, and taken back."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis import outbox
from chassis.clock import now
from chassis.db import driver
from contracts.customers import Assignment, IdentitiesAssigned, PartyKind
from contracts.identity import Identity
from services.customers.domain.registrations import Holder, NewRegistration, Registered, registered
from services.customers.queries.assignments import Connected, assignments_of, parties_to_change
from services.customers.queries.identities import hold, introduce
from services.customers.queries.pairs import Evidence, Together, look_again, see, unsee
from services.customers.queries.tellings import (
    Telling,
    lock,
    settle_kinds,
    take_back,
    tell,
    tellings_to_take_back,
    told_before,
)

NOBODY = Connected({}, {})


async def record_registrations(
    session: AsyncSession, rows: Sequence[NewRegistration], *, import_id: UUID, source: str
) -> list[Registered]:
    """Make parties known, in sets; what each row came to, in their order."""
    if not rows:
        return []
    connected, free, holders = await _holders_to_change(session, rows)
    connection, at = await driver(session), now()
    ids = {identity.id for row in rows for identity in row.identities}
    before = await told_before(session, {holder.party_id for holder in holders.values()}, ids)
    found = registered(rows, holders, before)
    made = {place: row.party_id for place, row in enumerate(found) if row.made}
    await connection.execute(_HAVE_PARTIES, list(made.values()), [rows[place].kind for place in made], at)
    held = {identity: row.party_id for row in found for identity in row.given}
    await hold(session, {identity: party_id for identity, party_id in held.items() if identity not in free})
    await connection.execute(_HOLD_AGAIN, list(free), [held[identity] for identity in free], at)
    given = {identity: party_id for identity, party_id in held.items() if identity != party_id}
    await _announce(session, connected, given)
    for identity in free & given.keys():
        await look_again(session, identity)
    await tell(session, [_telling(*each, at) for each in zip(rows, found, strict=True)], import_id)
    await see(session, [_together(row, import_id, source, at) for row in rows])
    return found


def _telling(row: NewRegistration, found: Registered, at: datetime) -> Telling:
    given = [id for id in found.given if id != found.party_id]
    return Telling(found.party_id, found.subject, found.told, given, row.kind, row.occurred_at or at)


def _together(row: NewRegistration, import_id: UUID, source: str, at: datetime) -> Together:
    evidence = Evidence(import_id, "customers", "party_imported", row.occurred_at or at, source)
    return Together([identity.id for identity in row.identities], evidence)


async def withdraw_registrations(session: AsyncSession, import_id: UUID, limit: int) -> int:
    """Take back up to `limit` of what an import told of parties; return how many.

    An identity that it gave to a party, that nobody assigned since, and that nothing else tells of with this party
    becomes its own party again.
    """
    rows = await tellings_to_take_back(session, import_id, limit)
    if not rows:
        await unsee(session, [import_id])
        return 0
    organisations = {row["held_by"] for row in rows if row["kind"] == PartyKind.ORGANISATION and row["held_by"]}
    connected = await parties_to_change(session, *sorted(organisations.union(row["party_id"] for row in rows)))
    await lock(session, {identity for row in rows for identity in (row["identity_id"], *row["given"])})
    told = await take_back(session, rows)
    if told:
        left = await (await driver(session)).fetch(_GIVE_BACK, list(told), list(told.values()), now())
        await _announce(session, connected, {row["identity_id"]: row["party_id"] for row in left})
        for row in left:
            await look_again(session, row["identity_id"])
    await settle_kinds(session, organisations.union(told))
    return len(rows)


async def _holders_to_change(
    session: AsyncSession, rows: Sequence[NewRegistration]
) -> tuple[Connected, set[UUID], dict[UUID, Holder]]:
    """The parties that are to get identities or may lose some, locked; the identities of these; and all other holders.

    The parties come first, as they do for everybody who gives a party an identity. What is found after that may ask
    for more of them; then all is given back and taken anew.
    """
    identities = [identity for row in rows for identity in row.identities]
    free, holders = await _holders(session, identities)
    while True:
        attempt = await (await session.connection()).begin_nested()
        growing = free | _growing(rows, holders)
        connected = await parties_to_change(session, *growing) if growing else NOBODY
        await introduce(session, identities)
        await lock(session, {identity.id for identity in identities})
        free, holders = await _holders(session, identities)
        if free | _growing(rows, holders) <= connected.resolves_to.keys():
            await attempt.commit()
            return connected, free, holders
        await attempt.rollback()


def _growing(rows: Iterable[NewRegistration], holders: Mapping[UUID, Holder]) -> set[UUID]:
    """The parties that hold some identities of a row and not all, or may turn out to be organisations."""
    growing: set[UUID] = set()
    for row in rows:
        held = [holders[identity.id].party_id for identity in row.identities if identity.id in holders]
        if len(held) < len(row.identities) or row.kind is PartyKind.ORGANISATION:
            growing.update(held)
    return growing


async def _holders(session: AsyncSession, identities: Iterable[Identity]) -> tuple[set[UUID], dict[UUID, Holder]]:
    """The identities that were given back and nothing is told of, and the holders of all others that have one."""
    connection, ids = await driver(session), list({identity.id for identity in identities})
    free: set[UUID] = {row["id"] for row in await connection.fetch(_FREE, ids)}
    rows = await connection.fetch(_HOLDERS, ids)
    held = {row["identity_id"]: Holder(row["party_id"], row["resolves_to"]) for row in rows}
    return free, {identity: holder for identity, holder in held.items() if identity not in free}


async def _announce(session: AsyncSession, connected: Connected, given: Mapping[UUID, UUID]) -> None:
    """Tell that identities came to parties, or left them: those of `connected`, or parties of this transaction.

    One event for each party that they now make up, and one version.
    """
    if not given:
        return
    tops: defaultdict[UUID, list[UUID]] = defaultdict(list)
    for identity, party_id in given.items():
        tops[connected.resolves_to.get(party_id, party_id)].append(identity)
    connection = await driver(session)
    numbers = await connection.fetch(
        "SELECT nextval('assignment_version') AS version FROM generate_series(1, $1)", len(tops)
    )
    versions = {top: row["version"] for top, row in zip(tops, numbers, strict=True)}
    identities = {identity: versions[top] for top, held in tops.items() for identity in held}
    left = {identity: version for identity, version in identities.items() if identity in connected.resolves_to}
    grown = {party: versions[top] for party, top in connected.resolves_to.items() if top in versions}
    parties = left | grown | versions
    await connection.execute(_VERSION.format(table="party"), list(parties), list(parties.values()))
    await connection.execute(_VERSION.format(table="identity"), list(identities), list(identities.values()))
    assignments = await assignments_of(session, list(identities))
    outbox.append(session, *(_assigned(top, held, assignments) for top, held in tops.items()))


def _assigned(top: UUID, identities: Collection[UUID], assignments: Mapping[UUID, Assignment]) -> IdentitiesAssigned:
    told = tuple(assignments[identity] for identity in sorted(identities))
    return IdentitiesAssigned(subject=top, occurred_at=now(), assignments=told)


_HAVE_PARTIES = """
INSERT INTO party (id, resolves_to, kind, created_at)
SELECT id, id, kind, $3 FROM unnest($1::uuid[], $2::text[]) AS new(id, kind) ORDER BY id
ON CONFLICT (id) DO UPDATE SET kind = excluded.kind
"""

_HOLD_AGAIN = """
WITH again AS (SELECT * FROM unnest($1::uuid[], $2::uuid[]) AS again(id, party_id)),
taken AS (UPDATE identity SET given_back = false FROM again WHERE identity.id = again.id)
UPDATE holding SET party_id = again.party_id, assigned_at = $3 FROM again
WHERE holding.identity_id = again.id AND nth = 0
"""

FACTS = ("purchase", "purchase_return", "interaction", "problem", "observation")
"""Tables of what is told of identities."""

_FREE = f"""
SELECT id FROM identity
WHERE id = ANY($1) AND given_back
  AND NOT EXISTS (SELECT FROM holding WHERE identity_id = identity.id AND (party_id <> identity.id OR nth > 0))
  AND NOT EXISTS (SELECT FROM holding WHERE party_id = identity.id AND identity_id <> identity.id)
  AND NOT EXISTS (SELECT FROM merge WHERE identity.id IN (party_id, other_id) AND unmerged_at IS NULL)
  AND NOT EXISTS (SELECT FROM registration WHERE identity_id = identity.id AND withdrawn_at IS NULL)
  {"".join(f" AND NOT EXISTS (SELECT FROM {table} WHERE identity_id = identity.id)" for table in FACTS)}
"""

_HOLDERS = """
SELECT identity_id, party_id, party.resolves_to FROM holding JOIN party ON party.id = holding.party_id
WHERE identity_id = ANY($1) AND until_day IS NULL
"""

_VERSION = """
UPDATE {table} SET version = new.version FROM unnest($1::uuid[], $2::bigint[]) AS new(id, version)
WHERE {table}.id = new.id
"""

_GIVE_BACK = """
WITH given AS (
    SELECT identity_id, holding.party_id FROM unnest($1::uuid[], $2::uuid[]) AS told(identity_id, party_id)
    JOIN holding USING (identity_id, party_id) WHERE nth = 0 AND until_day IS NULL
), own AS (
    INSERT INTO party (id, resolves_to, created_at) SELECT identity_id, identity_id, $3 FROM given
    ON CONFLICT DO NOTHING
), freed AS (
    UPDATE identity SET given_back = true FROM given WHERE identity.id = given.identity_id
), back AS (
    UPDATE holding SET party_id = given.identity_id FROM given
    WHERE holding.identity_id = given.identity_id AND nth = 0
)
SELECT identity_id, party_id FROM given
"""
