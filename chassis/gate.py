"""The gate: a database restored from an older backup is recognised before it may number anything."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias
from uuid import UUID

import asyncpg
import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from chassis.db import KEEPALIVE, Database, plain_url
from chassis.envelope import Unreadable, open_envelope
from chassis.kafka_client import CLIENT, drop
from chassis.kafka_topics import ensure_topics
from contracts.topics import Topic, topics_of

log = structlog.get_logger()

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


class ProcessGate:
    """The gate as a process passes it: once for each life of its database.

    Whoever restores a database starts its server anew, or makes it or its tables anew. Where neither happened no
    broker has to be asked again, which may be away for hours.
    """

    def __init__(self, service: str, servers: str) -> None:
        self._service, self._servers = service, servers
        self._passed: tuple[object, ...] | None = None

    async def __call__(self, database: Database) -> None:
        """Pass before anything is numbered. Raises as `gate` does."""
        # Read before: a database that is restored while a broker is asked has another life then.
        life = await _life(database)
        if life != self._passed:
            database.waits_at_gate = True
            await gate(database, self._service, self._servers)
            self._passed, database.waits_at_gate = life, False


async def _life(database: Database) -> tuple[object, ...]:
    connection = await _connected(database)
    try:
        [life] = await connection.fetch(_LIFE)
        return tuple(life)
    finally:
        connection.terminate()


async def _connected(database: Database) -> Connection:
    return await asyncpg.connect(plain_url(database.url), timeout=10, command_timeout=60, server_settings={**KEEPALIVE})


@dataclass(frozen=True, slots=True)
class _End:
    """Where a partition ends on Kafka, and the place of its last event, if there still is one."""

    topic: str
    partition: int
    offset: int
    event_id: UUID | None = None
    epoch: int = 0
    seq: int = 0


async def gate(database: Database, service: str, servers: str) -> None:
    """Pass before anything is numbered or published: a restored database begins a new epoch.

    Its next numbers stand on Kafka already, on other events, and consumers would drop the new ones as duplicates.
    So the last record of each partition must be in the log with the same id; where it is not, the epoch rises and
    unpublished rows move to it. Kafka is read before the log: what is published stands in the log before. Where
    retention has left no record, there or in the log, Kafka must end where the last ack was. Compacted topics follow
    the others: they may end in tombstones, which have no number.

    Raises `TimeoutError` or an `OSError` while no broker answers; intake goes on meanwhile, in the outbox.
    """
    topics = topics_of(service)
    compacted = [topic.name for topic in topics if topic.compacted]
    await ensure_topics(servers, topics)
    try:
        ends = await _ends(servers, [topic for topic in topics if not topic.compacted])
    except KafkaError as error:
        raise ConnectionError(f"Kafka does not answer: {error}") from error
    connection = await _connected(database)
    try:
        async with connection.transaction():
            # Nothing is numbered meanwhile, and of two processes at their gates the second sees what the first did.
            await connection.execute("SELECT pg_advisory_xact_lock(hashtext('sequencer'))")
            epochs = [await _begin_epoch(connection, end) for end in ends if await _is_restored(connection, end)]
            if epochs and compacted:
                # Above their own, too: another partition may have begun one before, and they with it.
                before: int = await connection.fetchval(_HIGHEST, compacted)
                await connection.execute(_NEW_EPOCH, compacted, None, max(*epochs, before + 1), None)
    finally:
        connection.terminate()


async def _is_restored(connection: Connection, end: _End) -> bool:
    stream = await connection.fetchrow(_STREAM, end.topic, end.partition)
    assert stream is not None, f"{end.topic} is not declared"
    beyond_last_ack = bool(end.offset > stream["published_offset"] + 1)
    if end.event_id is None:
        # An epoch above the first that no broker has taken anything of is new to everybody.
        return beyond_last_ack and not (stream["published_offset"] < 0 and stream["epoch"] > 1)
    # An epoch above that of the record has begun after it: its numbers are new to everybody.
    if stream["epoch"] > end.epoch:
        return False
    known = await connection.fetchval(_KNOWN, end.topic, end.partition, end.epoch, end.seq)
    return beyond_last_ack if known is None else bool(known != end.event_id)


async def _begin_epoch(connection: Connection, end: _End) -> int:
    log.error("log restored from a backup, new epoch", topic=end.topic, partition=end.partition)
    present: int = await connection.fetchval(_EPOCH, end.topic, end.partition)
    epoch = max(present, end.epoch) + 1
    await connection.execute(_NEW_EPOCH, [end.topic], end.partition, epoch, end.offset - 1)
    return epoch


async def _ends(servers: str, topics: Sequence[Topic]) -> list[_End]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=servers, enable_auto_commit=False, auto_offset_reset="earliest", **CLIENT
    )
    partitions = [TopicPartition(topic.name, number) for topic in topics for number in range(topic.partitions)]
    try:
        async with asyncio.timeout(30):
            await consumer.start()
            offsets = await consumer.end_offsets(partitions)
            starts = await consumer.beginning_offsets(partitions)
            found = {
                partition: _End(partition.topic, partition.partition, offset) for partition, offset in offsets.items()
            }
            consumer.assign(partitions)
            unread = {partition for partition in partitions if offsets[partition] > starts[partition]}
            for partition in unread:
                consumer.seek(partition, offsets[partition] - 1)
            while unread:
                for partition, records in (await consumer.getmany(*unread, timeout_ms=500)).items():
                    unread.discard(partition)
                    found[partition] = _end(partition, records[0].offset + 1, records[0].value)
    finally:
        await drop(consumer.stop())
    return list(found.values())


def _end(partition: TopicPartition, offset: int, value: bytes | None) -> _End:
    try:
        envelope = open_envelope(value or b"")
    except Unreadable:
        return _End(partition.topic, partition.partition, offset)
    return _End(partition.topic, partition.partition, offset, envelope.id, *envelope.place)


_LIFE = """
SELECT pg_postmaster_start_time(), pg_database.oid, 'event_stream'::regclass::oid
FROM pg_database WHERE datname = current_database()
"""

_STREAM = "SELECT epoch, published_offset FROM event_stream WHERE topic = $1 AND partition = $2"

_EPOCH = "SELECT epoch FROM event_stream WHERE topic = $1 AND partition = $2"

_HIGHEST = "SELECT max(epoch) FROM event_stream WHERE topic = ANY($1)"

_KNOWN = "SELECT event_id FROM event_log WHERE topic = $1 AND partition = $2 AND epoch = $3 AND seq = $4"

_NEW_EPOCH = """
WITH stream AS (
    SELECT topic, partition, epoch, published_seq, last_seq FROM event_stream
    WHERE topic = ANY($1) AND ($2::int IS NULL OR partition = $2)
), moved AS (
    UPDATE event_log SET epoch = $3, seq = seq - stream.published_seq
    FROM stream
    WHERE event_log.topic = stream.topic AND event_log.partition = stream.partition
        AND event_log.epoch = stream.epoch AND seq > stream.published_seq
)
UPDATE event_stream SET epoch = $3, last_seq = stream.last_seq - stream.published_seq, published_seq = 0,
    published_offset = coalesce($4, event_stream.published_offset)
FROM stream WHERE event_stream.topic = stream.topic AND event_stream.partition = stream.partition
"""
