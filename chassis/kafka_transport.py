"""The distributed bus: Kafka through aiokafka, with the counter-measures that it needs."""

import asyncio
import os
from collections.abc import Iterable, Sequence
from typing import Any, Never

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.errors import KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError
from aiokafka.structs import ConsumerRecord

from chassis.bus import PartitionSink, Record, TopicPartition, together
from chassis.kafka_client import CLIENT, answering, drop, pass_over_the_frozen
from chassis.kafka_topics import ensure_topics
from chassis.rest import rest
from chassis.telemetry import CONNECTED
from contracts.topics import TOPICS

log = structlog.get_logger()

BATCH = 2_000
FETCH_BYTES = 16 << 20
"""Of one answer of a broker, compressed; a third of the client's own bound."""
STOPPED_REST_S = 2.0
SESSION_TIMEOUT_MS = 10_000


class KafkaTransport:
    """Consumes with a consumer group; offsets stay in the sink's database."""

    def __init__(self, servers: str, *, patience_s: float = 0) -> None:
        self._servers = servers
        self._patience_s = patience_s

    async def run(self, consumer: str, topics: Sequence[str], sink: PartitionSink) -> Never:
        """See `chassis.bus.Transport`."""
        CONNECTED.labels(consumer, "kafka").set(0)
        await ensure_topics(self._servers, [topic for topic in TOPICS if topic.name in topics])
        while True:
            try:
                await self._consume(consumer, topics, sink)
            except* (KafkaError, OSError) as errors:
                CONNECTED.labels(consumer, "kafka").set(0)
                log.warning("consumer rebuilt", errors=[repr(error) for error in errors.exceptions])
            await rest(1)

    async def _consume(self, consumer: str, topics: Sequence[str], sink: PartitionSink) -> Never:
        kafka = AIOKafkaConsumer(
            bootstrap_servers=await answering(self._servers),
            group_id=consumer,
            # A restarted process gets its partitions back at once instead of waiting for its own ghost to time out.
            group_instance_id=os.environ.get("SHUKE_MEMBER"),
            enable_auto_commit=False,
            auto_offset_reset="none",
            session_timeout_ms=SESSION_TIMEOUT_MS,
            heartbeat_interval_ms=1_000,
            rebalance_timeout_ms=30_000,
            max_poll_records=BATCH * 4,
            fetch_max_bytes=FETCH_BYTES,
            **CLIENT,
        )
        pass_over_the_frozen(kafka._client)
        claims = _Claims(kafka, sink)
        kafka.subscribe(list(topics), listener=claims)
        try:
            async with asyncio.timeout(60):
                await kafka.start()
            CONNECTED.labels(consumer, "kafka").set(1)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(claims.report())
                await self._pump(kafka, claims, sink)
        finally:
            claims.give_up()
            await drop(kafka.stop())
        raise AssertionError("unreachable")

    async def _pump(self, kafka: AIOKafkaConsumer, claims: "_Claims", sink: PartitionSink) -> Never:
        while True:
            ready = claims.ready()
            if not ready:
                await asyncio.sleep(0.02)
                continue
            try:
                fetched = await kafka.getmany(*ready, timeout_ms=200)
            except OffsetOutOfRangeError as error:
                gone: Any = error.args[0]
                log.warning("records are gone from Kafka", partitions=[tuple(partition) for partition in gone])
                # Retention passed this consumer. There may be no record left whose `seq` would show the gap.
                beginnings = await kafka.beginning_offsets(list(gone))
                async with claims.busy:
                    for partition in claims.claimed & beginnings.keys():
                        beginning = beginnings[partition]
                        if await sink.catch_up(TopicPartition(*partition), beginning):
                            claims.go_on(partition, beginning)
                        else:
                            claims.have_rest(partition)
                continue
            except NoOffsetForPartitionError:
                # A partition left and came back meanwhile: it is read again when it has been claimed.
                continue
            async with claims.busy:
                read = {
                    TopicPartition(*partition): [_record(message) for message in messages]
                    for partition, messages in fetched.items()
                }
                for group in together({partition: len(records) for partition, records in read.items()}, BATCH):
                    # A partition may have been revoked while the group before it was handled.
                    held = [partition for partition in group if KafkaPartition(*partition) in claims.claimed]
                    followed = await sink.take({partition: read[partition] for partition in held}) if held else {}
                    for partition, following in followed.items():
                        claims.settle(KafkaPartition(*partition), read[partition][-1].offset, following)
            if self._patience_s:
                await asyncio.sleep(self._patience_s)


