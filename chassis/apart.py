"""Long work for somebody who waits: in a process of its own, which ends with the one who asked."""

import asyncio
from collections.abc import Awaitable, Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request

from chassis.processes import step_back

T = TypeVar("T")


class Killed(Exception):
    """The process of some work ended without an answer."""


async def apart(work: Callable[..., T], *arguments: object) -> T:
    """The result of a function of a module, called in a process of its own, which steps back behind all others.

    Arguments, result and what is raised are pickled. Where this is cancelled, the process is killed. Raises `Killed`
    where somebody else did that, also for want of memory. A process takes about a second to begin.
    """
    context = get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(theirs, work, arguments), daemon=True)
    try:
        with theirs:
            process.start()
        try:
            result, error = await asyncio.to_thread(ours.recv)
        except EOFError:
            raise Killed(f"The process of {work.__name__} ended without an answer.") from None
    finally:
        if process.pid is not None:
            process.kill()
            process.join()
        ours.close()
    if error is not None:
        raise error
    answer: T = result
    return answer


async def while_awaited(request: Request, work: Awaitable[T]) -> T:
    """The result of work that is cancelled where the client leaves. Raises `ClientDisconnect` then.

    The body of the request was read before.
    """
    working, leaving = asyncio.ensure_future(work), asyncio.create_task(_gone(request))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _answer(pipe: Connection, work: Callable[..., object], arguments: tuple[object, ...]) -> None:
    step_back()
    answer: tuple[object, Exception | None]
    with pipe:
        try:
            answer = work(*arguments), None
        except Exception as error:
            answer = None, error
        pipe.send(answer)
