"""The consumer: offset and effects move in one transaction, so every event takes effect exactly once."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Never
from uuid import UUID

import asyncpg
import structlog
from prometheus_client import Counter, Histogram
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.bus import Record, TopicPartition, Transport
from chassis.clock import now
from chassis.db import Database, driver, plain_url
from chassis.envelope import Envelope, Unreadable, finish, open_data, open_envelope
from contracts.event import Event
from contracts.topics import TOPICS

log = structlog.get_logger()

HANDLED = Counter("shuke_events_handled", "Events whose effects are committed.", ["consumer"])
DUPLICATES = Counter("shuke_events_duplicate", "Events dropped because their effects were there.", ["consumer"])
BURIED = Counter("shuke_dead_letters", "Records set aside with their reason.", ["consumer"])
GAPS = Counter("shuke_gaps", "Gaps in a sequence that were met.", ["consumer"])
BATCH_SECONDS = Histogram("shuke_batch_seconds", "From a batch read to its effects committed.", ["consumer"])

FAILING_SHARE = 0.5
"""Above this share of failed records among the last `FAILING_WINDOW`, the fault is ours and the partition stops."""
FAILING_WINDOW = 40
LONGEST_REST_S = 10.0

SESSION_SETTINGS = {"idle_in_transaction_session_timeout": "3000", "transaction_timeout": "60000"}
"""A frozen owner must not hold the offset row for longer than this (milliseconds)."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event with its place on the bus."""

    event: Event
    event_id: UUID
    topic: str
    partition: int
    epoch: int
    seq: int
    recorded_at: datetime
    """When the sequencer numbered it; never earlier than that of the delivery before."""


Handler = Callable[[AsyncSession, Sequence[Delivery]], Awaitable[None]]
"""Handles a batch of one partition inside the transaction that moves its offset."""


class StartOver(Exception):
    """Raised by a handler that locked too little: roll back and call it again with the same batch."""


class _Stopped(Exception):
    """The partition cannot go on by itself."""

    def __init__(self, reason: str, epoch: int, seq: int) -> None:
        super().__init__(reason)
        self.reason, self.epoch, self.seq = reason, epoch, seq


@dataclass(slots=True)
class _Mark:
    next_offset: int
    epoch: int
    seq: int


@dataclass(frozen=True, slots=True)
class _DeadLetter:
    record: Record
    error_class: str
    error: str


async def run(
    name: str,
    database: Database,
    transport: Transport,
    topics: Sequence[str],
    handler: Handler,
    source_urls: Mapping[str, str],
) -> Never:
    """Consume topics under a consumer name until cancelled. `source_urls` serve to fill gaps from the log."""
    await transport.run(name, topics, Sink(name, database, handler, source_urls))


