"""The distributed bus: Kafka through aiokafka, with the counter-measures that it needs."""

import asyncio
import os
from collections.abc import Awaitable, Coroutine, Iterable, Sequence
from contextlib import suppress
from random import sample
from typing import Any, Never

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.client import AIOKafkaClient
from aiokafka.cluster import ClusterMetadata
from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError, RequestTimedOutError
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.transaction import InitProducerIdRequest
from aiokafka.structs import ConsumerRecord

from chassis.bus import PartitionSink, Record, TopicPartition, together
from chassis.rest import rest
from chassis.telemetry import CONNECTED
from contracts.topics import TOPICS, Topic

log = structlog.get_logger()

BATCH = 2_000
FETCH_BYTES = 16 << 20
"""Of one answer of a broker, compressed; a third of the client's own bound."""
STOPPED_REST_S = 2.0
SESSION_TIMEOUT_MS = 10_000
REQUEST_TIMEOUT_MS = 10_000
ANSWER_S = 2.0
"""A broker that takes longer for what any of them can answer is passed over."""
ANSWERED_BY_ANY = (FindCoordinatorRequest, InitProducerIdRequest)
SOON_S = 0.2
"""Behind the first that answers the others have so long."""
CLIENT = {"request_timeout_ms": REQUEST_TIMEOUT_MS, "metadata_max_age_ms": 2_000, "retry_backoff_ms": 1_000}
"""Settings of every client: an outage is noticed within seconds and not hammered at."""

RETENTION_DAYS = 35
"""Events stay so long unless the publisher is told otherwise: as long as a log may remember a person who was erased."""
DYNAMIC_TOPIC_CONFIG = 1
"""Where a setting of a topic comes from: it was set on this topic itself (KIP-226)."""


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


async def answering(servers: str) -> str:
    """Those of several brokers that answer at once, all of them where none does; as `host:port,…`.

    A client that begins at one that is frozen waits for it as long as for any request.
    """
    if "," not in servers:
        return servers
    found: list[str] = []
    asking = {asyncio.create_task(_ask(server, found)) for server in servers.split(",")}
    try:
        while asking and not found:
            _, asking = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
        if asking:
            await asyncio.wait(asking, timeout=SOON_S)
    finally:
        for task in asking:
            task.cancel()
    return ",".join(found) or servers


async def _ask(server: str, found: list[str]) -> None:
    ((host, port, _),) = collect_hosts(server)
    with suppress(KafkaError, OSError):
        connection = await create_conn(host, port, request_timeout_ms=int(ANSWER_S * 1e3))
        connection.close()
        found.append(server)


def pass_over_the_frozen(client: AIOKafkaClient) -> None:
    """Have a client ask the next broker for what any of them knows when one is late: who leads, who coordinates.

    By itself it waits for one that is frozen as long as for any request, and finds the new leaders behind that only;
    while it connects to one, to none else.
    """
    with_patience, send, connect = client._metadata_update, client.send, client._get_conn

    async def update(cluster: ClusterMetadata, topics: Iterable[str] | None) -> bool:
        brokers = [broker.nodeId for broker in client.cluster.brokers()]
        for broker in sample(brokers, len(brokers)):
            try:
                async with asyncio.timeout(ANSWER_S):
                    connection = await client._get_conn(broker)
                    found = connection and await connection.send(MetadataRequest(list(topics) if topics else None))
            except (KafkaError, OSError, TimeoutError):
                continue
            if found and found.brokers:
                cluster.update_metadata(found)
                return True
        known: bool = await with_patience(cluster, topics)
        return known

    late = 0

    async def soon(asking: Awaitable[Any]) -> Any:
        nonlocal late
        # Where as many were late as there are, they are slow rather than frozen.
        patience = late >= len(client.cluster.brokers())
        late = 0 if patience else late
        try:
            async with asyncio.timeout(None if patience else ANSWER_S):
                answer = await asking
        except TimeoutError:
            late += 1
            raise
        late = 0
        return answer

    async def send_in_time(node: int, request: Any, **group: Any) -> Any:
        if not isinstance(request, ANSWERED_BY_ANY):
            return await send(node, request, **group)
        try:
            return await soon(send(node, request, **group))
        except TimeoutError:
            raise RequestTimedOutError from None

    async def connect_in_time(node: int, **group: Any) -> Any:
        try:
            return await soon(connect(node, **group))
        except TimeoutError:
            client.force_metadata_update()
            return None

    client._metadata_update = update
    client.send = send_in_time
    client._get_conn = connect_in_time


