"""What a model says of many parties at once: the same as `Model` says of each.

Arrays and single numbers differ in the last bits. Where these could turn a rounding, a party is doubtful, and is asked
about alone.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from services.scoring.domain import bgnbd, gamma_gamma
from services.scoring.domain.bgnbd import DAYS_PER_WEEK
from services.scoring.domain.columns import EXACT, NEVER
from services.scoring.domain.likelihood import Numbers, Whole
from services.scoring.domain.model import LONGEST, QUANTUM, Model
from services.scoring.domain.rounding import Holds, edge, near_half

CLOSE = 1e-10
"""Relative difference beyond that of any two ways to compute the same."""
GRID = 4_096
"""Ages at which an expectation is known; in between it is guessed by a line."""
KEPT_X, KEPT_TX = 64, 1 << 13
"""Up to so many purchases and days the ends of silences are kept."""
TABLES, LINES = 8, 256
"""So many tables of these, of up to 2 MB, and lines of 32 kB are held of a model."""


class Past(NamedTuple):
    """What of the purchases of each party a model asks for; see `Model`."""

    x: Whole
    tx: Whole
    T: Whole
    paid_days: Whole
    paid: Whole

    def of(self, some: Whole | Holds) -> "Past":
        """Those of some parties."""
        return Past(*(column[some] for column in self))


def expected_amounts(model: Model, paid_days: Whole, paid: Whole) -> Numbers:
    """`Model.expected_amount` of each."""
    if model.p is None or model.q is None or model.v is None or model.q <= 1:
        return np.full(len(paid_days), model.mean_minor)
    own = gamma_gamma.expected_amount(gamma_gamma.Parameters(model.p, model.q, model.v), paid_days, paid)
    return np.asarray(np.where(paid_days > 0, own, model.mean_minor))


class Outlook:
    """A model, with what was worked out of it before."""

    def __init__(self, model: Model) -> None:
        self._model = model
        # A process outlives many trials, each with thresholds of its own.
        self._silences = lru_cache(TABLES)(_nothing_kept)
        self._line = lru_cache(LINES)(self._drawn)
        self._oldest = np.log(DAYS_PER_WEEK * model.alpha + 3 * LONGEST)
        self._youngest = np.log(DAYS_PER_WEEK * model.alpha)

    def p_buys(self, past: Past, horizon: int) -> tuple[Numbers, Holds]:
        """The probability of a purchase within so many days, rounded, and where that is doubtful."""
        p = bgnbd.p_buys(self._model.parameters, past.x, past.tx, past.T, horizon) * 10**QUANTUM
        return np.rint(p) / 10**QUANTUM, near_half(p)

    def first_below(self, x: Whole, tx: Whole, threshold: float, horizon: int) -> Whole:
        """How many days after the last purchase day `p_buys` is below a threshold first; `NEVER` where never."""
        known = self._silences(threshold, horizon)
        kept = (x < KEPT_X) & (tx < KEPT_TX)
        found = np.zeros(len(x), np.int64)
        found[kept] = known[x[kept], tx[kept]]
        missing = np.flatnonzero(found == 0)
        if len(missing):
            pairs, place = np.unique(x[missing] * NEVER + tx[missing], return_inverse=True)
            of_x, of_tx = np.divmod(pairs, NEVER)
            days = self._below(of_x, of_tx, threshold, horizon)
            found[missing] = days[place]
            keep = (of_x < KEPT_X) & (of_tx < KEPT_TX)
            known[of_x[keep], of_tx[keep]] = days[keep]
        return found

    def _below(self, x: Whole, tx: Whole, threshold: float, horizon: int) -> Whole:
        least = edge(threshold, QUANTUM)
        low, high = np.ones(len(x), np.int64), np.full(len(x), LONGEST + 1)
        while (open_ := low < high).any():
            middle = (low + high) // 2
            below = bgnbd.p_buys(self._model.parameters, x, tx, tx + middle, horizon) < least
            low, high = np.where(open_ & ~below, middle + 1, low), np.where(open_ & below, middle, high)
        doubtful = np.zeros(len(x), np.bool_)
        for day in (low, np.maximum(low - 1, 1)):
            doubtful |= np.abs(bgnbd.p_buys(self._model.parameters, x, tx, tx + day, horizon) - least) < CLOSE
        days = np.where(low > LONGEST, NEVER, low)
        for place in np.flatnonzero(doubtful).tolist():
            alone = self._model.first_below(int(x[place]), int(tx[place]), threshold, horizon)
            days[place] = NEVER if alone is None else alone
        return days

    def value(self, past: Past, days: int) -> tuple[Whole, Holds]:
        """`Model.value_minor` of each, and where its rounding is doubtful."""
        exact = self._expected(past, days)
        beyond = exact >= EXACT
        whole = np.where(beyond, 0.0, np.rint(exact))
        return whole.astype(np.int64), beyond | (np.abs(np.abs(exact - whole) - 0.5) < CLOSE * (exact + 10))

    def falls(self, past: Past, days: int, amount: Whole, until: Whole) -> tuple[Whole, Holds]:
        """The first T behind that of the past, up to `until`, at which the value is below an amount if nothing is
        bought, and where that is doubtful; `NEVER` where it stays. It is not below it by now.
        """
        often, paid, edge = (
            self._model.parameters,
            expected_amounts(self._model, past.paid_days, past.paid),
            amount - 0.5,
        )
        low, high = past.T + 1, until + 1
        known, line = np.unique(past.x, return_inverse=True)
        lines = np.concatenate([self._line(x, days) for x in known.tolist()]) if len(known) else np.zeros(GRID)
        line *= GRID
        while (looking := low < high).any():
            middle = (low + high) // 2
            below = self._guessed(lines, line, middle) * bgnbd.p_alive(often, past.x, past.tx, middle) * paid < edge
            low, high = np.where(looking & ~below, middle + 1, low), np.where(looking & below, middle, high)
        stays, then = low > until, np.minimum(low, until)
        before = self._expected(past._replace(T=np.maximum(then - 1, past.T)), days)
        after = self._expected(past._replace(T=then), days)
        guessed = np.where(stays, after >= edge, (after < edge) & ((before >= edge) | (then - 1 <= past.T)))
        near = np.minimum(np.abs(before - edge), np.abs(after - edge)) < CLOSE * (before + 10)
        return np.where(stays, NEVER, then), ~guessed | near

    def _expected(self, past: Past, days: int) -> Numbers:
        often = bgnbd.expected_purchases(self._model.parameters, past.x, past.tx, past.T, days)
        return often * expected_amounts(self._model, past.paid_days, past.paid)

    def _guessed(self, lines: Numbers, line: Whole, T: Whole) -> Numbers:
        """About `bgnbd.if_alive`, where lines begin."""
        at = (np.log(DAYS_PER_WEEK * self._model.alpha + T) - self._youngest) * (
            (GRID - 1) / (self._oldest - self._youngest)
        )
        left = np.minimum(at.astype(np.int64), GRID - 2)
        rest, left = at - left, line + left
        return np.asarray(lines[left] * (1 - rest) + lines[left + 1] * rest)

    def _drawn(self, x: int, days: int) -> Numbers:
        age = np.exp(np.linspace(self._youngest, self._oldest, GRID)) - np.exp(self._youngest)
        return bgnbd.mean_if_alive(self._model.parameters, np.full(GRID, x), age, days)


def _nothing_kept(threshold: float, horizon: int) -> Whole:
    return np.zeros((KEPT_X, KEPT_TX), np.int32)


@lru_cache(maxsize=4)
def outlook(model: Model) -> Outlook:
    """The outlook of a model, one for everybody who asks."""
    return Outlook(model)
