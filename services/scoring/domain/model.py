"""The model: what the past of a population says about what a party will do."""

from bisect import bisect_left
from collections.abc import Callable
from datetime import date
from functools import cached_property, lru_cache
from math import exp, expm1, log, log1p
from typing import Annotated, Self

import numpy as np
from pydantic import Field, model_validator

from contracts.versions import Version
from services.scoring.domain.bgnbd import DAYS_PER_WEEK, Parameters, leaving_rule, nodes_for
from services.scoring.domain.tiers import Cuts

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]

QUANTUM = 6
"""Decimals to which a probability is rounded before it is compared with anything."""
LONGEST = 36_500
"""Days after which what has not happened is taken never to happen."""


class Model(Version):
    """Parameters that were fitted to everybody who had bought by a day (`bgnbd`, `gamma_gamma`).

    Of a party count x, its purchase days after the first; tx, the days from its first purchase day to its last; T, the
    days from its first purchase day to the day asked; paid days, its purchase days with an amount above zero.
    """

    as_of: date
    """The last day of what was known."""
    parties: Annotated[int, Field(ge=0)]
    """Those that had bought by then."""
    repeaters: Annotated[int, Field(ge=0)]
    """Those that had bought on a second day."""
    r: Positive
    """Shape of the spread of purchase rates."""
    alpha: Positive
    """Scale of the spread of purchase rates, in weeks."""
    a: Positive
    """Of the spread Beta(a, b) of the probability to leave after a purchase."""
    b: Positive
    p: Positive | None = None
    """Shape of the spread of one party's amounts; None where amounts could not be fitted."""
    q: Positive | None = None
    """Shape of the spread of the parties' mean amounts."""
    v: Positive | None = None
    """Scale of the spread of the parties' mean amounts, in minor units of `currency`."""
    mean_minor: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Mean amount of a purchase day of the population, in minor units of `currency`."""
    currency: str | None = None
    """The reporting currency of the fit."""
    log_likelihood: Finite
    amount_log_likelihood: Finite | None = None
    cuts: Cuts | None = None
    """Tier amounts by the expected values of those who had bought."""
    calibration: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    """Actual by predicted purchases of the last closed period; sums over many parties are shown times this."""
    flags: tuple[str, ...] = ()
    """What is unusual about the fit."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if len({value is None for value in (self.p, self.q, self.v)}) > 1:
            raise ValueError("p, q and v are given together or not at all")
        return self

    @property
    def parameters(self) -> Parameters:
        """How often parties buy."""
        return Parameters(self.r, self.alpha, self.a, self.b)

    def p_alive(self, x: int, tx: int, T: int) -> float:
        """The probability that a party has not left; see `bgnbd.p_alive`."""
        if not x:
            return 1.0
        silent = log1p((T - tx) / (DAYS_PER_WEEK * self.alpha + tx))
        odds = log(self.a / (self.b + x - 1)) + (self.r + x) * silent
        return 1 / (1 + exp(odds)) if odds < 0 else exp(-odds) / (1 + exp(-odds))

    def p_buys(self, x: int, tx: int, T: int, horizon: int) -> float:
        """The probability of a purchase within so many days, rounded to 6 decimals; see `bgnbd.p_buys`."""
        in_horizon = -expm1(-(self.r + x) * log1p(horizon / (DAYS_PER_WEEK * self.alpha + T)))
        return round(self.p_alive(x, tx, T) * in_horizon, QUANTUM)

    def expected_purchases(self, x: int, tx: int, T: int, days: int) -> float:
        """How many purchases to expect within so many days; see `bgnbd.expected_purchases`."""
        return self.p_alive(x, tx, T) * self._if_alive(x, T, days)

    def expected_amount(self, paid_days: int, paid_minor: int) -> float:
        """The amount to expect of one more purchase day, in minor units; see `gamma_gamma.expected_amount`.

        The mean of the population where nothing was paid yet, and where it has no mean of its own (q <= 1).
        """
        if self.p is None or self.q is None or self.v is None or self.q <= 1 or not paid_days:
            return self.mean_minor
        return self.p * (self.v + paid_minor) / (self.p * paid_days + self.q - 1)

    def value_minor(self, x: int, tx: int, T: int, paid_days: int, paid_minor: int, days: int) -> int:
        """Expected revenue of so many days in minor units, half-even; `paid_minor` was paid on `paid_days` in all."""
        return round(self.expected_purchases(x, tx, T, days) * self.expected_amount(paid_days, paid_minor))

    def first_below(self, x: int, tx: int, threshold: float, horizon: int) -> int | None:
        """How many days after the last purchase day `p_buys` is below a threshold first, at least 1; None is never."""
        return self._first_below(x, tx, threshold, horizon)

    @cached_property
    def _first_below(self) -> Callable[[int, int, float, int], int | None]:
        @lru_cache(maxsize=200_000)
        def first_below(x: int, tx: int, threshold: float, horizon: int) -> int | None:
            days = range(1, LONGEST + 1)
            first = 1 + bisect_left(days, True, key=lambda day: self.p_buys(x, tx, tx + day, horizon) < threshold)
            return first if first <= LONGEST else None

        return first_below

    @cached_property
    def _if_alive(self) -> Callable[[int, int, int], float]:
        @lru_cache(maxsize=200_000)
        def if_alive(x: int, T: int, days: int) -> float:
            share = days / (DAYS_PER_WEEK * self.alpha + T)
            leaving, weight = leaving_rule(self.a, self.b + x, nodes_for(share))
            return float(-np.expm1(-(self.r + x) * np.log1p(share * leaving)) @ (weight / leaving))

        return if_alive
