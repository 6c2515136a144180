"""Who is known, and as what: everything that tells of it is kept, until what told it is undone.

Of each identity the earliest telling that stands has a fact, and the earliest one that speaks of an organisation. So
it is known from the same day on, whichever telling came first and whichever was taken back.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from asyncpg import Record
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import outbox
from chassis.clock import now
from chassis.db import driver
from chassis.ids import uuid7
from contracts.customers import PartyKind, PartyRegistered
from services.customers.domain.registrations import Before
from services.customers.queries.assignments import assignments_of
from services.customers.queries.facts import withdrawn
from services.customers.queries.lateness import published_late


class Telling(NamedTuple):
    """That a party is known, as an import or a person says."""

    party_id: UUID
    """As named."""
    subject: UUID
    told: Sequence[UUID]
    """The identities of the party that were named."""
    given: Sequence[UUID]
    """Those of them that it got by this."""
    kind: PartyKind
    occurred_at: datetime

    def says(self, other: "Telling") -> bool:
        """Whether another one of the same party has nothing to add."""
        return (
            set(self.told) >= set(other.told)
            and not other.given
            and self.occurred_at <= other.occurred_at
            and other.kind in (PartyKind.PERSON, self.kind)
        )


async def lock(session: AsyncSession, identities: Iterable[UUID]) -> None:
    """Have nobody else tell of these identities, or take that back. Parties are locked before, never after."""
    await (await driver(session)).execute(_LOCK, list(identities))


async def told_before(session: AsyncSession, parties: Iterable[UUID], identities: Iterable[UUID]) -> Before:
    """What tells of parties as named, and of locked identities."""
    connection = await driver(session)
    parties = {row["party_id"] for row in await connection.fetch(_KNOWN, list(parties))}
    rows = await connection.fetch(_TOLD_OF, list(identities))
    subjects = {row["identity_id"] for row in rows if row["stands"]}
    return Before(parties, subjects, {row["identity_id"] for row in rows} - subjects)


async def tell(session: AsyncSession, tellings: Sequence[Telling], import_id: UUID | None = None) -> None:
    """Keep what an import or, without one, a person says of locked identities, unless the same said it already.

    The parties that become organisations by it are locked, too.
    """
    connection = await driver(session)
    said: defaultdict[UUID, list[Telling]] = defaultdict(list)
    for row in await connection.fetch(_SAID, import_id, list({telling.party_id for telling in tellings})):
        said[row["party_id"]].append(Telling(**row))
    kept = []
    for telling in tellings:
        of_party = said[telling.party_id]
        if not any(there.says(telling) for there in of_party):
            of_party.append(telling)
            kept.append(telling)
    await connection.executemany(_TELL, [(uuid7(), import_id, *telling) for telling in kept])
    await connection.execute(_KINDS, [told.party_id for told in kept if told.kind is PartyKind.ORGANISATION])
    await _announce(session, {telling.subject for telling in kept})


async def _announce(session: AsyncSession, subjects: Iterable[UUID]) -> None:
    """Publish what has to have a fact and has none."""
    connection = await driver(session)
    due = await connection.fetch(_DUE, list(subjects))
    if not due:
        return
    assignments = await assignments_of(session, list({row["identity_id"] for row in due}))
    facts = [uuid7() for _ in due]
    outbox.append(
        session,
        *(
            PartyRegistered(
                subject=row["identity_id"],
                occurred_at=row["occurred_at"],
                kind=PartyKind(row["kind"]),
                assignment=assignments.get(row["identity_id"]),
            )
            for row in due
        ),
        event_ids=facts,
    )
    await connection.execute(_PUBLISHED, [row["id"] for row in due], facts)


async def tellings_to_take_back(session: AsyncSession, import_id: UUID, limit: int) -> list[Record]:
    """What an import tells still: up to `limit` of it."""
    return await (await driver(session)).fetch(_TO_TAKE_BACK, import_id, limit)


async def take_back(session: AsyncSession, tellings: Sequence[Record]) -> Mapping[UUID, UUID]:
    """Take back what was told of locked parties and identities: withdraw facts, and publish those now due.

    Returns the identities that nothing that stands gives to their party: identity to party. What another telling names
    together with its party, that one has given from now on.
    """
    connection = await driver(session)
    ids = [row["id"] for row in tellings]
    await connection.execute(_TAKE_BACK, ids, now())
    given = [(identity, row["party_id"]) for row in tellings for identity in row["given"]]
    passed_on = await connection.fetch(_PASS_ON, *map(list, zip(*given, strict=True))) if given else []
    kept = {(row["identity_id"], row["party_id"]) for row in passed_on}
    await _announce(session, {row["identity_id"] for row in tellings})
    facts = [(row["identity_id"], row["fact_id"], row["occurred_at"]) for row in tellings if row["fact_id"]]
    assignments = await assignments_of(session, list({subject for subject, *_ in facts}))
    gone = (withdrawn(subject, id, assignments, published_late(id, occurred_at)) for subject, id, occurred_at in facts)
    outbox.append(session, *gone)
    return {identity: party_id for identity, party_id in given if (identity, party_id) not in kept}


async def settle_kinds(session: AsyncSession, parties: Iterable[UUID]) -> None:
    """Have locked parties be what is told of them: organisations, where anything that stands says so."""
    await (await driver(session)).execute(_KINDS, list(parties))


_LOCK = "SELECT FROM identity WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE"

_KNOWN = """
SELECT DISTINCT holding.party_id FROM holding JOIN registration USING (identity_id)
WHERE holding.party_id = ANY($1) AND until_day IS NULL AND withdrawn_at IS NULL
"""

_TOLD_OF = """
SELECT identity_id, bool_or(withdrawn_at IS NULL) AS stands FROM registration WHERE identity_id = ANY($1)
GROUP BY identity_id
"""

_SAID = """
SELECT registration.party_id, identity_id AS subject, told, given, kind, occurred_at
FROM registration JOIN holding USING (identity_id, party_id)
WHERE import_id IS NOT DISTINCT FROM $1 AND registration.party_id = ANY($2) AND withdrawn_at IS NULL
    AND until_day IS NULL
