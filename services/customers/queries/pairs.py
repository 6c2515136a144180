"""Pairs of identities that were seen together: told with their evidence, and looked at again when that changes.

What is told is only written down here. `services.customers.queries.deciding.decide` makes something of it, one at a
time, so that nobody who tells waits for it, and no order of telling matters.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import combinations
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.clock import now
from chassis.db import driver
from contracts.identity import Given


@dataclass(frozen=True, slots=True)
class Evidence:
    """Who told something, when it happened and under which id it can be taken back."""

    fact_id: UUID
    """An event, an import, or what was told itself. The same pair under the same id is one evidence."""
    service: str
    what: str
    """Such as `lead_captured`."""
    occurred_at: datetime
    source: str | None = None
    """The system that it came from; none where it was told to customers itself."""


@dataclass(frozen=True, slots=True)
class Together:
    """Identities that came together."""

    identities: Sequence[UUID]
    evidence: Evidence
    given: Sequence[Given] = field(default=())
    """What each of them is, where not more is known here."""


async def see(session: AsyncSession, told: Iterable[Together]) -> None:
    """Write down each pair of what came together, without facts that were taken back. The identities are known."""
    rows = {}
    for together in told:
        given = dict(zip(together.identities, together.given, strict=False))
        for one, two in combinations(sorted(set(together.identities)), 2):
            fact = together.evidence
            rows[one, two, fact.fact_id] = (
                *(one, two, fact.fact_id, fact.service, fact.what, fact.source),
                *(given.get(one), given.get(two), fact.occurred_at),
            )
    if rows:
        await (await driver(session)).execute(_SEE, *zip(*(rows[key] for key in sorted(rows)), strict=True), now())


async def unsee(session: AsyncSession, facts: Iterable[UUID]) -> None:
    """Take back what facts, imports for example, said about who came together, also where they say it later."""
    if taken_back := list(facts):
        await (await driver(session)).execute(_UNSEE, taken_back, now())


async def look_again(session: AsyncSession, identity_id: UUID) -> None:
    """Have all pairs of an identity decided anew: its holders became others, or it became known what it is."""
    await (await driver(session)).execute("INSERT INTO pair_to_decide (one_id) VALUES ($1)", identity_id)


_SEE = """
WITH told AS (
    INSERT INTO pair_told
        (one_id, two_id, fact_id, service, what, source, one_given, two_given, occurred_at, told_at)
    SELECT one_id, two_id, fact_id, service, what, source, one_given, two_given, occurred_at, $10
    FROM unnest(
        $1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
        $9::timestamptz[]
    ) AS new(one_id, two_id, fact_id, service, what, source, one_given, two_given, occurred_at)
    WHERE NOT EXISTS (SELECT FROM fact_taken_back WHERE fact_taken_back.fact_id = new.fact_id)
    ORDER BY one_id, two_id, fact_id
    ON CONFLICT (one_id, two_id, fact_id) DO NOTHING
    RETURNING one_id, two_id
)
INSERT INTO pair_to_decide (one_id, two_id) SELECT DISTINCT one_id, two_id FROM told
"""

_UNSEE = """
WITH remembered AS (
    INSERT INTO fact_taken_back (fact_id) SELECT DISTINCT fact_id FROM unnest($1::uuid[]) AS taken(fact_id)
    ORDER BY fact_id ON CONFLICT DO NOTHING
),
taken AS (
    UPDATE pair_told SET withdrawn_at = $2 WHERE fact_id = ANY($1) AND withdrawn_at IS NULL RETURNING one_id, two_id
)
INSERT INTO pair_to_decide (one_id, two_id) SELECT DISTINCT one_id, two_id FROM taken
"""
