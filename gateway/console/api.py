"""The public API, asked in the name of whoever looks at a page: the same door, the same rights, the same trail."""

import asyncio
import re
from collections.abc import AsyncIterable, Mapping, Sequence
from functools import cached_property
from typing import Any, Self
from urllib.parse import quote

import httpx
import msgspec
from fastapi import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.domain.sessions import UNATTENDED

SESSION = "shuke_session"
"""The cookie with the session's token, which the API takes as a bearer."""

STREAM = "/stream"
"""What a page does by itself as long as it is open, and a browser gives no header to."""

Query = Mapping[str, str | int | bool | Sequence[str] | None]

KINDS: Mapping[int | str, str] = {
    "not_our_form": "stale",
    401: "ended",
    403: "forbidden",
    404: "gone",
    405: "gone",
    409: "conflict",
    412: "conflict",
    429: "busy",
    500: "failed",
}
"""What a person is told of a problem, or of a status."""
PASSING = frozenset({"stale", "ended", "busy", "failed", "away"})
"""What may be over when the same is asked again."""
TOLD_ON = ("retry-after", "allow", "connection", "ratelimit", "ratelimit-policy")
"""Headers of a refusal that are those of the page, too."""


class Refused(Exception):
    """What the API says of a request that it did not carry out."""

    def __init__(self, status: int, problem: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status} {problem.get('code')}")
        self.status = status
        self.problem = problem
        self.headers = {name: value for name, value in (headers or {}).items() if name.lower() in TOLD_ON}

    @property
    def kind(self) -> str:
        """How a page speaks of it: `frame.refused_…` of the messages."""
        return KINDS.get(self.code) or KINDS.get(self.status) or ("invalid" if self.status < 500 else "away")

    @property
    def returns_form(self) -> bool:
        """Whether a form comes back as it was filled in: to be put right, or to take along what was written."""
        return self.status in (409, 412, 422)

    @property
    def passes(self) -> bool:
        """Whether the same may go well another time."""
        return self.kind in PASSING

    @property
    def code(self) -> str:
        """The machine name of the problem."""
        return str(self.problem.get("code", "unknown"))

    @property
    def request_id(self) -> str:
        """What an operator finds it by."""
        return str(self.problem.get("request_id", ""))


