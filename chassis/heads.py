"""The server under the app: what the head of a request may cost, and a shortcut for requests that need no task.

The server itself bounds neither bytes nor seconds of a head.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextvars import copy_context
from typing import Any, Never, TypeAlias

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from chassis.ids import uuid7
from chassis.limits import DISCARD_S
from chassis.problems import problem_document
from chassis.proxies import TrustedProxies, forwarded

HEAD_BYTES = 65_536
"""Request line and headers together."""


class HeadTooLarge(Exception):
    """The head of a request holds more than it may."""


class Asked:
    """A request that is there as a whole, and that nobody has begun to answer."""

    __slots__ = ("_cycle", "_server")

    def __init__(self, server: "BoundedHeads", cycle: RequestResponseCycle) -> None:
        self._server = server
        self._cycle = cycle

    @property
    def scope(self) -> Scope:
        """As the app gets it."""
        return self._cycle.scope  # type: ignore[return-value]

    @property
    def body(self) -> bytes:
        """The whole of it."""
        return bytes(self._cycle.body)

    @property
    def taken(self) -> bool:
        """Whether the client takes what it is sent, as far as can be seen."""
        return not self._server.flow.write_paused

    def answer(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> None:
        """Answer in one piece. The headers say how long the body is, and are such as the parser lets pass."""
        cycle, transport = self._cycle, self._server.transport
        self._server.left = None
        lines = [STATUS_LINE[status]]
        for name, value in (*cycle.default_headers, *headers):
            lines += (name, b": ", value, b"\r\n")
        lines += (b"\r\n", body) if cycle.keep_alive else (b"connection: close\r\n\r\n", body)
        cycle.response_started = cycle.response_complete = True
        transport.write(b"".join(lines))
        if not cycle.keep_alive:
            transport.close()
        cycle.on_response()

    def hand_over(self) -> "asyncio.Task[None]":
        """Let the app answer, in a task as usual."""
        self._server.left = None
        return self._server.begin(self._cycle)

    def hang_up(self) -> None:
        """Give the client no answer."""
        self._server.left = None
        self._server.transport.close()


Shortcut: TypeAlias = Callable[[Asked], Callable[[], None] | None]
"""Begins to answer a request, and returns what is called when its client leaves; None where the app shall answer.

