"""What HTTP asks of whoever passes messages on, each property over real sockets on both sides."""

import asyncio
import resource
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from gateway.console.api import SESSION
from gateway.queries import services

from .conftest import Door

WHOLE = 300_000_000
"""Bytes of a body that fits into no buffer."""
END = b"\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"


@dataclass
class Service:
    """A service of which a test says byte for byte what it answers."""

    answer: Callable[[bytes, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
    """Called with the head of each request."""
    heads: list[bytes] = field(default_factory=list)
    connections: int = 0
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """The gateway has closed a connection."""
    tasks: set[Any] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.tasks.add(asyncio.current_task())
        try:
            while True:
                head = await reader.readuntil(END)
                self.heads.append(head)
                await self.answer(head, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.left.set()
        finally:
            writer.close()


async def ok(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(OK)


@asynccontextmanager
async def instead_of_customers(
    door: Door, answer: Callable[[bytes, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]] = ok
) -> AsyncIterator[Service]:
    """A service with one connection that the gateway keeps, so that the next request need not wait for one."""
    service = Service(ok)
    server = await asyncio.start_server(service.serve, "127.0.0.1", 0)
    door.app.state.documents["customers"] = {"paths": {}}
    door.app.state.services.addresses["customers"] = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    for _ in range(2):
        assert (await door.client.get("/v1/parties/first")).status_code == 200
    service.answer = answer
    service.heads.clear()
    try:
        yield service
    finally:
        server.close()
        for task in service.tasks:
            task.cancel()
        await asyncio.gather(*service.tasks, return_exceptions=True)


@asynccontextmanager
async def connected(door: Door) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    place = urlsplit(door.url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    try:
        yield reader, writer
    finally:
        writer.close()


def asking(door: Door, method: str, path: str, *lines: str) -> bytes:
    said = [f"{method} {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {door.keys['admin']}", *lines]
    return "\r\n".join([*said, "", ""]).encode()


async def head_of(reader: asyncio.StreamReader) -> tuple[int, list[tuple[str, str]]]:
    async with asyncio.timeout(60):
        first, *lines = (await reader.readuntil(END)).decode("latin-1").strip().split("\r\n")
    pairs = [line.split(": ", 1) for line in lines]
    return int(first.split()[1]), [(name.lower(), value) for name, value in pairs]


def values(headers: list[tuple[str, str]], name: str) -> list[str]:
    return [value for known, value in headers if known == name]


@pytest.mark.parametrize("length", [b"Content-Length: 5000\r\n", b""])
async def test_the_answer_to_a_head_is_that_of_a_get_without_its_body(door: Door, length: bytes) -> None:
    async def headed(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n" + length + b'ETag: "1"\r\n\r\n' if head.startswith(b"HEAD") else OK)

    async with instead_of_customers(door, headed) as service, connected(door) as (reader, writer):
        for _ in range(2):
            writer.write(asking(door, "HEAD", "/v1/parties/1"))
            status, headers = await head_of(reader)
            assert (status, values(headers, "content-length")) == (200, ["5000"] if length else [])
            assert values(headers, "etag") == ['"1"']
        writer.write(asking(door, "GET", "/v1/parties/1"))
        assert (await head_of(reader))[0] == 200
        assert await reader.readexactly(2) == b"ok"
    # Without a length nobody can tell whether a service that answers so ends its connection.
    assert service.connections == 1 or not length


async def test_a_client_that_waits_to_be_told_to_continue_is_told_by_the_gateway(door: Door) -> None:
    bodies = []

    async def reads(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        bodies.append(await reader.readexactly(5))
        writer.write(OK)

    async with instead_of_customers(door, reads) as service, connected(door) as (reader, writer):
        writer.write(asking(door, "POST", "/v1/purchases", "Expect: 100-continue", "Content-Length: 5"))
        assert (await head_of(reader))[0] == 100
        writer.write(b"hello")
        assert (await head_of(reader))[0] == 200
    assert bodies == [b"hello"]
    assert b"expect" not in service.heads[0].lower()


async def test_an_interim_answer_of_a_service_is_not_taken_for_its_answer(door: Door) -> None:
    async def early(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK)

    async with instead_of_customers(door, early), connected(door) as (reader, writer):
        writer.write(asking(door, "GET", "/v1/parties/1"))
        status, headers = await head_of(reader)
        assert (status, values(headers, "link")) == (200, [])
        assert await reader.readexactly(2) == b"ok"


async def test_trailers_end_at_the_gateway_both_ways(door: Door) -> None:
    async def trailing(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n" if b"content-length" not in head.lower() else b"hi")
        writer.write(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
            b"2\r\nok\r\n0\r\nX-Sum: 7\r\nSet-Cookie: a=b\r\n\r\n"
        )

    body = b"2\r\nhi\r\n0\r\nX-Sum: 7\r\nIf-Match: forged\r\nX-Shuke-Actor: forged\r\n\r\n"
    async with instead_of_customers(door, trailing) as service, connected(door) as (reader, writer):
        for at_once in (True, False):
            head = asking(door, "POST", "/v1/purchases", "Transfer-Encoding: chunked", "Trailer: X-Sum")
            if at_once:
                writer.write(head + body)
            else:
                writer.write(head)
                await writer.drain()
                await asyncio.sleep(0.1)
                writer.write(body)
            status, headers = await head_of(reader)
            assert status == 200
            assert not {"trailer", "x-sum", "set-cookie"} & {name for name, _ in headers}
            assert await reader.readuntil(b"0\r\n\r\n") == b"2\r\nok\r\n0\r\n\r\n"
    for seen in service.heads:
        assert not any(word in seen.lower() for word in (b"x-sum", b"forged", b"trailer"))


async def test_a_range_and_its_part_are_passed_on(door: Door) -> None:
    async def part(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 2-4/9\r\nContent-Length: 3\r\n\r\ncde")

    async with instead_of_customers(door, part) as service, connected(door) as (reader, writer):
        writer.write(asking(door, "GET", "/v1/parties/1", "Range: bytes=2-4", 'If-Range: "1"'))
        status, headers = await head_of(reader)
        assert (status, values(headers, "content-range")) == (206, ["bytes 2-4/9"])
        assert await reader.readexactly(3) == b"cde"
    assert b"range: bytes=2-4\r\n" in service.heads[0]
    assert b'if-range: "1"\r\n' in service.heads[0]


@pytest.mark.parametrize("length", [2, 100_000])
async def test_headers_that_come_twice_go_on_twice_in_their_order(door: Door, length: int) -> None:
    async def twice(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = b"Set-Cookie: a=1\r\nLink: </1>\r\nSet-Cookie: b=2\r\nLink: </2>\r\n"
        writer.write(b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n%b" % (lines, length, b"x" * length))

    async with instead_of_customers(door, twice) as service, connected(door) as (reader, writer):
        writer.write(asking(door, "GET", "/v1/parties/1", "Accept: a/b", "X-Own: 1", "Accept: c/d", "X-Own: 2"))
        _, headers = await head_of(reader)
        assert values(headers, "set-cookie") == ["a=1", "b=2"]
        assert values(headers, "link") == ["</1>", "</2>"]
        await reader.readexactly(length)
    lines = service.heads[0].lower().split(b"\r\n")
    assert [line for line in lines if line.startswith((b"accept:", b"x-own:"))] == [
        *(b"accept: a/b", b"x-own: 1", b"accept: c/d", b"x-own: 2")
    ]


@pytest.mark.parametrize("length", [2, 100_000])
async def test_headers_of_one_connection_and_those_that_it_names_end_at_the_gateway(door: Door, length: int) -> None:
    async def hops(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = b"Connection: X-Theirs, keep-alive\r\nX-Theirs: 1\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: x\r\n"
        writer.write(b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n%b" % (lines, length, b"x" * length))

    said = ("Connection: X-Ours, Keep-Alive", "Connection: X-Also", "X-Ours: 1", "X-Also: 1", "Keep-Alive: 1")
    more = ("TE: trailers", "Proxy-Connection: keep-alive", "Proxy-Authorization: x", "Upgrade: h2c", "X-Stays: 1")
    async with instead_of_customers(door, hops) as service, connected(door) as (reader, writer):
        for _ in range(2):
            writer.write(asking(door, "GET", "/v1/parties/1", *said, *more))
            status, headers = await head_of(reader)
            assert status == 200
            assert not {"connection", "x-theirs", "keep-alive", "proxy-authenticate"} & {name for name, _ in headers}
            await reader.readexactly(length)
    names = {line.partition(b":")[0].lower() for head in service.heads for line in head.split(b"\r\n")[1:]}
    assert b"x-stays" in names
    assert not names & {
        *(b"connection", b"x-ours", b"x-also", b"keep-alive", b"te"),
        *(b"proxy-connection", b"proxy-authorization", b"upgrade"),
    }


@pytest.mark.parametrize("asked", ["while nothing came", "by a body that never ends", "over a new connection"])
async def test_a_client_that_leaves_in_its_request_ends_that_of_the_service(door: Door, asked: str) -> None:
    begun = asyncio.Event()

    async def waits(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        begun.set()
        while await reader.read(65_536):
            pass
        raise ConnectionResetError

    async with instead_of_customers(door, waits) as service:
        if asked == "over a new connection":
            door.app.state.services.pool("customers").close()
            async with asyncio.timeout(60):
                await service.left.wait()
            service.left.clear()
        async with connected(door) as (_, writer):
            if asked == "by a body that never ends":
                writer.write(asking(door, "POST", "/v1/purchases", "Content-Length: 1000000") + b"x" * 100_000)
            else:
                writer.write(asking(door, "GET", "/v1/parties/1"))
            async with asyncio.timeout(60):
                await begun.wait()
        async with asyncio.timeout(60):
            await service.left.wait()
        slots = door.app.state.services._slots["customers", False]
        async with asyncio.timeout(60):
            while slots.underway:
                await asyncio.sleep(0.01)


async def test_a_client_that_leaves_in_an_answer_ends_that_of_the_service(door: Door) -> None:
    async def flows(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"5\r\nhello\r\n")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with instead_of_customers(door, flows) as service:
        async with connected(door) as (reader, writer):
            writer.write(asking(door, "GET", "/v1/parties/1"))
            assert (await head_of(reader))[0] == 200
            await reader.readuntil(b"hello")
        async with asyncio.timeout(60):
            await service.left.wait()


@pytest.mark.parametrize(
    ("method", "line", "status"),
    [
        ("GET", "X-Own: 1", 200),
        ("PUT", "X-Own: 1", 200),
        ("POST", "Idempotency-Key: 1", 200),
        ("POST", "X-Own: 1", 502),
        ("PATCH", "X-Own: 1", 502),
    ],
)
async def test_a_kept_connection_that_the_service_closed_is_replaced_only_where_that_is_safe(
    door: Door, method: str, line: str, status: int
) -> None:
    async def closes_first(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if service.connections == 1:
            raise ConnectionResetError
        writer.write(OK)

    async with instead_of_customers(door, closes_first) as service, connected(door) as (reader, writer):
        writer.write(asking(door, method, "/v1/purchases/1", line, "Content-Length: 2") + b"{}")
        assert (await head_of(reader))[0] == status
    assert len(service.heads) == (2 if status == 200 else 1)


async def test_what_was_answered_in_part_is_not_asked_again(door: Door) -> None:
    async def breaks_off(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        await writer.drain()
        raise ConnectionResetError

    async with instead_of_customers(door, breaks_off) as service, connected(door) as (reader, writer):
        writer.write(asking(door, "GET", "/v1/parties/1"))
        assert (await head_of(reader))[0] == 502
    assert len(service.heads) == 1


async def test_a_client_that_does_not_take_its_answer_is_cut_off(door: Door) -> None:
    async def endless(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
            await writer.drain()

    async with instead_of_customers(door, endless) as service, connected(door) as (_, writer):
        writer.write(asking(door, "GET", "/v1/parties/1"))
        async with asyncio.timeout(60):
            await service.left.wait()


@pytest.mark.parametrize("begins", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"])
async def test_a_service_that_falls_silent_is_given_up(
    door: Door, monkeypatch: pytest.MonkeyPatch, begins: bytes
) -> None:
    async def silent(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(begins)
        await reader.readuntil(b"never")

    monkeypatch.setattr(services, "QUICK_S", 0.3)
    async with instead_of_customers(door, silent) as service, connected(door) as (reader, writer):
        began = time.monotonic()
        writer.write(asking(door, "GET", "/v1/parties/1"))
        assert (await head_of(reader))[0] == 504
        assert time.monotonic() - began < 10
        async with asyncio.timeout(60):
            await service.left.wait()


@pytest.fixture
def roomy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bodies may be larger than any buffer."""
    monkeypatch.setenv("GATEWAY_MAX_BODY_BYTES", str(WHOLE))


@pytest.mark.parametrize("way", ["up", "down"])
async def test_what_streams_is_held_up_by_who_is_slow_and_takes_no_memory(roomy: None, door: Door, way: str) -> None:
    sent = 0

    async def flow(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        while sent < WHOLE:
            writer.write(b"x" * 100_000)
            sent += 100_000
            await writer.drain()

    async def takes_nothing(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if way == "down":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % WHOLE)
            await flow(writer)
        await asyncio.Event().wait()

    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with instead_of_customers(door, takes_nothing) as service, connected(door) as (_, writer):
        length = WHOLE if way == "up" else 0
        writer.write(asking(door, "POST", "/v1/purchases/bulk", f"Content-Length: {length}"))
        flowing = asyncio.create_task(flow(writer)) if way == "up" else None
        async with asyncio.timeout(60):
            while not (service.heads and sent):
                await asyncio.sleep(0.01)
        held = -1
        while held != sent:
            held = sent
            await asyncio.sleep(0.3)
        assert held < WHOLE / 5
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < WHOLE / 3 / 1_000
        if flowing is not None:
            flowing.cancel()


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers may ask fifty times, and once more each second."""
    monkeypatch.setenv("GATEWAY_LIMIT_READER", "1/50")


async def test_whichever_way_a_request_goes_and_ends_it_is_counted_once_and_sent_once(few: None, door: Door) -> None:
    async def in_turns(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        status, length = {b"0": (200, 2), b"1": (404, 2), b"2": (200, 100_000)}[head.split()[1][-1:]]
        writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (status, length) + b"x" * length)

    began = time.monotonic()
    async with instead_of_customers(door, in_turns) as service:
        for number in range(1, 13):
            answer = await door.client.get(f"/v1/parties/{number % 3}", headers=door.key("reader"))
            assert answer.status_code == (404 if number % 3 == 1 else 200)
            left = int(answer.headers["ratelimit"].split("r=")[1].split(";")[0])
            assert 50 - number <= left <= 50 - number + time.monotonic() - began + 1
            ids = {line.split(b": ")[0]: line for line in service.heads[-1].split(b"\r\n")}
            assert ids[b"x-request-id"].endswith(answer.headers["x-request-id"].encode())
    assert len(service.heads) == 12


@pytest.fixture
def behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that is believed stands in front."""
    monkeypatch.setenv("GATEWAY_TRUSTED_PROXIES", "127.0.0.1")


async def test_what_a_trusted_proxy_says_of_its_client_is_believed_whichever_way_a_request_goes(
    behind: None, door: Door
) -> None:
    said = {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https"}
    async with instead_of_customers(door):
        for _ in range(2):
            answer = await door.client.get("/v1/parties/1", headers=said)
            assert answer.headers["strict-transport-security"] == "max-age=31536000"
        assert "strict-transport-security" not in (await door.client.get("/v1/parties/1")).headers
    await door.app.state.trail.flush(door.app.state.database)
    rows = (await door.client.get("/v1/audit", params={"what": "read", "limit": 1_000})).json()["data"]
    assert {row["address"] for row in rows if row["path"].startswith("/v1/parties")} == {"127.0.0.1", "203.0.113.7"}


AS_SENT = {
    "small": b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nETag: x\r\nContent-Length: 2\r\n\r\nok",
    "nothing": b"HTTP/1.1 204 No Content\r\nX-Own: kept\r\n\r\n",
    "unchanged": b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n",
    "refused": b"HTTP/1.1 409 Conflict\r\nContent-Type: application/problem+json\r\nContent-Length: 2\r\n\r\n{}",
}
OF_ITS_REQUEST = {"date", "x-request-id", "traceparent", "ratelimit"}


@pytest.mark.parametrize("sent", AS_SENT)
async def test_the_short_way_and_that_through_the_layers_answer_trace_log_and_measure_alike(
    door: Door, sent: str
) -> None:
    async def answer(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(AS_SENT[sent])

    def measured(status: int) -> float:
        labels = {"service": "gateway", "operation": "forward", "status": str(status)}
        return REGISTRY.get_sample_value("shuke_http_request_seconds_count", labels) or 0

    seen = []
    async with instead_of_customers(door, answer) as service:
        for shortcut in (door.app.state.shortcut, None):
            door.app.state.shortcut = shortcut
            before = len(service.heads)
            with capture_logs() as logged:
                # Which way there is, each connection is told when it is made.
                told = await door.client.get("/v1/parties/1?limit=1", headers={"Connection": "close"})
            assert len(service.heads) == before + 1
            [line] = [each for each in logged if each["event"] == "request"]
            own = {"ms", "request_id", "traceparent"}
            headers = sorted(pair for pair in told.headers.multi_items() if pair[0] not in OF_ITS_REQUEST)
            asked = sorted(
                each for each in service.heads[-1].split(b"\r\n") if not each.startswith((b"x-", b"traceparent"))
            )
            line = {name: value for name, value in line.items() if name not in own}
            seen.append((told.status_code, headers, told.content, asked, line, measured(told.status_code)))
    await door.app.state.trail.flush(door.app.state.database)
    rows = (await door.client.get("/v1/audit", params={"what": "read", "limit": 1_000})).json()["data"]
    short, layered = seen
    assert short[:-1] == layered[:-1]
    assert layered[-1] == short[-1] + 1
    of_both = [row for row in rows if row["query"] and row["outcome"] == short[0]]
    assert sum(row["requests"] for row in of_both) == 2
    assert len({(row["who"], row["operation"], row["path"], row["query"], row["address"]) for row in of_both}) == 1


async def test_a_change_that_goes_over_to_the_layers_is_counted_once_until_it_has_ended(door: Door) -> None:
    headed, go_on = asyncio.Event(), asyncio.Event()

    async def in_two_halves(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 50_000)
        headed.set()
        await go_on.wait()
        writer.write(b"x" * 50_000)

    writing = door.app.state.writing
    async with instead_of_customers(door, in_two_halves):
        async with door.client.stream("DELETE", "/v1/purchases/1") as answer:
            await headed.wait()
            assert (answer.status_code, writing.underway) == (200, 1)
            go_on.set()
            await answer.aread()
        async with asyncio.timeout(60):
            while writing.underway:
                await asyncio.sleep(0.01)
    assert writing.underway == 0


async def test_what_a_browser_says_to_a_page_makes_no_line_of_what_a_service_is_asked(door: Door) -> None:
    async def nothing(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(AS_SENT["nothing"])

    headers = {"Cookie": f"{SESSION}={door.keys['admin']}", "Accept": "text/html"}
    page = (await door.client.get("/nowhere", headers=headers)).text
    headers["X-CSRF-Token"] = page.partition('name="csrf" content="')[2].partition('"')[0]
    async with instead_of_customers(door, nothing) as service:
        path = f"/parties/party_{1:032x}/owner"
        refused = await door.client.post(path, data={"version": "1\r\nX-Made: up"}, headers=headers)
        assert (refused.status_code, service.heads) == (400, [])
        assert (await door.client.post(path, data={"version": "1"}, headers=headers)).status_code == 303
    assert b'if-match: "1"' in service.heads[0].split(b"\r\n")
