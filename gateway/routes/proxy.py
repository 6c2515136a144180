"""What a service answers goes through here, both ways, unread."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack

from fastapi import FastAPI, Request
from fastapi.responses import Response, StreamingResponse
from starlette.exceptions import HTTPException
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from chassis.apart import while_awaited
from chassis.auth import HEADER, Caller
from chassis.limits import DISCARD_S
from chassis.openapi import committed
from chassis.paths import PathIndex, answered, methods
from chassis.problems import RENDERERS
from contracts.problems import Problem
from gateway.domain.bulkheads import ServiceBusy
from gateway.domain.openapi import Document
from gateway.domain.rights import PATIENT, PathNotFound
from gateway.domain.services import ServiceFailed, ServiceTimeout, ServiceUnavailable
from gateway.queries.services import Services
from gateway.queries.upstream import Answer, HeaderPairs, has_no_body
from gateway.routes.documents import document_of
from gateway.routes.door import area, caller

SMALL = 65_536
"""Bytes up to which a body is passed on in one piece."""

IN_FLIGHT = "shuke.in_flight"
"""Where a scope has what was sent to its service before it came to the app."""

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Headers of one connection, not of the message (RFC 9110 §7.6.1)."""
OURS = HOP_BY_HOP | {
    b"host",
    b"authorization",
    b"cookie",
    b"expect",
    b"x-request-id",
    b"traceparent",
    HEADER.lower().encode(),
}
"""Headers that the gateway answers for; what a client says there reaches no service."""
THEIRS = HOP_BY_HOP | {b"date", b"server", b"x-request-id", b"traceparent", b"ratelimit", b"ratelimit-policy"}
"""Headers that the gateway sets on every answer."""

DOUBTFUL = frozenset({404, 412, 415, 422})
"""Answers of a service that may only mean that the path does not know the method: it takes a name for an id."""


