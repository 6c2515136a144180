"""One reader of the feed per process, and the streams that it hands each new event to."""

import asyncio
from collections import Counter as Counted
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from typing import Never

import asyncpg
import structlog
from prometheus_client import Counter, Gauge

from chassis.db import KEEPALIVE, SILENCE_S, Database, database_is_away, driver, plain_url
from chassis.rest import rest
from gateway.domain.feed import HistoryGone, StreamUnavailable, Told, TooManyStreams, Wanted
from gateway.queries import feed

log = structlog.get_logger()

POLL_S = 5.0
"""Seconds after which the feed is looked at although nothing was heard of it."""
BEGIN_S = 5.0
"""Seconds that a stream waits in a process that has just started."""
PAGE = 500
QUEUED = 2_000
"""Events that may wait for one stream; the events themselves are held once, however many streams they wait for."""
READING_BACK = 4
"""Streams that read what they missed at once: a restarted gateway has all of them come back together."""

OPEN = Gauge("shuke_streams_open", "Streams that are open.")
SENT = Counter("shuke_stream_events", "Events handed to streams.")
SLOW = Counter("shuke_streams_cut", "Streams ended because their client did not take what waited for it.")

Sees = Callable[[Told], bool]
"""Whether who has a stream may be told of an event."""


class Ended(Exception):
    """A stream ends here: its client may come again for what follows."""


class Stream:
    """What one client is told: a queue with an end to it."""

    __slots__ = ("_lost", "_over", "_queue", "_sees", "_wake", "_wanted", "reached")

    def __init__(self, after: int, wanted: Wanted, sees: Sees) -> None:
        self.reached = after
        """Number of the last event that was told, or passed over."""
        self._wanted, self._sees = wanted, sees
        self._queue: deque[tuple[int, bytes]] = deque()
        self._wake = asyncio.Event()
        self._lost = self._over = False

    @property
    def historic(self) -> bool:
        """Whether it wants what was long past."""
        return self._wanted.historic

    def includes(self, event: Told) -> bool:
        """Whether its client is to be told."""
        return self._wanted.includes(event) and self._sees(event)

    def put(self, seq: int, block: bytes) -> None:
        """Have an event wait for it; where too many do, it ends instead."""
        if len(self._queue) >= QUEUED:
            SLOW.inc()
            self._lost = True
            self._queue.clear()
        if not self._lost:
            self._queue.append((seq, block))
        self._wake.set()

    def end(self) -> None:
        """Tell no more than what waits."""
        self._over = True
        self._wake.set()

    async def take(self, within_s: float) -> bytes:
        """What waits, all at once; nothing where nothing came in time. Raises `Ended`."""
        try:
            async with asyncio.timeout(within_s):
                await self._wake.wait()
        except TimeoutError:
            return b""
        self._wake.clear()
        if self._lost:
            raise Ended
        waiting, self._queue = self._queue, deque()
        if self._over:
            self._wake.set()
            if not waiting:
                raise Ended
        blocks = [block for seq, block in waiting if seq > self.reached]
        if waiting:
            self.reached = max(self.reached, waiting[-1][0])
        SENT.inc(len(blocks))
        return b"".join(blocks)


