"""The publisher hands the numbered log to Kafka: in order, nothing lost, duplicates recognisable by their number."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Never

import asyncpg
import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from prometheus_client import Gauge

from chassis.clock import now
from chassis.db import KEEPALIVE, Database, plain_url
from chassis.envelope import CONTENT_TYPE, Unreadable, finish, open_envelope
from chassis.kafka_transport import CLIENT, drop_client, ensure_topics
from chassis.sequencer import CHANNEL
from contracts.topics import topics_of

log = structlog.get_logger()

BATCH = 500
BATCH_TIMEOUT_S = 10.0
"""Our own bound: an idempotent producer retries silently and without end."""
POLL_S = 0.5
HEADERS = [("content-type", CONTENT_TYPE.encode())]

UNPUBLISHED_AGE = Gauge("shuke_unpublished_age_seconds", "Age of the oldest numbered event that Kafka has not taken.")


class _Refused(Exception):
    """A batch was not acknowledged in time; nothing behind it may be sent by this producer."""


async def run(database: Database, service: str, servers: str) -> Never:
    """Publish a service's log until cancelled. After any failure a new producer starts again from the last ack."""
    await ensure_topics(servers, topics_of(service))
    while True:
        try:
            await _publish(database, servers)
        except (_Refused, KafkaError, OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            log.warning("publisher starts over", error=str(error), error_class=type(error).__name__)
            await asyncio.sleep(1)


async def _publish(database: Database, servers: str) -> Never:
    connection = await asyncpg.connect(
        plain_url(database.url), timeout=10, server_settings={"timezone": "UTC", "jit": "off", **KEEPALIVE}
    )
    grown = asyncio.Event()
    producer = AIOKafkaProducer(
        bootstrap_servers=servers,
        acks="all",
        enable_idempotence=True,
        compression_type="zstd",
        max_batch_size=1_000_000,
        max_request_size=1_048_576,
        **CLIENT,
    )
    try:
        await connection.add_listener(CHANNEL, lambda *_: grown.set())
        async with asyncio.timeout(30):
            await producer.start()
        while True:
            grown.clear()
            pending = await connection.fetch(_PENDING)
            UNPUBLISHED_AGE.set(await _age(connection) if pending else 0)
            if pending:
                await _round(connection, producer, pending)
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await grown.wait()
            if connection.is_closed():
                raise ConnectionError("the database closed the connection")
    finally:
        # `producer.stop()` would flush, and hang while brokers are down.
        sender = producer._sender
        if sender.sender_task is not None:
            sender.sender_task.cancel()
        await drop_client(producer.client)
        producer._closed = True
        connection.terminate()


async def _round(
    connection: "asyncpg.Connection[asyncpg.Record]", producer: AIOKafkaProducer, pending: Sequence[asyncpg.Record]
) -> None:
    """One batch per partition that has news, side by side. What was acknowledged is kept before a failure is raised."""
    batches = [await connection.fetch(_READ, *stream.values(), BATCH) for stream in pending]
    sent = await asyncio.gather(
        *(_send(producer, rows) for rows in batches if rows), return_exceptions=True
    )  # fmt: skip
    acknowledged = [outcome for outcome in sent if isinstance(outcome, tuple)]
    if acknowledged:
        await connection.execute(_MOVE, *map(list, zip(*acknowledged, strict=True)))
    for outcome in sent:
        if isinstance(outcome, BaseException):
            raise outcome


async def _send(producer: AIOKafkaProducer, rows: Sequence[asyncpg.Record]) -> tuple[str, int, int, int, int]:
    """Send as many of a partition's rows as fit into one batch; return (topic, partition, epoch, seq, offset)."""
    batch = producer.create_batch()
    last = rows[0]
    for row in rows:
        value = None
        if row["payload"] is not None:
            value = finish(row["payload"], row["recorded_at"], row["epoch"], row["seq"])
        timestamp = int(row["recorded_at"].timestamp() * 1000)
        if batch.append(key=row["key"].encode(), value=value, timestamp=timestamp, headers=HEADERS) is None:
            break
        last = row
    async with asyncio.timeout(BATCH_TIMEOUT_S):
        acknowledgement = await producer.send_batch(batch, last["topic"], partition=last["partition"])
        metadata = await acknowledgement
    offset = metadata.offset + batch.record_count() - 1
    return last["topic"], last["partition"], last["epoch"], last["seq"], offset


async def _age(connection: "asyncpg.Connection[asyncpg.Record]") -> float:
    oldest = await connection.fetchval(_OLDEST)
    return (now() - oldest).total_seconds() if oldest else 0.0


async def gate(database: Database, service: str, servers: str) -> None:
    """Pass before anything is numbered: a database restored from an older backup begins a new epoch.

    Its next numbers stand on Kafka already, on other events, and consumers would drop the new ones as duplicates.
    So the last record of each partition must be in the log with the same id; where it is not, the epoch rises and
    unpublished rows move to it. Kafka is read before the log: what is published stands in the log before.
    Raises `TimeoutError` or an `OSError` while no broker answers; intake goes on meanwhile, in the outbox.
    """
    await ensure_topics(servers, topics_of(service))
    try:
        last = await _last_records(servers, service)
    except KafkaError as error:
        raise ConnectionError(f"Kafka does not answer: {error}") from error
    connection = await asyncpg.connect(plain_url(database.url), timeout=10)
    try:
        for partition, (event_id, epoch, seq) in last.items():
            known = await connection.fetchval(_KNOWN, partition.topic, partition.partition, epoch, seq)
            if known != event_id:
                log.error("log restored from a backup, new epoch", topic=partition.topic, partition=partition.partition)
                await connection.execute(_NEW_EPOCH, partition.topic, partition.partition, epoch)
    finally:
        await connection.close()


async def _last_records(servers: str, service: str) -> dict[TopicPartition, tuple[object, int, int]]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=servers, enable_auto_commit=False, auto_offset_reset="earliest", **CLIENT
    )
    found: dict[TopicPartition, tuple[object, int, int]] = {}
    try:
        async with asyncio.timeout(30):
            await consumer.start()
            partitions = [
                TopicPartition(topic.name, partition)
                for topic in topics_of(service)
                if not topic.compacted
                for partition in range(topic.partitions)
            ]
            ends = await consumer.end_offsets(partitions)
            starts = await consumer.beginning_offsets(partitions)
            filled = {p for p in partitions if ends[p] > starts[p]}
            consumer.assign(partitions)
            for partition in filled:
                consumer.seek(partition, ends[partition] - 1)
            while filled:
                for partition, records in (await consumer.getmany(*filled, timeout_ms=500)).items():
                    filled.discard(partition)
                    with contextlib.suppress(Unreadable):
                        envelope = open_envelope(records[-1].value or b"")
                        found[partition] = (envelope.id, *envelope.place)
    finally:
        with contextlib.suppress(Exception):
            async with asyncio.timeout(5):
                await consumer.stop()
    return found


