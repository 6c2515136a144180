"""The embedded bus: consumers read `event_log` where the sequencer wrote it."""

import asyncio
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Never

import asyncpg
import structlog
from prometheus_client import Gauge

from chassis.bus import PartitionSink, Record, TopicPartition, together
from chassis.db import KEEPALIVE, LOOKUPS, SILENCE_S, Database, database_is_away, driver, plain_url
from chassis.envelope import finish
from chassis.portions import BYTES, portion
from chassis.rest import rest
from chassis.sequencer import CHANNEL, grown
from chassis.telemetry import CONNECTED
from contracts.topics import TOPICS

log = structlog.get_logger()

BATCH = 2_000
POLL_S = 2.0
"""Seconds after which all streams are looked at although nothing was heard."""
STOPPED_REST_S = 2.0
BEAT_S = 2.0
MEMBER_TIMEOUT_S = 10.0
SIDE_BY_SIDE = 3
"""Groups of partitions handled at once: one computes while the database works for the others."""
EPOCH_OFFSETS = 1 << 38
"""Offsets of one epoch. In the first epoch an offset is `seq - 1`, as on Kafka."""


def offset_of(epoch: int, seq: int) -> int:
    """The offset of a place in the log."""
    return (epoch - 1) * EPOCH_OFFSETS + seq - 1


class LogTransport:
    """Reads the log tables of the publishing services and wakes by their NOTIFY."""

    def __init__(self, database: Database, source_urls: Mapping[str, str], *, patience_s: float = 0) -> None:
        self._database = database
        self._source_urls = source_urls
        self._patience_s = patience_s
        self._member = os.environ.get("SHUKE_MEMBER") or f"{socket.gethostname()}-{os.getpid()}"

    async def run(self, consumer: str, topics: Sequence[str], sink: PartitionSink) -> Never:
        """See `chassis.bus.Transport`. Topics of a service without a URL are not read: it is not installed."""
        share = _Share()
        by_source: dict[str, list[str]] = {}
        for topic in TOPICS:
            if topic.name in topics:
                by_source.setdefault(topic.service, []).append(topic.name)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._keep_share(consumer, share))
                for service, names in by_source.items():
                    if url := self._source_urls.get(service):
                        tasks.create_task(self._follow(url, names, share, sink, CONNECTED.labels(consumer, service)))
                    else:
                        log.info("topics are not read, their service has no URL", source=service, topics=names)
                await asyncio.Event().wait()
        finally:
            await asyncio.shield(self._leave(consumer))
        raise AssertionError("unreachable")

    async def _follow(
        self, url: str, topics: list[str], share: "_Share", sink: PartitionSink, connected: Gauge
    ) -> Never:
        while True:
            try:
                async with asyncio.timeout(15):
                    connection = await asyncpg.connect(
                        plain_url(url),
                        command_timeout=SILENCE_S,
                        server_settings={"application_name": "shuke-reader", "jit": "off", **LOOKUPS, **KEEPALIVE},
                    )
                connected.set(1)
                try:
                    await _Reader(connection, topics, share, sink, self._patience_s).run()
                finally:
                    connection.terminate()
            except Exception as error:
                if not database_is_away(error):
                    raise
                connected.set(0)
                log.warning("log reader interrupted", error=str(error), error_class=type(error).__name__)
                await rest(1)

    async def _keep_share(self, consumer: str, share: "_Share") -> Never:
        while True:
            try:
                async with self._database.transaction() as session:
                    members = await (await driver(session)).fetch(_BEAT, consumer, self._member, MEMBER_TIMEOUT_S)
                names = sorted({self._member, *(row["member"] for row in members)})
                share.change(names.index(self._member), len(names))
            except Exception as error:
                if not database_is_away(error):
                    raise
                log.warning("no word from the other members", error=str(error))
            await rest(BEAT_S)

    async def _leave(self, consumer: str) -> None:
        try:
            async with asyncio.timeout(2), self._database.transaction() as session:
                await (await driver(session)).execute(
                    "DELETE FROM consumer_member WHERE consumer = $1 AND member = $2", consumer, self._member
                )
        except Exception as error:
            if not database_is_away(error):
                raise
            log.warning("left without saying so", error=str(error))