class Tail:
    """The end of the feed, as far as this process has read it."""

    def __init__(self) -> None:
        self.last: int | None = None
        """Number of the last event that was handed out; None before the feed was reached."""
        self._streams: set[Stream] = set()
        self._callers: Counted[str] = Counted()
        self._begun = asyncio.Event()
        self._reading = asyncio.Semaphore(READING_BACK)
        self._over = False

    async def run(self, database: Database) -> Never:
        """Follow the feed until cancelled. While the database is away nothing is told, and nothing missed."""
        while True:
            try:
                await self._follow(database)
            except Exception as error:
                if not database_is_away(error):
                    raise
                log.warning("the feed is followed later", error=str(error), error_class=type(error).__name__)
                await rest(1)

    def end(self) -> None:
        """Have every stream end: this process does."""
        self._over = True
        for stream in self._streams:
            stream.end()

    @contextmanager
    def counted(self, caller: str, *, most: int, most_of_one: int) -> Iterator[None]:
        """Count a stream while it is open. Raises `TooManyStreams`."""
        if self._callers.total() >= most:
            raise TooManyStreams(f"{most} streams are open here.", most=most)
        if self._callers[caller] >= most_of_one:
            raise TooManyStreams(f"You have {most_of_one} streams open here; close one.", most=most_of_one)
        self._callers[caller] += 1
        OPEN.set(self._callers.total())
        try:
            yield
        finally:
            self._callers[caller] -= 1
            self._callers += Counted()
            OPEN.set(self._callers.total())

    async def start(self, database: Database, after: int | None) -> int:
        """Where a stream begins: after the event that its client saw last, or now.

        Raises `HistoryGone` where what followed is not kept, and `StreamUnavailable`.
        """
        try:
            async with asyncio.timeout(BEGIN_S):
                await self._begun.wait()
        except TimeoutError:
            raise StreamUnavailable("The feed has not been reached yet.") from None
        assert self.last is not None
        if after is None:
            return self.last
        async with database.transaction() as session:
            self._check(await feed.reach(await driver(session)), after)
        return after

    async def follow(self, database: Database, stream: Stream) -> AsyncGenerator[bytes, None]:
        """What a stream has missed, page by page, at the pace of who takes it; then it hears of all that comes.

        Raises `HistoryGone` where it was overtaken by what is let go of.
        """
        while self.last is not None and stream.reached < self.last and not self._over:
            async with self._reading:
                until = self.last
                async with database.transaction() as session:
                    connection = await driver(session)
                    missed = await feed.read(connection, stream.reached, until, stream._wanted, PAGE)
                    self._check(await feed.reach(connection), stream.reached)
            told = [event for event in missed if stream._sees(event)]
            SENT.inc(len(told))
            if told:
                yield b"".join(block_of(event) for event in told)
            stream.reached = missed[-1].seq if len(missed) == PAGE else until
        # No await since the look at what was handed out last: nothing falls in between.
        self._streams.add(stream)
        if self._over:
            stream.end()

    def leave(self, stream: Stream) -> None:
        """Hand it nothing more."""
        self._streams.discard(stream)

    def passed(self, stream: Stream) -> int:
        """Up to where a stream of which nothing waits has been told, or had nothing to be told."""
        if not stream._queue and self.last is not None and stream in self._streams:
            stream.reached = max(stream.reached, self.last)
        return stream.reached

    async def _follow(self, database: Database) -> Never:
        connection = await asyncpg.connect(
            plain_url(database.url),
            timeout=10,
            command_timeout=SILENCE_S,
            server_settings={"timezone": "UTC", "jit": "off", **KEEPALIVE},
        )
        grew = asyncio.Event()
        try:
            await connection.add_listener(feed.GREW, lambda *_: grew.set())
            while True:
                grew.clear()
                await self._hand_out(connection)
                try:
                    async with asyncio.timeout(POLL_S):
                        await grew.wait()
                except TimeoutError:
                    if connection.is_closed():
                        raise ConnectionError("the database closed the connection") from None
        finally:
            connection.terminate()

    async def _hand_out(self, connection: feed.Connection) -> None:
        first, last = await feed.reach(connection)
        if self.last is None or self.last > last or self.last + 1 < first:
            if self.last is not None:
                # Numbers went back, or what is not told yet has gone: who comes again is told so.
                for stream in self._streams:
                    stream.end()
            self.last = last
            self._begun.set()
        while self.last < last:
            wanted = Wanted(historic=any(stream.historic for stream in self._streams))
            events = await feed.read(connection, self.last, last, wanted, PAGE) if self._streams else []
            if not wanted.historic and any(stream.historic for stream in self._streams):
                # One that came meanwhile wants more than was read.
                continue
            reached = events[-1].seq if len(events) == PAGE else last
            for event in events:
                takers = [stream for stream in self._streams if stream.includes(event)]
                if takers:
                    block = block_of(event)
                    for stream in takers:
                        stream.put(event.seq, block)
            self.last = reached
            await asyncio.sleep(0)

    def _check(self, kept: feed.Reach, after: int) -> None:
        if after + 1 < kept.first_seq or after > kept.last_seq:
            raise HistoryGone(
                "What followed is kept no longer; read anew what you need, and go on from `latest`.",
                oldest=kept.first_seq,
                latest=kept.last_seq,
            )


def block_of(event: Told) -> bytes:
    """An event as it stands in a stream (HTML Living Standard, §9.2)."""
    return f"id: {event.seq}\nevent: {event.type}\ndata: {event.body}\n\n".encode()
