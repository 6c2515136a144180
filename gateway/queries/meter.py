"""What callers have used of their rates, here and, a moment later, in every other process of the gateway."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from uuid import uuid4

import msgspec

from gateway.domain.rates import Level, Rate, spent, taken

KEPT = 20_000
"""Callers that are remembered at most; a bucket that is full again need not be."""
TOLD_BYTES = 7_000
"""A notification has less than 8,000 bytes (PostgreSQL, NOTIFY)."""


class News(msgspec.Struct):
    """What a process let through: seconds of filling, by caller."""

    by: str
    spent: dict[str, float]


class Meter:
    """Buckets by caller. `clock` gives seconds that never go back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._full_at: dict[str, float] = {}
        self._untold: dict[str, float] = defaultdict(float)
        self._name = uuid4().hex

    def take(self, who: str, rate: Rate) -> Level:
        """One request of a caller."""
        at = self._clock()
        full_at, level = taken(self._full_at.get(who, at), rate, at)
        if level.allowed:
            self._keep(who, full_at, at)
            self._untold[who] += 1 / rate.per_s
        return level

    def give_back(self, who: str, rate: Rate) -> None:
        """A request that should not have been counted."""
        self._full_at[who] = self._full_at.get(who, self._clock()) - 1 / rate.per_s
        self._untold[who] -= 1 / rate.per_s

    def news(self) -> Iterator[str]:
        """What others should know, in notifications. It is told once."""
        untold, self._untold = self._untold, defaultdict(float)
        part: dict[str, float] = {}
        size = 0
        for who, seconds in untold.items():
            if size + len(who) + 40 > TOLD_BYTES:
                yield self._written(part)
                part, size = {}, 0
            part[who] = round(seconds, 6)
            size += len(who) + 40
        if part:
            yield self._written(part)

    def hear(self, told: str) -> None:
        """What another process let through counts here, too."""
        news = msgspec.json.decode(told, type=News)
        if news.by == self._name:
            return
        at = self._clock()
        for who, seconds in news.spent.items():
            self._keep(who, spent(self._full_at.get(who, at), seconds, at), at)

    def _written(self, part: dict[str, float]) -> str:
        return msgspec.json.encode(News(self._name, part)).decode()

    def _keep(self, who: str, full_at: float, at: float) -> None:
        self._full_at[who] = full_at
        if len(self._full_at) > KEPT:
            busy = sorted(((until, name) for name, until in self._full_at.items() if until > at), reverse=True)
            self._full_at = {name: until for until, name in busy[: KEPT // 2]}
