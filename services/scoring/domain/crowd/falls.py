"""On which day what falls is below a limit first: probabilities and values, of many purchase days at once.

What is read here is exact, or it is said to be unsure: where a number lies so near a limit that the last bits of it
would decide. Whoever asks one by one (`Model.first_below`, `History.tier`) has the last word there.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple, TypeAlias

import numpy as np

from services.scoring.domain.bgnbd import Parameters, mean_if_alive, p_alive, p_buys
from services.scoring.domain.crowd.columns import NEVER
from services.scoring.domain.likelihood import Numbers, Whole
from services.scoring.domain.model import LONGEST, QUANTUM, Model
from services.scoring.domain.rounding import Holds, edge

NEAR = 1e-9
"""Of a limit, or for a limit below one itself: nearer than this nothing is told apart. Far above what rounding adds
up to, far below what a day changes."""
MOST = 2_048
"""Up to so many purchase days of one party what is to be expected of it is looked up in a table."""
BLOCK = 512
"""So many days of the table are worked out at once."""
BLOCKS = LONGEST // BLOCK + 1


class Last(NamedTuple):
    """Purchase days as the last ones of their parties."""

    x: Whole
    """Purchase days before it."""
    tx: Whole
    """Days since the first."""
    most: Whole
    """So many days after it is looked: until the next one, or until the end."""

    def at(self, places: Whole) -> "Last":
        """Some of them."""
        return Last(self.x[places], self.tx[places], self.most[places])


class Found(NamedTuple):
    """Days after each purchase day; `NEVER` where that is later than it was looked."""

    after: Whole
    unsure: Holds


def near(numbers: Numbers, limit: float) -> Holds:
    """Which numbers are too near a limit to say on which side they are."""
    return np.abs(numbers - limit) <= NEAR * max(1.0, abs(limit))


def probability_below(model: Model, of: Last, threshold: float, horizon_days: int, least: int) -> Found:
    """After how many days, at least `least`, the probability of a purchase is below a threshold; see `first_below`."""
    limit = edge(threshold, QUANTUM)

    def below(places: Whole, days: Whole) -> tuple[Holds, Holds]:
        x, tx, _ = of.at(places)
        p = p_buys(model.parameters, x, tx, tx + days, horizon_days)
        return p < limit, np.abs(p - limit) <= NEAR / 10**3

    return first(below, np.full(len(of.x), least), of.most)


def value_below(model: Model, of: Last, amount: Numbers, days: int, cut: int) -> Found:
    """After how many days the value is below a cut, from the purchase day itself on; see `Model.value_minor`."""
    limit = edge(cut, 0)

    def below(places: Whole, after: Whole) -> tuple[Holds, Holds]:
        value = values(model, of.at(places), amount[places], after, days)
        return value < limit, near(value, limit)

    return first(below, np.zeros(len(of.x), dtype=np.int64), of.most)


def values(model: Model, of: Last, amount: Numbers, after: Whole, days: int) -> Numbers:
    """What is expected of the days to come, so many days after each purchase day, before it is rounded."""
    T = of.tx + after
    expected = expected_if_alive(model.parameters, days).at(of.x, T)
    return p_alive(model.parameters, of.x, of.tx, T) * expected * amount


def amounts(model: Model, paid_days: Whole, paid_minor: Whole) -> Numbers:
    """The amount to expect of one more purchase day; see `Model.expected_amount`."""
    if model.p is None or model.q is None or model.v is None or model.q <= 1:
        return np.full(len(paid_days), model.mean_minor)
    own = model.p * (model.v + paid_minor) / (model.p * paid_days + model.q - 1)
    return np.where(paid_days > 0, own, model.mean_minor)


Below: TypeAlias = Callable[[Whole, Whole], tuple[Holds, Holds]]
"""Of places and days: whether it is below by then, and whether that is unsure. What is below stays below."""


def first(below: Below, least: Whole, most: Whole) -> Found:
    """The first day, from `least` up to `most`, on which something is below: all of them bisected in step."""
    after, unsure = np.full(len(least), NEVER), np.zeros(len(least), dtype=bool)
    places = np.flatnonzero(least <= most)
    for days in (most, least):
        falls, doubtful = below(places, days[places])
        unsure[places[doubtful]] = True
        if days is most:
            places = places[falls]
        else:
            after[places[falls]] = least[places[falls]]
            places = places[~falls]
    high, low = most[places], least[places]
    after[places] = high
    while len(places):
        apart = high - low > 1
        places, low, high = places[apart], low[apart], high[apart]
        middle = (low + high) // 2
        falls, doubtful = below(places, middle)
        unsure[places[doubtful]] = True
        after[places[falls]] = middle[falls]
        low, high = np.where(falls, low, middle), np.where(falls, middle, high)
    return Found(after, unsure)


class Expected:
    """How many purchases to expect in some days of whoever has not left, by x and T: looked up, worked out once."""

    def __init__(self, of: Parameters, days: int) -> None:
        self._of, self._days = of, days
        # What is never touched of it takes no memory.
        self._table = np.empty((MOST, BLOCKS * BLOCK))
        self._there = np.zeros((MOST, BLOCKS), dtype=bool)

    def at(self, x: Whole, T: Whole) -> Numbers:
        """See `bgnbd.mean_if_alive`; each x is below `MOST`, each T up to `LONGEST`."""
        block = T // BLOCK
        missing = ~self._there[x, block]
        for purchases, place in {*zip(x[missing].tolist(), block[missing].tolist(), strict=True)}:
            ages = np.arange(place * BLOCK, (place + 1) * BLOCK)
            self._table[purchases, ages] = mean_if_alive(self._of, purchases, ages, self._days)
            self._there[purchases, place] = True
        return self._table[x, T]


@lru_cache(maxsize=8)
def expected_if_alive(of: Parameters, days: int) -> Expected:
    """The table of a model for the days of a policy."""
    return Expected(of, days)
