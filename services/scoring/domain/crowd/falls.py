"""On which day the value of a party is below an amount first, of many purchase days at once.

What is read here is exact, or it is said to be unsure: where a number lies so near a limit that the last bits of it
would decide. Whoever asks one by one (`History.tier`) has the last word there.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple, TypeAlias

import numpy as np

from services.scoring.domain import gamma_gamma
from services.scoring.domain.bgnbd import Parameters, mean_if_alive, p_alive
from services.scoring.domain.crowd.told import NEVER
from services.scoring.domain.likelihood import Numbers, Whole
from services.scoring.domain.model import LONGEST, Model
from services.scoring.domain.rounding import Holds, edge

NEAR = 1e-9
"""Of a limit: nearer than this nothing is told apart. Far above what rounding adds up to, far below what a day
changes."""
MOST = 2_048
"""Up to so many purchase days of one party what is to be expected of it is looked up in a table."""
BLOCK = 64
"""So many days of the table are worked out at once."""


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


def value_below(model: Model, of: Last, amount: Numbers, days: int, cut: int) -> Found:
    """After how many days the value is below a cut, from the purchase day itself on; see `Model.value_minor`."""
    limit = edge(cut, 0)

    def below(places: Whole, after: Whole) -> tuple[Holds, Holds]:
        value = values(model, of.at(places), amount[places], after, days)
        return value < limit, np.abs(value - limit) <= NEAR * max(1.0, abs(limit))

    return first(below, of.most)


def values(model: Model, of: Last, amount: Numbers, after: Whole, days: int) -> Numbers:
    """What is expected of the days to come, so many days after each purchase day, before it is rounded."""
    T = of.tx + after
    expected = expected_if_alive(model.parameters, days).at(of.x, T)
    return p_alive(model.parameters, of.x, of.tx, T) * expected * amount


def amounts(model: Model, paid_days: Whole, paid_minor: Whole) -> Numbers:
    """The amount to expect of one more purchase day; see `Model.expected_amount`."""
    if model.p is None or model.q is None or model.v is None or model.q <= 1:
        return np.full(len(paid_days), model.mean_minor)
    own = gamma_gamma.expected_amount(gamma_gamma.Parameters(model.p, model.q, model.v), paid_days, paid_minor)
    return np.where(paid_days > 0, own, model.mean_minor)


Below: TypeAlias = Callable[[Whole, Whole], tuple[Holds, Holds]]
"""Of places and days: whether it is below by then, and whether that is unsure. What is below stays below."""


def first(below: Below, most: Whole) -> Found:
    """The first day, from the day itself up to `most`, on which something is below: all of them bisected in step."""
    after, unsure = np.full(len(most), NEVER), np.zeros(len(most), dtype=bool)
    now, doubtful = below(np.arange(len(most)), np.zeros_like(most))
    after[now], unsure[doubtful] = 0, True
    places = np.flatnonzero(~now)
    falls, doubtful = below(places, most[places])
    unsure[places[doubtful]] = True
    places = places[falls]
    low, high = np.zeros_like(places), most[places]
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
        self._blocks = np.empty((0, BLOCK))
        self._place = np.full((MOST, LONGEST // BLOCK + 1), -1)
        """Of each x and block of T its place in these."""

    def at(self, x: Whole, T: Whole) -> Numbers:
        """See `bgnbd.mean_if_alive`; each x is below `MOST`, each T up to `LONGEST`."""
        block, within = np.divmod(T, BLOCK)
        missing = np.flatnonzero(self._place[x, block] < 0)
        if len(missing):
            self._work_out(x[missing], block[missing])
        return np.asarray(self._blocks[self._place[x, block], within])

    def _work_out(self, x: Whole, block: Whole) -> None:
        width = self._place.shape[1]
        x, block = np.divmod(np.unique(x * width + block), width)
        ages = block[:, None] * BLOCK + np.arange(BLOCK)
        means = mean_if_alive(self._of, np.repeat(x, BLOCK), ages.ravel(), self._days)
        self._place[x, block] = len(self._blocks) + np.arange(len(x))
        self._blocks = np.concatenate((self._blocks, means.reshape(ages.shape)))


@lru_cache(maxsize=8)
def expected_if_alive(of: Parameters, days: int) -> Expected:
    """The table of a model for the days of a policy."""
    return Expected(of, days)
