"""What merging or unmerging would do: read only, with nothing locked and nothing changed."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from uuid import UUID

from asyncpg import Connection, Record
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import driver
from contracts.identity import Installation, PartyNotFound
from services.customers.domain.assignments import MergeNotFound, edge, survivors
from services.customers.models.duplicates import (
    Belongings,
    Contradiction,
    MergePreview,
    Money,
    NamedIdentifier,
    Part,
    UnmergePreview,
)
from services.customers.queries.reach import check_reach

Members = dict[UUID, Record]
"""Parties as named, of one or several components."""


async def merge_preview(session: AsyncSession, one: UUID, other: UUID, here: Installation) -> MergePreview:
    """What a merge of two parties would do. Raises `MergeWithItself`, `PartyNotFound`."""
    edge(one, other)
    members = await _members(session, one, other)
    tops = members[one]["resolves_to"], members[other]["resolves_to"]
    top = min(tops)
    moving = [party for party, row in members.items() if row["resolves_to"] != top]
    return MergePreview(
        merged_already=tops[0] == tops[1],
        resolves_to=top,
        identifiers=await _identifiers(session, members),
        merged_ids=sorted(members.keys() - {top}),
        moves=await belongings(session, moving, here),
        whole=await belongings(session, members, here),
        contradictions=await _contradictions(session, members, tops),
    )


async def unmerge_preview(session: AsyncSession, party_id: UUID, merge_id: UUID, here: Installation) -> UnmergePreview:
    """What taking a merge of a party back would do. Raises `PartyNotFound`, `MergeNotFound`."""
    connection = await driver(session)
    members = await _members(session, party_id)
    merge = await connection.fetchrow(_MERGE, merge_id)
    if merge is None or merge["party_id"] not in members or merge["other_id"] not in members:
        raise MergeNotFound("This party has no such merge, or it is taken back already.")
    edges = await connection.fetch(_OTHER_EDGES, list(members), *merge)
    tops = survivors(tuple(row) for row in edges)
    groups: defaultdict[UUID, list[UUID]] = defaultdict(list)
    for party in members:
        groups[tops.get(party, party)].append(party)
    return UnmergePreview(
        still_together=len(groups) == 1,
        parts=[
            Part(
                id=top,
                kind=members[top]["kind"],
                identifiers=await _identifiers(session, group),
                merged_ids=sorted(set(group) - {top}),
                belongings=await belongings(session, group, here),
            )
            for top, group in sorted(groups.items())
        ],
    )


async def belongings_of(session: AsyncSession, party_id: UUID, here: Installation) -> Belongings:
    """What the party that an id leads to has. Raises `PartyNotFound`."""
    return await belongings(session, await _members(session, party_id), here)


async def belongings(session: AsyncSession, members: Iterable[UUID], here: Installation) -> Belongings:
    """What parties as named have: each fact is that of who held its identity on its local day."""
    connection = await driver(session)
    asked = list(members), here.zone.key
    bought = await connection.fetch(_BOUGHT, *asked)
    returned = {row["currency"]: row for row in await connection.fetch(_RETURNED, *asked)}
    spent = {row["currency"]: row for row in bought}
    return Belongings(
        purchases=sum(row["facts"] for row in bought),
        last_purchase_at=max((row["last_at"] for row in bought), default=None),
        returns=sum(row["facts"] for row in returned.values()),
        interactions=await _count(connection, "interaction", "", asked),
        open_problems=await _count(connection, "problem", "AND status = 'open'", asked),
        spend=[
            Money(
                currency=currency,
                purchases=spent[currency]["facts"] if currency in spent else 0,
                amount_minor=spent[currency]["amount"] if currency in spent else 0,
                returned_minor=returned[currency]["amount"] if currency in returned else 0,
            )
            for currency in sorted(spent.keys() | returned.keys())
        ],
    )


async def _count(connection: "Connection[Record]", table: str, further: str, asked: tuple[list[UUID], str]) -> int:
    count: int = await connection.fetchval(f"SELECT count(*) {_OF.format(table=table)} {further}", *asked)
    return count


async def _members(session: AsyncSession, *party_ids: UUID) -> Members:
    rows = await (await driver(session)).fetch(_MEMBERS, party_ids)
    members = {row["id"]: row for row in rows}
    if missing := set(party_ids) - members.keys():
        raise PartyNotFound("There is no such party.", party_id=f"party_{min(missing).hex}")
    await check_reach(session, party_ids, reads=True)
    return members


async def _identifiers(session: AsyncSession, members: Iterable[UUID]) -> list[NamedIdentifier]:
    rows = await (await driver(session)).fetch(_IDENTIFIERS, list(members))
    return [NamedIdentifier.model_validate(dict(row)) for row in rows]


async def _contradictions(session: AsyncSession, members: Members, tops: tuple[UUID, UUID]) -> list[Contradiction]:
    found = {"kind": {members[top]["kind"] for top in tops}, "owner": set(), "team": set()}
    for row in await (await driver(session)).fetch(_OWNERS, list(set(tops))):
        found["owner"] |= {f"user_{row['owner_id'].hex}"} if row["owner_id"] else set()
        found["team"] |= {f"team_{row['team_id'].hex}"} if row["team_id"] else set()
    return [Contradiction(what=what, values=sorted(values)) for what, values in found.items() if _differ(values)]


def _differ(values: Collection[str]) -> bool:
    return len(values) > 1


_MEMBERS = """
WITH top AS (SELECT DISTINCT resolves_to AS id FROM party WHERE id = ANY($1))
SELECT party.id, resolves_to, kind FROM party JOIN top ON party.id = top.id
UNION ALL
SELECT party.id, resolves_to, kind FROM party JOIN top ON resolves_to = top.id AND resolves_to <> party.id
ORDER BY id
"""

_MERGE = "SELECT party_id, other_id FROM merge WHERE id = $1 AND unmerged_at IS NULL"

_OTHER_EDGES = """
SELECT party_id, other_id FROM merge
WHERE party_id = ANY($1) AND unmerged_at IS NULL AND (party_id, other_id) <> ($2, $3)
"""

_IDENTIFIERS = """
SELECT identity_id, scheme, system, value FROM holding JOIN identity ON identity.id = identity_id
WHERE party_id = ANY($1) AND until_day IS NULL AND scheme IS NOT NULL ORDER BY assigned_at, identity_id
"""

_OF = """
FROM holding JOIN {table} AS fact USING (identity_id)
WHERE party_id = ANY($1) AND withdrawn_at IS NULL
  AND (from_day IS NULL OR from_day <= (occurred_at AT TIME ZONE $2)::date)
  AND (until_day IS NULL OR (occurred_at AT TIME ZONE $2)::date < until_day)
"""

_BOUGHT = f"""
SELECT currency, count(*) AS facts, sum(amount_minor)::bigint AS amount, max(occurred_at) AS last_at
{_OF.format(table="purchase")} GROUP BY currency
"""

_RETURNED = f"""
SELECT currency, count(*) AS facts, sum(amount_minor)::bigint AS amount
{_OF.format(table="purchase_return")} GROUP BY currency
"""

_OWNERS = "SELECT owner_id, team_id FROM party_owner WHERE party_id = ANY($1)"
