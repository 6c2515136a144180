"""Streams that stay open on one gateway, beside a bare server that sends the same messages to as many."""

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import uvloop

from bench.bare_streams import CHANNEL
from bench.figures import Figure
from bench.gateway import prepared, running
from bench.product import cpu_ticks, memory_kb
from chassis.db import plain_url
from chassis.ids import uuid7
from deploy import postgres
from deploy.ports import free_port
from gateway.queries import feed

STREAMS = 500
FIRST = 20
"""Streams that come and go before anything is measured: what the first of all needs is not theirs."""
EVENTS = 30
WITHIN_S = 30.0
"""Seconds in which an event must have reached everybody."""
GOAL_MS = 1_000
"""From the event to the last of all."""
TYPE = "customers.purchase_completed.v1"

Publish = Callable[[Any, str], Awaitable[object]]


class Listening(asyncio.Protocol):
    """A client that counts what it is told."""

    def __init__(self, request: bytes, heard: "Heard") -> None:
        self._request, self._heard = request, heard
        self._rest = b""
        self.begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        """Ask for the stream."""
        self.transport: asyncio.Transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Count the events in a piece; one that is cut in two is counted with its second half."""
        if not self.begun.done():
            self._rest += data
            if not self._rest.startswith(b"HTTP/1.1 200"):
                self.begun.set_exception(ConnectionError(self._rest[:300].decode("latin-1")))
            elif b"retry:" in self._rest:
                self._rest = b""
                self.begun.set_result(None)
            return
        *whole, self._rest = (self._rest + data).split(b"\n\n")
        self._heard.add(sum(b"data:" in block for block in whole))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits."""
        if not self.begun.done():
            self.begun.set_exception(ConnectionError("the stream ended before it began"))


class Heard:
    """How often events were heard, by all clients together."""

    def __init__(self) -> None:
        self._missing = 0
        self._all = asyncio.Event()

    def wait_for(self, count: int) -> None:
        """Begin to count."""
        self._missing = count
        self._all.clear()

    def add(self, count: int) -> None:
        """So many more."""
        self._missing -= count
        if self._missing <= 0:
            self._all.set()

    async def all(self) -> None:
        """Return when all is heard. Raises `TimeoutError`."""
        async with asyncio.timeout(WITHIN_S):
            await self._all.wait()


@dataclass
class Sender:
    """A server of streams, and what was measured of it."""

    url: str
    pid: int
    publish: Publish
    headers: Mapping[str, str] = field(default_factory=dict)
    kb: float = 0.0
    """Memory of one stream."""
    all_ms: list[float] = field(default_factory=list)
    """From each event to the last client."""
    cpu_ms: float = 0.0
    """Processor time of an event, to all."""

    async def measure(self, database_url: str) -> None:
        """Open the streams, and tell."""
        connection = await asyncpg.connect(database_url)
        heard = Heard()
        try:
            first = await self._opened(FIRST, heard)
            await self._tell(connection, heard, first, events=2)
            for client in first:
                client.transport.close()
            before = memory_kb(self.pid)
            clients = await self._opened(STREAMS, heard)
            ticks = cpu_ticks(self.pid)
            self.all_ms = await self._tell(connection, heard, clients, events=EVENTS)
            self.cpu_ms = (cpu_ticks(self.pid) - ticks) / os.sysconf("SC_CLK_TCK") / EVENTS * 1e3
            self.kb = (memory_kb(self.pid) - before) / STREAMS
        finally:
            await connection.close()

    async def _opened(self, count: int, heard: Heard) -> list[Listening]:
        place = urlsplit(self.url)
        said = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        request = f"GET /v1/stream HTTP/1.1\r\nHost: {place.netloc}\r\n{said}\r\n".encode()
        loop = asyncio.get_running_loop()
        clients = []
        for _ in range(count):
            _, client = await loop.create_connection(
                lambda: Listening(request, heard), place.hostname or "", place.port or 80
            )
            await client.begun
            clients.append(client)
        return clients

    async def _tell(self, connection: Any, heard: Heard, clients: list[Listening], *, events: int) -> list[float]:
        taken = []
        for number in range(events):
            body = told(number)
            heard.wait_for(len(clients))
            began = time.perf_counter()
            await self.publish(connection, body)
            await heard.all()
            taken.append((time.perf_counter() - began) * 1e3)
        return taken


