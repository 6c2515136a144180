"""The consumer: offset and effects move in one transaction, so every event takes effect exactly once."""

from collections import Counter as Counted
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from heapq import merge
from typing import Never
from uuid import UUID

import msgspec
import structlog
from prometheus_client import Counter, Histogram
from sqlalchemy.ext.asyncio import AsyncSession
from structlog.contextvars import bound_contextvars

from chassis import marks
from chassis.bus import Record, TopicPartition, Transport
from chassis.clock import now
from chassis.db import Database, database_is_away, driver
from chassis.envelope import Unreadable, open_data, open_envelope
from chassis.freshness import FRESHNESS
from chassis.marks import Mark, Stopped
from chassis.outcomes import Outcomes
from chassis.rest import rest
from chassis.source_logs import LogAway, SourceLogs
from chassis.telemetry import child_of
from contracts.event import Event
from contracts.topics import TOPICS

log = structlog.get_logger()

HANDLED = Counter("shuke_events_handled", "Events whose effects are committed.", ["consumer"])
DUPLICATES = Counter("shuke_events_duplicate", "Events dropped because their effects were there.", ["consumer"])
BURIED = Counter("shuke_dead_letters", "Records set aside with their reason.", ["consumer"])
GAPS = Counter("shuke_gaps", "Gaps in a sequence that were met.", ["consumer"])
BATCH_SECONDS = Histogram("shuke_batch_seconds", "From a batch read to its effects committed.", ["consumer"])

LONGEST_REST_S = 10.0

SESSION_SETTINGS = {"idle_in_transaction_session_timeout": "3000", "transaction_timeout": "60000"}
"""A frozen owner must not hold the offset row for longer than this (milliseconds)."""

COMPACTED = frozenset(topic.name for topic in TOPICS if topic.compacted)


class Delivery(msgspec.Struct, frozen=True):
    """An event with its place on the bus."""

    event: Event
    event_id: UUID
    topic: str
    partition: int
    epoch: int
    seq: int
    recorded_at: datetime
    """When the sequencer numbered it; within an epoch of a partition never earlier than the one before it."""
    traceparent: str | None = None
    """The trace of the command behind it (W3C Trace Context)."""


Handler = Callable[[AsyncSession, Sequence[Delivery]], Awaitable[None]]
"""Handles a batch, each partition in its order, inside the transaction that moves the offsets of its partitions."""

Batches = Mapping[TopicPartition, Sequence[Record]]


class StartOver(Exception):
    """Raised by a handler that locked too little: roll back and call it again with the same batch."""


@dataclass(frozen=True, slots=True)
class _Letter:
    record: Record
    error_class: str
    error: str

    @property
    def content(self) -> tuple[object, ...]:
        return self.record.offset, self.record.key, self.record.value, self.error_class, self.error


class _Paused(Exception):
    """A partition of which nothing is to be read for now."""

    def __init__(self, next_offset: int) -> None:
        super().__init__("paused")
        self.next_offset = next_offset


class _Gap(Exception):
    """Events `first` to `found` - 1 are missing; what fills the gap is taken as if it stood at `offset`."""

    def __init__(self, offset: int, epoch: int, first: int, found: int) -> None:
        super().__init__(f"events {first} to {found - 1} of epoch {epoch} are missing")
        self.offset, self.epoch, self.first, self.found = offset, epoch, first, found
        self.place = epoch, first


async def run(
    name: str,
    database: Database,
    transport: Transport,
    topics: Sequence[str],
    handler: Handler,
    source_urls: Mapping[str, str],
) -> Never:
    """Consume topics under a consumer name until cancelled. `source_urls` serve to fill gaps from the log."""
    await marks.declare(database, name, [topic for topic in TOPICS if topic.name in topics])
    await transport.run(name, topics, Sink(name, database, handler, source_urls))


