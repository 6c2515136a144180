"""What callers have used of their rates, here and, a moment later, in every other process of the gateway."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from uuid import uuid4

import msgspec

from gateway.domain.rates import Level, Rate, changed, spent, taken

KEPT = 20_000
"""Callers that are remembered at most; a bucket that is full again need not be."""
TOLD_BYTES = 7_000
"""A notification has less than 8,000 bytes (PostgreSQL, NOTIFY)."""


class News(msgspec.Struct):
    """What a process let through: caller, its rate (requests per second and burst), requests."""

    by: str
    spent: list[tuple[str, int, int, int]]


class Meter:
    """Buckets by caller. `clock` gives seconds that never go back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: dict[str, tuple[float, Rate]] = {}
        """When each is full again, under which rate."""
        self._untold: dict[tuple[str, Rate], int] = defaultdict(int)
        self._name = uuid4().hex

    def take(self, who: str, rate: Rate) -> Level:
        """One request of a caller."""
        at = self._clock()
        full_at, level = taken(self._full_at(who, rate, at), rate, at)
        if level.allowed:
            self._keep(who, rate, full_at, at)
            self._untold[who, rate] += 1
        return level

    def give_back(self, who: str, rate: Rate) -> None:
        """A request that should not have been counted."""
        at = self._clock()
        self._keep(who, rate, self._full_at(who, rate, at) - 1 / rate.per_s, at)
        self._untold[who, rate] -= 1

    def news(self) -> Iterator[str]:
        """What others should know, in notifications. It is told once."""
        untold, self._untold = self._untold, defaultdict(int)
        part: list[tuple[str, int, int, int]] = []
        size = 0
        for (who, rate), requests in untold.items():
            if size + len(who) + 40 > TOLD_BYTES:
                yield self._written(part)
                part, size = [], 0
            part.append((who, rate.per_s, rate.burst, requests))
            size += len(who) + 40
        if part:
            yield self._written(part)

    def hear(self, told: str) -> None:
        """What another process let through counts here, too."""
        news = msgspec.json.decode(told, type=News)
        if news.by == self._name:
            return
        at = self._clock()
        for who, per_s, burst, requests in news.spent:
            rate = Rate(per_s, burst)
            self._keep(who, rate, spent(self._full_at(who, rate, at), requests / per_s, at), at)

    def _written(self, part: list[tuple[str, int, int, int]]) -> str:
        return msgspec.json.encode(News(self._name, part)).decode()

    def _full_at(self, who: str, rate: Rate, at: float) -> float:
        full_at, was = self._buckets.get(who, (at, rate))
        return full_at if was == rate else changed(full_at, was, rate, at)

    def _keep(self, who: str, rate: Rate, full_at: float, at: float) -> None:
        self._buckets[who] = full_at, rate
        if len(self._buckets) > KEPT:
            busy = [(until, name) for name, (until, _) in self._buckets.items() if until > at]
            self._buckets = {name: self._buckets[name] for _, name in sorted(busy, reverse=True)[: KEPT // 2]}