def _record(message: "ConsumerRecord[bytes, bytes]") -> Record:
    key = None if message.key is None else message.key.decode(errors="replace")
    return Record(message.offset, key, message.value)


class _Claims(ConsumerRebalanceListener):  # type: ignore[misc]
    """Which partitions may be read: those whose offset was fetched from the sink after they were assigned."""

    def __init__(self, kafka: AIOKafkaConsumer, sink: PartitionSink) -> None:
        self._kafka = kafka
        self._sink = sink
        self._resting: dict[KafkaPartition, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.claimed: set[KafkaPartition] = set()
        self.reached: dict[KafkaPartition, int] = {}
        self.busy = asyncio.Lock()
        """Held while a batch is handled: a revocation waits for it."""

    def ready(self) -> list[KafkaPartition]:
        """The claimed partitions that do not rest."""
        present = asyncio.get_running_loop().time()
        return [partition for partition in self.claimed if self._resting.get(partition, 0) <= present]

    def settle(self, partition: KafkaPartition, last: int, following: int) -> None:
        """Go on from `following` behind records up to the offset `last`; after a rest where not all were taken."""
        if partition not in self.claimed:
            return
        self.reached[partition] = following
        if following != last + 1:
            self._kafka.seek(partition, following)
        if following <= last:
            self.have_rest(partition)

    def go_on(self, partition: KafkaPartition, beginning: int) -> None:
        """Go on from an offset behind what is gone."""
        if partition in self.claimed:
            self.reached[partition] = beginning
            self._kafka.seek(partition, beginning)

    def have_rest(self, partition: KafkaPartition) -> None:
        """Read nothing of a partition for a while."""
        self._resting[partition] = asyncio.get_running_loop().time() + STOPPED_REST_S

    async def on_partitions_assigned(self, assigned: Iterable[KafkaPartition]) -> None:
        """Pause before anything is awaited: records from wrong positions would be returned meanwhile."""
        partitions = list(assigned)
        self._kafka.pause(*partitions)
        # Exceptions in a listener are swallowed: the claim runs, and is retried, in a task of its own.
        task = asyncio.create_task(self._claim(partitions))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def on_partitions_revoked(self, revoked: Iterable[KafkaPartition]) -> None:
        """Let the running transaction end, take no further one."""
        self.claimed.difference_update(revoked)
        async with self.busy:
            pass

    def give_up(self) -> None:
        """Claim nothing more."""
        self.claimed.clear()
        for task in self._tasks:
            task.cancel()

    async def _claim(self, partitions: list[KafkaPartition]) -> None:
        for partition in partitions:
            while partition in self._kafka.assignment():
                try:
                    offset = await self._sink.claim(TopicPartition(partition.topic, partition.partition))
                except Exception as error:
                    # Whatever it was: an exception here would be swallowed, and the partition left paused for ever.
                    log.warning("claim failed", topic=partition.topic, partition=partition.partition, error=str(error))
                    await rest(0.5)
                    continue
                if partition in self._kafka.assignment():
                    self._kafka.seek(partition, offset)
                    self._kafka.resume(partition)
                    self.claimed.add(partition)
                break

    async def report(self) -> Never:
        """Tell the broker where we are, for lag tools alone; in a task of its own, since it can stall."""
        told: dict[KafkaPartition, int] = {}
        while True:
            await asyncio.sleep(1)
            news = {p: offset for p, offset in self.reached.items() if p in self.claimed and told.get(p) != offset}
            if news:
                try:
                    await self._kafka.commit(news)
                    told.update(news)
                except KafkaError as error:
                    log.info("offsets not told to the broker", error=str(error))
