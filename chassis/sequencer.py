"""The sequencer gives committed events their place: partition, sequence number, recorded time."""

import asyncio
from datetime import datetime, timedelta
from typing import Never, TypeAlias
from weakref import WeakSet

import asyncpg
import structlog

from chassis.bus import Gate
from chassis.clock import now
from chassis.db import KEEPALIVE, SILENCE_S, Database, plain_url
from chassis.rest import rest

log = structlog.get_logger()

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

LIMIT = 2_000
FEW = 20
"""Rows up to which a plan is not worth its making."""
LONGEST_TOLD = 7_900
"""Bytes of one NOTIFY (PostgreSQL, NOTIFY: 8,000)."""
BUSY_REST_S = 0.02
IDLE_REST_S = 0.5
CHANNEL = "event_log"
"""Listeners hear here up to where partitions of the log grew, or nothing but that it did.

One NOTIFY per run: one per write would serialise commits.
"""
LOG_PARTITION = "event_log_%Y_%m_%d"
"""A partition of the log holds an ISO week and is named for its Monday."""
WEEK = timedelta(days=7)


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
                await _follow(connection, database)
            finally:
                connection.terminate()
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            log.warning("sequencer interrupted", error=str(error), error_class=type(error).__name__)
            await rest(1)


async def _follow(connection: Connection, database: Database) -> Never:
    own = numbered = 0
    while True:
        database.wake.clear()
        own, database.appended = own + database.appended, 0
        run = await number(connection)
        numbered += run or 0
        if run == LIMIT:
            continue
        # Another process may hold the sequencer and have looked before our last commit: look again soon.
        if run is None:
            await asyncio.sleep(0.005)
        else:
            # What nobody told of comes from a process without a sequencer of its own, which may have more.
            await _event_or_rest(database.wake, BUSY_REST_S if numbered > own else IDLE_REST_S)
            own = numbered = 0


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
        # The log has no such week: nobody was there to make it ahead (`chassis.retention`).
        async with connection.transaction():
            await have_week(connection, max(looked_at, await connection.fetchval("SELECT recorded_at FROM sequencing")))
        return await _number(connection, looked_at, limit)


async def _number(connection: Connection, looked_at: datetime, limit: int) -> int | None:
    if connection not in _prepared:
        await connection.execute(_PREPARE)
        _prepared.add(connection)
    numbered: int | None = await connection.fetchval("SELECT pg_temp.number($1, $2, $3)", looked_at, limit, CHANNEL)
    return numbered


_prepared: WeakSet[Connection] = WeakSet()
"""Connections that have the function: it is of the session, so that it is always that of this version."""


def grown(told: str) -> list[tuple[str, int, int, int]] | None:
    """What was heard on `CHANNEL`: topic, partition, epoch and last `seq` of each partition that grew.

    None where it does not say.
    """
    if not told:
        return None
    places = (each.split(" ") for each in told.split(","))
    return [(topic, int(partition), int(epoch), int(seq)) for topic, partition, epoch, seq in places]


async def have_week(connection: Connection, at: datetime) -> None:
    """Have the week of an instant in the log, with the transaction that is open: whole, or not at all.

    A partition for each ISO week, so that retention drops tables instead of deleting rows.
    """
    # Not the sequencer's lock: numbering goes on while this waits for another change of the log.
    await connection.execute("SELECT pg_advisory_xact_lock(hashtext('week of the log'))")
    monday = (at - timedelta(days=at.weekday())).replace(hour=0, minute=0, second=0, microsecond=0)
    name = monday.strftime(LOG_PARTITION)
    if await connection.fetchval("SELECT to_regclass($1) IS NULL", name):
        # Made as a partition it would wait until nobody reads the log, as a backup does for hours, and whoever comes to
        # read would wait behind it. To be attached it needs SHARE UPDATE EXCLUSIVE alone (PostgreSQL, ALTER TABLE).
        await connection.execute(f"CREATE TABLE {name} (LIKE event_log INCLUDING ALL)")
        await connection.execute(
            f"ALTER TABLE event_log ATTACH PARTITION {name} FOR VALUES FROM ('{monday}') TO ('{monday + WEEK}')"
        )


# A function, so that one round trip does it all: each of its statements sees what was committed before that one began,
# so that the last one has all that the sequencer before committed. A plan for many rows made on a full table costs more
# than to number a few rows; those made once for few need an index, however long the table is.
_PREPARE = f"""
CREATE OR REPLACE FUNCTION pg_temp.number(looked_at timestamptz, most int, channel text) RETURNS int
LANGUAGE plpgsql AS $function$
DECLARE
    waiting int;
    told text;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('sequencer')) THEN
        RETURN NULL;
    END IF;
    SELECT count(*) INTO waiting FROM (SELECT FROM outbox ORDER BY id LIMIT least(most, {FEW} + 1)) AS first;
    IF waiting = 0 THEN
        UPDATE sequencing SET recorded_at = greatest(recorded_at, looked_at),
            sequenced_until = greatest(recorded_at, looked_at);
        RETURN 0;
    END IF;
    IF waiting <= {FEW} THEN
        SET LOCAL plan_cache_mode = force_generic_plan;
        SET LOCAL enable_seqscan = off;
    END IF;
    WITH taken AS (
        -- Up to an id, not of a list of them: planned on what looks empty since the last vacuum, that list would be
        -- read anew for each row.
        DELETE FROM outbox WHERE id <= (SELECT max(id) FROM (SELECT id FROM outbox ORDER BY id LIMIT most) AS first)
        RETURNING *
    ), run AS (
        SELECT count(*)::int AS events FROM taken
    ), reached AS (
        -- Never earlier than the run before, whatever the clock did.
        UPDATE sequencing SET recorded_at = greatest(recorded_at, looked_at),
            sequenced_until = CASE WHEN run.events < most THEN greatest(recorded_at, looked_at) ELSE sequenced_until END
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
        SELECT topic, partition, max(epoch) AS epoch, max(seq) AS seq FROM placed GROUP BY topic, partition
    ), held AS MATERIALIZED (
        -- In order: a publisher locks the same rows.
        SELECT topic, partition FROM event_stream WHERE (topic, partition) IN (SELECT topic, partition FROM latest)
        ORDER BY topic, partition FOR NO KEY UPDATE
    ), advanced AS (
        UPDATE event_stream SET last_seq = latest.seq FROM latest JOIN held USING (topic, partition)
        WHERE event_stream.topic = latest.topic AND event_stream.partition = latest.partition
    )
    SELECT events, (SELECT string_agg(concat_ws(' ', topic, partition, epoch, seq), ',') FROM latest)
    INTO waiting, told FROM run;
    PERFORM pg_notify(channel, CASE WHEN octet_length(told) < {LONGEST_TOLD} THEN told ELSE '' END);
    RETURN waiting;
END
$function$
"""
