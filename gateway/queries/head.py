"""How far scoring has numbered its changes: the feed tells none before all that were recorded before it have come."""

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

import asyncpg

from chassis.db import KEEPALIVE, plain_url
from contracts.topics import STANDING_CHANGES

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

NAME = "gateway"
"""The consumer."""


@dataclass(frozen=True, slots=True)
class Head:
    """What scoring had numbered at one moment."""

    recorded_at: datetime
    """Of its last event."""
    last: dict[int, tuple[int, int]]
    """Epoch and seq of the last event of each partition that has any."""


class Scoring:
    """The log of the scoring service, asked over a connection that is kept."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: Connection | None = None

    async def head(self) -> Head | None:
        """One snapshot of it; None before it has declared its streams."""
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(
                plain_url(self._url), timeout=10, command_timeout=10, server_settings={"jit": "off", **KEEPALIVE}
            )
        rows = await self._connection.fetch(_HEAD, STANDING_CHANGES.name)
        if not rows:
            return None
        last = {row["partition"]: (row["epoch"], row["last_seq"]) for row in rows if row["last_seq"]}
        return Head(rows[0]["recorded_at"], last)

    def close(self) -> None:
        """Drop the connection."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


async def is_read(connection: Connection, head: Head) -> bool:
    """Whether the consumer has all of a head."""
    rows = await connection.fetch(_MARKS, NAME, STANDING_CHANGES.name)
    marks = {row["partition"]: (row["epoch"], row["seq"]) for row in rows}
    return all(marks.get(partition, (0, 0)) >= last for partition, last in head.last.items())


_HEAD = """
SELECT recorded_at, partition, epoch, last_seq FROM sequencing CROSS JOIN event_stream WHERE topic = $1
"""

_MARKS = "SELECT partition, epoch, seq FROM consumer_offset WHERE consumer = $1 AND topic = $2"
