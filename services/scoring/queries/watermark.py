"""Until when every event of a source was read: time passes for standings no further."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from chassis.db import KEEPALIVE, plain_url
from services.scoring.queries.rulings import Connection

Stream = tuple[str, int]
"""Topic and partition."""


@dataclass(frozen=True, slots=True)
class Head:
    """What a source had numbered at one moment."""

    until: datetime
    """All that it committed by then is numbered."""
    last: Mapping[Stream, tuple[int, int]]
    """Epoch and seq of the last event of each stream that has any."""


class Source:
    """A service whose log is read, asked over a connection that is kept."""

    def __init__(self, name: str, url: str) -> None:
        self.name = name
        self._url = url
        self._connection: Connection | None = None

    async def head(self, topics: Sequence[str]) -> Head | None:
        """One snapshot of it; None before it has declared its streams."""
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(
                plain_url(self._url), timeout=10, command_timeout=10, server_settings={"jit": "off", **KEEPALIVE}
            )
        rows = await self._connection.fetch(_HEAD, topics)
        if not rows:
            return None
        last = {(row["topic"], row["partition"]): (row["epoch"], row["last_seq"]) for row in rows if row["last_seq"]}
        return Head(rows[0]["sequenced_until"], last)

    def close(self) -> None:
        """Drop the connection."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


async def what_holds(connection: Connection, consumer: str, head: Head) -> str | None:
    """What of a head the consumer has not read yet, the stopped first; None where it has read all of it."""
    marks = {(row["topic"], row["partition"]): row for row in await connection.fetch(_MARKS, consumer)}
    unread = None
    for stream, last in sorted(head.last.items()):
        mark = marks.get(stream)
        if mark is not None and (mark["epoch"], mark["seq"]) >= last:
            continue
        if mark is not None and mark["stopped_reason"]:
            return f"{stream[0]} {stream[1]} has stopped: {mark['stopped_reason']}"
        unread = unread or f"{stream[0]} {stream[1]} has unread events"
    return unread


async def move_watermark(
    connection: Connection, source: str, reached: datetime | None, at: datetime, held_by: str | None
) -> None:
    """Tell how far a source was read (None: no further than before) and what holds it. It never goes back."""
    await connection.execute(_MOVE, source, reached, at, held_by)


async def wait_for(connection: Connection, sources: Iterable[str], at: datetime) -> None:
    """From here on time waits for these sources, also for one that was never read, and for no other."""
    names = sorted(sources)
    await connection.execute("DELETE FROM watermark WHERE source <> ALL($1::text[])", names)
    await connection.execute(_WAIT_FOR, names, at)


async def watermark(connection: Connection) -> datetime | None:
    """Until when every event of every source was read; None before that was ever so."""
    reached: datetime | None = await connection.fetchval(_REACHED)
    return reached


_HEAD = """
SELECT sequenced_until, topic, partition, epoch, last_seq FROM sequencing CROSS JOIN event_stream
WHERE topic = ANY($1)
"""

_MARKS = "SELECT topic, partition, epoch, seq, stopped_reason FROM consumer_offset WHERE consumer = $1"

_MOVE = """
INSERT INTO watermark (source, reached, checked_at, held_by) VALUES ($1, $2, $3, $4)
ON CONFLICT (source) DO UPDATE SET
    reached = greatest(watermark.reached, excluded.reached), checked_at = excluded.checked_at,
    held_by = excluded.held_by
"""

_WAIT_FOR = """
INSERT INTO watermark (source, checked_at, held_by)
SELECT source, $2, source || ' was not read yet' FROM unnest($1::text[]) AS source
ON CONFLICT DO NOTHING
"""

_REACHED = "SELECT min(reached) FROM watermark HAVING bool_and(reached IS NOT NULL)"
