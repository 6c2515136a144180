"""What services have published, as the logs beside their outboxes keep it, for what the bus has lost."""

from collections.abc import Mapping
from typing import NamedTuple

import asyncpg

from chassis.bus import TopicPartition
from chassis.db import SILENCE_S, plain_url
from chassis.envelope import finish
from chassis.portions import BYTES, portion

MOST = 2_000
"""Events that are read at once."""


class LogAway(Exception):
    """A log cannot be read just now."""


class Logged(NamedTuple):
    """An event as its log keeps it."""

    seq: int
    key: str
    value: bytes
    """As it stands on the bus."""


class SourceLogs:
    """The logs of the services that are installed; of any other there is nothing."""

    def __init__(self, urls: Mapping[str, str]) -> None:
        """`urls` are of the databases, by service, under a role that may read the log."""
        self._urls = urls

    async def events(self, partition: TopicPartition, epoch: int, *, first: int, until: int) -> list[Logged]:
        """The first kept events of an epoch from `first` up to before `until`: `MOST`, or as many as memory holds.

        Where any is kept there is one at least. Raises `LogAway`.
        """
        return [
            Logged(row["seq"], row["key"], finish(row["payload"], row["recorded_at"], row["epoch"], row["seq"]))
            for row in await self._asked(partition, _EVENTS, epoch, first, until, MOST, BYTES)
        ]

    async def lasts(self, partition: TopicPartition, epoch: int, seq: int) -> list[tuple[int, int]]:
        """The last `seq` of the epoch of a place and of each one behind it, in order. Raises `LogAway`."""
        return [(row["epoch"], row["last_seq"]) for row in await self._asked(partition, _LASTS, epoch, seq)]

    async def _asked(self, partition: TopicPartition, query: str, *values: int) -> list[asyncpg.Record]:
        url = self._urls.get(partition.topic.split(".", 1)[0])
        if url is None:
            return []
        try:
            connection = await asyncpg.connect(plain_url(url), timeout=10, command_timeout=SILENCE_S)
            try:
                return await connection.fetch(query, *partition, *values)
            finally:
                connection.terminate()
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise LogAway(str(error)) from error


_EVENTS = portion(
    """
        SELECT payload, recorded_at, epoch, seq, key FROM event_log
        WHERE topic = $1 AND partition = $2 AND epoch = $3 AND seq >= $4 AND seq < $5 AND payload IS NOT NULL
        ORDER BY epoch, seq LIMIT $6
    """,
    most="$7",
)

# Of the present epoch the stream knows how far it is numbered, whatever the log has let go of.
_LASTS = """
SELECT epoch, last_seq FROM event_stream WHERE topic = $1 AND partition = $2 AND epoch >= $3
UNION ALL
SELECT event.epoch, max(event.seq) FROM event_log AS event JOIN event_stream AS stream USING (topic, partition)
WHERE topic = $1 AND partition = $2 AND (event.epoch, event.seq) > ($3, $4::bigint) AND event.epoch < stream.epoch
GROUP BY event.epoch
ORDER BY epoch
"""
