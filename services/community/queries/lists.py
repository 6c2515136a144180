"""Conditions of lists, and what belongs to a party in them."""

from datetime import datetime
from uuid import UUID

from asyncpg import Record
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import conditions
from chassis.assignments import HOLDER, narrow
from chassis.db import driver

Place = tuple[datetime, UUID]
"""Where a list goes on: behind a row with this time and id, the latest first."""


class Conditions(conditions.Conditions):
    """What a list is narrowed to; the first arguments of the statement are given."""

    async def held_by(
        self, session: AsyncSession, party_id: UUID | None, identity: str, day: str, *, within: str = "{}"
    ) -> None:
        """Only what the party's identities did on the days on which they were the party's."""
        if party_id is not None:
            await narrow(self, session, party_id, identity=identity, day=day, within=within)

    async def fetch(self, session: AsyncSession, statement: str, order: str, limit: int) -> list[Record]:
        """The rows of a statement that ends before its WHERE."""
        query = f"{statement} WHERE true{self} ORDER BY {order} LIMIT {limit}"
        return await (await driver(session)).fetch(query, *self.arguments)


def day_of(instant: str) -> str:
    """The local day of an instant, $1 being the zone."""
    return f"({instant} AT TIME ZONE $1)::date"


def party_then(identity: str, instant: str) -> str:
    """The party that held an identity on the local day of an instant, $1 being the zone."""
    return HOLDER.format(identity=identity, day=day_of(instant))
