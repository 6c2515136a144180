"""The publisher hands the numbered log to Kafka: in order, nothing lost, duplicates recognisable by their number."""

import asyncio
import contextlib
from collections.abc import Awaitable, Sequence
from typing import Any, Never, TypeVar

import asyncpg
import structlog
from aiokafka import AIOKafkaProducer
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.errors import KafkaError, KafkaTimeoutError

from chassis.db import KEEPALIVE, SILENCE_S, Database, connect, plain_url
from chassis.envelope import CONTENT_TYPE, finish, sampled_trace
from chassis.gate import gate
from chassis.kafka_client import CLIENT, answering, hang_up, pass_over_the_frozen
from chassis.kafka_topics import RETENTION_DAYS, keep_for
from chassis.portions import portion
from chassis.rest import rest
from chassis.sequencer import CHANNEL
from chassis.settings import ServiceSettings
from chassis.telemetry import CONNECTED
from contracts.topics import topics_of

log = structlog.get_logger()

Some = TypeVar("Some")

BATCH = 500
BATCH_BYTES = 1_000_000
"""A batch has no more, and no more is read for one, but for the last event that is."""
BATCH_TIMEOUT_S = 7.0
"""Our own bound: an idempotent producer retries silently and without end.

Longer than brokers take to find a frozen one out (`broker.session.timeout.ms`): the next producer is told of another
leader.
"""
LOOK_S = 0.5
"""Whoever waits for the answer to a batch asks so often who leads."""
NOBODY = -1
PRODUCERS = 10
"""So many follow each other before the gate is passed again: the brokers may have lost what they had."""
POLL_S = 0.5
HEADERS = [("content-type", CONTENT_TYPE.encode())]


async def publish_log(settings: ServiceSettings, service: str) -> Never:
    """Hand a service's log to Kafka, one process at a time, until cancelled."""
    database = connect(settings.database_url, pool_size=2, silence_s=SILENCE_S)
    try:
        servers = settings.bus_url.removeprefix("kafka://")
        await run(database, service, servers, retention_days=settings.log_retention_days)
    finally:
        await database.close()


