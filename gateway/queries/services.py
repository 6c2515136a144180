"""The services behind the gateway: one client with its connections, and what the gateway itself asks of them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import msgspec
import structlog
from fastapi import FastAPI
from structlog.contextvars import get_contextvars

from chassis.auth import GATEWAY, HEADER, Caller, Signer
from contracts.problems import Problem
from gateway.domain.bulkheads import PAUSE_S, Breaker, Bulkhead
from gateway.domain.parts import Status, status_of
from gateway.domain.services import ServiceFailed, ServiceTimeout, ServiceUnavailable
from gateway.queries.slots import Slots
from gateway.queries.upstream import Answer, Body, BrokenOff, CannotConnect, Connection, HeaderPairs, Pool

log = structlog.get_logger()

CONNECT_S = 2.0
QUICK_S = 60.0
"""Seconds that an ordinary request may take as a whole."""
PATIENT_S = 3_600.0
PATIENT_SILENCE_S = 600.0
"""Seconds without a byte after which patient work is given up."""
EACH_S = 5.0
"""Seconds that each service has where all are asked: one that is late holds up no answer about the others."""
RETRY_PAUSES_S = (0.05, 0.2, 0.5)
"""A service that is being restarted refuses connections for a moment. Nothing was sent, so nothing is sent twice."""
IDLE_S = 30
"""Seconds that an idle connection is kept: less than the services do, so that none is closed under a request."""


Marks = tuple[str | None, str | None]
"""Request id and traceparent."""


class InFlight:
    """What a request takes up until somebody ends it: a slot, and a connection as soon as it has one."""

    def __init__(
        self, pool: Pool, breaker: Breaker, slots: Slots | None = None, connection: Connection | None = None
    ) -> None:
        self.pool = pool
        self.connection = connection
        self._breaker, self._slots = breaker, slots

    def hang_up(self) -> None:
        """Have its connection no more."""
        if self.connection is not None:
            self.pool.give_back(self.connection)
            self.connection = None

    def end(self) -> None:
        """Give back all that it has; twice is once."""
        self.hang_up()
        if self._slots is not None:
            self._slots.release()
            self._slots = None

    def answered(self) -> None:
        """The answer is there as a whole, and read."""
        self._breaker.succeeded()
        self.end()


@dataclass(slots=True)
class Request:
    """What a service is asked; `target` is path and query."""

    method: str
    target: bytes
    caller: Caller
    headers: HeaderPairs
    body: Body
    patient: bool

    @property
    def comes_in_pieces(self) -> bool:
        """Whether its body is there once only, piece by piece."""
        return isinstance(self.body, AsyncIterator)

    @property
    def may_go_twice(self) -> bool:
        """Whether it can be sent again where nobody knows what became of it."""
        named = self.method in IDEMPOTENT or any(name == b"idempotency-key" for name, _ in self.headers)
        return named and not self.comes_in_pieces


@dataclass(frozen=True, slots=True)
class Answered:
    """What a service answered to a part of a request; `data` only where it is good."""

    status: Status
    data: Any = None


TOGETHER_S = 0.01
"""What is asked for so soon after each other, as by one page, is read once."""
OWN = "gateway"
"""By which name the gateway asks itself for what its consumer has set aside."""

IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
"""Methods that may be carried out twice (RFC 9110 §9.2.2)."""


class Services:
    """A client of all services, with connections that stay open."""

    def __init__(
        self,
        addresses: Mapping[str, str],
        signer: Signer,
        bulkhead: Bulkhead | None = None,
        inside: Mapping[str, FastAPI] | None = None,
    ) -> None:
        """`bulkhead` holds for each service, and once more for its long work, which so leaves room for the rest.

        `inside` are apps of this process that are asked by name as services are, and have no address.
        """
        self._inside = inside or {}
        self.addresses = {name: address.rstrip("/") for name, address in addresses.items()}
        self._signer = signer
        self._bulkhead = bulkhead or Bulkhead()
        self._pools: dict[str, Pool] = {}
        self._slots: dict[tuple[str, bool], Slots] = {}
        self._breakers: dict[Pool, Breaker] = {}
        self._reading: asyncio.Task[dict[str, Any]] | None = None

    @property
    def readers(self) -> list[str]:
        """Whoever reads events: the services, and what is inside."""
        return sorted({*self.addresses, *self._inside})

    async def close(self) -> None:
        """Close the connections."""
        for pool in self._pools.values():
            pool.close()

    def pool(self, service: str) -> Pool:
        """The connections to a service. Raises `ServiceUnavailable` where it is not installed."""
        address = self.addresses.get(service)
        if address is None:
            raise ServiceUnavailable(f"{service} is no part of this installation.", service=service)
        pool = self._pools.get(address)
        if pool is None:
            pool = self._pools[address] = Pool(address, connect_s=CONNECT_S, idle_s=IDLE_S)
        return pool

    @asynccontextmanager
    async def ask(
        self,
        service: str,
        method: str,
        target: str,
        *,
        caller: Caller = GATEWAY,
        headers: HeaderPairs = (),
        body: Body = None,
        patient: bool = False,
        in_flight: InFlight | None = None,
    ) -> AsyncIterator[Answer]:
        """One request, signed for a caller; the answer may be read inside.

        `target` is path and query as they came. What the gateway asks for its own sake takes no slot from others, and
        is asked also where the service was left alone: readiness must not wait for either. What is `in_flight` already
        is gone on with.

        Raises `ServiceUnavailable`, `ServiceBusy`, `ServiceFailed` or `ServiceTimeout`.
        """
        pool = self.pool(service)
        breaker = self._breakers.setdefault(pool, Breaker())
        request = Request(method, target.encode("latin-1"), caller, headers, body, patient)
        if in_flight is None:
            slots = None if caller is GATEWAY else await self._slot(service, breaker, patient)
            in_flight = InFlight(pool, breaker, slots)
        answered = False
        try:
            answer = await self._answer(in_flight, request)
            answered = True
            breaker.succeeded()
            yield answer
        except TimeoutError:
            # Long work may be slow, and a body that comes piece by piece is as slow as who sends it.
            if not (answered or patient or request.comes_in_pieces):
                self._failed(service, breaker)
            raise ServiceTimeout(f"{service} did not answer in time.", service=service) from None
        except CannotConnect:
            self._failed(service, breaker)
            raise _away(service) from None
        except BrokenOff as error:
            log.warning("service failed", upstream=service, error=str(error))
            raise ServiceFailed(f"{service} broke off its answer.", service=service) from error
        finally:
            connection = in_flight.connection
            in_flight.end()
            if connection is not None:
                await connection.body_left()

    async def _answer(self, in_flight: InFlight, request: Request) -> Answer:
        """The answer to what was sent already, else over a kept connection, else over a new one."""
        try:
            if in_flight.connection is not None:
                return await in_flight.connection.answer()
            in_flight.connection = in_flight.pool.kept()
            if in_flight.connection is not None:
                return await self._sent(in_flight.pool, in_flight.connection, request)
        except BrokenOff as error:
            # It was closed while the request was on its way, as an idle one may be at any moment.
            if error.answered or not request.may_go_twice:
                raise
            in_flight.hang_up()
        in_flight.connection = await self._made(in_flight.pool)
        return await self._sent(in_flight.pool, in_flight.connection, request)

    async def _sent(self, pool: Pool, connection: Connection, request: Request) -> Answer:
        bound = get_contextvars()
        marks = bound.get("request_id"), bound.get("traceparent")
        method, body = request.method, request.body
        head, chunked = self._head(pool, method, request.target, request.caller, request.headers, body, marks)
        return await connection.ask(method, head, body, chunked=chunked, **_waits(request.patient))

    def begin(
        self,
        service: str,
        method: str,
        target: bytes,
        *,
        caller: Caller,
        headers: HeaderPairs,
        body: bytes | None,
        patient: bool,
        marks: Marks,
        told: Callable[[], None],
    ) -> InFlight | None:
        """One request, sent where nothing has to be waited for: neither a slot nor a connection. None otherwise.

        For `told` see `Connection.begin`.
        """
        if (
            (pool := self._pools.get(self.addresses.get(service, ""))) is None
            or (breaker := self._breakers.setdefault(pool, Breaker())).failures
            or (slots := self._slots.get((service, patient))) is None
            or not slots.try_acquire()
        ):
            return None
        connection = pool.kept()
        if connection is None:
            slots.release()
            return None
        head, _ = self._head(pool, method, target, caller, headers, body, marks)
        in_flight = InFlight(pool, breaker, slots, connection)
        connection.begin(method, head, body, told=told, **_waits(patient))
        return in_flight

    async def _slot(self, service: str, breaker: Breaker, patient: bool) -> Slots:
        """The slots of the service, one of them taken. Raises `ServiceUnavailable` or `ServiceBusy`."""
        if not breaker.lets_pass(asyncio.get_running_loop().time()):
            raise _away(service)
        slots = self._slots.get((service, patient))
        if slots is None:
            slots = self._slots[service, patient] = Slots(service, self._bulkhead)
        await slots.acquire()
        return slots

    def _failed(self, service: str, breaker: Breaker) -> None:
        if breaker.failed(asyncio.get_running_loop().time()):
            log.warning("service left alone", upstream=service, try_every_s=PAUSE_S)

    def _head(
        self,
        pool: Pool,
        method: str,
        target: bytes,
        caller: Caller,
        headers: HeaderPairs,
        body: Body,
        marks: Marks,
    ) -> tuple[bytes, bool]:
        """Request line and headers, and whether the body goes in chunks."""
        # Nothing of the path is interpreted, so none can become another one on the way.
        lines = [b"%b %b%b HTTP/1.1\r\nhost: %b" % (method.encode(), pool.prefix, target, pool.host)]
        chunked = isinstance(body, AsyncIterator)
        for name, value in headers:
            if name == b"content-length":
                if not chunked:
                    continue
                chunked = False
            lines.append(b"%b: %b" % (name, value))
        if isinstance(body, bytes) or (body is None and method in ("POST", "PUT", "PATCH")):
            lines.append(b"content-length: %d" % len(body or b""))
        elif chunked:
            lines.append(b"transfer-encoding: chunked")
        lines.append(b"x-shuke-actor: " + self._signer.sign(caller).encode())
        for field, known in zip((b"x-request-id", b"traceparent"), marks, strict=True):
            if known:
                lines.append(b"%b: %b" % (field, known.encode("latin-1")))
        lines.append(b"\r\n")
        return b"\r\n".join(lines), chunked

    async def _made(self, pool: Pool) -> Connection:
        for pause_s in (*RETRY_PAUSES_S, None):
            try:
                return await pool.made()
            except CannotConnect:
                if pause_s is None:
                    raise
                await asyncio.sleep(pause_s)
        raise AssertionError("the last attempt returns or raises")

    async def json(self, service: str, method: str, target: str, body: Any = None, **asked: Any) -> Any:
        """The JSON that a service answers with; any other status than 2xx raises `ServiceFailed`."""
        status, told = await self.told(service, method, target, body, **asked)
        if status >= 300:
            raise ServiceFailed(f"{service} answered with {status}.", service=service)
        return told

    async def told(self, service: str, method: str, target: str, body: Any = None, **asked: Any) -> tuple[int, Any]:
        """Status and JSON that a service, or an app inside, answers with; None for what is not good."""
        sent = msgspec.json.encode(body) if body is not None else None
        if service in self._inside:
            return await self._told_inside(self._inside[service], method, target, sent, **asked)
        headers = [(b"content-type", b"application/json")] if body is not None else []
        async with self.ask(service, method, target, headers=headers, body=sent, **asked) as response:
            read = await response.read()
            return response.status, msgspec.json.decode(read) if response.status < 300 else None

    async def _told_inside(
        self, app: FastAPI, method: str, target: str, sent: bytes | None, caller: Caller = GATEWAY
    ) -> tuple[int, Any]:
        headers = {HEADER: self._signer.sign(caller), "content-type": "application/json"}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://inside") as client:
            # In a task of its own: what the app binds to the request asked here does not leak into the one that asks.
            asking = asyncio.create_task(client.request(method, target, content=sent, headers=headers))
            response = await asking
        return response.status_code, msgspec.json.decode(response.content) if response.is_success else None

    async def each(self, method: str, target: str) -> dict[str, Any]:
        """What every service answers in JSON, side by side; None for one that does not."""

        async def one(service: str) -> Any:
            try:
                async with asyncio.timeout(EACH_S):
                    return await self.json(service, method, target)
            except (Problem, TimeoutError, msgspec.DecodeError):
                return None

        answers = await asyncio.gather(*map(one, self.addresses))
        return dict(zip(self.addresses, answers, strict=True))

    async def reports(self) -> dict[str, Any]:
        """How every service says that it does; None for one that does not.

        Whoever asks within `TOGETHER_S` is told by one reading, which begins when all of them have asked.
        """
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_reports())
        return await asyncio.shield(self._reading)

    async def readers_reports(self) -> dict[str, Any]:
        """The same of whoever reads events: of the services, and of what is inside."""
        inside = {name: await self.json(name, "GET", "/internal/status") for name in self._inside}
        return {**await self.reports(), **inside}

    async def _read_reports(self) -> dict[str, Any]:
        await asyncio.sleep(TOGETHER_S)
        self._reading = None
        return await self.each("GET", "/internal/status")

    async def part(self, service: str, method: str, target: str, body: Any = None, *, within_s: float) -> Answered:
        """What a service answers to what the gateway itself asks of it, if it does in time."""
        if service not in self.readers:
            return Answered(Status.NOT_INSTALLED)
        try:
            async with asyncio.timeout(within_s):
                return Answered(Status.OK, await self.json(service, method, target, body))
        except (TimeoutError, ServiceTimeout):
            return Answered(Status.SLOW)
        except Problem:
            return Answered(Status.UNAVAILABLE)

    async def side_by_side(
        self, asked: Mapping[str, tuple[str, str]], *, caller: Caller, within_s: float
    ) -> dict[str, Answered]:
        """The answers to several reads, each a service and a target, as far as they come in time.

        A service that is not installed is not asked.
        """

        async def one(service: str, target: str) -> Answered:
            if service not in self.addresses:
                return Answered(Status.NOT_INSTALLED)
            try:
                async with asyncio.timeout(within_s), self.ask(service, "GET", target, caller=caller) as response:
                    status = status_of(response.status)
                    return Answered(status, msgspec.json.decode(await response.read()) if status is Status.OK else None)
            except (TimeoutError, ServiceTimeout):
                return Answered(Status.SLOW)
            except (Problem, msgspec.DecodeError):
                return Answered(Status.UNAVAILABLE)

        answers = await asyncio.gather(*(one(*each) for each in asked.values()))
        return dict(zip(asked, answers, strict=True))


def _waits(patient: bool) -> dict[str, float]:
    """How long an answer, and how long a byte of it, is waited for; see `Connection.ask`."""
    total_s, silence_s = (PATIENT_S, PATIENT_SILENCE_S) if patient else (QUICK_S, QUICK_S)
    return {"total_s": total_s, "silence_s": silence_s}


def _away(service: str) -> ServiceUnavailable:
    return ServiceUnavailable(f"{service} cannot be reached just now.", service=service, retry_after_s=PAUSE_S)
