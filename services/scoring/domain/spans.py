"""How long after an act silence makes dormant, and how long until it loses."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

from services.scoring.domain.model import Model
from services.scoring.domain.stages import ByProbability


class Spans(Protocol):
    """How many days after an act silence makes dormant, and how many make lost. Acts are named by their place."""

    least: int
    """Nobody is dormant earlier than this."""

    def dormant_in(self, place: int) -> int | None:
        """Days from an act to the first dormant one; None where silence never makes dormant."""

    def lost_in(self, place: int) -> int | None:
        """Days from an act to the first lost one, no fewer; None where silence never loses."""


class Fixed:
    """The same days after every act."""

    __slots__ = ("_dormant_in", "_lost_in", "least")

    def __init__(self, *, dormant_after_days: int, lost_after_days: int) -> None:
        self.least = self._dormant_in = dormant_after_days + 1
        self._lost_in = lost_after_days + 1

    def dormant_in(self, place: int) -> int | None:
        """See `Spans`."""
        return self._dormant_in

    def lost_in(self, place: int) -> int | None:
        """See `Spans`."""
        return self._lost_in


@lru_cache(maxsize=256)
def fixed(*, dormant_after_days: int, lost_after_days: int) -> Fixed:
    """The same spans for everybody who is under the same days."""
    return Fixed(dormant_after_days=dormant_after_days, lost_after_days=lost_after_days)


class ByModel:
    """After a purchase: how long the probability of another one stays at or above the thresholds of a policy."""

    __slots__ = ("_customers", "_days", "_found", "_horizon_days", "_model", "least")

    def __init__(self, model: Model, customers: ByProbability, horizon_days: int, purchase_days: Sequence[int]) -> None:
        self._model, self._customers = model, customers
        self._horizon_days, self._days = horizon_days, purchase_days
        self.least = customers.fresh_days + 1
        # Of one place it is asked some ten times.
        self._found: dict[tuple[int, float], int | None] = {}

    def dormant_in(self, place: int) -> int | None:
        """See `Spans`."""
        return self._first_below(place, self._customers.dormant_below)

    def lost_in(self, place: int) -> int | None:
        """See `Spans`."""
        return self._first_below(place, self._customers.lost_below)

    def _first_below(self, place: int, threshold: float) -> int | None:
        if (place, threshold) not in self._found:
            tx = self._days[place] - self._days[0]
            below = self._model.first_below(place, tx, threshold, self._horizon_days)
            self._found[place, threshold] = None if below is None else max(below, self.least)
        return self._found[place, threshold]
