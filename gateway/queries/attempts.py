"""Attempts to sign in, counted in the database, so that all processes of the gateway count together."""

from collections.abc import Iterable
from datetime import datetime

import asyncpg

from chassis.clock import now
from chassis.db import Database, driver
from gateway.domain.attempts import Pace, TooManyAttempts

Place = tuple[bytes, Pace]


async def take(database: Database, places: Iterable[Place]) -> None:
    """Count an attempt in all of its places, at once and for good. Raises `TooManyAttempts`, and takes nothing then.

    A transaction of its own: the attempt counts whatever becomes of the request.
    """
    present = now()
    async with database.transaction() as session:
        connection = await driver(session)
        for place, pace in sorted(places, key=lambda each: each[0]):
            if not await connection.fetchval(_TAKE, place, present, pace.each, pace.whole):
                full_at: datetime = await connection.fetchval(_FULL_AT, place)
                wait_s = max(1, round((full_at + pace.each - present - pace.whole).total_seconds()))
                raise TooManyAttempts(
                    f"Too many attempts to sign in came from here. Wait {wait_s} s; other places and devices need not.",
                    retry_after_s=wait_s,
                )


async def give_back(connection: "asyncpg.Connection[asyncpg.Record]", places: Iterable[Place]) -> None:
    """A good attempt does not count."""
    for place, pace in sorted(places, key=lambda each: each[0]):
        await connection.execute(
            "UPDATE sign_in_attempt SET full_at = full_at - $2::interval WHERE place = $1", place, pace.each
        )


async def forget(connection: "asyncpg.Connection[asyncpg.Record]", present: datetime) -> None:
    """Delete the places that are full again."""
    await connection.execute("DELETE FROM sign_in_attempt WHERE full_at < $1", present)


_TAKE = """
INSERT INTO sign_in_attempt AS kept (place, full_at) VALUES ($1, $2::timestamptz + $3::interval)
ON CONFLICT (place) DO UPDATE SET full_at = greatest(kept.full_at, $2) + $3
WHERE greatest(kept.full_at, $2) + $3 <= $2 + $4::interval
RETURNING true
"""

_FULL_AT = "SELECT full_at FROM sign_in_attempt WHERE place = $1"

_GIVE_BACK = "UPDATE sign_in_attempt SET full_at = full_at - $2::interval WHERE place = $1"
