"""The HTTP edge: the transaction that commits before the response leaves, versions, pages."""

import base64
import binascii
import re
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar, cast
from uuid import UUID

import msgspec
from fastapi import Depends, Header, Query
from fastapi.routing import APIRoute
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from chassis import idempotency
from chassis.fields import Shown
from contracts.problems import Problem
from contracts.telling import check_version

T = TypeVar("T")
V = TypeVar("V")


class BadCursor(Problem):
    """A cursor that no page of this list gave out."""


class PreconditionFailed(Problem):
    """What was to be changed is no longer in the version that the caller saw."""

    status = 412


class TransactionalRoute(APIRoute):
    """Runs parsing, function and serialisation in one transaction, which commits before the response leaves.

    A POST with an Idempotency-Key keeps its response in the same transaction. Streaming routes are plain `APIRoute`s
    with a session of their own.
    """

    keeps_responses = True

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap what FastAPI does for a request."""
        handle = super().get_route_handler()

        async def transactional(request: Request) -> Response:
            keeps = self.keeps_responses and request.method == "POST"
            key = request.headers.get("idempotency-key") if keeps else None
            async with request.app.state.database.transaction() as session:
                request.state.session, session.info["request"] = session, request
                if key is None:
                    return await handle(request)
                return await idempotency.once(session, request, key, handle)

        return transactional


async def session_of(request: Request) -> AsyncSession:
    """The session of the transaction around this request."""
    session: AsyncSession = request.state.session
    return session


Session = Annotated[AsyncSession, Depends(session_of)]


def etag(version: int) -> str:
    """The ETag of a version; for the header `ETag`."""
    return f'"{version}"'


async def if_match(if_match: Annotated[str | None, Header()] = None) -> int | None:
    """The version that the caller saw; None where any will do."""
    if if_match is None or if_match.strip() == "*":
        return None
    version = re.fullmatch(r'(?:W/)?"?([0-9]{1,18})"?', if_match.strip())
    if version is None:
        raise PreconditionFailed("If-Match names no version that there ever was.")
    return int(version[1])


IfMatch = Annotated[int | None, Depends(if_match)]


def same_version(seen: int | None, present: int) -> None:
    """Raise `PreconditionFailed` if the caller saw another version than the present one."""
    if seen is not None and seen != present:
        raise PreconditionFailed("It has changed since; read it again.", version=present)


def check_seen(present: int, if_match: int | None, named: int | None) -> None:
    """Raise `PreconditionFailed` or `StaleVersion` if the caller saw another version, by If-Match or in the body."""
    same_version(if_match, present)
    check_version(named, present)


def made(response: Response, location: str, *, new: bool) -> None:
    """Say where it is, and whether it was made (201) or was there already (200)."""
    response.status_code = 201 if new else 200
    response.headers["Location"] = location


class Streamed(StreamingResponse):
    """Closes the generator that it streams when it is sent, or when the client has gone away.

    What is open in there, a transaction or processes at work, would else wait for the garbage collector.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        async with aclosing(cast("AsyncGenerator[Any]", self.body_iterator)):
            await super().__call__(scope, receive, send)


Limit = Annotated[int, Query(ge=1, le=1_000)]
Cursor = Annotated[str | None, Query(max_length=2_000)]


LATEST = datetime(9999, 1, 1, tzinfo=UTC), UUID(int=2**128 - 1)
"""The place before the first page of a list by time and id, the latest first."""
LAST_VERSION = 2**31 - 1
"""The place before the first page of a list by version, the last one first."""


class Page(Shown, Generic[T]):
    """A part of a list; `next_cursor` asks for the part after it."""

    data: list[T]
    has_more: bool
    next_cursor: str | None = None

    def shown(self, show: Callable[[T], V]) -> "Page[V]":
        """The same part of the list, each row as it is shown."""
        return Page(data=[show(row) for row in self.data], has_more=self.has_more, next_cursor=self.next_cursor)


def page(rows: Sequence[T], *, limit: int, key: Callable[[T], Sequence[Any]]) -> Page[T]:
    """A page from up to `limit + 1` rows; `key` gives the keyset values of a row, which its cursor holds."""
    shown = list(rows[:limit])
    has_more = len(rows) > limit
    return Page(data=shown, has_more=has_more, next_cursor=encode_cursor(*key(shown[-1])) if has_more else None)


def encode_cursor(*values: Any) -> str:
    """An opaque cursor of keyset values: numbers, text, UUIDs, dates, times."""
    return base64.urlsafe_b64encode(msgspec.json.encode(values)).decode().rstrip("=")


def decode_cursor(cursor: str, keyset: type[V]) -> V:
    """The keyset values in a cursor, typed by a tuple: `decode_cursor(cursor, tuple[int, UUID])`.

    Times come in UTC. Raises `BadCursor`, also for a time without an offset.
    """
    try:
        values = msgspec.json.decode(base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", True), type=keyset)
        return cast(V, tuple(map(_in_utc, cast("tuple[object, ...]", values))))
    except (ValueError, OverflowError, binascii.Error, msgspec.MsgspecError):
        raise BadCursor("This is not a cursor of this list.") from None


def _in_utc(value: object) -> object:
    if not isinstance(value, datetime):
        return value
    if value.tzinfo is None:
        raise ValueError("a time without an offset")
    return value.astimezone(UTC)
