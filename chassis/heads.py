"""What the head of a request may cost, bytes and seconds: the server under the app bounds neither."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from chassis.ids import uuid7
from chassis.limits import DISCARD_S
from chassis.problems import problem_document

HEAD_BYTES = 65_536
"""Request line and headers together."""


class HeadTooLarge(Exception):
    """The head of a request holds more than it may."""


class BoundedHeads(HttpToolsProtocol):
    """Refuses heads over `HEAD_BYTES`, and clients that do not send theirs within `stall_s` seconds.

    What is no HTTP at all is told so in a problem, as everything else is.
    """

    def __init__(self, *arguments: Any, stall_s: float, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._stall_s = stall_s
        self._in_head = True
        self._head_bytes = 0
        self._refused = False
        self._waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the first head."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._wait_no_more()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on. What is left of a head after a piece may still grow, so the whole piece counts."""
        if self._refused:
            return
        super().data_received(data)
        if self._in_head and not self._refused:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self._refuse_large()

    def on_message_begin(self) -> None:
        """Begin a head."""
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0
        self._wait()

    def on_url(self, url: bytes) -> None:
        """Count the address."""
        super().on_url(url)
        self._count(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header, also one that comes after a body."""
        super().on_header(name, value)
        self._count(name, value)

    def on_headers_complete(self) -> None:
        """End a head."""
        self._in_head, self._head_bytes = False, 0
        self._wait_no_more()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Say what is wrong with what cannot be parsed."""
        if not self._refused:
            self._refuse(400, "bad_request", "Bad request", "This is not an HTTP request that can be read.")

    def _count(self, *parts: bytes) -> None:
        self._head_bytes += sum(map(len, parts))
        if self._head_bytes > HEAD_BYTES:
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
