"""What was told about pairs becomes merges and candidates: decided by one at a time, in steps, in any order."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from uuid import UUID
from zoneinfo import ZoneInfo

from asyncpg import Connection, Record
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.clock import now
from chassis.db import driver
from contracts.customers import Holding
from contracts.identity import Given, Scheme
from services.customers.domain.duplicates import Known, Pair, Rules, Told, likeness, ties
from services.customers.models.duplicates import RulesRow
from services.customers.queries.duplicates import present_rules
from services.customers.queries.settling import settle

STEP = 200
"""Pairs decided in one transaction: what they merge is announced in one event, and its parties are locked."""
COMPARED_AT_ONCE = 1_000


async def decide(session: AsyncSession, zone: ZoneInfo) -> bool:
    """Take one step; whether something was done, so that more may wait.

    Of several who decide at once only one does; the others find nothing to do. What is decided is a function of what
    was told, of the rules and of what people decided, whatever the order in which they came.
    """
    connection = await driver(session)
    if not await connection.fetchval(_ALONE):
        return False
    rules, row = await present_rules(session)
    if await _compare(session, rules):
        return True
    taken = await connection.fetch(_TAKE, STEP)
    if taken:
        await connection.execute(_ALL_PAIRS, [each["one_id"] for each in taken if each["two_id"] is None])
        await _decide_pairs(session, {(one, two) for one, two in taken if two}, rules, zone)
        return True
    return row is not None and await _walk_on(session, row, rules, zone)


async def undecided(connection: "Connection[Record]") -> int:
    """How many pairs wait, identifiers that nobody looked at yet, and pairs that were there when the rules changed."""
    count: int = await connection.fetchval(_UNDECIDED)
    return count


async def _compare(session: AsyncSession, rules: Rules) -> bool:
    """Look at identifiers that nobody looked at yet: what do they resemble?"""
    connection = await driver(session)
    fresh = [_known(row) for row in await connection.fetch(_TO_COMPARE, COMPARED_AT_ONCE)]
    if not fresh:
        return False
    new: defaultdict[str, set[UUID]] = defaultdict(set)
    for known in fresh:
        if key := likeness(known):
            new[key].add(known.id)
    old: defaultdict[str, set[UUID]] = defaultdict(set)
    most = rules.most_claims + 1
    for row in await connection.fetch(_ALIKE, list(new), [known.id for known in fresh], most + 1):
        old[row["key"]].add(row["identity_id"])
    rows = [(identity, key) for key, identities in new.items() for identity in identities]
    await connection.execute(_KEEP_LIKENESS, [identity for identity, _ in rows], [key for _, key in rows])
    pairs: set[Pair] = set()
    for key, identities in new.items():
        if len(old[key] | identities) <= most:
            pairs |= {_pair(one, two) for one in identities for two in (old[key] | identities) - {one}}
        elif len(old[key]) <= most:
            # They resembled each other and are too many now.
            pairs |= set(combinations(sorted(old[key]), 2))
    await connection.execute(_LOOK_AT, *_columns(pairs))
    await connection.execute(_LOOK_AT_SEEN, [known.id for known in fresh])
    return True


async def _walk_on(session: AsyncSession, row: RulesRow, rules: Rules, zone: ZoneInfo) -> bool:
    """Decide some more of the pairs that were there when the rules changed, then of what looks alike."""
    if row.finished_at is not None:
        return False
    connection = await driver(session)
    rows = await connection.fetch(_NEXT_PAIRS, row.after_one, row.after_two, STEP)
    pairs = [(each["one_id"], each["two_id"]) for each in rows]
    if pairs:
        row.after_one, row.after_two = pairs[-1]
        row.pairs_done += len(pairs)
        await _decide_pairs(session, set(pairs), rules, zone)
    elif alike := await connection.fetch(_NEXT_ALIKE, row.after_alike, STEP):
        # What they resemble goes the way of what comes meanwhile: all of it is decided before the next step.
        identities = [each["identity_id"] for each in alike]
        await connection.execute(_ALIKE_PAIRS, identities, rules.most_claims + 1)
        row.after_alike = identities[-1]
    else:
        row.finished_at = now()
    return True


async def _decide_pairs(session: AsyncSession, pairs: set[Pair], rules: Rules, zone: ZoneInfo) -> None:
    if not pairs:
        return
    connection = await driver(session)
    asked = tuple(zip(*sorted(pairs), strict=True))
    identities = sorted({identity for pair in pairs for identity in pair})
    told: defaultdict[Pair, list[Record]] = defaultdict(list)
    for row in await connection.fetch(_TOLD, *asked, zone.key):
        told[row["one_id"], row["two_id"]].append(row)
    known = {row["id"]: _known(row) for row in await connection.fetch(_KNOWN, identities)}
    sides = {pair: (_side(known, told[pair], 0, pair[0]), _side(known, told[pair], 1, pair[1])) for pair in pairs}
    await _keep_seen(session, {pair: sides[pair] for pair in pairs if told[pair]}, pairs)
    claims = await _claims(session, identities, rules)
    crowds = await connection.fetch(_RESEMBLING, identities, rules.most_claims + 1)
    resembling = {row["id"]: row["others"] for row in crowds}
    holdings = await _holdings(session, identities)
    wanted = {
        (*tie.edge, *pair, str(tie.kind), tie.obstacle, tie.score)
        for pair in pairs
        if pair[0] in holdings and pair[1] in holdings
        for tie in ties(
            *sides[pair],
            [Told(row["source"], row["day"]) for row in told[pair]],
            claims,
            resembling,
            holdings,
            rules,
        )
    }
    present = {tuple(row) for row in await connection.fetch(_TIES, *asked)}
    await connection.executemany(_UNTIE, [row[:5] for row in sorted(present - wanted, key=str)])
    await connection.executemany(_TIE, sorted(wanted - present, key=str))
    edges = {(row[0], row[1]) for row in present | wanted}
    await settle(session, edges)


def _pair(one: UUID, two: UUID) -> Pair:
    return (one, two) if one < two else (two, one)


def _columns(pairs: Iterable[Pair]) -> tuple[list[UUID], list[UUID]]:
    ordered = sorted(pairs)
    return [one for one, _ in ordered], [two for _, two in ordered]


def _known(row: Record) -> Known:
    return Known(row["id"], Scheme(row["scheme"]) if row["scheme"] else None, row["system"], row["value"])


def _side(known: Mapping[UUID, Known], told: Sequence[Record], place: int, identity: UUID) -> Known:
    """One of a pair: what is known of it here, else what it was given as."""
    found = known.get(identity, Known(identity))
    given = max((row["given"][place] for row in told if row["given"][place]), default=None)
    return found if found.scheme or given is None else Known(identity, given=Given(given))


async def _keep_seen(session: AsyncSession, seen: Mapping[Pair, tuple[Known, Known]], pairs: set[Pair]) -> None:
    connection = await driver(session)
    await connection.execute(_UNSEEN, *_columns(pairs - seen.keys()))
    rows = [(*pair, seen[pair][0].kind, seen[pair][1].kind) for pair in sorted(seen)]
    if rows:
        await connection.execute(_SEEN, *zip(*rows, strict=True))


async def _claims(session: AsyncSession, identities: Sequence[UUID], rules: Rules) -> dict[UUID, int]:
    """How many identifiers of one kind came with each; where one begins or ends to be shared, its pairs are due."""
    connection = await driver(session)
    claims = {row["id"]: row["claims"] for row in await connection.fetch(_CLAIMS, identities)}
    shared = {identity: count for identity, count in claims.items() if count > rules.most_claims}
    before = {row["identity_id"] for row in await connection.fetch(_SHARED, identities)}
    await connection.execute(_UNSHARE, sorted(before - shared.keys()))
    await connection.execute(_SHARE, list(shared), list(shared.values()), now())
    await connection.execute(_ALL_PAIRS, sorted(before ^ shared.keys()))
    return claims


async def _holdings(session: AsyncSession, identities: Sequence[UUID]) -> dict[UUID, list[Holding]]:
    held: defaultdict[UUID, list[Holding]] = defaultdict(list)
    for row in await (await driver(session)).fetch(_HOLDINGS, identities):
        held[row["identity_id"]].append(Holding(party_id=row["party_id"], from_day=row["from_day"]))
    return dict(held)


_ALONE = "SELECT pg_try_advisory_xact_lock(hashtextextended('customers.duplicates', 0))"

# Until a change of the rules is through at least one: what only looks alike comes behind the pairs, and is not counted.
_UNDECIDED = """
SELECT (SELECT count(*) FROM pair_to_decide)
    + (SELECT count(*) FROM identity WHERE scheme IS NOT NULL AND NOT compared)
    + coalesce((
        SELECT greatest(pairs - pairs_done, 1) FROM duplicate_rules
        WHERE version = (SELECT max(version) FROM duplicate_rules) AND finished_at IS NULL
    ), 0)
