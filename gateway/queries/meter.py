"""What callers have used of their rates, here and, a moment later, in every other process of the gateway."""

import time
from collections.abc import Callable, Iterator, Mapping
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


class Untold(msgspec.Struct):
    """Requests that were let through since others heard of the caller."""

    since: float
    requests: int = 0


class Meter:
    """Buckets by caller. `clock` gives seconds that never go back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: dict[str, tuple[float, Rate]] = {}
        """When each is full again, under which rate."""
        self._untold: dict[tuple[str, Rate], Untold] = {}
        self._name = uuid4().hex

    def take(self, who: str, rate: Rate) -> Level:
        """One request of a caller."""
        at = self._clock()
        full_at, level = taken(self._full_at(who, rate, at), rate, at)
        if level.allowed:
            self._keep(who, rate, full_at, at)
            self._note(who, rate, 1, at)
        return level

    def give_back(self, who: str, rate: Rate) -> None:
        """A request that should not have been counted."""
        at = self._clock()
        self._keep(who, rate, self._full_at(who, rate, at) - 1 / rate.per_s, at)
        self._note(who, rate, -1, at)

    def news(self) -> Iterator[str]:
        """What others should know, in notifications. It is told once, and not where it is long made up for."""
        untold, self._untold = _recent(self._untold, self._clock()), {}
        part: list[tuple[str, int, int, int]] = []
        size = 0
        for (who, rate), each in untold.items():
            if size + len(who) + 40 > TOLD_BYTES:
                yield self._written(part)
                part, size = [], 0
            part.append((who, rate.per_s, rate.burst, each.requests))
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

    def _note(self, who: str, rate: Rate, requests: int, at: float) -> None:
        untold = self._untold.get((who, rate))
        if untold is None or _is_past(untold, rate, at):
            untold = self._untold[who, rate] = Untold(at)
        untold.requests += requests
        if len(self._untold) > KEPT:
            # Nobody was told for long. Those who took most matter most to whoever hears of it.
            recent = sorted(_recent(self._untold, at).items(), key=lambda each: each[1].requests, reverse=True)
            self._untold = dict(recent[: KEPT // 2])

    def _keep(self, who: str, rate: Rate, full_at: float, at: float) -> None:
        self._buckets[who] = full_at, rate
        if len(self._buckets) > KEPT:
            busy = [(until, name) for name, (until, _) in self._buckets.items() if until > at]
            self._buckets = {name: self._buckets[name] for _, name in sorted(busy, reverse=True)[: KEPT // 2]}


def _recent(untold: Mapping[tuple[str, Rate], Untold], at: float) -> dict[tuple[str, Rate], Untold]:
    return {(who, rate): each for (who, rate), each in untold.items() if not _is_past(each, rate, at)}


def _is_past(untold: Untold, rate: Rate, at: float) -> bool:
    """Whether even an empty bucket has filled since, so that nobody needs to hear of it."""
    return at - untold.since > rate.window_s
