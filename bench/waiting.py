"""Purchases that wait until their standing can be read."""

import asyncio
import time
from collections import deque
from uuid import UUID

import asyncpg


class Waiting:
    """Each purchase as the spend of its party that shows it, in the order in which they were sent."""

    def __init__(self) -> None:
        self._of: dict[UUID, deque[tuple[int, asyncio.Future[float]]]] = {}

    def until(self, party: UUID, spend_minor: int) -> "asyncio.Future[float]":
        """When it was seen that the party had spent so much, by `time.perf_counter`.

        A party may be waited for several times at once: whoever falls behind must not be looked at less for it.
        """
        readable: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._of.setdefault(party, deque()).append((spend_minor, readable))
        return readable

    def parties(self) -> list[UUID]:
        """For whom something waits."""
        return list(self._of)

    def seen(self, party: UUID, spend_minor: int, at_s: float) -> None:
        """That a party has spent so much: what that shows waits no longer."""
        waits = self._of[party]
        while waits and waits[0][0] <= spend_minor:
            _, readable = waits.popleft()
            if not readable.done():
                readable.set_result(at_s)
        if not waits:
            del self._of[party]


async def look(connection: "asyncpg.Connection[asyncpg.Record]", waiting: Waiting, statement: str) -> None:
    """Look every millisecond which of those waited for are there; where many are waited for, a fifth of the time."""
    while True:
        began = now = time.perf_counter()
        if parties := waiting.parties():
            rows = await connection.fetch(statement, parties)
            now = time.perf_counter()
            for party, spend_minor in rows:
                waiting.seen(party, spend_minor, now)
        await asyncio.sleep(max(0.001, 4 * (now - began)))
