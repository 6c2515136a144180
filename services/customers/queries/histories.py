"""Facts as they stand, one and page by page: of each identity no more is read than is shown, however much there is."""

from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from asyncpg import Record
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import SQLModel

from chassis.auth import limited
from chassis.conditions import Conditions
from chassis.db import driver
from contracts.identity import Installation
from contracts.problems import Problem
from services.customers.queries.facts import HOLDER
from services.customers.queries.reach import CARED_FOR, check_reach

RowOf = TypeVar("RowOf", bound=SQLModel)

Place = tuple[datetime, UUID]
"""Of a row in a list: when it happened, and its id."""

Condition = tuple[str, object]
"""A condition on `fact` with a place `{}` for its value; it asks for nothing where that is None."""

_WHOSE = f"""SELECT {HOLDER.format(identity="fact.identity_id", day="(fact.occurred_at AT TIME ZONE $1)::date")}
FROM {{table}} AS fact WHERE fact.id = $2"""

HOLDER_THEN = HOLDER.format(identity="fact.identity_id", day="(fact.occurred_at AT TIME ZONE $1)::date")
"""Whom a row is about, on its local day; $1 is the zone."""


async def to_change(session: AsyncSession, table: type[RowOf], id: UUID, missing: Problem) -> RowOf:
    """A row of facts, locked until the transaction ends, so that its events keep their order. Raises `missing`."""
    row = await session.get(table, id, with_for_update={"key_share": True}, populate_existing=True)
    if row is None:
        raise missing
    if asking := limited(session):
        zone = asking.request.app.state.installation.zone
        party_id = await (await driver(session)).fetchval(_WHOSE.format(table=table.__tablename__), zone.key, id)
        await check_reach(session, [party_id], missing)
    return row


async def as_it_stands(
    session: AsyncSession, table: str, id: UUID, installation: Installation, missing: Problem, columns: str = "fact.*"
) -> Record:
    """A row of facts with its `party_id`, also one that was withdrawn. Raises `missing`."""
    rows = await as_they_stand(session, table, [id], installation, columns, missing)
    if not rows:
        raise missing
    return rows[0]


async def as_they_stand(
    session: AsyncSession,
    table: str,
    ids: Sequence[UUID],
    installation: Installation,
    columns: str = "fact.*",
    missing: Problem | None = None,
) -> list[Record]:
    """The rows of some ids with their `party_id`, in no order. Raises what `check_reach` raises."""
    await session.flush()
    query = f"SELECT {columns}, {HOLDER_THEN} AS party_id FROM {table} AS fact WHERE fact.id = ANY($2)"
    rows = await (await driver(session)).fetch(query, installation.zone.key, ids)
    await check_reach(session, [row["party_id"] for row in rows], missing)
    return rows


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

    Of the party that an id leads to, or of all that the caller reaches.
    """
    asking = limited(session)
    query, arguments = statement(
        table,
        installation,
        party_id=party_id,
        care=asking and asking.caller.care,
        where=where,
        columns=columns,
        before=before,
        limit=limit,
    )
    return await (await driver(session)).fetch(query, *arguments)


def statement(
    table: str,
    installation: Installation,
    *,
    party_id: UUID | None,
    care: tuple[UUID | None, UUID | None] | None = None,
    where: Sequence[Condition],
    columns: str = "fact.*",
    before: Place,
    limit: int,
) -> tuple[str, list[object]]:
    """The one statement behind a page of a list, with its arguments; `care` is the owner and the team asked for."""
    conditions = Conditions(installation.zone.key)
    members = None
    if party_id:
        members = MEMBERS.format(asked=conditions.place(party_id))
    elif care:
        members = CARED_FOR_MEMBERS.format(care=CARED_FOR.format(*map(conditions.place, care)))
    for text, value in where:
        conditions.add(text, value)
    conditions.add("(fact.occurred_at, fact.id) < ({}, {})", *before)
    wanted = f"fact.withdrawn_at IS NULL{conditions}"
    order = f"ORDER BY fact.occurred_at DESC, fact.id DESC LIMIT {int(limit)}"
    query = f"SELECT {columns}, {HOLDER_THEN} AS party_id FROM {table} AS fact WHERE {wanted} {order}"
    if members is not None:
        query = f"""
            WITH member AS ({members}), held AS ({HELD})
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

CARED_FOR_MEMBERS = """
SELECT party.id, party.id AS party_id FROM party_owner JOIN party ON party.id = party_owner.party_id
WHERE party.resolves_to = party.id AND {care}
UNION ALL
SELECT party.id, party.resolves_to FROM party_owner JOIN party ON party.resolves_to = party_owner.party_id
WHERE party.resolves_to <> party.id AND {care}
"""
"""All parties that somebody or a team takes care of, with what is merged into them; for `str.format`."""

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