_PENDING = """
SELECT topic, partition, epoch, published_seq FROM event_stream WHERE published_seq < last_seq ORDER BY topic, partition
"""

_READ = """
SELECT topic, partition, epoch, seq, key, payload, recorded_at FROM event_log
WHERE topic = $1 AND partition = $2 AND epoch = $3 AND seq > $4 ORDER BY seq LIMIT $5
"""

_MOVE = """
UPDATE event_stream SET published_seq = sent.seq, published_offset = sent.last_offset
FROM unnest($1::text[], $2::int[], $3::int[], $4::bigint[], $5::bigint[])
     AS sent(topic, partition, epoch, seq, last_offset)
WHERE event_stream.topic = sent.topic AND event_stream.partition = sent.partition AND event_stream.epoch = sent.epoch
"""

_OLDEST = """
SELECT min(l.recorded_at) FROM event_stream s
CROSS JOIN LATERAL (
    SELECT recorded_at FROM event_log
    WHERE topic = s.topic AND partition = s.partition AND epoch = s.epoch AND seq = s.published_seq + 1
) AS l
WHERE s.published_seq < s.last_seq
"""

_KNOWN = "SELECT event_id FROM event_log WHERE topic = $1 AND partition = $2 AND epoch = $3 AND seq = $4"

_NEW_EPOCH = """
WITH stream AS (
    SELECT topic, partition, epoch, published_seq, last_seq FROM event_stream
    WHERE topic = $1 AND partition = $2 FOR UPDATE
), moved AS (
    UPDATE event_log SET epoch = greatest($3, stream.epoch) + 1, seq = seq - stream.published_seq
    FROM stream
    WHERE event_log.topic = stream.topic AND event_log.partition = stream.partition
        AND event_log.epoch = stream.epoch AND seq > stream.published_seq
)
UPDATE event_stream SET epoch = greatest($3, stream.epoch) + 1,
    last_seq = stream.last_seq - stream.published_seq, published_seq = 0
FROM stream WHERE event_stream.topic = stream.topic AND event_stream.partition = stream.partition
"""
