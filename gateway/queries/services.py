"""The services behind the gateway: one client with its connections, and what the gateway itself asks of them."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec
import structlog
from yarl import URL

from chassis.auth import GATEWAY, HEADER, Caller, Signer
from chassis.telemetry import request_id, traceparent
from contracts.problems import Problem
from gateway.domain.parts import Status, status_of
from gateway.domain.services import ServiceFailed, ServiceTimeout, ServiceUnavailable

log = structlog.get_logger()

CONNECT_S = 2.0
QUICK_S = 60.0
"""Seconds that an ordinary request may take as a whole."""
PATIENT_S = 3_600.0
PATIENT_SILENCE_S = 600.0
"""Seconds without a byte after which patient work is given up."""
RETRY_PAUSES_S = (0.05, 0.2, 0.5)
"""A service that is being restarted refuses connections for a moment. Nothing was sent, so nothing is sent twice."""
IDLE_S = 30
"""Seconds that an idle connection is kept: less than the services do, so that none is closed under a request."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What a service answered to a part of a request; `data` only where it is good."""

    status: Status
    data: Any = None


class Services:
    """A client of all services, with connections that stay open."""

    def __init__(self, addresses: Mapping[str, str], signer: Signer) -> None:
        self.addresses = {name: address.rstrip("/") for name, address in addresses.items()}
        self._signer = signer
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=512, keepalive_timeout=IDLE_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent"),
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    @asynccontextmanager
    async def ask(
        self,
        service: str,
        method: str,
        target: str,
        *,
        caller: Caller = GATEWAY,
        headers: Iterable[tuple[str, str]] = (),
        body: Any = None,
        patient: bool = False,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """One request, signed for a caller; the answer may be read inside.

        `target` is path and query as they came. Raises `ServiceUnavailable`, `ServiceFailed` or `ServiceTimeout`.
        """
        signed = [*headers, (HEADER, self._signer.sign(caller))]
        signed += [(name, id) for name, id in (("X-Request-Id", request_id()), ("traceparent", traceparent())) if id]
        patience = aiohttp.ClientTimeout(
            total=PATIENT_S if patient else QUICK_S,
            sock_connect=CONNECT_S,
            sock_read=PATIENT_SILENCE_S if patient else QUICK_S,
        )
        if service not in self.addresses:
            raise ServiceUnavailable(f"{service} is no part of this installation.", service=service)
        # encoded: nothing of the path is interpreted, so none can become another one on the way.
        url = URL(self.addresses[service] + target, encoded=True)
        try:
            response = await self._sent(service, method, url, signed, body, patience)
            async with response:
                yield response
        except TimeoutError:
            raise ServiceTimeout(f"{service} did not answer in time.", service=service) from None
        except aiohttp.ClientConnectorError:
            raise ServiceUnavailable(f"{service} cannot be reached just now.", service=service) from None
        except aiohttp.ClientError as error:
            log.warning("service failed", upstream=service, error=repr(error))
            raise ServiceFailed(f"{service} broke off its answer.", service=service) from error

    async def _sent(
        self, service: str, method: str, url: URL, headers: Any, body: Any, patience: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        # Only a form has a content type of its own making; anything else says what it is, or nothing.
        skipped = () if isinstance(body, aiohttp.FormData) else ("Content-Type",)
        for pause_s in (*RETRY_PAUSES_S, None):
            try:
                return await self._session.request(
                    method,
                    url,
                    headers=headers,
                    data=body,
                    timeout=patience,
                    allow_redirects=False,
                    skip_auto_headers=skipped,
                )
            except aiohttp.ClientConnectorError:
                if pause_s is None:
                    raise
                await asyncio.sleep(pause_s)
        raise AssertionError("the last attempt returns or raises")

    async def json(self, service: str, method: str, target: str, body: Any = None, **asked: Any) -> Any:
        """The JSON that a service answers with; any other status than 2xx raises `ServiceFailed`."""
        headers = [("Content-Type", "application/json")] if body is not None else []
        sent = msgspec.json.encode(body) if body is not None else None
        async with self.ask(service, method, target, headers=headers, body=sent, **asked) as response:
            read = await response.read()
            if response.status >= 300:
                raise ServiceFailed(f"{service} answered with {response.status}.", service=service)
            return msgspec.json.decode(read)

    async def each(self, method: str, target: str) -> dict[str, Any]:
        """What every service answers in JSON, side by side; None for one that does not."""

        async def one(service: str) -> Any:
            try:
                async with asyncio.timeout(5):
                    return await self.json(service, method, target)
            except (Problem, TimeoutError):
                return None

        answers = await asyncio.gather(*map(one, self.addresses))
        return dict(zip(self.addresses, answers, strict=True))

    async def part(self, service: str, method: str, target: str, body: Any = None, *, within_s: float) -> Answered:
        """What a service answers to what the gateway itself asks of it, if it does in time."""
        if service not in self.addresses:
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
