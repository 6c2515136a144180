"""Parties are assessed again where nothing was told of them: by the clock, or by another ruling."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import driver
from services.scoring.domain.calendar import Share
from services.scoring.handlers.changes import Assessed
from services.scoring.handlers.standings import record
from services.scoring.queries.parties import (
    Years,
    calendars,
    members_now,
    opened,
    party_calendar,
    standings_to_change,
)
from services.scoring.queries.rulings import Connection, present


async def assess_again(session: AsyncSession, parties: Sequence[UUID], until: datetime | None) -> None:
    """Assess parties at the watermark, or where they were assessed last if that is later, as their locked rows say.

    Every change on the way is told with its own instant.
    """
    rows = await standings_to_change(await driver(session), parties)
    await assess_rows(session, rows.values(), until)


async def assess_rows(session: AsyncSession, locked: Iterable[asyncpg.Record], until: datetime | None) -> None:
    """Likewise parties whose rows were locked before."""
    connection = await driver(session)
    stored = await with_years(connection, locked)
    if stored.rows:
        await record(session, connection, await present(connection), assessed(stored, until))


class Stored(NamedTuple):
    """Parties as they are stored: their rows, whose identities they have, and the years of these."""

    rows: Mapping[UUID, asyncpg.Record]
    belong: Mapping[UUID, Sequence[tuple[UUID, Share]]]
    years: Mapping[UUID, Years]


async def with_years(connection: Connection, found: Iterable[asyncpg.Record]) -> Stored:
    """What decides of parties whose rows were read, without those that nothing was ever decided of."""
    rows = {row["party_id"]: row for row in found if row["assessed_at"] is not None}
    if not rows:
        return Stored({}, {}, {})
    belong = (await members_now(connection, (), rows)).of(rows)
    years = await calendars(connection, {identity for held in rows for identity, _ in belong[held]})
    return Stored(rows, belong, years)


def assessed(stored: Stored, until: datetime | None) -> list[Assessed]:
    """Parties to be assessed at the watermark, or where they were assessed last if that is later."""
    calendar_of = opened(stored.years)
    return [
        Assessed(
            row,
            *party_calendar(stored.belong[party_id], calendar_of),
            at=max(row["assessed_at"], until) if until else row["assessed_at"],
        )
        for party_id, row in stored.rows.items()
    ]
