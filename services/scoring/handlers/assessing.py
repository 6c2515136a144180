"""Parties are assessed again where nothing was told of them: by the clock, or by another ruling."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import driver
from services.scoring.handlers.changes import Assessed
from services.scoring.handlers.standings import record
from services.scoring.queries.parties import calendars, members_now, opened, party_calendar, standings_to_change
from services.scoring.queries.rulings import present


async def assess_again(session: AsyncSession, parties: Sequence[UUID], until: datetime | None) -> None:
    """Assess parties at the watermark, or where they were assessed last if that is later, as their locked rows say.

    Every change on the way is told with its own instant.
    """
    rows = await standings_to_change(await driver(session), parties)
    await assess_rows(session, rows.values(), until)


async def assess_rows(session: AsyncSession, locked: Iterable[asyncpg.Record], until: datetime | None) -> None:
    """Likewise parties whose rows were locked before."""
    rows = {row["party_id"]: row for row in locked if row["assessed_at"] is not None}
    if not rows:
        return
    connection = await driver(session)
    here = await present(connection)
    belong = (await members_now(connection, (), rows)).of(rows)
    stored = opened(await calendars(connection, {identity for held in rows for identity, _ in belong[held]}))
    assessed = []
    for party_id, row in rows.items():
        at = max(row["assessed_at"], until) if until else row["assessed_at"]
        assessed.append(Assessed(row, *party_calendar(belong[party_id], stored), at))
    await record(session, connection, here, assessed)
