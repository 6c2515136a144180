"""Possible duplicates: the rules in force, the queue and what people decide in it, identifiers that are shared."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from uuid import UUID

from asyncpg import Record
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import select

from chassis.auth import limited
from chassis.clock import now
from chassis.db import driver
from services.customers.domain.duplicates import AlreadyDecided, CandidateNotFound, CandidateStatus, Rules
from services.customers.models.duplicates import (
    Candidate,
    Evidence,
    NamedIdentifier,
    RulesRow,
    SharedIdentifier,
    Telling,
)
from services.customers.queries.assignments import parties_to_change
from services.customers.queries.merges import merge, tell_apart
from services.customers.queries.reach import CARED_FOR, check_reach

LAST = UUID(int=2**128 - 1)
BEFORE_ALL = 101, LAST
"""The place in the queue before the likeliest."""
FEW = 3
"""Identifiers of a party that the queue shows."""
MOST = 2**31 - 1, LAST
"""The place before the most claimed identifier."""


async def present_rules(session: AsyncSession) -> tuple[Rules, RulesRow | None]:
    """The rules in force, and their version where anybody ever changed them."""
    statement = select(RulesRow).order_by(RulesRow.version.desc()).limit(1)  # type: ignore[attr-defined]
    row = (await session.scalars(statement.execution_options(populate_existing=True))).first()
    return (Rules() if row is None else Rules.model_validate(row.rules)), row


async def rules_to_change(session: AsyncSession) -> tuple[Rules, RulesRow | None]:
    """The rules in force, which nobody else changes until the transaction ends."""
    await (await driver(session)).execute(_RULES_LOCK)
    return await present_rules(session)


async def activate(session: AsyncSession, rules: Rules, version: int, actor: str) -> RulesRow:
    """Have other rules from now on. All pairs that are there are decided anew by them, bit by bit."""
    pairs = await (await driver(session)).fetchval("SELECT count(*) FROM seen_together")
    row = RulesRow(
        version=version,
        content_hash=rules.content_hash,
        rules=rules.model_dump(mode="json"),
        activated_at=now(),
        activated_by=actor,
        pairs=pairs,
    )
    session.add(row)
    await session.flush()
    return row


async def pairs_waiting(session: AsyncSession) -> int:
    """How many pairs are to be decided."""
    count: int = await (await driver(session)).fetchval("SELECT count(*) FROM pair_to_decide")
    return count


async def candidates(
    session: AsyncSession,
    *,
    status: CandidateStatus,
    min_score: int,
    party_id: UUID | None,
    after: tuple[int, UUID],
    limit: int,
) -> list[Candidate]:
    """Possible duplicates, the likeliest first. Open ones whose parties became one otherwise are left out."""
    of_party = _CANDIDATES_OF if party_id else ""
    asked = (status, min_score, *after, limit, *([party_id] if party_id else []))
    if asking := limited(session):
        of_party += _REACHED.format(care=CARED_FOR.format(f"${len(asked) + 1}", f"${len(asked) + 2}"))
        asked += asking.caller.care
    rows = await (await driver(session)).fetch(_CANDIDATES.format(of_party=of_party), *asked)
    return [Candidate.model_validate(dict(row)) for row in rows]


async def known_by(session: AsyncSession, parties: Collection[UUID]) -> Mapping[UUID, list[NamedIdentifier]]:
    """The first few identifiers that parties, as named, hold now; those that tell a person most come first."""
    found: defaultdict[UUID, list[NamedIdentifier]] = defaultdict(list)
    for row in await (await driver(session)).fetch(_KNOWN_BY, list(parties), FEW):
        found[row["party_id"]].append(NamedIdentifier.model_validate(dict(row)))
    return found


async def candidate(session: AsyncSession, candidate_id: UUID) -> Candidate:
    """A possible duplicate. Raises `CandidateNotFound`."""
    row = await (await driver(session)).fetchrow("SELECT * FROM candidate WHERE id = $1", candidate_id)
    missing = CandidateNotFound("There is no such possible duplicate.")
    if row is None:
        raise missing
    await check_reach(session, [row["party_id"], row["other_id"]], missing)
    return Candidate.model_validate(dict(row))


async def accept(session: AsyncSession, candidate_id: UUID, note: str | None, actor: str) -> Candidate:
    """Merge both parties. Accepted again it changes nothing. Raises `AlreadyDecided` for a dismissed one."""
    found = await _to_decide(session, candidate_id, CandidateStatus.ACCEPTED)
    if found.status is CandidateStatus.OPEN:
        await merge(session, found.party_id, found.other_id, by=actor)
        await _decided(session, found, CandidateStatus.ACCEPTED, note, actor)
    return await candidate(session, candidate_id)


async def dismiss(session: AsyncSession, candidate_id: UUID, note: str, actor: str) -> Candidate:
    """Tell both parties apart, until evidence of another kind comes. Raises `AlreadyDecided` for an accepted one."""
    found = await _to_decide(session, candidate_id, CandidateStatus.DISMISSED)
    if found.status is CandidateStatus.OPEN:
        await tell_apart(session, found.party_id, found.other_id, actor)
        await _decided(session, found, CandidateStatus.DISMISSED, note, actor)
    return await candidate(session, candidate_id)


async def _to_decide(session: AsyncSession, candidate_id: UUID, to: CandidateStatus) -> Candidate:
    found = await candidate(session, candidate_id)
    await parties_to_change(session, found.party_id, found.other_id)
    # Behind the locks: somebody else may have decided.
    found = await candidate(session, candidate_id)
    if found.status not in (CandidateStatus.OPEN, to):
        way_out = "merge or unmerge its parties to decide otherwise"
        raise AlreadyDecided(f"It was {found.status} before; {way_out}.", decided=str(found.status))
    return found


async def _decided(
    session: AsyncSession, found: Candidate, status: CandidateStatus, note: str | None, actor: str
) -> None:
    await (await driver(session)).execute(_DECIDED, found.id, status, now(), actor, note)


async def evidence(session: AsyncSession, found: Candidate) -> list[Evidence]:
    """What speaks for a candidate, the strongest first, with those who told it."""
    connection = await driver(session)
    rows = await connection.fetch(_EVIDENCE, found.party_id, found.other_id)
    told: defaultdict[tuple[UUID, UUID], list[Telling]] = defaultdict(list)
    ones, twos = [row["one_id"] for row in rows], [row["two_id"] for row in rows]
    for row in await connection.fetch(_TELLINGS, ones, twos):
        told[row["one_id"], row["two_id"]].append(Telling.model_validate(dict(row)))
    return [
        Evidence(
            kind=row["kind"],
            one=_named(row, "one"),
            other=_named(row, "two"),
            obstacle=row["obstacle"],
            score=row["score"],
            told=told[row["one_id"], row["two_id"]],
        )
        for row in rows
    ]


def _named(row: Record, side: str) -> NamedIdentifier:
    return NamedIdentifier(
        identity_id=row[f"{side}_id"],
        scheme=row[f"{side}_scheme"],
        system=row[f"{side}_system"],
        value=row[f"{side}_value"],
    )


async def shared_identifiers(session: AsyncSession, *, after: tuple[int, UUID], limit: int) -> list[SharedIdentifier]:
    """Identifiers that merge nobody since too many came with them, the most claimed first."""
    rows = await (await driver(session)).fetch(_SHARED, *after, limit)
    return [SharedIdentifier.model_validate(dict(row)) for row in rows]


_RULES_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('customers.duplicate_rules', 0))"

_KNOWN_BY = """
SELECT party_id, identity_id, scheme, system, value FROM (
    SELECT party_id, identity_id, scheme, system, value, row_number() OVER (
        PARTITION BY party_id ORDER BY array_position('{email,phone,external}', scheme), assigned_at, identity_id
    ) AS place
    FROM holding JOIN identity ON identity.id = identity_id
    WHERE party_id = ANY($1) AND until_day IS NULL AND scheme IS NOT NULL
) AS held
WHERE place <= $2 ORDER BY party_id, place
"""

_CANDIDATES = """
SELECT candidate.* FROM candidate
JOIN party AS one ON one.id = candidate.party_id JOIN party AS other ON other.id = candidate.other_id
WHERE candidate.status = $1 AND score >= $2
  AND ($1 <> 'open' OR one.resolves_to <> other.resolves_to)
  AND (score, candidate.id) < ($3, $4) {of_party}