async def ensure_topics(servers: str, topics: Iterable[Topic]) -> None:
    """Create the topics that are not there, and wait until every partition has a leader.

    Replication 3 with two in sync where there are three brokers, else 1 and 1. Waits for a broker for as long as
    it takes.
    """
    wanted = list(topics)
    while True:
        admin = AIOKafkaAdminClient(bootstrap_servers=await answering(servers), request_timeout_ms=REQUEST_TIMEOUT_MS)
        try:
            async with asyncio.timeout(30):
                await admin.start()
                brokers = len((await admin.describe_cluster())["brokers"])
                replicas = 3 if brokers >= 3 else 1
                response = await admin.create_topics([_new_topic(topic, replicas) for topic in wanted])
                # The admin client raises nothing for a topic: 36 is "exists".
                for name, code, *reason in response.topic_errors:
                    if code not in (0, 36):
                        raise KafkaError(f"{name}: {reason or code}")
                await _have_leaders(admin, wanted)
            return
        except (KafkaError, OSError, TimeoutError) as error:
            log.warning("topics not ensured yet", error=str(error), error_class=type(error).__name__)
            await rest(1)
        finally:
            await drop(admin.close())


def _new_topic(topic: Topic, replicas: int) -> NewTopic:
    return NewTopic(
        topic.name,
        topic.partitions,
        replicas,
        topic_configs={
            "min.insync.replicas": "2" if replicas == 3 else "1",
            **(
                {"cleanup.policy": "compact"}
                if topic.compacted
                else {"cleanup.policy": "delete", **kept(RETENTION_DAYS)}
            ),
        },
    )


def kept(days: int) -> dict[str, str]:
    """The setting of a topic whose events stay for so long."""
    return {"retention.ms": str(days * 24 * 3_600_000)}


async def keep_for(servers: str, topics: Iterable[Topic], days: int) -> None:
    """Have events stay on Kafka for so long, where a topic says otherwise. Compacted topics keep what they hold.

    Changed settings replace all that were set on a topic: what else was set goes along.
    """
    wanted = kept(days)
    asked = [ConfigResource(ConfigResourceType.TOPIC, topic.name) for topic in topics if not topic.compacted]
    admin = AIOKafkaAdminClient(bootstrap_servers=servers, request_timeout_ms=REQUEST_TIMEOUT_MS)
    try:
        async with asyncio.timeout(30):
            await admin.start()
            changed = []
            for response in await admin.describe_configs(asked):
                for code, message, _, name, entries in response.resources:
                    if code:
                        raise KafkaError(f"{name}: {message or code}")
                    present = {entry[0]: entry[1] for entry in entries if entry[3] == DYNAMIC_TOPIC_CONFIG}
                    if present | wanted != present:
                        changed.append(ConfigResource(ConfigResourceType.TOPIC, name, present | wanted))
            for response in await admin.alter_configs(changed) if changed else ():
                for code, message, _, name in response.resources:
                    if code:
                        raise KafkaError(f"{name}: {message or code}")
    finally:
        await drop(admin.close())


async def _have_leaders(admin: AIOKafkaAdminClient, topics: list[Topic]) -> None:
    while True:
        found = await admin.describe_topics([topic.name for topic in topics])
        if all(
            len(topic["partitions"]) and all(partition["leader"] >= 0 for partition in topic["partitions"])
            for topic in found
        ):
            return
        await asyncio.sleep(0.1)


async def hang_up(client: AIOKafkaClient) -> None:
    """Close the connections of a client, without what a broker that is frozen has not taken yet."""
    for connection in client._conns.values():
        if connection._writer is not None:
            connection._writer.transport.abort()
    await drop(client.close())


async def drop(stopping: Coroutine[Any, Any, None]) -> None:
    """Let a client stop for five seconds at most, whatever state its brokers are in, also under a cancellation."""
    task = asyncio.create_task(stopping)
    task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
    try:
        await asyncio.wait({task}, timeout=5)
    except asyncio.CancelledError:
        await asyncio.wait({task}, timeout=5)
        raise
    finally:
        task.cancel()