class _Share:
    """Which partitions are this member's: every n-th. Two members that disagree are kept apart by the offset lock."""

    def __init__(self) -> None:
        self.rank, self.members = 0, 0
        self.followers: list[Callable[[], None]] = []
        """Called when it is another one."""

    def change(self, rank: int, members: int) -> None:
        """Have another place among the members."""
        if (rank, members) != (self.rank, self.members):
            self.rank, self.members = rank, members
            for follower in self.followers:
                follower()

    def has(self, partition: int) -> bool:
        return self.members > 0 and partition % self.members == self.rank


class _Reader:
    """Follows the partitions of one publishing service over one connection."""

    def __init__(
        self,
        connection: "asyncpg.Connection[asyncpg.Record]",
        topics: list[str],
        share: _Share,
        sink: PartitionSink,
        patience_s: float,
    ) -> None:
        self._connection = connection
        self._topics = topics
        self._share = share
        self._sink = sink
        self._patience_s = patience_s
        self._positions: dict[TopicPartition, int] = {}
        self._resting: dict[TopicPartition, float] = {}
        self._heads: dict[TopicPartition, tuple[int, int]] = {}
        """Epoch and `seq` up to which partitions are known to reach that may not have been read so far."""
        self._blind = True
        """Whether there may be more than was heard of."""
        self._news = asyncio.Event()
        self._query = asyncio.Lock()
        self._side_by_side = asyncio.Semaphore(SIDE_BY_SIDE)

    async def run(self) -> Never:
        self._share.followers.append(self._look_at_all)
        try:
            await self._connection.add_listener(CHANNEL, self._hear)
            while True:
                self._news.clear()
                behind = await self._behind()
                if behind:
                    async with asyncio.TaskGroup() as tasks:
                        # Waited for inside: a group that fails at its end leaves this task as if it were cancelled
                        # (CPython before 3.13), and the reader would end in silence instead of beginning anew.
                        await asyncio.wait(
                            [
                                tasks.create_task(self._advance({partition: behind[partition] for partition in group}))
                                for group in together(behind, BATCH)
                            ]
                        )
                    if sum(behind.values()) < BATCH:
                        await asyncio.sleep(self._patience_s)
                    continue
                try:
                    async with asyncio.timeout(POLL_S):
                        await self._news.wait()
                    if self._patience_s:
                        await asyncio.sleep(self._patience_s)
                except TimeoutError:
                    if self._connection.is_closed():
                        raise ConnectionError("the log's database closed the connection") from None
                    self._blind = True
        finally:
            self._share.followers.remove(self._look_at_all)

    def _look_at_all(self) -> None:
        self._blind = True
        self._news.set()

    def _hear(self, *heard: object) -> None:
        """Take what a NOTIFY says: what others write, and topics that are not read, are none of our business."""
        places = grown(str(heard[-1]))
        if places is None:
            self._look_at_all()
            return
        for topic, number, *head in places:
            if topic in self._topics:
                self._reaches(TopicPartition(topic, number), head[0], head[1])
                self._news.set()

    def _reaches(self, partition: TopicPartition, epoch: int, seq: int) -> None:
        # An answer may be older than what was heard before it came.
        self._heads[partition] = max(self._heads.get(partition, (0, 0)), (epoch, seq))

    async def _behind(self) -> dict[TopicPartition, int]:
        """The partitions that have something to read, and how much."""
        if self._blind:
            self._blind = False
            for row in await self._connection.fetch(_HEADS, self._topics):
                # An epoch that has no event yet has its head before its first offset.
                if row["last_seq"]:
                    self._reaches(TopicPartition(row["topic"], row["partition"]), row["epoch"], row["last_seq"])
        present = asyncio.get_running_loop().time()
        behind = {}
        for partition, head in list(self._heads.items()):
            if not self._share.has(partition.partition):
                # Another's now; should it come back, that one will have moved it.
                self._positions.pop(partition, None)
                self._heads.pop(partition, None)
                continue
            if self._resting.get(partition, 0) > present:
                continue
            if partition not in self._positions:
                self._positions[partition] = await self._sink.claim(partition)
            waiting = offset_of(*head) + 1 - self._positions[partition]
            if waiting > 0:
                behind[partition] = waiting
            elif self._heads.get(partition) == head:
                del self._heads[partition]
        return behind

    async def _advance(self, group: Mapping[TopicPartition, int]) -> None:
        """Handle what waits in some partitions: no more than was counted, which bounds the transaction."""
        async with self._side_by_side:
            places = [
                (*partition, *divmod(self._positions[partition], EPOCH_OFFSETS), min(waiting, BATCH))
                for partition, waiting in group.items()
            ]
            async with self._query:
                share = max(BYTES // len(places), 1)
                rows = await self._connection.fetch(_READ, *map(list, zip(*places, strict=True)), share)
            read: dict[TopicPartition, list[Record]] = {}
            for row in rows:
                read.setdefault(TopicPartition(row["topic"], row["partition"]), []).append(_record(row))
            following = dict(await self._sink.take(read)) if read else {}
            for partition, waiting in group.items():
                if partition in read:
                    moved = following[partition] > read[partition][-1].offset
                else:
                    # It was in the log when its number was: retention has dropped it, and there may be no record left
                    # whose `seq` would show the gap.
                    beginning = self._positions[partition] + waiting
                    moved = await self._sink.catch_up(partition, beginning)
                    if moved:
                        following[partition] = beginning
                if not moved:
                    self._resting[partition] = asyncio.get_running_loop().time() + STOPPED_REST_S
            self._positions.update(following)


def _record(row: asyncpg.Record) -> Record:
    epoch, seq, payload = row["epoch"], row["seq"], row["payload"]
    value = None if payload is None else finish(payload, row["recorded_at"], epoch, seq)
    return Record(offset_of(epoch, seq), row["key"], value)


_HEADS = "SELECT topic, partition, epoch, last_seq FROM event_stream WHERE topic = ANY($1) ORDER BY topic, partition"

_OF_PLACE = portion(
    """
        SELECT topic, partition, epoch, seq, key, payload, recorded_at FROM event_log
        WHERE topic = place.topic AND partition = place.partition AND (epoch, seq) >= (place.epoch + 1, place.seq + 1)
        ORDER BY epoch, seq LIMIT place.waiting
    """,
    most="$6",
)
_READ = f"""
SELECT event.topic, event.partition, event.epoch, event.seq, key, payload, recorded_at
FROM unnest($1::text[], $2::int[], $3::bigint[], $4::bigint[], $5::bigint[])
    AS place(topic, partition, epoch, seq, waiting),
LATERAL ({_OF_PLACE}) AS event
ORDER BY topic, partition, epoch, seq
"""

# Liveness of processes is not a decision about a party: the database's own clock serves all members alike.
_BEAT = """
WITH beat AS (
    INSERT INTO consumer_member (consumer, member, seen_at) VALUES ($1, $2, clock_timestamp())
    ON CONFLICT (consumer, member) DO UPDATE SET seen_at = excluded.seen_at
), gone AS (
    DELETE FROM consumer_member WHERE consumer = $1 AND seen_at < clock_timestamp() - make_interval(secs => $3)
    AND member <> $2
)
SELECT member FROM consumer_member
WHERE consumer = $1 AND seen_at >= clock_timestamp() - make_interval(secs => $3)
"""
