"""Conditions of lists, and what belongs to a party in them."""

from datetime import datetime
from typing import Any
from uuid import UUID

from asyncpg import Record
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.assignments import HOLDER, identities_of
from chassis.db import driver

Place = tuple[datetime, UUID]
"""Where a list goes on: behind a row with this time and id, the latest first."""


class Conditions:
    """What a list is narrowed to; the first arguments of the statement are given."""

    def __init__(self, *arguments: Any) -> None:
        self._arguments = list(arguments)
        self._conditions: list[str] = []

    def add(self, condition: str, *values: Any) -> None:
        """A condition with `{}` for each value; without any effect where the first value is None."""
        if values and values[0] is None:
            return
        places = [f"${len(self._arguments) + nth}" for nth in range(1, len(values) + 1)]
        self._arguments += values
        self._conditions.append(condition.format(*places))

    async def held_by(
        self, session: AsyncSession, party_id: UUID | None, identity: str, day: str, *, within: str = "{}"
    ) -> None:
        """Only what the party's identities did on the days on which they were the party's."""
        if party_id is not None:
            held = await identities_of(session, party_id)
            identities, *days = zip(*held, strict=True) if held else ((), (), ())
            condition = within.format(_HELD.format(identity=identity, day=day))
            self.add(condition, *map(list, (identities, identities, *days)))

    async def fetch(self, session: AsyncSession, statement: str, order: str, limit: int) -> list[Record]:
        """The rows of a statement that ends before its WHERE."""
        where = f"WHERE {' AND '.join(self._conditions)}" if self._conditions else ""
        query = f"{statement} {where} ORDER BY {order} LIMIT {limit}"
        return await (await driver(session)).fetch(query, *self._arguments)


def day_of(instant: str) -> str:
    """The local day of an instant, $1 being the zone."""
    return f"({instant} AT TIME ZONE $1)::date"


def party_then(identity: str, instant: str) -> str:
    """The party that held an identity on the local day of an instant, $1 being the zone."""
    return HOLDER.format(identity=identity, day=day_of(instant))


# The identities twice: by the first condition the index is found, by the second the days are held.
_HELD = """{identity} = ANY({{}}::uuid[]) AND EXISTS (
    SELECT FROM unnest({{}}::uuid[], {{}}::date[], {{}}::date[]) AS held(identity_id, from_day, until_day)
    WHERE held.identity_id = {identity} AND (from_day IS NULL OR from_day <= {day})
      AND (until_day IS NULL OR {day} < until_day)
)"""