It returns at once, and raises nothing.
"""


class BoundedHeads(HttpToolsProtocol):
    """Refuses heads over `HEAD_BYTES`, and clients that do not send theirs within `stall_s` seconds.

    What is no HTTP at all is told so in a problem, as everything else is. Requests that are there as a whole are
    offered to the `shortcut` first, if there is one by then. Of what came through a `trusted` proxy either is told
    where it came from.
    """

    def __init__(
        self,
        *arguments: Any,
        stall_s: float,
        trusted: TrustedProxies | None = None,
        shortcut: Callable[[], Shortcut | None] = lambda: None,
        **named: Any,
    ) -> None:
        super().__init__(*arguments, **named)
        self.left: Callable[[], None] | None = None
        """To be called when the client leaves."""
        self._trusted = trusted
        self._shortcut = shortcut()
        self._held: RequestResponseCycle | None = None
        """A request of which more may be in what is being read."""
        self._reading = False
        self._context = copy_context()
        self._stall_s = stall_s
        self._in_head = self._fresh = True
        self._head_bytes = 0
        self._refused = False
        self._waiting: asyncio.TimerHandle | None = None
        self._rests_until: float | None = None
        """When the connection is closed if nothing comes, on the loop's clock; None while anything is under way."""

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the first head."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._wait_no_more()
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
        super().connection_lost(exc)
        if self.left is not None:
            left, self.left = self.left, None
            left()

    def data_received(self, data: bytes) -> None:
        """Read on. What is left of a head after a piece may still grow, so the whole piece counts."""
        if self._refused:
            return
        self._reading = True
        super().data_received(data)
        self._reading = False
        if self._refused:
            return
        if self._held is not None:
            self._release(self._held)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self._refuse_large()
            elif self._fresh:
                self._fresh = False
                self._wait()
        elif self._waiting is None and self._at_rest():
            # Empty lines begin no request, and the server waits no more for one once it has read anything.
            self._wait()

    def _at_rest(self) -> bool:
        cycle = self.cycle
        answered = cycle is not None and cycle.response_complete and not cycle.more_body
        return answered and self._held is None and self._rests_until is None

    def on_message_begin(self) -> None:
        """Begin a head."""
        super().on_message_begin()
        # Most heads come as a whole: whether this one has to be waited for is seen behind what is being read.
        self._in_head, self._fresh, self._head_bytes = True, True, 0

    def on_url(self, url: bytes) -> None:
        """Count the address."""
        super().on_url(url)
        self._head_bytes += len(url)
        if self._head_bytes > HEAD_BYTES:
            self._stop_reading()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header. One that comes after a body is no header of the request: trailers end here."""
        # Each request has many: this is what the server would do, without the call.
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > HEAD_BYTES:
            self._stop_reading()
        if self._in_head:
            name = name.lower()
            if name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """End a head."""
        self._in_head, self._head_bytes = False, 0
        if self._waiting is not None:
            self._wait_no_more()
        if self._trusted is not None:
            forwarded(self.scope, self._trusted)
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """Go on with the request behind this one, else rest."""
        if self.pipeline or self.transport.is_closing():
            return super().on_response_complete()
        self.server_state.total_requests += 1
        self.flow.resume_reading()
        self._rests_until = self.loop.time() + self.timeout_keep_alive
        # One timer finds again and again that it may wait: one for each request costs more.
        if self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_at(self._rests_until, self.timeout_keep_alive_handler)

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that has rested for long."""
        self.timeout_keep_alive_task = None
        if self._rests_until is None:
            return
        if self._rests_until > self.loop.time():
            self.timeout_keep_alive_task = self.loop.call_at(self._rests_until, self.timeout_keep_alive_handler)
        else:
            super().timeout_keep_alive_handler()

    def _unset_keepalive_if_required(self) -> None:
        self._rests_until = None

    def send_400_response(self, msg: str) -> None:
        """Say what is wrong with what cannot be parsed."""
        if not self._refused:
            self._refuse(400, "bad_request", "Bad request", "This is not an HTTP request that can be read.")

    def begin(self, cycle: RequestResponseCycle) -> "asyncio.Task[None]":
        """Have the app answer."""
        # What calls may be the end of another request's connection: its context is none of this one's.
        task = self.loop.create_task(cycle.run_asgi(self.app), context=self._context.copy())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        if self._reading and self._shortcut is not None:
            self._held = cycle
        else:
            self._release(cycle)

    def _release(self, cycle: RequestResponseCycle) -> None:
        self._held = None
        if not (cycle.more_body or cycle.disconnected) and self._shortcut is not None:
            self.left = self._shortcut(Asked(self, cycle))
            if self.left is not None:
                return
        self.begin(cycle)

    def _stop_reading(self) -> Never:
        self._refuse_large()
        # The parser must not go on to the body, and calls back no more after an exception.
        raise HeadTooLarge

    def _refuse_large(self) -> None:
        detail = f"Address and headers may have {HEAD_BYTES} bytes together."
        self._refuse(431, "request_header_fields_too_large", "Request header fields too large", detail)

    def _wait(self) -> None:
        self._wait_no_more()
        self._waiting = self.loop.call_later(self._stall_s, self._give_up)

    def _wait_no_more(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _give_up(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            # The answer to the request before this one is still on its way.
            self._wait()
        elif not self._head_bytes:
            self.transport.close()
        else:
            self._refuse(408, "request_timeout", "Request timeout", "The rest of the request did not come.")

    def _refuse(self, status: int, code: str, title: str, detail: str) -> None:
        id = uuid7().hex
        body = problem_document(status, code, title, detail, request_id=id)
        lines = (
            f"HTTP/1.1 {status} {title}",
            "content-type: application/problem+json",
            f"content-length: {len(body)}",
            f"x-request-id: {id}",
            "connection: close",
        )
        self._refused = True
        self._wait_no_more()
        self.transport.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        self.transport.write_eof()
        # A client that still writes when the connection closes never reads why it was refused.
        self.loop.call_later(DISCARD_S, self.transport.close)
