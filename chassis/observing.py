"""What a database knows of how its service fares, read when Prometheus asks."""

import asyncio
from collections.abc import Iterable, Mapping
from datetime import timedelta
from itertools import product

from chassis.clock import now
from chassis.db import Database, database_is_away, driver
from chassis.lag import PATIENCE_S, Unread, marks_of, unread_of
from chassis.settings import ServiceSettings
from chassis.telemetry import (
    DATABASE_UP,
    LAG,
    LAG_AGE,
    LETTERS_OPEN,
    OUTBOX_AGE,
    OUTBOX_EVENTS,
    PAUSED,
    SOURCE_UP,
    STOPPED,
    UNPUBLISHED,
    UNPUBLISHED_AGE,
)
from contracts.topics import topics_of


async def observe(database: Database, service: str, source_urls: Mapping[str, str], settings: ServiceSettings) -> None:
    """Bring the gauges of a service up to date.

    Where its database cannot be read, they are left as they are, and `shuke_database_up` is 0. Of a source that cannot
    be read nothing is told but that, by `shuke_source_up`.
    """
    try:
        async with asyncio.timeout(PATIENCE_S):
            await _own(database, service, settings)
            marks = await marks_of(database, service)
        DATABASE_UP.labels(service).set(1)
    except Exception as error:
        if not database_is_away(error):
            raise
        DATABASE_UP.labels(service).set(0)
        return
    for source, found in (await unread_of(marks, source_urls)).items():
        _lag(service, source, found, timedelta(days=settings.log_retention_days))


async def oldest_outbox_s(database: Database) -> float:
    """Seconds that the oldest event has waited for its number; 0 only without any. Its id tells when it was made."""
    async with database.transaction() as session:
        age_s = await (await driver(session)).fetchval(_OLDEST_OUTBOX)
    return 0.0 if age_s is None else max(0.001, round(float(age_s), 3))


async def oldest_unpublished_s(database: Database, settings: ServiceSettings) -> float:
    """Seconds that the oldest numbered event has waited for Kafka; 0 without any, and without Kafka.

    A producer retries in silence: nothing else tells an operator that the brokers take nothing. Nor does what they have
    acknowledged tell whether there are any: in a new installation, and after a restore, that is nothing.
    """
    return (await _unpublished(database, settings))[1]


async def _unpublished(database: Database, settings: ServiceSettings) -> tuple[int, float]:
    if not settings.on_kafka:
        return 0, 0.0
    async with database.transaction() as session:
        [(events, oldest)] = await (await driver(session)).fetch(_UNPUBLISHED)
    return events, 0.0 if oldest is None else max(0.001, round((now() - oldest).total_seconds(), 3))


async def _own(database: Database, service: str, settings: ServiceSettings) -> None:
    OUTBOX_AGE.labels(service).set(await oldest_outbox_s(database))
    events, age_s = await _unpublished(database, settings)
    UNPUBLISHED.labels(service).set(events)
    UNPUBLISHED_AGE.labels(service).set(age_s)
    async with database.transaction() as session:
        connection = await driver(session)
        OUTBOX_EVENTS.labels(service).set(await connection.fetchval("SELECT count(*) FROM outbox"))
        places = await connection.fetch(_PLACES)
        standing = await connection.fetch(_STANDING)
        letters = await connection.fetch(_LETTERS)
    for row in places:
        PAUSED.labels(row["consumer"], row["topic"], str(row["partition"])).set(row["paused"])
    for row in standing:
        STOPPED.labels(row["consumer"]).set(row["stopped"])
    LETTERS_OPEN.clear()
    for row in letters:
        LETTERS_OPEN.labels(row["consumer"], row["topic"]).set(row["letters"])


def _lag(consumer: str, source: str, found: Iterable[Unread] | None, kept: timedelta) -> None:
    SOURCE_UP.labels(consumer, source).set(found is not None)
    # What was told of a source before would pass for what is there.
    for gauge, topic in product((LAG, LAG_AGE), topics_of(source)):
        gauge.remove_by_labels({"consumer": consumer, "topic": topic.name})
    present = now()
    for each in found or ():
        place = consumer, each.topic, str(each.partition)
        LAG.labels(*place).set(each.events)
        LAG_AGE.labels(*place).set(each.age_s(present, kept))


_PLACES = "SELECT consumer, topic, partition, paused_at IS NOT NULL AS paused FROM consumer_offset"

_STANDING = "SELECT consumer, count(stopped_reason) AS stopped FROM consumer_offset GROUP BY consumer"

_LETTERS = """
SELECT of.consumer, of.topic, count(letter.id) AS letters
FROM (SELECT DISTINCT consumer, topic FROM consumer_offset) AS of
LEFT JOIN dead_letter AS letter
    ON letter.consumer = of.consumer AND letter.topic = of.topic AND letter.status = 'open'
GROUP BY of.consumer, of.topic
"""

_OLDEST_OUTBOX = """
SELECT extract(epoch FROM clock_timestamp() - uuid_extract_timestamp(event_id)) FROM outbox ORDER BY id LIMIT 1
"""

# Within an epoch numbers have no holes. What left the log while there was no Kafka waits for none.
_UNPUBLISHED = """
SELECT coalesce(sum(stream.last_seq - next.seq + 1), 0)::bigint AS events, min(next.recorded_at) AS oldest
FROM event_stream AS stream
CROSS JOIN LATERAL (
    SELECT seq, recorded_at FROM event_log
    WHERE topic = stream.topic AND partition = stream.partition AND epoch = stream.epoch AND seq > stream.published_seq
    ORDER BY seq LIMIT 1
) AS next
WHERE stream.published_seq < stream.last_seq
"""
