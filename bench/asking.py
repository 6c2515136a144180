"""A client that costs little, so that what is measured is not the client: the same request again and again."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httptools


class Failed(Exception):
    """An answer that is not the one expected."""


class Asking(asyncio.Protocol):
    """One connection that sends its next request when it has the answer to the one before."""

    def __init__(self, request: bytes, until: float, since: float) -> None:
        self.answers_ms: list[float] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._request = request
        self._until = until
        self._since = since

    def connection_made(self, transport: Any) -> None:
        """Send the first request."""
        self._transport: asyncio.Transport = transport
        self._next()

    def data_received(self, data: bytes) -> None:
        """Read on in an answer."""
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        """Note how long the answer took."""
        answered = time.perf_counter()
        if self._parser.get_status_code() != 200:
            self.done.set_exception(Failed(f"answered with {self._parser.get_status_code()}"))
            self._transport.close()
            return
        if self._sent > self._since and answered < self._until:
            self.answers_ms.append((answered - self._sent) * 1e3)
        if answered < self._until:
            self._next()
        else:
            self._transport.close()
            self.done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits."""
        if not self.done.done():
            self.done.set_exception(Failed("the connection broke off"))

    def _next(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._sent = time.perf_counter()
        self._transport.write(self._request)


async def ask(
    url: str, path: str, headers: Mapping[str, str], *, connections: int, warm_s: float, s: float
) -> list[float]:
    """How long each answer took (ms) to GETs on so many connections at once, after a time that does not count."""
    place = urlsplit(url)
    lines = [f"GET {path} HTTP/1.1", f"Host: {place.netloc}", *(f"{name}: {value}" for name, value in headers.items())]
    request = "\r\n".join([*lines, "", ""]).encode()
    began = time.perf_counter()
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(
            lambda: Asking(request, began + warm_s + s, began + warm_s), place.hostname or "", place.port or 80
        )
        for _ in range(connections)
    ]
    await asyncio.gather(*(each.done for _, each in made))
    return [taken for _, each in made for taken in each.answers_ms]
