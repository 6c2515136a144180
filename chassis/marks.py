"""How far a consumer is in a partition: a row whose lock is the fence, and the stop at a gap."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.bus import TopicPartition
from chassis.db import Database, driver
from chassis.writes import put_off
from contracts.topics import Topic

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


@dataclass(slots=True)
class Mark:
    """The last event that took effect, and the offset behind it."""

    next_offset: int
    epoch: int
    seq: int
    unreadable: int
    """Records without a readable envelope since that event: each stands for one missing number."""
    paused: bool = False
    """An operator has said that nothing is to be read here."""


class Stopped(Exception):
    """The partition cannot go on by itself from the event at (epoch, seq)."""

    def __init__(self, reason: str, epoch: int, seq: int) -> None:
        super().__init__(reason)
        self.reason, self.epoch, self.seq = reason, epoch, seq


async def have(connection: Connection, consumer: str, partitions: Iterable[TopicPartition]) -> None:
    """Have a mark of each partition, before its first event where there is none: all of it counts as waiting."""
    await connection.execute(_HAVE, consumer, *map(list, zip(*partitions, strict=True)))


async def declare(database: Database, consumer: str, topics: Iterable[Topic]) -> None:
    """Have a mark of every partition that a consumer is to read.

    All at once, and before it begins: a topic none of whose partitions is claimed yet would seem to have nothing that
    waits.
    """
    async with database.transaction() as session:
        partitions = [TopicPartition(topic.name, number) for topic in topics for number in range(topic.partitions)]
        await have(await driver(session), consumer, partitions)


async def claim(connection: Connection, consumer: str, partition: TopicPartition) -> Mark:
    """The mark of a partition that may be read for the first time, locked."""
    await have(connection, consumer, [partition])
    return (await lock(connection, consumer, [partition]))[partition]


async def lock(
    connection: Connection, consumer: str, partitions: Collection[TopicPartition]
) -> dict[TopicPartition, Mark]:
    """The marks, locked until the transaction ends: whoever else believes to own one waits, then sees it."""
    rows = await connection.fetch(_LOCK, consumer, *map(list, zip(*partitions, strict=True)))
    known = {TopicPartition(topic, number): Mark(*mark) for topic, number, *mark in rows}
    if unclaimed := set(partitions) - known.keys():
        raise LookupError(f"{unclaimed} were read before they were claimed")
    return known


def move(session: AsyncSession, consumer: str, marks: Mapping[TopicPartition, Mark]) -> None:
    """Have locked marks kept, in the transaction of the effects; a stop is over with it."""
    rows = [(*partition, mark.next_offset, mark.epoch, mark.seq, mark.unreadable) for partition, mark in marks.items()]
    put_off(session, _MOVE, consumer, *zip(*rows, strict=True))


async def stop(connection: Connection, consumer: str, partition: TopicPartition, stopped: Stopped) -> int:
    """Say why the partition stands; return the offset at which it stands."""
    known = await lock(connection, consumer, [partition])
    await connection.execute(_STOP, consumer, *partition, stopped.reason, stopped.epoch, stopped.seq)
    return known[partition].next_offset


async def let_pass(session: AsyncSession, consumer: str, partition: TopicPartition) -> bool:
    """Let a stopped partition go on past its gap, on an operator's word. False where it was not stopped.

    What is missing is given up: should it turn up later, it is dropped as a duplicate.
    """
    passed = await (await driver(session)).fetchval(_LET_PASS, consumer, *partition)
    return passed is not None


async def pause(session: AsyncSession, consumer: str, topics: Collection[str] | None, at: datetime, by: str) -> int:
    """Have a consumer read nothing of topics, or of any, until `resume`; return how many partitions stand since now.

    What it is handling is committed or comes again: once this has committed, nothing more takes effect.
    """
    return len(await (await driver(session)).fetch(_PAUSE, consumer, topics, at, by))


async def resume(session: AsyncSession, consumer: str, topics: Collection[str] | None) -> int:
    """Have a consumer read topics, or all, again; return how many partitions stood."""
    return len(await (await driver(session)).fetch(_RESUME, consumer, topics))


_HAVE = """
INSERT INTO consumer_offset (consumer, topic, partition)
SELECT $1, topic, partition FROM unnest($2::text[], $3::int[]) AS new(topic, partition) ORDER BY topic, partition
ON CONFLICT DO NOTHING
"""

_LOCK = """
SELECT topic, partition, next_offset, epoch, seq, unreadable, paused_at IS NOT NULL FROM consumer_offset
WHERE consumer = $1 AND (topic, partition) IN (SELECT * FROM unnest($2::text[], $3::int[]))
ORDER BY topic, partition FOR UPDATE
"""

_MOVE = """
moved AS (
    UPDATE consumer_offset AS known
    SET next_offset = new.next_offset, epoch = new.epoch, seq = new.seq, unreadable = new.unreadable,
        stopped_reason = NULL, stopped_epoch = NULL, stopped_seq = NULL
    FROM unnest($2::text[], $3::int[], $4::bigint[], $5::int[], $6::bigint[], $7::int[])
        AS new(topic, partition, next_offset, epoch, seq, unreadable)
    WHERE known.consumer = $1 AND known.topic = new.topic AND known.partition = new.partition
)
"""

_STOP = """
UPDATE consumer_offset SET stopped_reason = $4, stopped_epoch = $5, stopped_seq = $6
WHERE consumer = $1 AND topic = $2 AND partition = $3
"""

_LET_PASS = """
UPDATE consumer_offset SET epoch = stopped_epoch, seq = stopped_seq - 1, unreadable = 0,
    stopped_reason = NULL, stopped_epoch = NULL, stopped_seq = NULL
WHERE consumer = $1 AND topic = $2 AND partition = $3 AND stopped_reason IS NOT NULL RETURNING true
"""

_PAUSE = """
WITH held AS MATERIALIZED (
    -- In order: the consumer locks the same rows.
    SELECT consumer, topic, partition FROM consumer_offset
    WHERE consumer = $1 AND ($2::text[] IS NULL OR topic = ANY($2)) AND paused_at IS NULL
    ORDER BY topic, partition FOR UPDATE
)
UPDATE consumer_offset AS known SET paused_at = $3, paused_by = $4
FROM held WHERE (known.consumer, known.topic, known.partition) = (held.consumer, held.topic, held.partition)
RETURNING known.partition
"""

_RESUME = """
WITH held AS MATERIALIZED (
    SELECT consumer, topic, partition FROM consumer_offset
    WHERE consumer = $1 AND ($2::text[] IS NULL OR topic = ANY($2)) AND paused_at IS NOT NULL
    ORDER BY topic, partition FOR UPDATE
)
UPDATE consumer_offset AS known SET paused_at = NULL, paused_by = NULL
FROM held WHERE (known.consumer, known.topic, known.partition) = (held.consumer, held.topic, held.partition)
RETURNING known.partition
"""