"""

_TELL = """
INSERT INTO registration (id, import_id, party_id, identity_id, told, given, kind, occurred_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""

_KINDS = """
UPDATE party SET kind = said.kind
FROM (
    SELECT id, CASE WHEN EXISTS (
        SELECT FROM holding JOIN registration USING (identity_id)
        WHERE holding.party_id = asked.id AND until_day IS NULL AND withdrawn_at IS NULL AND kind = 'organisation'
    ) THEN 'organisation' ELSE 'person' END AS kind
    FROM unnest($1::uuid[]) AS asked(id)
) AS said
WHERE party.id = said.id AND party.kind <> said.kind
"""

_DUE = """
WITH standing AS (
    SELECT id, identity_id, kind, occurred_at, fact_id FROM registration
    WHERE identity_id = ANY($1) AND withdrawn_at IS NULL
), earliest AS (
    SELECT DISTINCT ON (identity_id) * FROM standing ORDER BY identity_id, occurred_at, fact_id, id
), organisation AS (
    SELECT DISTINCT ON (identity_id) * FROM standing WHERE kind = 'organisation'
    ORDER BY identity_id, occurred_at, fact_id, id
)
SELECT id, identity_id, kind, occurred_at FROM (TABLE earliest UNION TABLE organisation) AS due
WHERE fact_id IS NULL ORDER BY id
"""

_PUBLISHED = """
UPDATE registration SET fact_id = published.fact_id
FROM unnest($1::uuid[], $2::uuid[]) AS published(id, fact_id) WHERE registration.id = published.id
"""

_TO_TAKE_BACK = """
SELECT registration.id, registration.party_id, identity_id, given, kind, occurred_at, fact_id,
    holding.party_id AS held_by
FROM registration LEFT JOIN holding USING (identity_id)
WHERE import_id = $1 AND withdrawn_at IS NULL AND until_day IS NULL ORDER BY registration.id LIMIT $2
"""

_TAKE_BACK = "UPDATE registration SET withdrawn_at = $2 WHERE id = ANY($1)"

_PASS_ON = """
WITH heir AS (
    SELECT DISTINCT ON (given.identity_id, registration.party_id) registration.id, given.identity_id,
        registration.party_id
    FROM unnest($1::uuid[], $2::uuid[]) AS given(identity_id, party_id)
    JOIN registration ON registration.party_id = given.party_id AND given.identity_id = ANY(told)
        AND registration.identity_id <> given.identity_id
    WHERE withdrawn_at IS NULL
    ORDER BY given.identity_id, registration.party_id, import_id IS NOT NULL, registration.id
), had AS (
    UPDATE registration SET given = given || inherited.identities
    FROM (SELECT id, array_agg(identity_id) AS identities FROM heir GROUP BY id) AS inherited
    WHERE registration.id = inherited.id
)
SELECT identity_id, party_id FROM heir
"""
