"""Merges: edges between parties as named, made and taken out in any order."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.clock import now
from chassis.db import driver
from chassis.ids import uuid7
from services.customers.domain.assignments import MergeNotFound, edge
from services.customers.models.parties import Merge
from services.customers.queries.assignments import parties_to_change, reassign


async def merge(session: AsyncSession, one: UUID, other: UUID) -> tuple[Merge, bool]:
    """The merge of two parties, and whether it was made now. Raises `MergeWithItself`, `PartyNotFound`."""
    pair = edge(one, other)
    connected = await parties_to_change(session, *pair)
    connection = await driver(session)
    merge_id = await connection.fetchval(_MERGE, uuid7(), *pair, now())
    if merge_id is None:
        return await _shown(session, await connection.fetchval(_ACTIVE, *pair)), False
    await reassign(session, connected)
    return await _shown(session, merge_id), True


async def unmerge(session: AsyncSession, party_id: UUID, merge_id: UUID) -> Merge:
    """Take out one merge of a party, or of those it is merged with. Once taken out it stays so."""
    connection = await driver(session)
    pair = await connection.fetchrow("SELECT party_id, other_id, unmerged_at FROM merge WHERE id = $1", merge_id)
    if pair is None:
        raise MergeNotFound("This party has no such merge.")
    connected = await parties_to_change(session, party_id, pair["party_id"], pair["other_id"])
    related = party_id in pair[:2] or pair["party_id"] in connected.together(party_id)
    if not related:
        raise MergeNotFound("This party has no such merge.")
    if await connection.fetchval(_UNMERGE, merge_id, now()):
        await reassign(session, connected)
    return await _shown(session, merge_id)


async def merges(session: AsyncSession, party_id: UUID, *, after: UUID, limit: int) -> list[Merge]:
    """Merges that touch what a party is merged with, those taken out too, in order of their making."""
    rows = await (await driver(session)).fetch(_MERGES, party_id, after, limit)
    return [Merge.model_validate(dict(row)) for row in rows]


async def _shown(session: AsyncSession, merge_id: UUID) -> Merge:
    row = await (await driver(session)).fetchrow(f"{_SHOWN} WHERE merge.id = $1", merge_id)
    assert row is not None
    return Merge.model_validate(dict(row))


_MERGE = """
INSERT INTO merge (id, party_id, other_id, merged_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (party_id, other_id) WHERE unmerged_at IS NULL DO NOTHING
RETURNING id
"""

_ACTIVE = "SELECT id FROM merge WHERE party_id = $1 AND other_id = $2 AND unmerged_at IS NULL"

_UNMERGE = "UPDATE merge SET unmerged_at = $2 WHERE id = $1 AND unmerged_at IS NULL RETURNING id"

_SHOWN = """
SELECT merge.id, party_id, other_id, merged_at, unmerged_at, party.resolves_to
FROM merge JOIN party ON party.id = merge.party_id
"""

_MERGES = f"""
WITH member AS (
    SELECT id FROM party WHERE resolves_to = (SELECT resolves_to FROM party WHERE id = $1) AND resolves_to <> id
    UNION
    SELECT resolves_to FROM party WHERE id = $1
)
{_SHOWN}
WHERE (party_id IN (SELECT id FROM member) OR other_id IN (SELECT id FROM member)) AND merge.id > $2
ORDER BY merge.id LIMIT $3
"""
