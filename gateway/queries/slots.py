"""Slots for requests to one service: so many at once, so many in a queue, nobody in it for long."""

import asyncio
from collections import deque

from gateway.domain.bulkheads import Bulkhead, Entry, ServiceBusy

WAIT_S = 5.0
"""Seconds that a request waits for its slot at most."""


class Slots:
    """The slots of one bulkhead."""

    def __init__(self, service: str, bulkhead: Bulkhead) -> None:
        self.service = service
        self.bulkhead = bulkhead
        self.underway = 0
        self._queue: deque[asyncio.Future[None]] = deque()

    async def acquire(self) -> None:
        """Take a slot; whoever has one must `release` it. Raises `ServiceBusy`."""
        entry = self.bulkhead.entry(self.underway, len(self._queue))
        if entry is Entry.GOES:
            self.underway += 1
        elif entry is Entry.WAITS:
            await self._wait()
        else:
            raise self._busy()

    def try_acquire(self) -> bool:
        """Take a slot if one is free and nobody waits for it; whether it was so."""
        if self._queue or self.bulkhead.entry(self.underway, 0) is not Entry.GOES:
            return False
        self.underway += 1
        return True

    def release(self) -> None:
        """Give a slot back, or to whoever has waited longest."""
        while self._queue:
            first = self._queue.popleft()
            if not first.done():
                return first.set_result(None)
        self.underway -= 1

    async def _wait(self) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        try:
            async with asyncio.timeout(WAIT_S):
                await turn
        except BaseException as error:
            if turn in self._queue:
                self._queue.remove(turn)
            elif not turn.cancelled():
                # The slot came in the moment in which the wait ended.
                self.release()
            if isinstance(error, TimeoutError):
                raise self._busy() from None
            raise

    def _busy(self) -> ServiceBusy:
        return ServiceBusy(
            f"{self.service} has as much to do for the gateway as it may. Ask again in a moment.",
            service=self.service,
            retry_after_s=1,
        )
