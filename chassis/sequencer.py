"""The sequencer gives committed events their place: partition, sequence number, recorded time."""

import asyncio
from datetime import datetime, timedelta
from functools import lru_cache
from struct import unpack_from
from typing import Never

import asyncpg
import structlog

from chassis.bus import Gate
from chassis.clock import now
from chassis.db import KEEPALIVE, Database, plain_url
from chassis.rest import rest

log = structlog.get_logger()

LIMIT = 2_000
BUSY_REST_S = 0.02
IDLE_REST_S = 0.5
CHANNEL = "event_log"
"""Listeners hear here that the log grew. One NOTIFY per run: one per write would serialise commits."""


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


async def _follow(connection: "asyncpg.Connection[asyncpg.Record]", wake: asyncio.Event) -> Never:
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


async def number(connection: "asyncpg.Connection[asyncpg.Record]", limit: int = LIMIT) -> int | None:
    """Move the oldest committed outbox rows into the log, numbered; return how many, None if another is at it.

    One sequencer at a time (advisory lock). A crash leaves the rows where they were. A run that left nothing, also an
    empty one, moves `sequenced_until`, read before the outbox was looked at: all committed by then is in the log.
    """
    async with connection.transaction():
        if not await connection.fetchval("SELECT pg_try_advisory_xact_lock(hashtext('sequencer'))"):
            return None
        looked_at = now()
        rows = await connection.fetch(_TAKE, limit)
        # Not fetched in id order: DELETE … RETURNING promises none.
        rows.sort(key=lambda row: row["id"])
        # Never earlier than the run before, whatever the clock did.
        recorded_at: datetime = max(looked_at, await connection.fetchval("SELECT recorded_at FROM sequencing"))
        if rows:
            await _log(connection, rows, recorded_at)
        await connection.execute(_REACH, recorded_at, len(rows) < limit)
    return len(rows)


async def _log(
    connection: "asyncpg.Connection[asyncpg.Record]", rows: list[asyncpg.Record], recorded_at: datetime
) -> None:
    await _have_log_partition(connection, recorded_at)
    streams = {
        (stream["topic"], stream["partition"]): stream
        for stream in await connection.fetch(_STREAMS, list({row["topic"] for row in rows}))
    }
    counts = {topic: stream["partitions"] for (topic, _), stream in streams.items()}
    places = [(row["topic"], partition_of(row["key"], counts[row["topic"]])) for row in rows]
    last = {place: stream["last_seq"] for place, stream in streams.items()}
    seqs = []
    for place in places:
        last[place] += 1
        seqs.append(last[place])
    touched = sorted(set(places))
    await connection.execute(
        _APPEND,
        [topic for topic, _ in places],
        [partition for _, partition in places],
        [streams[place]["epoch"] for place in places],
        seqs,
        [row["event_id"] for row in rows],
        [row["key"] for row in rows],
        [row["type"] for row in rows],
        [row["payload"] for row in rows],
        [row["occurred_at"] for row in rows],
        recorded_at,
    )
    await connection.execute(
        _ADVANCE,
        [topic for topic, _ in touched],
        [partition for _, partition in touched],
        [last[place] for place in touched],
    )
    await connection.execute(f"NOTIFY {CHANNEL}")


async def _have_log_partition(connection: "asyncpg.Connection[asyncpg.Record]", recorded_at: datetime) -> None:
    """One partition of the log per ISO week, so that retention drops tables instead of deleting rows."""
    monday = (recorded_at - timedelta(days=recorded_at.weekday())).date()
    name = f"event_log_{monday:%Y_%m_%d}"
    if await connection.fetchval("SELECT to_regclass($1) IS NULL", name):
        await connection.execute(
            f"CREATE TABLE {name} PARTITION OF event_log"
            f" FOR VALUES FROM ('{monday}') TO ('{monday + timedelta(days=7)}')"
        )


@lru_cache(maxsize=65_536)
def partition_of(key: str, partitions: int) -> int:
    """The partition of a key, the same as every Kafka client's default: murmur2, sign bit off, modulo.

    (Apache Kafka, org.apache.kafka.common.utils.Utils.murmur2.)
    """
    data = key.encode()
    whole = len(data) // 4
    h = 0x9747B28C ^ len(data)
    for k in unpack_from(f"<{whole}I", data):
        k = k * 0x5BD1E995 & 0xFFFFFFFF
        h = (h * 0x5BD1E995 & 0xFFFFFFFF) ^ ((k ^ k >> 24) * 0x5BD1E995 & 0xFFFFFFFF)
    rest = data[whole * 4 :]
    if rest:
        h = (h ^ int.from_bytes(rest, "little")) * 0x5BD1E995 & 0xFFFFFFFF
    h = (h ^ h >> 13) * 0x5BD1E995 & 0xFFFFFFFF
    return ((h ^ h >> 15) & 0x7FFFFFFF) % partitions


_TAKE = """
DELETE FROM outbox WHERE id IN (SELECT id FROM outbox ORDER BY id LIMIT $1)
RETURNING id, event_id, topic, key, type, payload, occurred_at
"""

_REACH = """
UPDATE sequencing SET recorded_at = $1, sequenced_until = CASE WHEN $2 THEN $1 ELSE sequenced_until END
"""

_STREAMS = "SELECT topic, partition, partitions, epoch, last_seq FROM event_stream WHERE topic = ANY($1)"

_APPEND = """
INSERT INTO event_log (topic, partition, epoch, seq, event_id, key, type, payload, occurred_at, recorded_at)
SELECT *, $10 FROM unnest($1::text[], $2::int[], $3::int[], $4::bigint[], $5::uuid[], $6::text[], $7::text[],
                          $8::bytea[], $9::timestamptz[])
"""

_ADVANCE = """
UPDATE event_stream SET last_seq = new.seq
FROM unnest($1::text[], $2::int[], $3::bigint[]) AS new(topic, partition, seq)
WHERE event_stream.topic = new.topic AND event_stream.partition = new.partition
"""
