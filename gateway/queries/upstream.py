"""HTTP/1.1 to a service: connections that stay open, one request at a time on each, bodies piece by piece both ways."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, cast
from urllib.parse import urlsplit

import httptools
import msgspec

HeaderPairs = Sequence[tuple[bytes, bytes]]
"""Names in small letters."""
Body = bytes | AsyncIterator[bytes] | None

HEAD_BYTES = 131_072
"""Most that the head of an answer may have: twice what a client may send."""
BUFFERED = 262_144
"""Bytes of an answer that wait for whoever reads them before the service has to wait too."""


class CannotConnect(ConnectionError):
    """Nobody takes the connection: nothing was sent."""


class BrokenOff(ConnectionError):
    """The connection ended under a request, or what came is no HTTP."""

    def __init__(self, why: str, *, answered: bool) -> None:
        super().__init__(why)
        self.answered = answered
        """Whether a part of the answer had come."""


class Answer:
    """An answer of which the head has come."""

    def __init__(self, exchange: "Connection") -> None:
        self._exchange = exchange
        self.status = exchange.status
        self.headers: HeaderPairs = exchange.headers

    def header(self, name: str) -> str | None:
        """The first header of this name."""
        sought = name.lower().encode()
        return next((value.decode("latin-1") for each, value in self.headers if each == sought), None)

    @property
    def content_type(self) -> str:
        """The media type without its parameters."""
        return (self.header("content-type") or "application/octet-stream").partition(";")[0].strip()

    @property
    def content_length(self) -> int | None:
        """Bytes of the body, where the service says so beforehand."""
        declared = self.header("content-length")
        return int(declared) if declared is not None else None

    async def read(self) -> bytes:
        """The whole body."""
        return b"".join([piece async for piece in self.pieces()])

    async def json(self) -> Any:
        """The body as JSON."""
        return msgspec.json.decode(await self.read())

    def pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes."""
        return self._exchange.pieces()

    async def lines(self) -> AsyncIterator[bytes]:
        """The body line by line, each with its line feed; a last one without it broke off."""
        begun = b""
        async for piece in self.pieces():
            *whole, begun = (begun + piece).split(b"\n")
            for line in whole:
                yield line + b"\n"
        if begun:
            yield begun


