"""A restored installation begins an epoch everywhere at once: what its former life told after the backup is void."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple, TypeAlias

import asyncpg

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

FIRST = 10_000_000
"""Epochs of restores have eight digits, so that a place in one sorts as text behind all that count from 1."""
SINCE = datetime(2026, 1, 1, tzinfo=UTC)


class Place(NamedTuple):
    """The last event that somebody has: all behind it is new to them."""

    epoch: int
    seq: int


@dataclass(frozen=True)
class Tail:
    """The events of a partition that not everybody has; in the new epoch they come again, in their order."""

    start: Place
    """The last event that everybody has."""
    lasts: Mapping[int, int]
    """Of each epoch from that of `start` on, its last number."""

    def shift(self, epoch: int) -> int:
        """What is added to a number of an epoch. Numbers that are missing stay missing, so that a gap stays one."""
        return sum(last for each, last in self.lasts.items() if each < epoch) - self.start.seq

    def renumbered(self, place: Place) -> int:
        """The number in the new epoch of a place in an old one; 0 is before its first event."""
        return max(0, place.seq + self.shift(place.epoch)) if place.epoch >= self.start.epoch else 0

    @property
    def length(self) -> int:
        """The number of its last event."""
        newest = max(self.lasts)
        return self.renumbered(Place(newest, self.lasts[newest]))


def restored_epoch(at: datetime, highest: int) -> int:
    """The epoch of a restore: above every one in the backup, and above that of a restore of it in an earlier minute."""
    return max(FIRST + int((at - SINCE).total_seconds()) // 60, highest + 1)


async def begin(services: Mapping[str, Connection], at: datetime) -> int | None:
    """Begin an epoch in the restored databases of all services; None where no broker ever took an event of them.

    Without a broker nobody remembers the former life, and nothing has to change. With one, its records behind those of
    the backup would be taken for news: their numbers are below the new epoch, and every mark is put to its begin. What
    a consumer or the broker did not have comes again in the new epoch, with its ids, and each goes on from its own
    place. Nothing may run on the databases meanwhile; each is changed in a transaction of its own.
    """
    streams = {name: await connection.fetch(_STREAMS) for name, connection in services.items()}
    marks = {name: await connection.fetch(_MARKS) for name, connection in services.items()}
    everything = [stream for rows in streams.values() for stream in rows]
    if not any(stream["published_offset"] >= 0 for stream in everything):
        return None
    epoch = restored_epoch(at, max(stream["epoch"] for stream in everything))
    had: dict[tuple[str, int], list[Place]] = {}
    for mark in (mark for rows in marks.values() for mark in rows):
        had.setdefault((mark["topic"], mark["partition"]), []).append(_place(mark))
    tails: dict[tuple[str, int], Tail] = {}
    for name, connection in services.items():
        async with connection.transaction():
            moved = {}
            for stream in streams[name]:
                key = stream["topic"], stream["partition"]
                published = Place(stream["epoch"], stream["published_seq"])
                moved[key] = await _move(connection, stream, min([published, *had.get(key, [])]), epoch)
            await connection.execute(_BEGIN, epoch, *_columns([(*key, tail.length) for key, tail in moved.items()], 3))
        tails |= moved
    for name, connection in services.items():
        places = [
            (mark["consumer"], *key, tails[key].renumbered(_place(mark)))
            for mark in marks[name]
            if (key := (mark["topic"], mark["partition"])) in tails
        ]
        async with connection.transaction():
            await connection.execute(_GO_ON, epoch, *_columns(places, 4))
            await connection.execute("DELETE FROM consumer_member")
    return epoch


async def _move(connection: Connection, stream: asyncpg.Record, start: Place, epoch: int) -> Tail:
    """Move what comes again into the new epoch."""
    if start >= (stream["epoch"], stream["last_seq"]):
        return Tail(start, {start.epoch: start.seq})
    key = stream["topic"], stream["partition"]
    logged = {row["epoch"]: row["last"] for row in await connection.fetch(_LASTS, *key, *start)}
    tail = Tail(start, {start.epoch: start.seq, **logged, stream["epoch"]: stream["last_seq"]})
    for old in tail.lasts:
        await connection.execute(_MOVE, *key, old, start.seq if old == start.epoch else 0, epoch, tail.shift(old))
    return tail


def _place(mark: asyncpg.Record) -> Place:
    # A record that could not be read stands for a number that was passed.
    return Place(mark["epoch"], mark["seq"] + mark["unreadable"])


def _columns(rows: Sequence[tuple[object, ...]], width: int) -> list[list[object]]:
    return [[row[number] for row in rows] for number in range(width)]


_STREAMS = """
SELECT topic, partition, epoch, last_seq, published_seq, published_offset FROM event_stream ORDER BY topic, partition
"""

_MARKS = "SELECT consumer, topic, partition, epoch, seq, unreadable FROM consumer_offset"

_LASTS = """
SELECT epoch, max(seq) AS last FROM event_log
WHERE topic = $1 AND partition = $2 AND (epoch, seq) > ($3, $4) GROUP BY epoch
"""

_MOVE = """
UPDATE event_log SET epoch = $5, seq = seq + $6
WHERE topic = $1 AND partition = $2 AND epoch = $3 AND seq > $4
"""

# As if no broker had taken anything: where it ends says nothing of an epoch that it has not seen.
_BEGIN = """
UPDATE event_stream SET epoch = $1, last_seq = length, published_seq = 0, published_offset = -1
FROM unnest($2::text[], $3::int[], $4::bigint[]) AS new(topic, partition, length)
WHERE event_stream.topic = new.topic AND event_stream.partition = new.partition
"""

_GO_ON = """
UPDATE consumer_offset
SET epoch = $1, seq = new.seq, unreadable = 0, stopped_reason = NULL, stopped_epoch = NULL, stopped_seq = NULL
FROM unnest($2::text[], $3::text[], $4::int[], $5::bigint[]) AS new(consumer, topic, partition, seq)
WHERE consumer_offset.consumer = new.consumer AND consumer_offset.topic = new.topic
    AND consumer_offset.partition = new.partition
"""
