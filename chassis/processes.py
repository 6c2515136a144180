"""Processes for arithmetic: those who answer somebody, and events, do not wait for it."""

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from multiprocessing import get_context, parent_process
from typing import TypeVar

T = TypeVar("T")


class Processes:
    """One for each processor, begun with the first work and ended when none has come for a while.

    Work is a function of a module, with arguments and a result that can be pickled.
    """

    def __init__(self, *, rest_s: float = 20.0) -> None:
        self.count = os.cpu_count() or 1
        self._rest_s = rest_s
        self._pool: ProcessPoolExecutor | None = None
        self._ending: asyncio.TimerHandle | None = None
        self._under_way = 0

    def begin(self, work: Callable[..., T], *arguments: object) -> "asyncio.Future[T]":
        """The result of work that begins as soon as a process is free; cancelled before that, it is not begun."""
        try:
            running = self._given(work, *arguments)
        except BrokenExecutor:
            # One of them was killed since: the others are of no use any more.
            self.close()
            running = self._given(work, *arguments)
        self._under_way += 1
        running.add_done_callback(self._ended)
        return running

    async def each(
        self,
        work: Callable[..., T],
        every: Iterable[Sequence[object]],
        *,
        before: Callable[[], Awaitable[None]] | None = None,
    ) -> list[T]:
        """The results of work for each of some arguments, in their order; `before` is waited for before each.

        What fails keeps nothing else from being done; an `ExceptionGroup` of what failed is raised behind it.
        """
        # As many wait as are at work, so that none of the processes does.
        free = asyncio.Semaphore(2 * self.count)

        async def done(arguments: Sequence[object]) -> T:
            async with free:
                if before is not None:
                    await before()
                return await self.begin(work, *arguments)

        ended = await asyncio.gather(*(done(each) for each in every), return_exceptions=True)
        found: list[T] = []
        failed: list[BaseException] = []
        for result in ended:
            if isinstance(result, BaseException):
                failed.append(result)
            else:
                found.append(result)
        if failed:
            raise BaseExceptionGroup(f"{len(failed)} of {len(ended)} failed", failed)
        return found

    def _given(self, work: Callable[..., T], *arguments: object) -> "asyncio.Future[T]":
        if self._ending:
            self._ending.cancel()
        self._pool = self._pool or ProcessPoolExecutor(self.count, get_context("spawn"), step_back)
        return asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments)

    def _ended(self, _: "asyncio.Future[T]") -> None:
        self._under_way -= 1
        if not self._under_way:
            self._ending = asyncio.get_running_loop().call_later(self._rest_s, self.close)

    def close(self) -> None:
        """End them; those at work end when it is done."""
        pool, self._pool = self._pool, None
        if self._ending:
            self._ending.cancel()
        if pool:
            pool.shutdown(wait=False, cancel_futures=True)


def step_back() -> None:
    """Have a process of a pool step back behind those that answer somebody, and end with the one that began it."""
    os.nice(10)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    # Where the parent is killed nobody else ends the pool: each of its processes holds both ends of the queue.
    parent = parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)
