"""What requests may cost: bytes of body, seconds of waiting for the client, and how many are under way at once."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
from typing import Any, TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chassis.problems import render_problem
from contracts.problems import Problem, Unavailable

T = TypeVar("T")

DISCARD_S = 2
"""Seconds for which the rest of a refused body is read."""


class BodyLimit:
    """Refuses bodies over `largest` bytes. `larger` has other limits by the beginning of the path."""

    def __init__(self, app: ASGIApp, *, largest: int, larger: Mapping[str, int]) -> None:
        self.app = app
        self.largest = largest
        self.larger = larger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its body counted."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        limit = next((most for start, most in self.larger.items() if scope["path"].startswith(start)), self.largest)
        declared = next((int(value) for name, value in scope["headers"] if name == b"content-length"), 0)
        taken = 0

        async def receive_limited() -> Message:
            nonlocal taken
            message: Message = await receive() if declared <= limit else {}
            taken += len(message.get("body", b""))
            if max(taken, declared) > limit:
                await _discard(receive)
                raise HTTPException(413, f"A body may have {limit} bytes.")
            return message

        await self.app(scope, receive_limited, send)


class Crowded(Unavailable):
    """More requests are under way in the process than it may hold."""

    def __init__(self, most: int) -> None:
        super().__init__(f"{most} requests are under way here.", most=most, retry_after_s=1)


class Writing:
    """How many requests that may change something are under way in this process."""

    def __init__(self) -> None:
        self.underway = 0


CHANGING = frozenset({"POST", "PUT", "PATCH", "DELETE"})


COUNTED = "shuke.counted"
"""Where a scope says that its request is counted already, by whoever took it before the layers."""


class Counted:
    """Counts requests to what is versioned: refuses those beyond `most`, and knows how many may change something.

    Those are refused while `full` says why. What a supervisor asks is answered however many there are.
    """

    def __init__(self, app: ASGIApp, *, writing: Writing, most: int | None, full: Callable[[], Problem | None]) -> None:
        self.app = app
        self.writing = writing
        self.most = most
        self.full = full
        self.underway = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, counted until it has ended."""
        if scope["type"] != "http" or not scope["path"].startswith("/v1/"):
            return await self.app(scope, receive, send)
        refusal: Problem | None = None
        if self.most is not None and self.underway >= self.most:
            refusal = Crowded(self.most)
        elif scope["method"] in CHANGING and (refusal := self.full()):
            await _discard(receive)
        if refusal is not None:
            refused = await render_problem(Request(scope), refusal)
            return await refused(scope, receive, send)
        writes = scope["method"] in CHANGING and COUNTED not in scope
        self.underway += 1
        self.writing.underway += writes
        try:
            await self.app(scope, receive, send)
        finally:
            self.underway -= 1
            self.writing.underway -= writes


async def _discard(receive: Receive) -> None:
    # A client that still writes when the connection closes never reads why it was refused.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DISCARD_S):
            while (await receive()).get("more_body", False):
                pass


class Patience:
    """Cuts off a client that neither sends the rest of its body nor takes its answer for `stall_s` seconds."""

    def __init__(self, app: ASGIApp, *, stall_s: float) -> None:
        self.app = app
        self.stall_s = stall_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with bounded waits."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        whole = False

        async def receive_patiently() -> Message:
            nonlocal whole
            # After the body only a disconnect is awaited, for as long as the answer takes.
            try:
                message: Message = await (receive() if whole else within(self.stall_s, receive()))
            except TimeoutError:
                raise HTTPException(408, "The rest of the request did not come.") from None
            whole = not message.get("more_body", False)
            return message

        async def send_patiently(message: Message) -> None:
            await within(self.stall_s, send(message))

        await self.app(scope, receive_patiently, send_patiently)


def within(seconds: float, work: Awaitable[T]) -> Awaitable[T]:
    """The result of a coroutine in that time, else `TimeoutError`. What need not wait at all costs no timer."""
    if not isinstance(work, Coroutine):
        return _in_time(seconds, work)
    try:
        first = work.send(None)
    except StopIteration as done:
        return _Done(done.value)
    return _in_time(seconds, _Started(work, first))


async def _in_time(seconds: float, work: Awaitable[T]) -> T:
    async with asyncio.timeout(seconds):
        return await work


class _Done(Awaitable[T]):
    """A result that is there."""

    def __init__(self, result: T) -> None:
        self.result = result

    def __await__(self) -> Generator[Any, Any, T]:
        yield from ()
        return self.result


class _Started(Awaitable[T]):
    """A coroutine that has told already what it waits for first."""

    def __init__(self, work: Coroutine[Any, Any, T], first: Any) -> None:
        self.work = work
        self.first = first

    def __await__(self) -> Generator[Any, Any, T]:
        waited_for = self.first
        while True:
            try:
                try:
                    said = yield waited_for
                except GeneratorExit:
                    self.work.close()
                    raise
                except BaseException as thrown:
                    waited_for = self.work.throw(thrown)
                else:
                    waited_for = self.work.send(said)
            except StopIteration as done:
                result: T = done.value
                return result