ORDER BY score DESC, candidate.id DESC LIMIT $5
"""

_REACHED = """
AND (SELECT count(*) FROM party_owner WHERE party_id IN (one.resolves_to, other.resolves_to) AND {care})
    = CASE WHEN one.resolves_to = other.resolves_to THEN 1 ELSE 2 END
"""

_CANDIDATES_OF = """
AND candidate.id IN (
    WITH top AS (SELECT resolves_to AS id FROM party WHERE id = $6),
    member AS (
        SELECT id FROM top UNION ALL SELECT party.id FROM party JOIN top ON resolves_to = top.id AND party.id <> top.id
    )
    SELECT id FROM candidate WHERE party_id IN (SELECT id FROM member)
    UNION ALL SELECT id FROM candidate WHERE other_id IN (SELECT id FROM member)
)
"""

_DECIDED = """
UPDATE candidate SET status = $2, decided_at = $3, decided_by = $4, note = $5, decided_kinds = kinds WHERE id = $1
"""

_EVIDENCE = """
SELECT tie.kind, one_id, two_id, obstacle, score, one.scheme AS one_scheme, one.system AS one_system,
    one.value AS one_value, two.scheme AS two_scheme, two.system AS two_system, two.value AS two_value
FROM tie LEFT JOIN identity AS one ON one.id = one_id LEFT JOIN identity AS two ON two.id = two_id
WHERE party_id = $1 AND other_id = $2
ORDER BY score DESC, one_id, two_id, kind LIMIT 100
"""

_TELLINGS = """
SELECT one_id, two_id, service, what, source, count(*) AS times, min(occurred_at) AS first_at,
    max(occurred_at) AS last_at
FROM unnest($1::uuid[], $2::uuid[]) AS asked(one_id, two_id) JOIN pair_told USING (one_id, two_id)
WHERE withdrawn_at IS NULL
GROUP BY one_id, two_id, service, what, source ORDER BY first_at, service, what
"""

_SHARED = """
SELECT shared.identity_id, claims, since, scheme, system, value, party.resolves_to AS party_id
FROM shared_identity AS shared
LEFT JOIN identity ON identity.id = shared.identity_id
LEFT JOIN holding ON holding.identity_id = shared.identity_id AND until_day IS NULL
LEFT JOIN party ON party.id = holding.party_id
WHERE (claims, shared.identity_id) < ($1, $2)
ORDER BY claims DESC, shared.identity_id DESC LIMIT $3
"""