class Sink:
    """Takes records of claimed partitions into the handler, fenced by the offset rows."""

    def __init__(self, name: str, database: Database, handler: Handler, source_urls: Mapping[str, str]) -> None:
        self._name = name
        self._database = database
        self._handler = handler
        self._logs = SourceLogs(source_urls)
        # From 0 on: of one that is there at its first gap only, nobody would see that it rose.
        GAPS.labels(name)
        self._met: dict[TopicPartition, tuple[int, int]] = {}
        """The place of the last gap of each."""
        self._outcomes: defaultdict[TopicPartition, Outcomes] = defaultdict(Outcomes)

    async def claim(self, partition: TopicPartition) -> int:
        """See `chassis.bus.PartitionSink`."""
        async with self._database.transaction() as session:
            return (await marks.claim(await driver(session), self._name, partition)).next_offset

    async def take(self, batches: Batches) -> dict[TopicPartition, int]:
        """See `chassis.bus.PartitionSink`. Transient errors are retried here for as long as they last."""
        rest_s = 0.05
        while True:
            try:
                with BATCH_SECONDS.labels(self._name).time():
                    return await self._take_all(batches)
            except StartOver:
                continue
            except Exception as error:
                if not database_is_away(error):
                    raise
                log.warning("batch interrupted", partitions=len(batches), error=str(error), rest_s=rest_s)
                await rest(rest_s)
                rest_s = min(rest_s * 2, LONGEST_REST_S)

    async def catch_up(self, partition: TopicPartition, beginning: int) -> bool:
        """See `chassis.bus.PartitionSink`."""
        try:
            try:
                await self._catch_up(partition, beginning)
            except Stopped as stopped:
                await self._stop(partition, stopped)
                return False
        except (StartOver, _Gap, _Paused):
            return False
        except Exception as error:
            if not database_is_away(error):
                raise
            log.warning("not caught up yet", **_place(partition), error=str(error))
            return False
        return True

    async def _catch_up(self, partition: TopicPartition, beginning: int) -> None:
        async with self._database.transaction() as session:
            mark = (await marks.lock(await driver(session), self._name, [partition]))[partition]
        if mark.paused:
            raise _Paused(mark.next_offset)
        try:
            lasts = [] if partition.topic in COMPACTED else await self._logs.lasts(partition, mark.epoch, mark.seq)
        except LogAway as error:
            reason = f"records are gone from the bus, and their log cannot be read: {error}"
            raise Stopped(reason, mark.epoch, mark.seq + 1) from error
        for epoch, last in lasts:
            first = mark.seq + 1 if epoch == mark.epoch else 1
            if last >= first:
                # Where the mark is: it passes what is gone when all of it has taken effect, and not before.
                await self._fill(partition, _Gap(mark.next_offset - 1, epoch, first, last + 1))
        async with self._database.transaction() as session:
            known = await marks.lock(await driver(session), self._name, [partition])
            # Also where the mark lies behind it: then it lies behind the end, too, of a topic that was made anew.
            known[partition].next_offset = beginning
            marks.move(session, self._name, known)

    async def _take_all(self, batches: Batches) -> dict[TopicPartition, int]:
        """All partitions in one transaction or, where one of them has a fault, each by itself."""
        following: Mapping[TopicPartition, int] = {}
        if len(batches) > 1:
            try:
                following = await self._transact(batches)
            except StartOver:
                raise
            except Exception as error:
                if database_is_away(error):
                    raise
                log.warning("partitions are handled one by one", partitions=len(batches), exc_info=error)
        return {
            partition: await self._take(partition, records, following.get(partition, 0))
            for partition, records in batches.items()
        }

    async def _take(self, partition: TopicPartition, records: Sequence[Record], following: int) -> int:
        """The records of one partition from the offset `following` on."""
        filled = None
        try:
            while True:
                try:
                    records = [record for record in records if record.offset >= following]
                    if not records:
                        return following
                    following = await self._handle(partition, records)
                except _Gap as gap:
                    if gap.place == filled:
                        raise Stopped(str(gap), gap.epoch, gap.found) from None
                    await self._fill(partition, gap)
                    filled = gap.place
        except _Paused as paused:
            return paused.next_offset
        except Stopped as stopped:
            return await self._stop(partition, stopped)

    async def _stop(self, partition: TopicPartition, stopped: Stopped) -> int:
        log.error("partition stopped", **_place(partition), reason=stopped.reason)
        async with self._database.transaction() as session:
            return await marks.stop(await driver(session), self._name, partition, stopped)

    async def _handle(self, partition: TopicPartition, records: Sequence[Record]) -> int:
        """All in one transaction or, where that fails, one by one, so that only what fails is set aside."""
        try:
            return (await self._transact({partition: records}))[partition]
        except (StartOver, _Gap, _Paused):
            raise
        except Exception as error:
            if database_is_away(error):
                raise
            log.warning("batch failed, its records are tried one by one", **_place(partition), exc_info=error)
        for record in records:
            following = await self._handle_one(partition, record)
        return following

    async def _handle_one(self, partition: TopicPartition, record: Record) -> int:
        try:
            return (await self._transact({partition: [record]}))[partition]
        except (StartOver, _Gap, _Paused):
            raise
        except Exception as error:
            if database_is_away(error):
                raise
            if reason := self._outcomes[partition].failed():
                place = open_envelope(record.value or b"").place
                raise Stopped(f"{reason}, this one with {type(error).__name__}", *place) from error
            letter = _Letter(record, type(error).__name__, str(error))
            return (await self._transact({partition: [record]}, letter))[partition]

    async def _transact(self, batches: Batches, refused: _Letter | None = None) -> dict[TopicPartition, int]:
        """One transaction: lock the offsets, drop what is known, handle the rest, move the offsets."""
        sifted: list[list[Delivery]] = []
        buried: list[tuple[object, ...]] = []
        async with self._database.transaction() as session:
            connection = await driver(session)
            known = await marks.lock(connection, self._name, batches)
            for partition, records in batches.items():
                if known[partition].paused:
                    if len(batches) == 1:
                        raise _Paused(known[partition].next_offset)
                    del known[partition]
                    continue
                try:
                    found, letters = self._sift(partition, records, known[partition])
                except _Gap:
                    if len(batches) == 1:
                        raise
                    # It is met again by itself, and the others go on.
                    del known[partition]
                    continue
                if refused and found:
                    found, letters = [], [refused]
                sifted.append(found)
                buried += [(self._name, *partition, *letter.content, now()) for letter in letters]
            # Merged, not sorted: an event that a new epoch took over was recorded before the one in front of it.
            deliveries = list(merge(*sifted, key=lambda delivery: delivery.recorded_at))
            if deliveries:
                # What follows from one command goes on in its trace.
                [*traces] = {each.traceparent for each in deliveries}
                with bound_contextvars(traceparent=child_of(traces[0]) if len(traces) == 1 else None):
                    await self._handler(session, deliveries)
            if buried:
                await connection.executemany(_BURY, buried)
            if known:
                marks.move(session, self._name, known)
        for (topic, number), count in Counted((each.topic, each.partition) for each in deliveries).items():
            self._outcomes[TopicPartition(topic, number)].handled(count)
        HANDLED.labels(self._name).inc(len(deliveries))
        FRESHNESS.note(self._name, [each.event_id for each in deliveries])
        for each in deliveries:
            if each.traceparent is not None and each.traceparent.endswith("01"):
                log.info("event handled", consumer=self._name, **_traced(each))
        BURIED.labels(self._name).inc(len(buried))
        return {partition: mark.next_offset for partition, mark in known.items()}

    def _sift(
        self, partition: TopicPartition, records: Sequence[Record], mark: Mark
    ) -> tuple[list[Delivery], list[_Letter]]:
        """What is to be handled and what set aside; moves `mark` over it and over duplicates.

        A gap ends the batch before it; raises `_Gap` where nothing comes before it.
        """
        deliveries: list[Delivery] = []
        letters: list[_Letter] = []
        compacted = partition.topic in COMPACTED
        reached = mark.epoch, mark.seq
        for record in records:
            passed = record.offset < mark.next_offset
            mark.next_offset = max(mark.next_offset, record.offset + 1)
            if record.value is None and compacted:
                continue
            try:
                envelope = open_envelope(record.value or b"")
            except Unreadable as error:
                if not passed:
                    letters.append(_Letter(record, "Unreadable", str(error)))
                    mark.unreadable += 1
                continue
            epoch, seq = envelope.place
            if (epoch, seq) <= (mark.epoch, mark.seq):
                DUPLICATES.labels(self._name).inc()
                continue
            expected = mark.seq + 1 if epoch == mark.epoch else 1
            if seq - expected > mark.unreadable and not compacted:
                if not letters and (mark.epoch, mark.seq) == reached:
                    # At the offset before the gap's end, so that the mark does not pass the record that stands there.
                    raise _Gap(record.offset - 1, epoch, expected, seq)
                mark.next_offset = record.offset
                break
            mark.epoch, mark.seq, mark.unreadable, mark.next_offset = epoch, seq, 0, record.offset + 1
            try:
                event = open_data(envelope)
            except Unreadable as error:
                letters.append(_Letter(record, "Unreadable", str(error)))
                continue
            if event is not None:
                place = partition.topic, partition.partition, epoch, seq
                deliveries.append(Delivery(event, envelope.id, *place, envelope.recordedat, envelope.traceparent))
        return deliveries, letters

    async def _fill(self, partition: TopicPartition, gap: _Gap) -> None:
        """Handle what is missing before a record, from the log of the service that published it.

        Raises `Stopped` at what the log does not have, or where it cannot be asked.
        """
        if self._met.get(partition) != gap.place:
            # A partition that stands is tried again and again.
            GAPS.labels(self._name).inc()
        left = gap
        while left.first < left.found:
            self._met[partition] = left.place
            try:
                events = await self._logs.events(partition, left.epoch, first=left.first, until=left.found)
            except LogAway as error:
                raise Stopped(f"{left}, and their log cannot be read: {error}", left.epoch, left.found) from error
            kept = [event for place, event in enumerate(events, left.first) if event.seq == place]
            if not kept:
                # What is kept behind it is not given up with it.
                hole = _Gap(left.offset, left.epoch, left.first, events[0].seq if events else left.found)
                raise Stopped(str(hole), hole.epoch, hole.found)
            await self._handle(partition, [Record(left.offset, event.key, event.value) for event in kept])
            left = _Gap(left.offset, left.epoch, left.first + len(kept), left.found)
        log.warning("gap filled from the log", **_place(partition), first=gap.first, last=gap.found - 1)


def _traced(delivery: Delivery) -> dict[str, object]:
    return {
        "topic": delivery.topic,
        "partition": delivery.partition,
        "sequence": f"{delivery.epoch}.{delivery.seq}",
        "event_id": str(delivery.event_id),
        "traceparent": delivery.traceparent,
    }


def _place(partition: TopicPartition) -> dict[str, object]:
    return {"topic": partition.topic, "partition": partition.partition}


_BURY = """
INSERT INTO dead_letter (consumer, topic, partition, "offset", key, value, error_class, error, first_failed_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""
