"""How long it takes from a command accepted to its effects committed elsewhere, counted event by event."""

import time
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import accumulate
from uuid import UUID

from prometheus_client import REGISTRY
from prometheus_client.metrics_core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from chassis.ids import made_ms

NAME = "shuke_freshness_seconds"
BOUNDS_S = (0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3_600.0)


class Freshness(Collector):
    """A histogram that takes a batch at once: one call for each event would cost more than decoding it."""

    def __init__(self) -> None:
        self._counts: dict[str, list[int]] = {}
        self._sums: dict[str, float] = {}

    def note(self, consumer: str, event_ids: Iterable[UUID]) -> None:
        """Note events whose effects have just been committed. Their ids tell when the command was accepted."""
        counts = self._counts.setdefault(consumer, [0] * (len(BOUNDS_S) + 1))
        present_ms, total_s = time.time_ns() // 1_000_000, 0.0
        for event_id in event_ids:
            made = made_ms(event_id)
            if made is not None:
                age_s = max(0, present_ms - made) / 1_000
                counts[bisect_left(BOUNDS_S, age_s)] += 1
                total_s += age_s
        self._sums[consumer] = self._sums.get(consumer, 0.0) + total_s

    def collect(self) -> Iterator[Metric]:
        """See `prometheus_client`."""
        told = HistogramMetricFamily(
            NAME,
            "From a command accepted to its effects committed: of scoring, to the readable standing.",
            labels=LABELS,
        )
        for consumer, counts in self._counts.items():
            bounds = [*map(str, BOUNDS_S), "+Inf"]
            told.add_metric([consumer], list(zip(bounds, accumulate(counts), strict=True)), self._sums[consumer])
        yield told


LABELS = ("consumer",)

FRESHNESS = Freshness()
REGISTRY.register(FRESHNESS)
