"""What is kept for how long: the log, the answers under Idempotency-Keys, the dead letters that are closed, and what a
service itself keeps for a time."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Never, TypeAlias

import asyncpg
import structlog

from chassis import idempotency
from chassis.clock import now
from chassis.db import Database, database_is_away, driver
from chassis.rest import rest
from chassis.sequencer import LOG_PARTITION, WEEK, have_week
from chassis.settings import ServiceSettings

log = structlog.get_logger()

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

REST_S = 600.0
LOCK_TIMEOUT = "2s"
"""Whoever reads the log waits behind one who waits to drop a part of it: not for longer than this."""


Forget: TypeAlias = Callable[[Connection, datetime], Awaitable[None]]
"""Lets go of what a service itself keeps for too long, as it is now."""


async def run(
    database: Database, settings: ServiceSettings, *, forgets: Sequence[Forget] = (), rest_s: float = REST_S
) -> Never:
    """Let go of what is older than its setting, now and then, until cancelled.

    It rests first: in an installation that stood still for longer than its log is kept, consumers read before it goes.
    """
    while True:
        await rest(rest_s)
        try:
            await sweep(database, settings, forgets)
        except Exception as error:
            if not database_is_away(error):
                raise
            log.warning("old rows are let go later", error=str(error))


async def sweep(database: Database, settings: ServiceSettings, forgets: Sequence[Forget] = ()) -> None:
    """Let go once of all that is too old, and have the week of the log that comes next.

    Days ahead, so that it need not be made at the moment at which its first event waits for it.
    """
    present = now()
    # Before anything is let go, which gives up while a backup reads.
    async with database.transaction() as session:
        connection = await driver(session)
        # The gateway has no stream, and numbers nothing.
        if await connection.fetchval("SELECT EXISTS (SELECT FROM event_stream)"):
            await have_week(connection, present + WEEK)
    for forget in forgets:
        async with database.transaction() as session:
            await forget(await driver(session), present)
    async with database.transaction() as session:
        connection = await driver(session)
        await idempotency.forget(connection, present - timedelta(hours=settings.idempotency_retention_hours))
        await connection.execute(_FORGET_LETTERS, present - timedelta(days=settings.dead_letter_retention_days))
    until = present - timedelta(days=settings.log_retention_days)
    async with database.transaction() as session:
        connection = await driver(session)
        weeks = await ended_weeks(connection, until)
    for week in weeks:
        async with database.transaction() as session:
            if not await drop_week(await driver(session), week, published_only=settings.on_kafka):
                break


async def ended_weeks(connection: Connection, until: datetime) -> list[date]:
    """The Mondays of the weeks in the log that were over by `until`, in order."""
    names = [row["name"] for row in await connection.fetch(_WEEKS)]
    mondays = sorted(datetime.strptime(name, LOG_PARTITION).replace(tzinfo=UTC) for name in names)
    return [monday.date() for monday in mondays if monday + WEEK <= until]


async def drop_week(connection: Connection, monday: date, *, published_only: bool) -> bool:
    """Drop a week of the log; with `published_only` False is returned, and it stays, while Kafka lacks any of it."""
    table = monday.strftime(LOG_PARTITION)
    await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
    # Nothing is numbered or moved to a new epoch meanwhile.
    await connection.execute("SELECT pg_advisory_xact_lock(hashtext('sequencer'))")
    if published_only and await connection.fetchval(_UNPUBLISHED.format(table=table)):
        log.warning("an old week of the log is kept: Kafka lacks some of it", week=str(monday))
        return False
    await connection.execute(f"DROP TABLE IF EXISTS {table}")
    log.info("dropped a week of the log", week=str(monday))
    return True


_WEEKS = "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'event_log'::regclass"

_UNPUBLISHED = """
SELECT EXISTS (
    SELECT FROM event_stream AS stream JOIN {table} AS event
        ON event.topic = stream.topic AND event.partition = stream.partition
        AND event.epoch = stream.epoch AND event.seq > stream.published_seq
)
"""

# Open letters wait for a person, however long that takes.
_FORGET_LETTERS = "DELETE FROM dead_letter WHERE status <> 'open' AND first_failed_at < $1"
