"""Commands of the moment joined into one transaction, each with an answer of its own.

What came while one transaction was under way goes into the next. Nobody waits for company: where nothing is under way,
a command begins at once. Where a joint transaction fails, whatever for, it is rolled back and each of its commands is
carried out alone, so that none suffers from another.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextvars import Context
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Protocol, TypeVar
from uuid import UUID

import asyncpg
import structlog
from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from prometheus_client import Histogram
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request
from starlette.responses import Response
from structlog.contextvars import bound_contextvars, get_contextvars

from chassis import idempotency, outbox
from chassis.auth import Caller, Reach
from chassis.db import Database, driver
from chassis.http import etag
from contracts.identity import Installation
from contracts.problems import Problem
from contracts.telling import Outcome, Status

log = structlog.get_logger()

MOST = 100
"""Commands of one transaction."""
PATIENCE_S = 0.1
"""After so long the next ones do not wait any more for those before them."""
LOCK_MS = 50
"""What is locked by others for longer is waited for alone."""

JOINED = Histogram(
    "shuke_joined_commands",
    "Commands that shared a transaction.",
    ["operation"],
    buckets=(1, 2, 3, 5, 8, 13, 20, 35, 60, MOST),
)

Row = TypeVar("Row")
Answer = Response | Problem

Together = Callable[[AsyncSession, Sequence[Row], Installation, outbox.Origins], Awaitable[Sequence[Answer]]]
"""Carries out any number of commands: what each comes to, in their order, as if one came after the other.

A row that ends in a problem leaves nothing behind. What is appended to the outbox names the origin of its row.
"""


@dataclass(slots=True, eq=False)
class _Command(Generic[Row]):
    row: Row
    request: Request
    asked: idempotency.Asked | None
    origin: outbox.Origin
    context: Mapping[str, Any]
    answer: "asyncio.Future[Response]"

    def settle(self, answer: Response | Exception) -> None:
        """Answer who waits, if anybody still does."""
        if self.answer.done():
            return
        if isinstance(answer, Exception):
            self.answer.set_exception(answer)
        else:
            self.answer.set_result(answer)


class Joiner(Generic[Row]):
    """Commands of one kind on their way into the database."""

    def __init__(self, app: FastAPI, together: Together[Row]) -> None:
        self._app = app
        self._database: Database = app.state.database
        self._together = together
        self._joined = JOINED.labels(getattr(together, "__name__", "unnamed"))
        self._waiting: deque[_Command[Row]] = deque()
        self._work: asyncio.Task[None] | None = None
        self._underway: set[asyncio.Task[None]] = set()

    async def answer(self, row: Row, request: Request) -> Response:
        """Carry a command out with those of the moment. Raises its problem.

        Who stops waiting takes nothing back: a command that has begun ends. One whose caller does not reach everything
        is carried out alone, since what it may do hangs on its request.
        """
        answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        command = _Command(row, request, request.state.asked, outbox.origin(), get_contextvars(), answer)
        caller: Caller | None = getattr(request.state, "caller", None)
        if caller is not None and caller.reach is not Reach.ALL:
            await self._carry_out_alone(command)
            return await answer
        self._waiting.append(command)
        if self._work is None:
            # What it does is not the work of the request that began it.
            self._work = asyncio.create_task(self._work_off(), context=Context())
        return await answer

    async def close(self) -> None:
        """Roll back what is under way."""
        tasks = [*self._underway, *([self._work] if self._work else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _work_off(self) -> None:
        try:
            while group := self._next():
                task = asyncio.create_task(self._carry_out(group))
                self._underway.add(task)
                task.add_done_callback(self._underway.discard)
                await asyncio.wait([task], timeout=PATIENCE_S)
        finally:
            self._work = None

    def _next(self) -> list[_Command[Row]]:
        """What may share a transaction: of several under one key the second has to see the answer of the first."""
        group: list[_Command[Row]] = []
        later: list[_Command[Row]] = []
        keys = set()
        while self._waiting and len(group) < MOST:
            command = self._waiting.popleft()
            if command.answer.done():
                continue
            if command.asked is not None:
                if command.asked.name in keys:
                    later.append(command)
                    continue
                keys.add(command.asked.name)
            group.append(command)
        self._waiting.extendleft(reversed(later))
        return group

    async def _carry_out(self, group: Sequence[_Command[Row]]) -> None:
        self._joined.observe(len(group))
        try:
            if len(group) == 1 or not await self._carried_out_jointly(group):
                await asyncio.gather(*map(self._carry_out_alone, group))
        finally:
            for command in group:
                command.answer.cancel()

    async def _carried_out_jointly(self, group: Sequence[_Command[Row]]) -> bool:
        """Whether each has its answer; else nothing has happened."""
        answers: Sequence[Response | Exception] = ()
        try:
            async with self._database.transaction(lookups=True) as session:
                session.info["joint"] = True
                await (await driver(session)).execute(f"SET LOCAL lock_timeout = {LOCK_MS}")
                answers = await self._answers(session, group)
        except Exception as error:
            # Whether a commit that failed took place is not known, so nobody may do it again, but for one that never
            # came to it for a lock; and who found no connection alone would wait for one as long again.
            undone = isinstance(error, Problem | asyncpg.LockNotAvailableError)
            if undone or not (answers or isinstance(error, PoolTimeout)):
                log.info("commands are carried out one by one", commands=len(group), error=repr(error))
                return False
            answers = [error] * len(group)
        for command, answer in zip(group, answers, strict=True):
            command.settle(answer)
        return True

    async def _carry_out_alone(self, command: _Command[Row]) -> None:
        try:
            with bound_contextvars(**command.context):
                async with self._database.transaction(lookups=True) as session:
                    session.info["request"] = command.request
                    [answer] = await self._answers(session, [command])
                    if isinstance(answer, Problem):
                        raise answer
        except Exception as error:
            command.settle(error)
        else:
            command.settle(answer)

    async def _answers(self, session: AsyncSession, group: Sequence[_Command[Row]]) -> list[Answer]:
        answers: dict[int, Answer] = {}
        held_since = idempotency.kept_since(self._app.state.settings.idempotency_retention_hours)
        keyed = {place: command.asked for place, command in enumerate(group) if command.asked}
        if keyed:
            known = await idempotency.answered(await driver(session), list(keyed.values()), held_since)
            answers = {place: answer for place, answer in zip(keyed, known, strict=True) if answer is not None}
        left = [place for place in range(len(group)) if place not in answers]
        if left:
            origins = [group[place].origin for place in left]
            here: Installation = self._app.state.installation
            made = await self._together(session, [group[place].row for place in left], here, origins)
            answers |= zip(left, made, strict=True)
            kept = [
                (keyed[place], answer)
                for place, answer in zip(left, made, strict=True)
                if place in keyed and isinstance(answer, Response)
            ]
            if kept:
                await idempotency.keep(await driver(session), kept, held_since)
        return [answers[place] for place in range(len(group))]


class Joiners:
    """The joiners of an app: one for each kind of command."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._joiners: dict[object, Joiner[Any]] = {}

    def of(self, together: Together[Row]) -> Joiner[Row]:
        """The one of a kind of command."""
        joiner = self._joiners.get(together)
        if joiner is None:
            joiner = self._joiners[together] = Joiner(self._app, together)
        return joiner

    async def close(self) -> None:
        """Roll back what is under way."""
        await asyncio.gather(*(joiner.close() for joiner in self._joiners.values()))


