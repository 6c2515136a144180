"""Merges: edges between parties as named, made and taken out in any order."""

from collections.abc import Iterable
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.auth import limited
from chassis.clock import now
from chassis.db import driver
from chassis.ids import uuid7
from services.customers.domain.assignments import MergeNotFound, edge
from services.customers.domain.duplicates import Edge
from services.customers.models.parties import Merge, MergeKind
from services.customers.queries.assignments import MADE_ONE_BY_PEOPLE, parties_to_change, reassign
from services.customers.queries.reach import CARED_FOR, check_reach


async def merge(session: AsyncSession, one: UUID, other: UUID, *, by: str | None = None) -> tuple[Merge, bool]:
    """The merge of two parties that a person decided on, and whether it was made now.

    It stands beside an automatic one, and stays when that is taken back. Raises `MergeWithItself`, `PartyNotFound`.
    """
    pair = edge(one, other)
    connected = await parties_to_change(session, *pair)
    merge_id, fresh = await join(session, pair, by=by)
    if fresh:
        await reassign(session, connected)
    return await merge_named(session, merge_id), fresh


async def join(session: AsyncSession, pair: Edge, *, by: str | None = None) -> tuple[UUID, bool]:
    """Write down that two locked parties are one, and whether that is new; reassigned they are by the caller."""
    connection = await driver(session)
    merge_id: UUID | None = await connection.fetchval(_MERGE, uuid7(), *pair, now(), by)
    if merge_id is None:
        active: UUID = await connection.fetchval(_ACTIVE, *pair)
        return active, False
    # While it still says that they are two: whom else that kept apart is to be decided anew.
    await connection.execute(_LOOK_AGAIN, *pair)
    await connection.execute("DELETE FROM told_apart WHERE party_id = $1 AND other_id = $2", *pair)
    await connection.execute(_ACCEPTED, *pair, now(), by)
    return merge_id, True


async def unmerge(session: AsyncSession, party_id: UUID, merge_id: UUID, *, by: str | None = None) -> Merge:
    """Take out one merge of a party, or of those it is merged with. Once taken out it stays so.

    Where a person does it, or the merge was automatic, both parties are told apart: no merge between them stays, and
    none is made again by itself.
    """
    connection = await driver(session)
    pair = await connection.fetchrow("SELECT party_id, other_id, kind FROM merge WHERE id = $1", merge_id)
    if pair is None:
        raise MergeNotFound("This party has no such merge.")
    connected = await parties_to_change(session, party_id, pair["party_id"], pair["other_id"])
    # It may be one that a hand-over parted already: then either side may be the one that the party is merged with.
    if connected.together(party_id).isdisjoint(pair[:2]):
        raise MergeNotFound("This party has no such merge.")
    if await part(session, merge_id, by=by):
        await reassign(session, connected)
    return await merge_named(session, merge_id)


async def part(session: AsyncSession, merge_id: UUID, *, by: str | None = None) -> bool:
    """Take out a merge of locked parties, and whether that is new; reassigned they are by the caller."""
    connection = await driver(session)
    pair = await connection.fetchrow(_UNMERGE, merge_id, now(), by)
    if pair is None:
        return False
    if by is not None or pair["kind"] == MergeKind.AUTOMATIC:
        await _apart(session, pair["party_id"], pair["other_id"], by)
    else:
        await connection.execute(_OPEN_AGAIN, pair["party_id"], pair["other_id"])
        await connection.execute(_LOOK_AGAIN, pair["party_id"], pair["other_id"])
    return True


async def tell_apart(session: AsyncSession, one: UUID, other: UUID, by: str) -> None:
    """Say that two parties are two: no merge between them stays, and none is made by itself."""
    pair = edge(one, other)
    connected = await parties_to_change(session, *pair)
    await _apart(session, *pair, by)
    await reassign(session, connected)


async def keep_apart(session: AsyncSession, edges: Iterable[Edge], by: str | None) -> None:
    """Say of parties that no person made one that each two are two; what merged them by itself goes when it is decided.

    What somebody said before stays.
    """
    connection = await driver(session)
    ordered = sorted(edges)
    await connection.executemany(_KEPT_APART, [(*pair, now(), by) for pair in ordered])
    await connection.executemany(_LOOK_AGAIN, ordered)


async def _apart(session: AsyncSession, one: UUID, other: UUID, by: str | None) -> None:
    connection = await driver(session)
    await connection.execute(_APART, one, other, now(), by)
    await connection.execute(_UNMERGE_ALL, one, other, now(), by)
    await connection.execute(_DISMISSED, one, other, now(), by)
    await connection.execute(_LOOK_AGAIN, one, other)


