"""Whether the door takes anything in: kept in the database, so that it holds for every process and after a restart."""

import time
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Database, database_is_away, driver

FRESH_S = 1.0
"""Seconds for which a process believes what it read."""


class Intake:
    """What this process knows of it."""

    def __init__(self) -> None:
        self._closed = False
        self._read_at = float("-inf")

    def doubt(self) -> None:
        """Read it anew before the next answer."""
        self._read_at = float("-inf")

    @property
    def is_open(self) -> bool:
        """Whether it is known, without a question to the database, that everything is taken in."""
        return not self._closed and time.monotonic() - self._read_at <= FRESH_S

    async def is_closed(self, database: Database) -> bool:
        """Whether nothing is taken in. While the database is away, what was known last holds."""
        if time.monotonic() - self._read_at > FRESH_S:
            try:
                async with database.transaction() as session:
                    closed_at, _ = await closed(session)
            except Exception as error:
                if not database_is_away(error):
                    raise
                return self._closed
            self._closed, self._read_at = closed_at is not None, time.monotonic()
        return self._closed


async def closed(session: AsyncSession) -> tuple[datetime | None, str | None]:
    """Since when, and by whose word, nothing is taken in; None while it is."""
    row = await (await driver(session)).fetchrow("SELECT closed_at, closed_by FROM intake")
    assert row is not None, "migration 0003 makes the row"
    return row["closed_at"], row["closed_by"]


async def close(session: AsyncSession, at: datetime, by: str) -> datetime:
    """Take nothing in from now on; since when that is so."""
    since: datetime = await (await driver(session)).fetchval(
        "UPDATE intake SET closed_at = coalesce(closed_at, $1), closed_by = coalesce(closed_by, $2)"
        " RETURNING closed_at",
        at,
        by,
    )
    return since


async def reopen(session: AsyncSession) -> bool:
    """Take everything in again; False where it was so."""
    reopened = await (await driver(session)).fetchval(
        "UPDATE intake SET closed_at = NULL, closed_by = NULL WHERE closed_at IS NOT NULL RETURNING true"
    )
    return reopened is not None