class Proxied:
    """Answers what no route of the gateway itself does under `/v1/`, in front of their router: most requests pass.

    What goes wrong is rendered as it is behind the router.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._forward = ExceptionMiddleware(self.forward, handlers=RENDERERS)
        self._own: OwnRoutes | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass the request on to the router."""
        if self._own is None:
            # The first call of all is that of the lifespan: no request waits for the document to be read.
            self._own = own_routes(scope["app"])
        if scope["type"] != "http" or not scope["path"].startswith("/v1/"):
            return await self.app(scope, receive, send)
        if self._own.answer(scope["method"], scope["path"]):
            return await self.app(scope, receive, send)
        scope["endpoint"] = self.forward
        await self._forward(scope, receive, send)

    async def forward(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on to the service of its area."""
        assert self._own is not None
        request = Request(scope, receive)
        asking = await caller(request)
        service = area(request).service
        self._own.refuse_unknown_method(scope["method"], scope["path"])
        if service is None:
            raise PathNotFound("Nothing answers under this path.")
        answer = await passed_on(request, request.app.state.services, service, asking)
        if answer.status_code in DOUBTFUL:
            with contextlib.suppress(ServiceUnavailable, ServiceBusy, ServiceFailed, ServiceTimeout):
                refuse_unknown_method(request, await document_of(request, service))
        await answer(scope, receive, send)


class OwnRoutes:
    """What the gateway answers itself, by its own document."""

    def __init__(self, document: Document) -> None:
        self._known = PathIndex(
            (pattern, (pattern.count("{"), answered(operations))) for pattern, operations in document["paths"].items()
        )

    def answer(self, method: str, path: str) -> bool:
        """Whether the gateway has this method of this path; one that it names is none of those that a pattern takes."""
        found = self._known.fitting(path)
        least = min((places for places, _ in found), default=0)
        return any(method in known for places, known in found if places == least)

    def refuse_unknown_method(self, method: str, path: str) -> None:
        """Answer 405 where the gateway has the path, and not with this method: all of them are told then."""
        if self.have(path):
            raise HTTPException(405)

    def have(self, path: str) -> bool:
        """Whether the gateway has a path, whatever the method."""
        return bool(self._known.fitting(path))


def own_routes(app: FastAPI) -> OwnRoutes:
    """Those of an app, made once."""
    known: OwnRoutes | None = getattr(app.state, "own_routes", None)
    if known is None:
        known = app.state.own_routes = OwnRoutes(committed(app))
    return known


def refuse_unknown_method(request: Request, document: Document) -> None:
    """Answer 405 with all methods of the path, if it has some and this one is not among them."""
    known = methods(document, request.scope["path"])
    if known and request.method not in known:
        raise HTTPException(405, headers={"Allow": ", ".join(known)})


async def passed_on(request: Request, services: Services, service: str, caller: Caller) -> Response:
    """The service's answer: small ones whole, larger ones piece by piece as they come."""
    scope = request.scope
    body = Body(request)
    sent, patient = await body.to_send(), PATIENT.match(scope["path"]) is not None
    asked = services.ask(
        service,
        scope["method"],
        target_of(scope).decode("latin-1"),
        caller=caller,
        headers=to_pass(scope["headers"], OURS),
        body=sent,
        patient=patient,
        in_flight=scope.get(IN_FLIGHT),
    )
    async with AsyncExitStack() as stack:
        small: bytes | None = None

        async def answered() -> Answer:
            nonlocal small
            answer = await stack.enter_async_context(asked)
            if comes_whole(scope["method"], answer.status, answer.content_length):
                small = await answer.read()
            return answer

        try:
            # Work ends where the client leaves. One whose body comes piece by piece is watched by who reads it.
            whole = sent is None or isinstance(sent, bytes)
            answer = await (while_awaited(request, answered()) if whole else answered())
        except Exception:
            if body.failure is not None:
                raise body.failure from None
            raise
        headers = to_pass(answer.headers, THEIRS)
        if small is not None:
            return Whole(answer.status, headers, small)
        return _with_headers(InPieces(_pieces(answer, stack.pop_all()), status_code=answer.status), headers)


class InPieces(StreamingResponse):
    """An answer piece by piece. However it ends, the service is hung up on then, and not when garbage is collected."""

    body_iterator: AsyncGenerator[bytes]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the pieces as they come."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self.body_iterator.aclose()


def target_of(scope: Scope) -> bytes:
    """Path and query of a request as they came."""
    query: bytes = scope["query_string"]
    path: bytes = scope["raw_path"]
    return path + b"?" + query if query else path


def comes_whole(method: str, status: int, length: int | None) -> bool:
    """Whether an answer is passed on in one piece: it has no body, or a small one of a known length."""
    return has_no_body(method, status) or (length is not None and length <= SMALL)


async def refused(answer: Answer, *problems: type[Problem]) -> Response:
    """What a service found wrong, in its words. The document of whoever passes it on tells of the `problems` named."""
    return Response(await answer.read(), answer.status, media_type=answer.content_type)


class Whole(Response):
    """An answer with the headers and the body that it came with."""

    def __init__(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        self.status_code = status
        self.raw_headers = headers
        self.body = body
        self.background = None


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


async def _pieces(answer: Answer, stack: AsyncExitStack) -> AsyncGenerator[bytes]:
    async with stack:
        async for piece in answer.pieces():
            yield piece


def to_pass(pairs: HeaderPairs, without: frozenset[bytes]) -> list[tuple[bytes, bytes]]:
    """The headers that go on to the other side."""
    named = [value for name, value in pairs if name == b"connection"]
    if named:
        without |= {part.strip().lower() for value in named for part in value.split(b",")}
    return [pair for pair in pairs if pair[0] not in without]


def _with_headers(response: Response, headers: list[tuple[bytes, bytes]]) -> Response:
    response.raw_headers = headers
    return response