async def merge_named(session: AsyncSession, merge_id: UUID) -> Merge:
    """A merge by its id. Raises `MergeNotFound`."""
    row = await (await driver(session)).fetchrow(f"{_SHOWN} WHERE merge.id = $1", merge_id)
    if row is None:
        raise MergeNotFound("There is no such merge.")
    await check_reach(session, [row["party_id"], row["other_id"]], MergeNotFound("There is no such merge."))
    return Merge.model_validate(dict(row))


async def merges(session: AsyncSession, party_id: UUID, *, after: UUID, limit: int) -> list[Merge]:
    """Merges that touch what a party is merged with, those taken out too, in order of their making.

    Without those with a party that the caller does not reach.
    """
    asking = limited(session)
    care, further = (asking.caller.care, _REACHED) if asking else ((), "")
    rows = await (await driver(session)).fetch(_MERGES.format(further=further), party_id, after, limit, *care)
    return [Merge.model_validate(dict(row)) for row in rows]


_MERGE = """
INSERT INTO merge (id, party_id, other_id, kind, merged_at, merged_by) VALUES ($1, $2, $3, 'person', $4, $5)
ON CONFLICT (party_id, other_id, kind) WHERE unmerged_at IS NULL DO NOTHING
RETURNING id
"""

_ACTIVE = "SELECT id FROM merge WHERE party_id = $1 AND other_id = $2 AND kind = 'person' AND unmerged_at IS NULL"

_LOOK_AGAIN = f"""
WITH RECURSIVE asked AS (SELECT unnest(ARRAY[$1::uuid, $2]) AS id),
alike AS ({MADE_ONE_BY_PEOPLE.format(asked="asked")})
INSERT INTO pair_to_decide (one_id)
SELECT DISTINCT identity_id FROM alike JOIN holding ON party_id = alike_id
WHERE EXISTS (SELECT FROM told_apart JOIN alike ON alike_id = told_apart.party_id)
    OR EXISTS (SELECT FROM told_apart JOIN alike ON alike_id = told_apart.other_id)
"""

_ACCEPTED = """
UPDATE candidate SET status = 'accepted', decided_at = $3, decided_by = $4, decided_kinds = kinds, note = NULL
WHERE party_id = $1 AND other_id = $2 AND status <> 'accepted'
"""

_UNMERGE = """
UPDATE merge SET unmerged_at = $2, unmerged_by = $3 WHERE id = $1 AND unmerged_at IS NULL
RETURNING party_id, other_id, kind
"""

_UNMERGE_ALL = """
UPDATE merge SET unmerged_at = $3, unmerged_by = $4 WHERE party_id = $1 AND other_id = $2 AND unmerged_at IS NULL
"""

_APART = """
INSERT INTO told_apart (party_id, other_id, told_at, told_by) VALUES ($1, $2, $3, $4)
ON CONFLICT (party_id, other_id) DO UPDATE SET told_at = excluded.told_at, told_by = excluded.told_by
"""

_KEPT_APART = """
INSERT INTO told_apart (party_id, other_id, told_at, told_by) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING
"""

_OPEN_AGAIN = """
UPDATE candidate SET status = 'open', decided_at = NULL, decided_by = NULL, decided_kinds = '{}', note = NULL
WHERE party_id = $1 AND other_id = $2 AND status = 'accepted'
"""

_DISMISSED = """
UPDATE candidate SET status = 'dismissed', decided_at = $3, decided_by = $4, decided_kinds = kinds, note = NULL
WHERE party_id = $1 AND other_id = $2 AND status <> 'dismissed'
"""

_SHOWN = """
SELECT merge.id, party_id, other_id, merge.kind, merged_at, merged_by, unmerged_at, unmerged_by, party.resolves_to
FROM merge JOIN party ON party.id = merge.party_id
"""

_REACHED = f"""
AND (
    SELECT count(*) FROM party AS side JOIN party_owner ON party_owner.party_id = side.resolves_to
    WHERE side.id IN (merge.party_id, merge.other_id) AND {CARED_FOR.format("$4", "$5")}
) = 2
"""

_MERGES = f"""
WITH member AS (
    SELECT id FROM party WHERE resolves_to = (SELECT resolves_to FROM party WHERE id = $1) AND resolves_to <> id
    UNION
    SELECT resolves_to FROM party WHERE id = $1
)
{_SHOWN}
WHERE (party_id IN (SELECT id FROM member) OR other_id IN (SELECT id FROM member)) AND merge.id > $2{{further}}
ORDER BY merge.id LIMIT $3
"""