class JoinedRoute(APIRoute):
    """Its function reads and checks one command and hands it over by `Join`, with its Idempotency-Key."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap what FastAPI does for a request."""
        handle = super().get_route_handler()

        async def joined(request: Request) -> Response:
            key = request.headers.get("idempotency-key")
            request.state.asked = None if key is None else await idempotency.asked(request, key)
            request.state.handed_over = False
            try:
                return await handle(request)
            except (RequestValidationError, Problem) as error:
                if key is None or request.state.handed_over:
                    raise
                return await _kept(request, key, error)

        return joined


async def _kept(request: Request, key: str, refused: Exception) -> Response:
    """What is kept under a key whose request would be refused now."""

    async def refuse(_: Request) -> Response:
        raise refused

    async with request.app.state.database.transaction() as session:
        return await idempotency.once(session, request, key, refuse)


class Joining:
    """Hands a command over: `await join(together, row)`."""

    def __init__(self, request: Request) -> None:
        self._request = request

    async def __call__(self, together: Together[Row], row: Row) -> Response:
        """Its answer. Raises its problem."""
        state = self._request.state
        state.handed_over = True
        joiners: Joiners = self._request.app.state.joiners
        return await joiners.of(together).answer(row, self._request)


async def _joining(request: Request) -> Joining:
    return Joining(request)


Join = Annotated[Joining, Depends(_joining)]


class Kept(Protocol):
    """A row as it is shown."""

    version: int

    def model_dump_json(self) -> str:
        """The body of the answer."""


def answers(outcomes: Sequence[Outcome], shown: Mapping[UUID, Kept], path: str) -> list[Answer]:
    """The answer to each command: made (201), there already (200), or what is wrong. It is at `path` and its id."""
    return [_answer(outcome, shown, path) for outcome in outcomes]


def _answer(outcome: Outcome, shown: Mapping[UUID, Kept], path: str) -> Answer:
    if outcome.problem is not None:
        return outcome.problem
    assert outcome.id is not None
    row = shown[outcome.id]
    return Response(
        row.model_dump_json(),
        201 if outcome.status is Status.ACCEPTED else 200,
        {"Location": f"{path}{outcome.id.hex}", "ETag": etag(row.version)},
        "application/json",
    )