class Sink:
    """Takes records of claimed partitions into the handler, fenced by the offset row."""

    def __init__(self, name: str, database: Database, handler: Handler, source_urls: Mapping[str, str]) -> None:
        self._name = name
        self._database = database
        self._handler = handler
        self._source_urls = source_urls
        self._outcomes: dict[TopicPartition, deque[bool]] = {}

    async def claim(self, partition: TopicPartition) -> int:
        """See `chassis.bus.PartitionSink`."""
        async with self._database.transaction() as session:
            connection = await driver(session)
            await connection.execute(_HAVE_OFFSET, self._name, partition.topic, partition.partition)
            mark = await self._mark(connection, partition)
        return mark.next_offset

    async def take(self, partition: TopicPartition, records: Sequence[Record]) -> int:
        """See `chassis.bus.PartitionSink`. Transient errors are retried here for as long as they last."""
        rest = 0.05
        while True:
            try:
                with BATCH_SECONDS.labels(self._name).time():
                    return await self._take(partition, records)
            except StartOver:
                continue
            except Exception as error:
                if not _is_transient(error):
                    raise
                log.warning("batch interrupted", **_place(partition), error=str(error), rest_s=rest)
                await asyncio.sleep(rest)
                rest = min(rest * 2, LONGEST_REST_S)

    async def _take(self, partition: TopicPartition, records: Sequence[Record]) -> int:
        try:
            return await self._transact(partition, records)
        except (StartOver, asyncio.CancelledError):
            raise
        except _Stopped as stop:
            return await self._stop(partition, stop)
        except Exception as error:
            if _is_transient(error):
                raise
            log.warning("batch failed, its records are tried one by one", **_place(partition), exc_info=error)
        following = records[0].offset
        for record in records:
            following = await self._take_one(partition, record)
            if following <= record.offset:
                break
        return following

    async def _take_one(self, partition: TopicPartition, record: Record) -> int:
        outcomes = self._outcomes.setdefault(partition, deque(maxlen=FAILING_WINDOW))
        while True:
            try:
                following = await self._transact(partition, [record])
                outcomes.append(True)
                return following
            except StartOver:
                continue
            except _Stopped as stop:
                return await self._stop(partition, stop)
            except Exception as error:
                if _is_transient(error):
                    raise
                outcomes.append(False)
                failed = outcomes.count(False)
                if len(outcomes) == FAILING_WINDOW and failed > FAILING_SHARE * FAILING_WINDOW:
                    reason = (
                        f"{failed} of the last {FAILING_WINDOW} records failed, this one with {type(error).__name__}"
                    )
                    return await self._stop(partition, _Stopped(reason, *open_envelope(record.value or b"").place))
                letter = _DeadLetter(record, type(error).__name__, str(error))
                return await self._transact(partition, [record], refused=letter)

    async def _transact(
        self, partition: TopicPartition, records: Sequence[Record], refused: _DeadLetter | None = None
    ) -> int:
        """One transaction: lock the offset, drop what is known, handle the rest, move the offset."""
        async with self._database.transaction() as session:
            connection = await driver(session)
            mark = await self._mark(connection, partition)
            fresh = [record for record in records if record.offset >= mark.next_offset]
            if not fresh:
                return mark.next_offset
            deliveries, letters = await self._sift(partition, fresh, mark)
            if refused:
                deliveries, letters = [], [refused]
            if deliveries:
                await self._handler(session, deliveries)
            for letter in letters:
                await connection.execute(
                    _BURY, self._name, partition.topic, partition.partition, letter.record.offset, letter.record.key,
                    letter.record.value, letter.error_class, letter.error, now(),
                )  # fmt: skip
            await connection.execute(
                _MOVE, self._name, partition.topic, partition.partition, mark.next_offset, mark.epoch, mark.seq
            )
        HANDLED.labels(self._name).inc(len(deliveries))
        BURIED.labels(self._name).inc(len(letters))
        return mark.next_offset

    async def _sift(
        self, partition: TopicPartition, records: Sequence[Record], mark: _Mark
    ) -> tuple[list[Delivery], list[_DeadLetter]]:
        """Decode records and move `mark` over them: duplicates dropped, gaps filled, unreadable ones set aside.

        A gap behind readable records ends the batch before it. Raises `_Stopped` at a gap that cannot be filled.
        """
        deliveries: list[Delivery] = []
        letters: list[_DeadLetter] = []
        unreadable = 0
        compacted = any(topic.name == partition.topic and topic.compacted for topic in TOPICS)
        for record in records:
            if record.value is None:
                mark.next_offset = record.offset + 1
                continue
            try:
                envelope = open_envelope(record.value)
            except Unreadable as error:
                letters.append(_DeadLetter(record, "Unreadable", str(error)))
                unreadable += 1
                mark.next_offset = record.offset + 1
                continue
            epoch, seq = envelope.place
            if (epoch, seq) <= (mark.epoch, mark.seq):
                DUPLICATES.labels(self._name).inc()
                mark.next_offset = record.offset + 1
                continue
            expected = mark.seq + 1 if epoch == mark.epoch else 1
            if seq - expected > unreadable and not compacted:
                if deliveries or letters:
                    break
                GAPS.labels(self._name).inc()
                missing = await self._missing(partition, epoch, expected, seq)
                log.warning("gap filled from the log", **_place(partition), first=expected, last=seq - 1)
                deliveries += [delivery for found in missing if (delivery := _delivery(partition, found))]
            unreadable = 0
            mark.epoch, mark.seq, mark.next_offset = epoch, seq, record.offset + 1
            try:
                delivery = _delivery(partition, envelope)
            except Unreadable as error:
                letters.append(_DeadLetter(record, "Unreadable", str(error)))
                continue
            if delivery:
                deliveries.append(delivery)
        return deliveries, letters

    async def _missing(self, partition: TopicPartition, epoch: int, first: int, found: int) -> list[Envelope]:
        """The events between the mark and a record that came too early, from the publishing service's log."""
        service = partition.topic.split(".", 1)[0]
        connection = await asyncpg.connect(plain_url(self._source_urls[service]), timeout=10)
        try:
            rows = await connection.fetch(_FILL, partition.topic, partition.partition, epoch, first, found)
        finally:
            connection.terminate()
        if [row["seq"] for row in rows] != list(range(first, found)):
            raise _Stopped(f"events {first} to {found - 1} of epoch {epoch} are missing", epoch, found)
        return [
            open_envelope(finish(row["payload"], row["recorded_at"], row["epoch"], row["seq"]))
            for row in rows
            if row["payload"] is not None
        ]

    async def _stop(self, partition: TopicPartition, stop: _Stopped) -> int:
        log.error("partition stopped", **_place(partition), reason=stop.reason)
        async with self._database.transaction() as session:
            connection = await driver(session)
            mark = await self._mark(connection, partition)
            await connection.execute(
                _STOP, self._name, partition.topic, partition.partition, stop.reason, stop.epoch, stop.seq
            )
        return mark.next_offset

    async def _mark(self, connection: "asyncpg.Connection[asyncpg.Record]", partition: TopicPartition) -> _Mark:
        row = await connection.fetchrow(_LOCK, self._name, partition.topic, partition.partition)
        if row is None:
            raise LookupError(f"{partition} was read before it was claimed")
        return _Mark(row["next_offset"], row["epoch"], row["seq"])


