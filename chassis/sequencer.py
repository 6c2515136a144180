"""The sequencer gives committed events their place: partition, sequence number, recorded time."""

import asyncio
from datetime import datetime, timedelta
from typing import Never, TypeAlias

import asyncpg
import structlog

from chassis.bus import Gate
from chassis.clock import now
from chassis.db import KEEPALIVE, SILENCE_S, Database, plain_url
from chassis.rest import rest

log = structlog.get_logger()

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

LIMIT = 2_000
BUSY_REST_S = 0.02
IDLE_REST_S = 0.5
CHANNEL = "event_log"
"""Listeners hear here that the log grew. One NOTIFY per run: one per write would serialise commits."""
LOG_PARTITION = "event_log_%Y_%m_%d"
"""A partition of the log holds an ISO week and is named for its Monday."""


async def run(database: Database, *, gate: Gate | None = None) -> Never:
    """Number committed outbox rows until cancelled; every process that appends events may run one.

    `gate` must pass before anything is numbered: it recognises a database restored from an older backup.
    """
    while True:
        try:
            if gate:
                await gate(database)
            connection = await asyncpg.connect(
                plain_url(database.url),
                timeout=10,
                command_timeout=SILENCE_S,
                # A DELETE planned while the outbox was empty would run 300 times slower on a full one.
                server_settings={
                    "application_name": "shuke-sequencer",
                    "plan_cache_mode": "force_custom_plan",
                    "jit": "off",
                    "timezone": "UTC",
                    **KEEPALIVE,
                },
            )
            try:
                await _follow(connection, database.wake)
            finally:
                connection.terminate()
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            log.warning("sequencer interrupted", error=str(error), error_class=type(error).__name__)
            await rest(1)


async def _follow(connection: Connection, wake: asyncio.Event) -> Never:
    while True:
        wake.clear()
        numbered = await number(connection)
        if numbered == LIMIT:
            continue
        # Another process may hold the sequencer and have looked before our last commit: look again soon.
        rest_s = IDLE_REST_S if numbered == 0 else BUSY_REST_S
        if numbered is None:
            await asyncio.sleep(0.005)
        else:
            await _event_or_rest(wake, rest_s)


async def _event_or_rest(event: asyncio.Event, rest_s: float) -> None:
    try:
        async with asyncio.timeout(rest_s):
            await event.wait()
    except TimeoutError:
        pass


async def number(connection: Connection, limit: int = LIMIT) -> int | None:
    """Move the oldest committed outbox rows into the log, numbered; return how many, None if another is at it.

    One sequencer at a time (advisory lock). A crash leaves the rows where they were. A run that left nothing, also an
    empty one, moves `sequenced_until`, read before the outbox was looked at: all committed by then is in the log.
    """
    looked_at = now()
    try:
        return await _number(connection, looked_at, limit)
    except asyncpg.CheckViolationError:
        # The first event of a week found no partition of the log for it.
        await _have_log_partition(connection, looked_at)
        return await _number(connection, looked_at, limit)


async def _number(connection: Connection, looked_at: datetime, limit: int) -> int | None:
    async with connection.transaction():
        if not await connection.fetchval("SELECT pg_try_advisory_xact_lock(hashtext('sequencer'))"):
            return None
        numbered: int = await connection.fetchval(_NUMBER, looked_at, limit, CHANNEL)
    return numbered


async def _have_log_partition(connection: Connection, looked_at: datetime) -> None:
    """One partition of the log per ISO week, so that retention drops tables instead of deleting rows."""
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(hashtext('sequencer'))")
        recorded_at = max(looked_at, await connection.fetchval("SELECT recorded_at FROM sequencing"))
        monday = (recorded_at - timedelta(days=recorded_at.weekday())).date()
        await connection.execute(
            f"CREATE TABLE IF NOT EXISTS {monday.strftime(LOG_PARTITION)} PARTITION OF event_log"
            f" FOR VALUES FROM ('{monday}') TO ('{monday + timedelta(days=7)}')"
        )


# One statement, after the one that took the lock: its snapshot has all that the sequencer before committed.
_NUMBER = """
WITH taken AS (
    DELETE FROM outbox WHERE id IN (SELECT id FROM outbox ORDER BY id LIMIT $2) RETURNING *
), run AS (
    SELECT count(*)::int AS events FROM taken
), reached AS (
    -- Never earlier than the run before, whatever the clock did.
    UPDATE sequencing SET recorded_at = greatest(recorded_at, $1),
        sequenced_until = CASE WHEN run.events < $2 THEN greatest(recorded_at, $1) ELSE sequenced_until END
    FROM run RETURNING recorded_at
), placed AS (
    SELECT taken.*, stream.partition, stream.epoch,
        stream.last_seq + row_number() OVER (PARTITION BY stream.topic, stream.partition ORDER BY taken.id) AS seq
    FROM taken LEFT JOIN event_stream AS stream
        ON stream.topic = taken.topic AND stream.partition = taken.key_hash % stream.partitions
), logged AS (
    INSERT INTO event_log (topic, partition, epoch, seq, event_id, key, type, payload, occurred_at, recorded_at)
    SELECT topic, partition, epoch, seq, event_id, key, type, payload, occurred_at, reached.recorded_at
    FROM placed LEFT JOIN reached ON true
), latest AS (
    SELECT topic, partition, max(seq) AS seq FROM placed GROUP BY topic, partition
), held AS MATERIALIZED (
    -- In order: a publisher locks the same rows.
    SELECT topic, partition FROM event_stream WHERE (topic, partition) IN (SELECT topic, partition FROM latest)
    ORDER BY topic, partition FOR NO KEY UPDATE
), advanced AS (
    UPDATE event_stream SET last_seq = latest.seq FROM latest JOIN held USING (topic, partition)
    WHERE event_stream.topic = latest.topic AND event_stream.partition = latest.partition
)
SELECT events, CASE WHEN events > 0 THEN pg_notify($3, '') END FROM run
"""
