"""Whose an identity is: read for facts, and changed under the locks of all parties concerned."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from asyncpg import Record
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import outbox
from chassis.clock import now
from chassis.db import driver
from contracts.customers import Assignment, Holding, IdentitiesAssigned, Resolution
from contracts.identity import PartyNotFound
from services.customers.domain.assignments import resolved, survivors
from services.customers.queries.owners import follow, take_over


@dataclass(frozen=True, slots=True)
class Connected:
    """Whole components of merged parties, locked until the transaction ends."""

    resolves_to: Mapping[UUID, UUID]
    versions: Mapping[UUID, int]

    @property
    def version(self) -> int:
        """The highest version among them; it rises with every change."""
        return max(self.versions.values())

    def version_of(self, party_id: UUID) -> int:
        """The highest version of what is merged with a party of these."""
        return max(self.versions[party] for party in self.together(party_id))

    def survivor(self, party_id: UUID) -> UUID:
        """Where a party of these leads."""
        return self.resolves_to[party_id]

    def together(self, party_id: UUID) -> frozenset[UUID]:
        """What is merged with a party of these, itself included."""
        top = self.resolves_to[party_id]
        return frozenset(party for party, leads_to in self.resolves_to.items() if leads_to == top)


async def parties_to_change(session: AsyncSession, *named: UUID) -> Connected:
    """The parties and all that they are merged with, locked in id order.

    What is connected may grow until the locks are held; then all are given back and taken anew, so that the order
    holds. Raises `PartyNotFound`.
    """
    connection = await driver(session)
    guess = await connection.fetch(_CONNECTED, named)
    while True:
        if missing := set(named) - {row["id"] for row in guess}:
            raise PartyNotFound("There is no such party.", party_id=f"party_{min(missing).hex}")
        # Not the session's own savepoint: it would wait for a statement that does not come through the driver.
        attempt = await (await session.connection()).begin_nested()
        await connection.execute(_LOCK_PARTIES, [row["id"] for row in guess])
        found = await connection.fetch(_CONNECTED, named)
        if {row["id"] for row in found} <= {row["id"] for row in guess}:
            await attempt.commit()
            return Connected(
                {row["id"]: row["resolves_to"] for row in found}, {row["id"]: row["version"] for row in found}
            )
        await attempt.rollback()
        guess = found


async def reassign(
    session: AsyncSession, connected: Connected, given: Iterable[UUID] = (), *, by_people: bool = True
) -> None:
    """Resolve locked parties anew after their merges changed, or the holdings of the identities `given`.

    An owner that is taken over stays where people merged, and goes with the merge where it came by itself.
    Announces in one event what became of every identity and party whose resolution changed.
    """
    connection = await driver(session)
    edges = await connection.fetch(_EDGES, list(connected.resolves_to))
    tops = survivors((edge["party_id"], edge["other_id"]) for edge in edges)
    moved = {
        party: tops.get(party, party)
        for party, leads_to in connected.resolves_to.items()
        if tops.get(party, party) != leads_to
    }
    touched = await connection.fetch(LOCK_IDENTITIES, sorted(moved), sorted(given))
    if not moved and not touched:
        return
    # After the locks: whoever held them before took a lower one.
    version: int = await connection.fetchval("SELECT nextval('assignment_version')")
    resolves_to = dict(connected.resolves_to) | moved
    await connection.execute(_RESOLVE, list(resolves_to), list(resolves_to.values()), version)
    await connection.execute(_VERSION, [row["id"] for row in touched], version)
    assignments = await assignments_of(session, [row["id"] for row in touched])
    outbox.append(
        session,
        IdentitiesAssigned(
            subject=min(resolves_to.values()),
            occurred_at=now(),
            assignments=tuple(assignments[identity] for identity in sorted(assignments)),
            resolutions=tuple(
                Resolution(party_id=party, version=version, resolves_to=moved[party]) for party in sorted(moved)
            ),
        ),
    )
    if moved and by_people:
        await take_over(session, moved, connected.resolves_to)
    if moved:
        await follow(session, resolves_to)


async def assignments_of(session: AsyncSession, identities: Sequence[UUID]) -> dict[UUID, Assignment]:
    """The assignments of those identities that were ever assigned; every other one is its own party.

    One statement: holders, redirects and version belong together.
    """
    rows = await (await driver(session)).fetch(_ASSIGNMENTS, identities)
    held: dict[UUID, list[Record]] = {}
    for row in rows:
        held.setdefault(row["id"], []).append(row)
    return {
        identity: Assignment(
            identity_id=identity,
            version=holdings[0]["version"],
            holdings=resolved(
                [Holding(party_id=row["party_id"], from_day=row["from_day"]) for row in holdings],
                {row["party_id"]: row["resolves_to"] for row in holdings},
            ),
        )
        for identity, holdings in held.items()
    }


MADE_ONE_BY_PEOPLE = """
    SELECT id, id AS alike_id FROM {asked}
    UNION
    SELECT alike.id, next.id FROM alike CROSS JOIN LATERAL (
        SELECT other_id AS id FROM merge WHERE party_id = alike_id AND kind = 'person' AND unmerged_at IS NULL
        UNION ALL SELECT party_id FROM merge WHERE other_id = alike_id AND kind = 'person' AND unmerged_at IS NULL
    ) AS next
"""
"""Recursive, as `alike`: each of those asked beside all whom people made one with it, itself included."""

_CONNECTED = """
WITH top AS (SELECT DISTINCT resolves_to AS id FROM party WHERE id = ANY($1))
SELECT party.id, resolves_to, version FROM party JOIN top ON party.id = top.id
UNION ALL
SELECT party.id, resolves_to, version FROM party JOIN top ON resolves_to = top.id AND resolves_to <> party.id
ORDER BY id
"""

_LOCK_PARTIES = "SELECT FROM party WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE"

_EDGES = "SELECT party_id, other_id FROM merge WHERE party_id = ANY($1) AND unmerged_at IS NULL"

# Of both in one list: an OR of the two would be asked of every identity there is.
LOCK_IDENTITIES = """
SELECT id FROM identity
WHERE id IN (SELECT identity_id FROM holding WHERE party_id = ANY($1) UNION SELECT unnest($2::uuid[]))
ORDER BY id FOR NO KEY UPDATE
"""

_RESOLVE = """
UPDATE party SET resolves_to = new.resolves_to, version = $3
FROM unnest($1::uuid[], $2::uuid[]) AS new(id, resolves_to) WHERE party.id = new.id
"""

_VERSION = "UPDATE identity SET version = $2 WHERE id = ANY($1)"

_ASSIGNMENTS = """
SELECT identity.id, identity.version, holding.party_id, holding.from_day, party.resolves_to
FROM identity
JOIN holding ON holding.identity_id = identity.id
JOIN party ON party.id = holding.party_id
WHERE identity.id = ANY($1) AND identity.version > 0
ORDER BY identity.id, holding.nth
"""