async def let_pass(session: AsyncSession, consumer: str, partition: TopicPartition) -> bool:
    """Let a stopped partition go on past its gap, on an operator's word. False where it was not stopped.

    What is missing is given up: should it turn up later, it is dropped as a duplicate.
    """
    passed = await (await driver(session)).fetchval(_LET_PASS, consumer, partition.topic, partition.partition)
    return passed is not None


def _delivery(partition: TopicPartition, envelope: Envelope) -> Delivery | None:
    event = open_data(envelope)
    if event is None:
        return None
    epoch, seq = envelope.place
    return Delivery(event, envelope.id, partition.topic, partition.partition, epoch, seq, envelope.recordedat)


def _is_transient(error: BaseException) -> bool:
    """A fault of the surroundings, which the same batch may not meet again."""
    if isinstance(error, DBAPIError) and error.orig is not None and error.orig.__cause__ is not None:
        return error.connection_invalidated or _is_transient(error.orig.__cause__)
    return isinstance(
        error,
        (
            OSError,
            TimeoutError,
            PoolTimeout,
            InterfaceError,
            OperationalError,
            asyncpg.InterfaceError,
            asyncpg.PostgresConnectionError,
            asyncpg.DeadlockDetectedError,
            asyncpg.SerializationError,
            asyncpg.OperatorInterventionError,
            asyncpg.InsufficientResourcesError,
            asyncpg.IdleInTransactionSessionTimeoutError,
            asyncpg.LockNotAvailableError,
        ),
    )


def _place(partition: TopicPartition) -> dict[str, object]:
    return {"topic": partition.topic, "partition": partition.partition}


_HAVE_OFFSET = "INSERT INTO consumer_offset (consumer, topic, partition) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"

_LOCK = """
SELECT next_offset, epoch, seq FROM consumer_offset WHERE consumer = $1 AND topic = $2 AND partition = $3 FOR UPDATE
"""

_MOVE = """
UPDATE consumer_offset SET next_offset = $4, epoch = $5, seq = $6,
    stopped_reason = NULL, stopped_epoch = NULL, stopped_seq = NULL
WHERE consumer = $1 AND topic = $2 AND partition = $3
"""

_STOP = """
UPDATE consumer_offset SET stopped_reason = $4, stopped_epoch = $5, stopped_seq = $6
WHERE consumer = $1 AND topic = $2 AND partition = $3
"""

_LET_PASS = """
UPDATE consumer_offset SET epoch = stopped_epoch, seq = stopped_seq - 1,
    stopped_reason = NULL, stopped_epoch = NULL, stopped_seq = NULL
WHERE consumer = $1 AND topic = $2 AND partition = $3 AND stopped_reason IS NOT NULL RETURNING true
"""

_BURY = """
INSERT INTO dead_letter (consumer, topic, partition, "offset", key, value, error_class, error, first_failed_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING
"""

_FILL = """
SELECT epoch, seq, payload, recorded_at FROM event_log
WHERE topic = $1 AND partition = $2 AND epoch = $3 AND seq >= $4 AND seq < $5 ORDER BY seq
"""