"""

_TO_COMPARE = """
UPDATE identity SET compared = true
FROM (
    SELECT id FROM identity WHERE scheme IS NOT NULL AND NOT compared ORDER BY id LIMIT $1
    FOR NO KEY UPDATE SKIP LOCKED
) AS fresh
WHERE identity.id = fresh.id
RETURNING identity.id, scheme, system, value
"""

_KEEP_LIKENESS = """
INSERT INTO likeness (identity_id, key) SELECT * FROM unnest($1::uuid[], $2::text[])
ON CONFLICT (identity_id) DO UPDATE SET key = excluded.key
"""

_ALIKE = """
SELECT key, old.identity_id FROM unnest($1::text[]) AS asked(key)
CROSS JOIN LATERAL (
    SELECT identity_id FROM likeness WHERE likeness.key = asked.key AND identity_id <> ALL($2)
    ORDER BY identity_id LIMIT $3
) AS old
"""

_NEXT_ALIKE = "SELECT identity_id FROM likeness WHERE identity_id > $1 ORDER BY identity_id LIMIT $2"

_ALIKE_PAIRS = """
INSERT INTO pair_to_decide (one_id, two_id)
SELECT mine.identity_id, other.identity_id FROM likeness AS mine
CROSS JOIN LATERAL (
    SELECT array_agg(identity_id) AS identities FROM (
        SELECT identity_id FROM likeness WHERE key = mine.key ORDER BY identity_id LIMIT $2 + 1
    ) AS first_few
) AS alike
CROSS JOIN LATERAL unnest(identities) AS other(identity_id)
WHERE mine.identity_id = ANY($1) AND cardinality(identities) <= $2 AND mine.identity_id < other.identity_id
UNION SELECT one_id, two_id FROM tie WHERE one_id = ANY($1) AND kind <> 'seen_together'
"""

_RESEMBLING = """
SELECT mine.identity_id AS id, (
    SELECT count(*) FROM (
        SELECT FROM likeness WHERE key = mine.key AND identity_id <> mine.identity_id LIMIT $2
    ) AS other
)::int AS others FROM likeness AS mine WHERE mine.identity_id = ANY($1)
"""

_LOOK_AT = "INSERT INTO pair_to_decide (one_id, two_id) SELECT * FROM unnest($1::uuid[], $2::uuid[])"

_LOOK_AT_SEEN = """
INSERT INTO pair_to_decide (one_id) SELECT id FROM unnest($1::uuid[]) AS asked(id)
WHERE EXISTS (SELECT FROM seen_together WHERE one_id = id) OR EXISTS (SELECT FROM seen_together WHERE two_id = id)
"""

_TAKE = """
DELETE FROM pair_to_decide
WHERE id <= (SELECT max(id) FROM (SELECT id FROM pair_to_decide ORDER BY id LIMIT $1) AS first)
RETURNING one_id, two_id
"""

_ALL_PAIRS = """
INSERT INTO pair_to_decide (one_id, two_id)
SELECT DISTINCT one_id, two_id FROM unnest($1::uuid[]) AS asked(id) CROSS JOIN LATERAL (
    SELECT one_id, two_id FROM seen_together WHERE one_id = asked.id
    UNION ALL SELECT one_id, two_id FROM seen_together WHERE two_id = asked.id
    UNION ALL SELECT one_id, two_id FROM tie WHERE one_id = asked.id
    UNION ALL SELECT one_id, two_id FROM tie WHERE two_id = asked.id
) AS pair
"""

_NEXT_PAIRS = """
SELECT one_id, two_id FROM seen_together WHERE (one_id, two_id) > ($1, $2) ORDER BY one_id, two_id LIMIT $3
"""

_TOLD = """
SELECT one_id, two_id, source, (occurred_at AT TIME ZONE $3)::date AS day,
    ARRAY[max(one_given), max(two_given)] AS given