async def run(database: Database, service: str, servers: str, *, retention_days: int = RETENTION_DAYS) -> Never:
    """Publish a service's log until cancelled. After any failure a new producer starts again from the last ack.

    Kafka keeps what is published for `retention_days`.
    """
    CONNECTED.labels(f"{service}-publisher", "kafka").set(0)
    while True:
        try:
            there = await answering(servers)
            # What is sent before the gate is passed would pass for the last event of a restored database.
            await gate(database, service, there)
            await keep_for(there, topics_of(service), retention_days)
            await _publish(database, service, servers)
        except (KafkaError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            log.warning("publisher starts over", error=str(error), error_class=type(error).__name__)
            CONNECTED.labels(f"{service}-publisher", "kafka").set(0)
            await rest(1)


async def _publish(database: Database, service: str, servers: str) -> None:
    connection = await asyncpg.connect(
        plain_url(database.url),
        timeout=10,
        command_timeout=SILENCE_S,
        server_settings={"timezone": "UTC", "jit": "off", **KEEPALIVE},
    )
    grown = asyncio.Event()
    try:
        await connection.add_listener(CHANNEL, lambda *_: grown.set())
        number: tuple[int, int] | None = None
        for _ in range(PRODUCERS):
            producer = _producer(await answering(servers), number)
            try:
                await _produce(connection, grown, service, producer)
            except KafkaError as error:
                # As long as its session lives the database was not restored: the gate need not be passed again.
                log.warning("producer rebuilt", error=str(error), error_class=type(error).__name__)
                CONNECTED.labels(f"{service}-publisher", "kafka").set(0)
                number = _next_number(producer, error)
                await rest(0 if isinstance(error, KafkaTimeoutError) else 1)
    finally:
        connection.terminate()


def _next_number(producer: AIOKafkaProducer, error: KafkaError) -> tuple[int, int] | None:
    """The id and the epoch of whoever goes on in the place of a producer; None where its id may be what is wrong.

    For a new id a broker that was started since asks the controller, and where that one is frozen there is none for
    half a minute.
    """
    manager = producer._txn_manager
    if manager.has_pid() and (error.retriable or isinstance(error, KafkaTimeoutError)):
        return manager.producer_id, manager.producer_epoch + 1
    return None


def _producer(servers: str, number: tuple[int, int] | None) -> AIOKafkaProducer:
    producer = AIOKafkaProducer(
        bootstrap_servers=servers,
        acks="all",
        enable_idempotence=True,
        compression_type="zstd",
        max_batch_size=BATCH_BYTES,
        max_request_size=1_048_576,
        **CLIENT,
    )
    pass_over_the_frozen(producer.client)
    if number:
        producer._txn_manager.set_pid_and_epoch(*number)
    return producer


async def _produce(
    connection: "asyncpg.Connection[asyncpg.Record]", grown: asyncio.Event, service: str, producer: AIOKafkaProducer
) -> Never:
    try:
        await _within(30, producer.start())
        CONNECTED.labels(f"{service}-publisher", "kafka").set(1)
        while True:
            grown.clear()
            pending = await connection.fetch(_PENDING)
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
        await hang_up(producer.client)
        producer._closed = True


async def _within(seconds: float, waited_for: Awaitable[Some]) -> Some:
    try:
        async with asyncio.timeout(seconds):
            return await waited_for
    except TimeoutError:
        # Unlike a database that says nothing.
        raise KafkaTimeoutError("the brokers do not answer") from None


async def _round(
    connection: "asyncpg.Connection[asyncpg.Record]", producer: AIOKafkaProducer, pending: Sequence[asyncpg.Record]
) -> None:
    """One batch per partition that has news, side by side. What was acknowledged is kept before a failure is raised."""
    batches = [await connection.fetch(_READ, *stream.values(), BATCH, BATCH_BYTES) for stream in pending]
    sent = await asyncio.gather(*(_send(producer, rows) for rows in batches if rows), return_exceptions=True)
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
        # In the value it is in any case; a header costs every reader, so only traces that somebody follows have one.
        trace = row["payload"] and sampled_trace(row["payload"])
        headers = [*HEADERS, ("traceparent", trace)] if trace else HEADERS
        if batch.append(key=row["key"].encode(), value=value, timestamp=timestamp, headers=headers) is None:
            break
        last = row
    metadata = await _within(BATCH_TIMEOUT_S, _acknowledged(producer, batch, last["topic"], last["partition"]))
    offset = metadata.offset + batch.record_count() - 1
    return last["topic"], last["partition"], last["epoch"], last["seq"], offset


async def _acknowledged(producer: AIOKafkaProducer, batch: Any, topic: str, partition: int) -> Any:
    """Wait for the answer, but for that of a frozen leader only until another one leads."""
    answer = await producer.send_batch(batch, topic, partition=partition)
    cluster, place = producer.client.cluster, KafkaPartition(topic, partition)
    asked = leader = cluster.leader_for_partition(place)
    try:
        while not (await asyncio.wait({answer}, timeout=LOOK_S))[0]:
            # Whoever answered, be it that it leads no more, is left to the client.
            if leader not in (None, NOBODY, asked) and asked in producer._sender._in_flight:
                raise KafkaTimeoutError(f"{topic}/{partition} is led by broker {leader}, and {asked} does not answer")
            producer.client.force_metadata_update()
            leader = cluster.leader_for_partition(place)
            if asked in (None, NOBODY):
                asked = leader
        return await answer
    finally:
        answer.cancel()


# What left the log while there was no Kafka is for nobody to publish.
_PENDING = """
SELECT topic, partition, epoch, published_seq FROM event_stream AS stream
WHERE published_seq < last_seq AND EXISTS (
    SELECT FROM event_log AS event
    WHERE event.topic = stream.topic AND event.partition = stream.partition AND event.epoch = stream.epoch
        AND event.seq > stream.published_seq
)
ORDER BY topic, partition
"""

_READ = portion(
    """
        SELECT topic, partition, epoch, seq, key, payload, recorded_at FROM event_log
        WHERE topic = $1 AND partition = $2 AND epoch = $3 AND seq > $4 ORDER BY epoch, seq LIMIT $5
    """,
    most="$6",
)

_MOVE = """
WITH sent AS (
    SELECT * FROM unnest($1::text[], $2::int[], $3::int[], $4::bigint[], $5::bigint[])
        AS sent(topic, partition, epoch, seq, last_offset)
), held AS MATERIALIZED (
    -- In order: the sequencer locks the same rows.
    SELECT topic, partition FROM event_stream WHERE (topic, partition) IN (SELECT topic, partition FROM sent)
    ORDER BY topic, partition FOR NO KEY UPDATE
)
UPDATE event_stream SET published_seq = sent.seq, published_offset = sent.last_offset
FROM sent JOIN held USING (topic, partition)
WHERE event_stream.topic = sent.topic AND event_stream.partition = sent.partition
    AND event_stream.epoch = sent.epoch AND event_stream.published_seq < sent.seq
"""
