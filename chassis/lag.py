"""How far a consumer is behind in each partition, by what the publishing service has numbered."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

import asyncpg
import structlog

from chassis.bus import TopicPartition
from chassis.db import KEEPALIVE, Database, database_is_away, driver, plain_url

log = structlog.get_logger()

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Marks: TypeAlias = Mapping[TopicPartition, tuple[int, int]]
"""(epoch, seq) of the last event that took effect, by partition."""

PATIENCE_S = 5.0
"""Seconds that a source is waited for: who asks for the lag of all waits no longer for one of them."""


@dataclass(frozen=True, slots=True)
class Unread:
    """What of a partition is not read yet."""

    topic: str
    partition: int
    epoch: int
    seq: int
    """Place of the last event that took effect."""
    last_epoch: int
    last_seq: int
    """Place of the last event that was numbered."""
    oldest_at: datetime | None
    """When the first of those that are unread was numbered; None where none is, or where it has left the log."""

    @property
    def events(self) -> int:
        """How many there are; of those of an older epoch nothing is known."""
        return max(0, self.last_seq - (self.seq if self.epoch == self.last_epoch else 0))

    def age_s(self, at: datetime, kept: timedelta) -> float:
        """Seconds for which the oldest has waited; where it has left the log, for so long as that keeps events.

        It is older than that. Infinity would say so, too, but is no number in JSON (RFC 8259 §6).
        """
        if self.oldest_at is None:
            return kept.total_seconds() if self.events else 0.0
        return max(0.001, round((at - self.oldest_at).total_seconds(), 3))


async def unread(connection: Connection, marks: Marks) -> list[Unread]:
    """What a consumer with these marks has not read, on a connection to the publishing service."""
    if not marks:
        return []
    places = [(*partition, *mark) for partition, mark in sorted(marks.items())]
    return [Unread(*row) for row in await connection.fetch(_UNREAD, *map(list, zip(*places, strict=True)))]


async def marks_of(database: Database, consumer: str) -> Marks:
    """How far a consumer is in every partition that it reads."""
    async with database.transaction() as session:
        rows = await (await driver(session)).fetch(_MARKS, consumer)
    return {TopicPartition(row["topic"], row["partition"]): (row["epoch"], row["seq"]) for row in rows}


async def unread_of(marks: Marks, source_urls: Mapping[str, str]) -> dict[str, list[Unread] | None]:
    """What a consumer with these marks has not read of each source; None of one that cannot be read.

    All are asked at once, so that one that says nothing takes no time from the others.
    """
    found = await asyncio.gather(*(_unread_from(source, url, marks) for source, url in source_urls.items()))
    return dict(zip(source_urls, found, strict=True))


async def _unread_from(source: str, url: str, marks: Marks) -> list[Unread] | None:
    places = {partition: mark for partition, mark in marks.items() if partition.topic.startswith(f"{source}.")}
    try:
        async with asyncio.timeout(PATIENCE_S):
            connection = await asyncpg.connect(
                plain_url(url), timeout=2, command_timeout=PATIENCE_S, server_settings=KEEPALIVE
            )
            try:
                return await unread(connection, places)
            finally:
                connection.terminate()
    except Exception as error:
        # One that refuses is no better than one that is away: as little is known of it, and the others are to be told.
        if not (isinstance(error, asyncpg.PostgresError) or database_is_away(error)):
            raise
        log.warning("source not read", source=source, error=str(error), error_class=type(error).__name__)
        return None


_MARKS = "SELECT topic, partition, epoch, seq FROM consumer_offset WHERE consumer = $1"

# What comes next is the number that a consumer waits for: behind a gap, the first that is left is not the oldest.
_UNREAD = """
SELECT place.topic, place.partition, place.epoch, place.seq, stream.epoch AS last_epoch, stream.last_seq,
       next.recorded_at AS oldest_at
FROM unnest($1::text[], $2::int[], $3::int[], $4::bigint[]) AS place(topic, partition, epoch, seq)
JOIN event_stream AS stream ON stream.topic = place.topic AND stream.partition = place.partition
LEFT JOIN LATERAL (
    SELECT epoch, seq, recorded_at FROM event_log
    WHERE topic = place.topic AND partition = place.partition AND (epoch, seq) > (place.epoch, place.seq)
    ORDER BY epoch, seq LIMIT 1
) AS next ON (stream.epoch, stream.last_seq) > (place.epoch, place.seq)
    AND next.seq = CASE WHEN next.epoch = place.epoch THEN place.seq + 1 ELSE 1 END
ORDER BY place.topic, place.partition
"""
