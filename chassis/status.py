"""How far a service is with its events, for the gateway, which puts the reports of all services together."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Annotated, Any, TypeAlias

import asyncpg
from fastapi import APIRouter, Request
from pydantic import Field

from chassis.bus import TopicPartition
from chassis.clock import now
from chassis.db import Database, driver
from chassis.fields import Body
from chassis.lag import unread
from chassis.observing import oldest_outbox_s, oldest_unpublished_s
from chassis.presence import SEEN
from contracts.topics import topics_of

router = APIRouter(prefix="/internal", include_in_schema=False)

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Count = Callable[[Connection], Awaitable[int]]


class Mark(Body):
    """The last event of a partition that took effect somewhere."""

    topic: Annotated[str, Field(max_length=200)]
    partition: Annotated[int, Field(ge=0, le=100_000)]
    epoch: Annotated[int, Field(ge=1, le=2**31 - 1)]
    seq: Annotated[int, Field(ge=0, le=2**62)]


class Marks(Body):
    """The marks of a consumer."""

    marks: Annotated[list[Mark], Field(max_length=10_000)]


@router.get("/status")
async def read_service_status(request: Request) -> dict[str, Any]:
    """What it has written, read and set aside, and which processes do so."""
    return await report(request)


async def report(request: Request, **begun: Count) -> dict[str, Any]:
    """What a service tells of itself; `begun` count, by name, what it has yet to do and will announce by itself."""
    state = request.app.state
    database: Database = state.database
    # First what may make events, then those that wait for a number, then the streams: what moves on meanwhile is met
    # again there. The other way round it could be in none of them.
    underway = state.writing.underway
    async with database.transaction() as session:
        connection = await driver(session)
        importing = await connection.fetchval(_IMPORTING) if await connection.fetchval(_IMPORTS) else 0
        rows = {name: await connection.fetch(query) for name, query in _READING.items()}
        waiting = {name: await count(connection) for name, count in begun.items()}
    oldest_s = await oldest_outbox_s(database)
    async with database.transaction() as session:
        rows["streams"] = await (await driver(session)).fetch(_STREAMS, state.settings.on_kafka)
    return {
        "service": state.name,
        "oldest_unsequenced_s": oldest_s,
        "oldest_unpublished_s": await oldest_unpublished_s(database, state.settings),
        "underway": underway,
        "importing": importing,
        **waiting,
        **{name: [dict(row) for row in found] for name, found in rows.items()},
    }


@router.post("/unread")
async def read_unread(body: Marks, request: Request) -> dict[str, Any]:
    """What of the log of this service a consumer with these marks has not read."""
    database: Database = request.app.state.database
    marks = {TopicPartition(mark.topic, mark.partition): (mark.epoch, mark.seq) for mark in body.marks}
    async with database.transaction() as session:
        found = await unread(await driver(session), marks)
    at, kept = now(), timedelta(days=request.app.state.settings.log_retention_days)
    return {
        "data": [
            {"topic": each.topic, "partition": each.partition, "events": each.events, "oldest_s": each.age_s(at, kept)}
            for each in found
        ]
    }


@router.get("/topics")
async def read_topics_of_service(request: Request) -> dict[str, Any]:
    """The topics that it writes, with what its log holds of each partition."""
    database: Database = request.app.state.database
    async with database.transaction() as session:
        rows = await (await driver(session)).fetch(_PARTITIONS)
    days = request.app.state.settings.log_retention_days
    return {
        "data": [
            {
                "topic": topic.name,
                "holds": topic.holds,
                "compacted": topic.compacted,
                "retention_days": days,
                "partitions": [
                    {name: value for name, value in row.items() if name != "topic"}
                    for row in rows
                    if row["topic"] == topic.name
                ],
            }
            for topic in topics_of(request.app.state.name)
        ]
    }


_IMPORTS = "SELECT to_regclass('import_job') IS NOT NULL"

_IMPORTING = "SELECT count(*) FROM import_job WHERE state IN ('waiting', 'running', 'undoing')"

# Within an epoch numbers have no holes, so only what is left of older ones is counted one by one.
_PARTITIONS = """
SELECT stream.topic, stream.partition, stream.epoch, stream.last_seq,
       first.epoch AS first_epoch, first.seq AS first_seq, first.recorded_at AS first_recorded_at,
       CASE WHEN first.epoch IS NULL THEN 0 WHEN first.epoch = stream.epoch THEN stream.last_seq - first.seq + 1
            ELSE (SELECT count(*) FROM event_log WHERE topic = stream.topic AND partition = stream.partition)
       END AS events
FROM event_stream AS stream
LEFT JOIN LATERAL (
    SELECT epoch, seq, recorded_at FROM event_log
    WHERE topic = stream.topic AND partition = stream.partition ORDER BY epoch, seq LIMIT 1
) AS first ON true
ORDER BY stream.topic, stream.partition
"""

# What left the log while there was no Kafka counts as published: a drain would wait for it for ever.
_STREAMS = """
SELECT stream.topic, stream.partition, stream.epoch, stream.last_seq,
       CASE WHEN $1 THEN coalesce(next.seq - 1, stream.last_seq) END AS published_seq
FROM event_stream AS stream
LEFT JOIN LATERAL (
    SELECT seq FROM event_log
    WHERE topic = stream.topic AND partition = stream.partition AND epoch = stream.epoch AND seq > stream.published_seq
    ORDER BY seq LIMIT 1
) AS next ON true
ORDER BY stream.topic, stream.partition
"""

_READING = {
    "consumers": """
        SELECT consumer, topic, partition, epoch, seq, next_offset, stopped_reason, paused_at, paused_by
        FROM consumer_offset ORDER BY consumer, topic, partition
    """,
    "dead_letters": """
        SELECT consumer, topic, count(*) AS letters, min(first_failed_at) AS oldest
        FROM dead_letter WHERE status = 'open' GROUP BY consumer, topic ORDER BY consumer, topic
    """,
    "processes": SEEN,
}