FROM unnest($1::uuid[], $2::uuid[]) AS asked(one_id, two_id) JOIN pair_told USING (one_id, two_id)
WHERE withdrawn_at IS NULL
GROUP BY one_id, two_id, source, day
"""

_KNOWN = "SELECT id, scheme, system, value FROM identity WHERE id = ANY($1)"

_UNSEEN = """
DELETE FROM seen_together USING unnest($1::uuid[], $2::uuid[]) AS gone(one_id, two_id)
WHERE seen_together.one_id = gone.one_id AND seen_together.two_id = gone.two_id
"""

_SEEN = """
INSERT INTO seen_together (one_id, two_id, one_kind, two_kind)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[])
ON CONFLICT (one_id, two_id) DO UPDATE SET one_kind = excluded.one_kind, two_kind = excluded.two_kind
WHERE (seen_together.one_kind, seen_together.two_kind) <> (excluded.one_kind, excluded.two_kind)
"""

_CLAIMS = """
SELECT id, max(partners)::int AS claims FROM (
    SELECT asked.id, kind, count(*) AS partners FROM unnest($1::uuid[]) AS asked(id) CROSS JOIN LATERAL (
        SELECT two_kind AS kind FROM seen_together WHERE one_id = asked.id
        UNION ALL SELECT one_kind FROM seen_together WHERE two_id = asked.id
    ) AS partner GROUP BY asked.id, kind
) AS counted GROUP BY id
"""

_SHARED = "SELECT identity_id FROM shared_identity WHERE identity_id = ANY($1)"

_UNSHARE = "DELETE FROM shared_identity WHERE identity_id = ANY($1)"

_SHARE = """
INSERT INTO shared_identity (identity_id, claims, since) SELECT *, $3 FROM unnest($1::uuid[], $2::int[])
ON CONFLICT (identity_id) DO UPDATE SET claims = excluded.claims
"""

_HOLDINGS = "SELECT identity_id, party_id, from_day FROM holding WHERE identity_id = ANY($1) ORDER BY identity_id, nth"

_TIES = """
SELECT party_id, other_id, one_id, two_id, kind, obstacle, score
FROM unnest($1::uuid[], $2::uuid[]) AS asked(one_id, two_id) JOIN tie USING (one_id, two_id)
"""

_UNTIE = """
DELETE FROM tie WHERE party_id = $1 AND other_id = $2 AND one_id = $3 AND two_id = $4 AND kind = $5
"""

_TIE = """
INSERT INTO tie (party_id, other_id, one_id, two_id, kind, obstacle, score) VALUES ($1, $2, $3, $4, $5, $6, $7)
"""
