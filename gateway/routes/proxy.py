"""What a service answers goes through here, both ways, unread."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack

import aiohttp
from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from chassis.apart import while_awaited
from chassis.auth import HEADER, Caller
from chassis.limits import DISCARD_S
from chassis.paths import methods
from contracts.problems import Problem
from gateway.domain.openapi import Document
from gateway.domain.rights import PATIENT, PathNotFound
from gateway.domain.services import ServiceFailed, ServiceTimeout, ServiceUnavailable
from gateway.queries.services import Services
from gateway.routes.documents import document_of
from gateway.routes.door import Asking, area

router = APIRouter(include_in_schema=False)

SMALL = 65_536
"""Bytes up to which a body is passed on in one piece."""

HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers of one connection, not of the message (RFC 9110 §7.6.1)."""
OURS = frozenset({"host", "authorization", "cookie", "expect", "x-request-id", "traceparent", HEADER.lower()})
"""Headers that the gateway answers for; what a client says there reaches no service."""
THEIRS = frozenset({"date", "server", "x-request-id", "traceparent"})
"""Headers that the gateway's own server sets on every answer."""

DOUBTFUL = frozenset({404, 415, 422})
"""Answers of a service that may only mean that the path does not know the method: it takes a name for an id."""


@router.api_route("/v1/{path:path}", methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
async def forward(request: Request, asking: Asking) -> Response:
    """Pass a request on to the service of its area."""
    service = area(request).service
    refuse_unknown_method(request, request.app.openapi())
    if service is None:
        raise PathNotFound("Nothing answers under this path.")
    services: Services = request.app.state.services
    answer = await passed_on(request, services, service, asking)
    if answer.status_code in DOUBTFUL:
        with contextlib.suppress(ServiceUnavailable, ServiceFailed, ServiceTimeout):
            refuse_unknown_method(request, await document_of(request, service))
    return answer


def refuse_unknown_method(request: Request, document: Document) -> None:
    """Answer 405 with all methods of the path, if it has some and this one is not among them."""
    known = methods(document, request.scope["path"])
    if known and request.method not in known:
        raise HTTPException(405, headers={"Allow": ", ".join(known)})


async def passed_on(request: Request, services: Services, service: str, caller: Caller) -> Response:
    """The service's answer: small ones whole, larger ones piece by piece as they come."""
    body = Body(request)
    target = request.scope["raw_path"].decode("latin-1")
    if query := request.scope["query_string"]:
        target += f"?{query.decode('latin-1')}"
    sent, patient = await body.to_send(), PATIENT.match(request.scope["path"]) is not None
    asked = services.ask(
        service,
        request.method,
        target,
        caller=caller,
        headers=to_pass(request.headers.items(), OURS),
        body=sent,
        patient=patient,
    )
    async with AsyncExitStack() as stack:
        try:
            # Long work ends where the client leaves. One whose body comes piece by piece is watched by who reads it.
            watched = patient and (sent is None or isinstance(sent, bytes))
            entered = stack.enter_async_context(asked)
            response = await (while_awaited(request, entered) if watched else entered)
        except Exception:
            if body.failure is not None:
                raise body.failure from None
            raise
        headers = to_pass(response.headers.items(), THEIRS)
        if response.content_length is not None and response.content_length <= SMALL:
            return _with_headers(Response(await response.read(), status_code=response.status), headers)
        return _with_headers(
            StreamingResponse(_pieces(response, stack.pop_all()), status_code=response.status), headers
        )


class Body:
    """The body on its way in. What cuts it off is kept: the client library would hide it in an error of its own."""

    def __init__(self, request: Request, watch: Callable[[bytes], None] | None = None) -> None:
        """`watch` sees each piece, and may cut the body off."""
        self.request = request
        self.watch = watch
        self.failure: Exception | None = None
        self._stream = request.stream()

    async def to_send(self) -> bytes | AsyncIterator[bytes] | None:
        """The body as the client library takes it: a small one whole, so that its length is known."""
        length = self.request.headers.get("content-length")
        if length is None and "transfer-encoding" not in self.request.headers:
            return None
        if length is not None and int(length) <= SMALL:
            return await self.request.body()
        return self.pieces()

    async def pieces(self) -> AsyncGenerator[bytes]:
        """The body piece by piece, as it comes."""
        try:
            async for piece in self._stream:
                if self.watch:
                    self.watch(piece)
                if piece:
                    yield piece
        except (HTTPException, ClientDisconnect, Problem) as failure:
            self.failure = failure
            raise

    async def discard(self) -> None:
        """Read what is left, for a moment: a client that still writes never reads why it was refused."""
        with contextlib.suppress(TimeoutError, HTTPException, ClientDisconnect):
            async with asyncio.timeout(DISCARD_S):
                async for _ in self._stream:
                    pass


async def _pieces(response: aiohttp.ClientResponse, stack: AsyncExitStack) -> AsyncIterator[bytes]:
    async with stack:
        async for piece in response.content.iter_any():
            yield piece


def to_pass(items: Iterable[tuple[str, str]], without: frozenset[str]) -> list[tuple[str, str]]:
    """The headers that go on to the other side."""
    pairs = [(name.lower(), value) for name, value in items]
    named = {part.strip().lower() for name, value in pairs if name == "connection" for part in value.split(",")}
    return [(name, value) for name, value in pairs if name not in HOP_BY_HOP | without | named]


def _with_headers(response: Response, headers: list[tuple[str, str]]) -> Response:
    response.raw_headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    return response