def told(number: int) -> str:
    """An event as the feed has it."""
    at = datetime.now(UTC).isoformat()
    data = {
        "amount_minor": 12_900 + number,
        "currency": "EUR",
        "source": "shop",
        "purchase_id": f"purchase_{number:032x}",
    }
    event = {"id": f"event_{number:032x}", "type": TYPE, "party_id": f"party_{number:032x}", "occurred_at": at}
    return json.dumps({**event, "recorded_at": at, "historic": False, "data": data}, separators=(",", ":"))


async def into_feed(connection: Any, body: str) -> None:
    """Have the feed tell an event, as its worker does."""
    at = datetime.now(UTC)
    await feed.stage(connection, [feed.Staged(uuid7(), TYPE, uuid7(), None, None, False, False, 0, at, body)])
    while not await feed.number(connection, None, at):
        await asyncio.sleep(0.001)


async def notified(connection: Any, body: str) -> None:
    """Have the bare server tell the same."""
    await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, f"id: 1\nevent: {TYPE}\ndata: {body}\n\n")


def opened() -> list[Figure]:
    """The gateway and the bare server, one after the other, on the same PostgreSQL."""
    with senders() as (url, gateway, bare):
        for sender in (bare, gateway):
            uvloop.run(sender.measure(url))
    ours, theirs = statistics.median(gateway.all_ms), statistics.median(bare.all_ms)
    how = f"{STREAMS} streams of one process, {EVENTS} events one by one; beside a bare server of the same messages"
    return [
        Figure("streams", "memory of an open stream", gateway.kb, "kB", None, bare.kb, how),
        Figure("streams", f"from an event to all {STREAMS}", ours, "ms", GOAL_MS, theirs),
        Figure("streams", f"processor time of an event to all {STREAMS}", gateway.cpu_ms, "ms", None, bare.cpu_ms),
    ]


@contextmanager
def senders() -> Iterator[tuple[str, Sender, Sender]]:
    """The address of the database, the gateway and the bare server, each a process."""
    with tempfile.TemporaryDirectory(prefix="shuke-bench-") as folder, ExitStack() as stack:
        database = postgres.at(Path(folder))
        stack.enter_context(running(database.process().argv, database.url("postgres", role="postgres")))
        url = database.url("gateway", scheme="postgresql+asyncpg")
        key = asyncio.run(prepared(database.url("postgres", role="postgres"), url))
        ports = [free_port() for _ in range(2)]
        door, bare = (f"http://127.0.0.1:{port}" for port in ports)
        variables = {
            "GATEWAY_DATABASE_URL": url,
            "GATEWAY_SERVICES": "{}",
            "GATEWAY_PORT": str(ports[0]),
            "GATEWAY_LIMIT_ADMIN": "99999/99999",
            "GATEWAY_STREAMS_OF_ONE": str(STREAMS + FIRST),
            "SHUKE_INTERNAL_SECRET": database.passwords["internal"],
        }
        python = (sys.executable, "-P", "-m")
        log = Path(folder) / "log"
        served = running((*python, "deploy.cli", "serve", "gateway"), f"{door}/healthz", log, variables)
        gateway = stack.enter_context(served)
        sends = running((*python, "bench.bare_streams", str(ports[1]), plain_url(url)), f"{bare}/")
        yield (
            plain_url(url),
            Sender(door, gateway, into_feed, {"Authorization": f"Bearer {key}"}),
            Sender(bare, stack.enter_context(sends), notified),
        )