class Connection(asyncio.Protocol):
    """A connection, and the one request that is under way on it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._failure: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._writing_paused = False
        self.told: Callable[[], None] | None = None
        """Called when more of the answer is there, in the place of waking whoever waits for it."""
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._sender: asyncio.Task[None] | None = None
        self._pieces: deque[bytes] = deque()
        self._method = ""
        self._idle = True
        self._headed = self._complete = self._until_eof = self._reading_paused = False
        self._head_bytes = self._buffered = 0
        self._heard_at = self._ends_at = self._silence_s = 0.0
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.reusable = False
        """Whether another request may follow this one."""
        self.idle_since = 0.0
        """On the loop's clock."""

    @property
    def closed(self) -> bool:
        """Whether nothing can be asked here any more."""
        return self._transport is None or self._transport.is_closing() or self._failure is not None

    async def ask(
        self, method: str, head: bytes, body: Body, *, chunked: bool, total_s: float, silence_s: float
    ) -> Answer:
        """Send a request and return when the head of its answer has come.

        `total_s` bounds the request as a whole, `silence_s` the time in which no byte moves. Raises `BrokenOff`,
        `TimeoutError`, and what the body raises while it is read.
        """
        if body is None or isinstance(body, bytes):
            self.begin(method, head, body, total_s=total_s, silence_s=silence_s)
        else:
            self.begin(method, head, None, total_s=total_s, silence_s=silence_s)
            self._sender = self._loop.create_task(self._send(body, chunked=chunked))
        return await self.answer()

    def begin(
        self,
        method: str,
        head: bytes,
        body: bytes | None,
        *,
        total_s: float,
        silence_s: float,
        told: Callable[[], None] | None = None,
    ) -> None:
        """Send a request whose body is whole.

        `told` is called when the head of its answer is there, whenever more of the answer came, and when it failed:
        until somebody waits for the `answer`.
        """
        self._begin(method, total_s, silence_s)
        self.told = told
        transport = self._transport
        assert transport is not None
        transport.write(head + body if body else head)

    async def answer(self) -> Answer:
        """The answer to what was begun, when its head has come. Raises as `ask` does."""
        self.told = None
        while not self._headed:
            await self._more()
        return Answer(self)

    @property
    def failed(self) -> bool:
        """Whether the request that is under way came to nothing."""
        return self._failure is not None and not self._complete

    @property
    def complete(self) -> bool:
        """Whether the answer is there as a whole."""
        return self._complete

    def whole(self) -> bytes:
        """The body of an answer that is there as a whole; it may be had once."""
        body = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        return body

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body of the answer as it comes."""
        while True:
            if self._pieces:
                piece = self._pieces.popleft() if len(self._pieces) == 1 else b"".join(self._pieces)
                self._pieces.clear()
                self._buffered = 0
                if self._reading_paused and self._transport is not None:
                    self._reading_paused = False
                    self._transport.resume_reading()
                yield piece
            elif self._complete:
                return
            else:
                await self._more()

    def end(self) -> None:
        """The answer is read, or nobody wants the rest of it."""
        self.told = None
        sent = self._sender is None or self._sender.done()
        if self._sender is not None:
            self._sender.cancel()
        self._idle = True
        if not (self._complete and sent and self.reusable) or self._pieces or self._reading_paused:
            self.reusable = False
            self.close()

    async def body_left(self) -> None:
        """Return when nothing reads the body of the request any more, and it may be closed."""
        if self._sender is not None and not self._sender.done():
            await asyncio.wait({self._sender})

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what is written to."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits; without a length, the end of the connection is that of the body."""
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._idle and self._until_eof and self._headed and exc is None:
            self._complete = True
        self._break(BrokenOff("the connection was closed", answered=not self._idle and bool(self._head_bytes)))

    def data_received(self, data: bytes) -> None:
        """Read on in the answer."""
        self._heard_at = self._loop.time()
        if self._idle:
            # Nothing was asked: what comes now answers nothing.
            self._break(BrokenOff("it speaks without being asked", answered=False))
            return self.close()
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._break(BrokenOff(repr(error), answered=True))
            return self.close()
        if self._buffered > BUFFERED and not self._reading_paused and self._transport is not None:
            self._reading_paused = True
            self._transport.pause_reading()
        if self._headed:
            self._wake()

    def pause_writing(self) -> None:
        """Let the body wait."""
        self._writing_paused = True

    def resume_writing(self) -> None:
        """Let the body go on."""
        self._writing_paused = False
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header of the head; trailers go no further."""
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > HEAD_BYTES:
            raise ValueError("the head of the answer is too large")
        if not self._headed:
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """End a head: the answer's, or that of an interim one."""
        self.status = self._parser.get_status_code()
        if self.status < 200:
            return
        names = {name for name, _ in self.headers}
        self._headed = True
        self.reusable = self._parser.should_keep_alive()
        bodiless = has_no_body(self._method, self.status)
        self._until_eof = not bodiless and b"content-length" not in names and b"transfer-encoding" not in names
        if self._method == "HEAD":
            # The parser does not know what was asked, and would wait for a body.
            self._complete = True
            self._parser = httptools.HttpResponseParser(self)

    def on_body(self, piece: bytes) -> None:
        """Keep a piece until it is asked for."""
        self._pieces.append(piece)
        self._buffered += len(piece)

    def on_message_complete(self) -> None:
        """End the answer, or an interim one before it."""
        if self._headed:
            self._complete = True
        else:
            self.headers = []

    def _begin(self, method: str, total_s: float, silence_s: float) -> None:
        self._idle = self._headed = self._complete = self.reusable = self._until_eof = False
        self._reading_paused = False
        self._head_bytes = self._buffered = self.status = 0
        self._method = method
        self.headers = []
        self._heard_at = self._loop.time()
        self._ends_at, self._silence_s = self._heard_at + total_s, silence_s
        self._watch(self._heard_at + min(total_s, silence_s))

    def _watch(self, due: float) -> None:
        # A timer for each request costs more than one that rings once for many and finds that it may rest.
        if self._timer is not None:
            if self._timer_at <= due:
                return
            self._timer.cancel()
        self._timer, self._timer_at = self._loop.call_at(due, self._check_time), due

    def _check_time(self) -> None:
        self._timer = None
        if self._idle:
            return
        at = self._loop.time()
        due = min(self._ends_at, self._heard_at + self._silence_s)
        if self._reading_paused:
            # It is the reader who is slow, and whoever reads has bounds of its own.
            due = self._ends_at
        if due <= at:
            self._break(TimeoutError())
            self.close()
        else:
            self._watch(due)

    async def _more(self) -> None:
        if self._failure is not None:
            raise self._failure
        self._waiter = self._loop.create_future()
        await self._waiter
        if self._failure is not None and not self._complete:
            raise self._failure

    def _wake(self) -> None:
        if self.told is not None:
            self.told()
        elif self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _break(self, failure: Exception) -> None:
        if self._failure is None:
            self._failure = failure
        self.reusable = False
        self._wake()
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    async def _send(self, body: AsyncIterator[bytes], *, chunked: bool) -> None:
        try:
            async for piece in body:
                if self._failure is not None or self._transport is None:
                    return
                if piece:
                    self._heard_at = self._loop.time()
                    self._transport.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
                if self._writing_paused:
                    self._drained = self._loop.create_future()
                    await self._drained
            if chunked and self._transport is not None:
                self._transport.write(b"0\r\n\r\n")
        except Exception as failure:
            # Half a body is out: only a broken connection tells the service.
            self._break(failure)
            self.close()


