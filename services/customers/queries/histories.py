"""Facts as they stand, one and page by page: of each identity no more is read than is shown, however much there is."""

from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from asyncpg import Record
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import SQLModel

from chassis.conditions import Conditions
from chassis.db import driver
from contracts.identity import Installation
from contracts.problems import Problem
from services.customers.queries.facts import HOLDER

RowOf = TypeVar("RowOf", bound=SQLModel)

Place = tuple[datetime, UUID]
"""Of a row in a list: when it happened, and its id."""

Condition = tuple[str, object]
"""A condition on `fact` with a place `{}` for its value; it asks for nothing where that is None."""

HOLDER_THEN = HOLDER.format(identity="fact.identity_id", day="(fact.occurred_at AT TIME ZONE $1)::date")
"""Whom a row is about, on its local day; $1 is the zone."""


async def to_change(session: AsyncSession, table: type[RowOf], id: UUID, missing: Problem) -> RowOf:
    """A row of facts, locked until the transaction ends, so that its events keep their order. Raises `missing`."""
    row = await session.get(table, id, with_for_update={"key_share": True}, populate_existing=True)
    if row is None:
        raise missing
    return row


async def as_it_stands(
    session: AsyncSession, table: str, id: UUID, installation: Installation, missing: Problem, columns: str = "fact.*"
) -> Record:
    """A row of facts with its `party_id`, also one that was withdrawn. Raises `missing`."""
    rows = await as_they_stand(session, table, [id], installation, columns)
    if not rows:
        raise missing
    return rows[0]


async def as_they_stand(
    session: AsyncSession, table: str, ids: Sequence[UUID], installation: Installation, columns: str = "fact.*"
) -> list[Record]:
    """The rows of some ids, in no order."""
    await session.flush()
    query = f"SELECT {columns}, {HOLDER_THEN} AS party_id FROM {table} AS fact WHERE fact.id = ANY($2)"
    return await (await driver(session)).fetch(query, installation.zone.key, ids)


async def history(
    session: AsyncSession,
    table: str,
    installation: Installation,
    *,
    party_id: UUID | None,
    where: Sequence[Condition] = (),
    columns: str = "fact.*",
    before: Place,
    limit: int,
) -> list[Record]:
    """Rows of a table of facts behind a place, the latest first, without those withdrawn, each with its `party_id`.

    Of the party that an id leads to, or of all.
    """
    query, arguments = statement(
        table, installation, party_id=party_id, where=where, columns=columns, before=before, limit=limit
    )
    return await (await driver(session)).fetch(query, *arguments)


def statement(
    table: str,
    installation: Installation,
    *,
    party_id: UUID | None,
    where: Sequence[Condition],
    columns: str = "fact.*",
    before: Place,
    limit: int,
) -> tuple[str, list[object]]:
    """The one statement behind a page of a list, with its arguments."""
    conditions = Conditions(installation.zone.key)
    asked = conditions.place(party_id) if party_id else None
    for text, value in where:
        conditions.add(text, value)
    conditions.add("(fact.occurred_at, fact.id) < ({}, {})", *before)
    wanted = f"fact.withdrawn_at IS NULL{conditions}"
    order = f"ORDER BY fact.occurred_at DESC, fact.id DESC LIMIT {int(limit)}"
    query = f"SELECT {columns}, {HOLDER_THEN} AS party_id FROM {table} AS fact WHERE {wanted} {order}"
    if asked is not None:
        query = f"""
            WITH member AS ({MEMBERS.format(asked=asked)}), held AS ({HELD})
            SELECT {columns}, held.party_id FROM held CROSS JOIN LATERAL (
                SELECT * FROM {table} AS fact WHERE {IN_ITS_TIME} AND {wanted} {order}
            ) AS fact {order}
        """
    return query, conditions.arguments


MEMBERS = """
SELECT party.id, party.resolves_to AS party_id FROM party AS asked
JOIN party ON party.resolves_to = asked.resolves_to AND party.resolves_to <> party.id
WHERE asked.id = {asked}
UNION ALL
SELECT resolves_to, resolves_to FROM party WHERE id = {asked}
"""
"""A party with all that are merged into it; for `str.format`."""

HELD = """
SELECT holding.identity_id, holding.from_day, holding.until_day, member.party_id,
    coalesce((from_day - 1)::timestamp AT TIME ZONE 'UTC', '-infinity') AS earliest,
    coalesce((until_day + 1)::timestamp AT TIME ZONE 'UTC', 'infinity') AS latest
FROM member JOIN holding ON holding.party_id = member.id
"""
"""The identities of the members, each with the days on which they have it."""

# The days decide; the instants a day around them, in any zone, are for the index.
IN_ITS_TIME = """fact.identity_id = held.identity_id
    AND fact.occurred_at >= held.earliest AND fact.occurred_at < held.latest
    AND (held.from_day IS NULL OR (fact.occurred_at AT TIME ZONE $1)::date >= held.from_day)
    AND (held.until_day IS NULL OR (fact.occurred_at AT TIME ZONE $1)::date < held.until_day)"""
"""Whether a row is about the party of `held`."""