class Api:
    """Asks the app itself, without a network between: nothing here can do more than the caller could from outside."""

    def __init__(self, request: Request, token: str | None) -> None:
        self._app = request.app
        self._headers = {"authorization": f"Bearer {token}".encode()} if token else {}
        if UNATTENDED in request.headers or request.url.path == STREAM:
            self._headers[UNATTENDED] = b"1"
        self._client = (request.client.host, request.client.port) if request.client else ("127.0.0.1", 0)

    @cached_property
    def _inside(self) -> httpx.AsyncClient:
        # Nothing is open that would have to be closed.
        way = httpx.ASGITransport(self._app, client=self._client)
        return httpx.AsyncClient(transport=way, base_url="http://gateway", trust_env=False)

    async def get(self, path: str, **query: Any) -> Any:
        """What is under a path, as JSON. Raises `Refused`."""
        return await self.asked("GET", path, query=query)

    async def part(self, path: str, **query: Any) -> "Part":
        """The same for one part of a page that stands without it: what was refused is said in its place."""
        try:
            return Part(await self.get(path, **query), None)
        except Refused as refused:
            if refused.status == 401:
                raise
            return Part(None, refused)

    async def together(self, **paths: "str | tuple[str, Query]") -> "dict[str, Part]":
        """Several parts of a page, asked side by side."""
        asked = [(each, {}) if isinstance(each, str) else each for each in paths.values()]
        parts = await asyncio.gather(*(self.part(path, **query) for path, query in asked))
        return dict(zip(paths, parts, strict=True))

    async def post(self, path: str, body: Any = None, **headers: str) -> Any:
        """What the API answers to a body sent as JSON; headers by their names with `_` for `-`. Raises `Refused`."""
        return await self.asked("POST", path, body=body, headers=headers)

    async def put(self, path: str, body: Any, **headers: str) -> Any:
        """The same by PUT."""
        return await self.asked("PUT", path, body=body, headers=headers)

    async def patch(self, path: str, body: Any, **headers: str) -> Any:
        """The same by PATCH."""
        return await self.asked("PATCH", path, body=body, headers=headers)

    async def delete(self, path: str, **headers: str) -> Any:
        """The same by DELETE."""
        return await self.asked("DELETE", path, headers=headers)

    async def upload(self, path: str, body: AsyncIterable[bytes], content_type: str) -> Any:
        """What the API answers to a form that is passed on piece by piece. Raises `Refused`."""
        return await self.asked("POST", path, content=body, headers={"content_type": content_type})

    async def asked(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Any = None,
        content: AsyncIterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """One request and its answer as JSON, None where it has no body. Raises `Refused`."""
        response = await self.answer(method, path, query=query, body=body, content=content, headers=headers)
        return msgspec.json.decode(response.content) if response.content else None

    async def answer(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Any = None,
        content: AsyncIterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """One request and its whole answer, with its headers. Raises `Refused`."""
        sent = self._headers | _fields(headers or {})
        if body is not None:
            content, sent = msgspec.json.encode(body), sent | {"content-type": b"application/json"}  # type: ignore[assignment]
        params = [
            (name, _text(each))
            for name, value in (query or {}).items()
            for each in ([value] if isinstance(value, (str, int, bool)) or value is None else value)
            if each is not None and each != ""
        ]
        # In a task of its own: what the app binds to the request asked here does not leak into the one that asks.
        try:
            response = await asyncio.create_task(self._sent(method, path, params, content, sent))
        except httpx.InvalidURL as error:
            # Of an address that a browser was given: too long, or with what no address has.
            problem = {"title": "No such address", "detail": f"There is no such address: {error}."}
            raise Refused(404, problem) from None
        if response.status_code >= 400:
            raise Refused(response.status_code, problem_in(response.content, response.reason_phrase), response.headers)
        return response

    async def _sent(self, method: str, path: str, params: Any, content: Any, headers: Any) -> httpx.Response:
        return await self._inside.request(method, path, params=params, content=content, headers=headers)

    def handed_on(self, path: str, *, query: str = "", **headers: str) -> "HandedOn":
        """A response that is the API's own answer to a GET, piece by piece as it comes. Raises `Refused`."""
        return HandedOn(self._app, path, query, self._headers | _fields(headers))


class Part:
    """An answer for one part of a page, or why there is none."""

    def __init__(self, data: Any, refused: Refused | None) -> None:
        self.data = data
        self.refused = refused

    def __bool__(self) -> bool:
        return self.refused is None

    def __getitem__(self, name: str) -> Any:
        return self.data[name]

    def or_raise(self) -> Self:
        """The part, where the page is nothing without it. Raises `Refused`."""
        if self.refused is not None:
            raise self.refused
        return self


class HandedOn(Response):
    """The answer of the API to another path, sent on as it comes."""

    def __init__(self, app: Any, path: str, query: str, headers: Mapping[str, bytes]) -> None:
        super().__init__()
        self._app, self._path, self._query, self._added = app, path, query, headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Ask in the place of the request that came."""
        kept = [(name, value) for name, value in scope["headers"] if name in PASSED]
        added = [(name.encode(), value) for name, value in self._added.items()]
        asked = {
            **{name: scope[name] for name in ("type", "asgi", "http_version", "scheme", "client", "server", "method")},
            "path": self._path,
            # A step may be what a browser was given, decoded: a space or a line feed would end the line of the request.
            "raw_path": quote(self._path).encode(),
            "query_string": self._query.encode(),
            "root_path": "",
            "headers": [*kept, *added],
            "state": {},
        }
        await asyncio.create_task(self._app(asked, receive, send))


PASSED = frozenset({b"accept", b"accept-language", b"last-event-id", b"range", b"host"})
"""What of a browser's request counts for the API."""


_CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def _fields(headers: Mapping[str, str]) -> dict[str, bytes]:
    # What somebody filled in may stand there, such as the version that they saw: of whatever letters, but on one line.
    if any(map(_CONTROLS.search, headers.values())):
        raise Refused(400, {"title": "No such header", "detail": "What stands in a header is on one line."})
    return {name.replace("_", "-"): value.encode() for name, value in headers.items()}


def _text(value: str | int | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def problem_in(content: bytes, otherwise: str) -> Mapping[str, Any]:
    """The problem that an answer holds; one with a title alone where it holds something else."""
    try:
        problem = msgspec.json.decode(content)
    except msgspec.DecodeError:
        problem = None
    return problem if isinstance(problem, dict) else {"code": "unreadable", "title": otherwise}