def has_no_body(method: str, status: int) -> bool:
    """Whether an answer ends with its head, whatever that says of a length (RFC 9112 §6.3)."""
    return method == "HEAD" or status in (204, 304)


class Pool:
    """The connections to one address. `connect_s` bounds the making of one, `idle_s` how long it is kept unused."""

    def __init__(self, address: str, *, connect_s: float, idle_s: float) -> None:
        place = urlsplit(address)
        self.host = place.netloc.encode()
        self.prefix = place.path.rstrip("/").encode()
        self._name, self._tls = place.hostname or "", place.scheme == "https"
        self._port = place.port or (443 if self._tls else 80)
        self._connect_s, self._idle_s = connect_s, idle_s
        self._idle: deque[Connection] = deque()
        self._time = asyncio.get_running_loop().time

    @property
    def idle(self) -> int:
        """Connections that wait for a request."""
        return len(self._idle)

    def kept(self) -> Connection | None:
        """A connection that was used before, the latest first; None where there is none."""
        oldest = self._time() - self._idle_s
        while self._idle:
            connection = self._idle.pop()
            if connection.closed:
                continue
            if connection.idle_since < oldest:
                connection.close()
                continue
            return connection
        return None

    async def made(self) -> Connection:
        """A new connection. Raises `CannotConnect`."""
        factory: Callable[[], Connection] = Connection
        try:
            async with asyncio.timeout(self._connect_s):
                _, connection = await asyncio.get_running_loop().create_connection(
                    factory, self._name, self._port, ssl=self._tls or None
                )
        except (OSError, TimeoutError) as error:
            raise CannotConnect(str(error)) from error
        return connection

    def give_back(self, connection: Connection) -> None:
        """Keep a connection whose request has ended, if another one may follow on it."""
        connection.end()
        if connection.reusable and not connection.closed:
            connection.idle_since = self._time()
            self._idle.append(connection)
            # Of those that are not used again nobody asks: the oldest go as they run out.
            while self._idle and self._idle[0].closed:
                self._idle.popleft()

    def close(self) -> None:
        """Hang up all that nobody uses."""
        while self._idle:
            self._idle.pop().close()
