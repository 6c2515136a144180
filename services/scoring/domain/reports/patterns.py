"""Habits of one party, each told only where a test finds it.

A test asks how often a party without the habit would look like this by chance; below `LEVEL` the habit is found. With
five habits looked for, one of 20 parties without any is told to have one.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta
from enum import StrEnum
from itertools import pairwise
from math import atan2, cos, exp, hypot, log, pi, sin, sqrt
from statistics import median, quantiles

import msgspec
import numpy as np
from pydantic import BaseModel, ConfigDict

from contracts.loss import LossReason
from services.scoring.domain.reports.proportions import at_least

LEVEL = 0.01
LEAST = 6
"""Purchase days, amounts or months with a purchase below which a pattern is not looked for."""
SPREAD = 0.5
"""Of the logarithm of amounts: with less they are much the same, two of three within a factor of 1.65 of the middle."""
USUAL = 0.5
"""A main channel has more than this share."""
DRAWS = 2_000
ENOUGH = 50
"""After so many draws as even the p-value, 0.025 or more, is known well enough."""
DAYS_AT_ONCE = 500_000
"""Days that are drawn from at once, some 20 MB."""
PRICE_SHARE = 0.25
"""Price is one reason of many: whoever names it no more often than this is not sensitive to it."""


class Bought(msgspec.Struct, frozen=True):
    """One purchase."""

    day: int
    amount_minor: int | None
    """In the reporting currency; None where there is no rate."""
    channel: str | None


class Asked(StrEnum):
    """What was asked of chance."""

    MORAN = "moran"
    """Are gaps more even, by the mean of their logarithms (Moran 1951), than those of purchases on random days?"""
    CHI_SQUARE = "chi_square"
    """Is the variance of the logarithm of amounts below that of `SPREAD`?"""
    RAYLEIGH = "rayleigh"
    """Do the months with a purchase gather at one time of the year (Rayleigh; approximation of Wilkie 1983)?"""
    BINOMIAL = "binomial"
    """Is a share above one that is stated?"""


class Habit(BaseModel):
    """What every pattern says."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    found: bool
    """Whether the test says so: `p_value` is below 0.01."""
    observations: int
    """What the test looked at."""
    test: Asked
    p_value: float | None
    """How often chance alone looks like this; None where there is too little to look at."""


class IntervalHabit(Habit):
    """Buys in a rhythm. Observed are the gaps between purchase days."""

    median_days: float | None
    quartile_days: tuple[float, float] | None
    """Half of the gaps lie between these."""


class BasketHabit(Habit):
    """Buys for much the same amount. Observed are purchase days with an amount above zero."""

    median_minor: float | None
    """In the reporting currency."""
    spread: float | None
    """Standard deviation of the logarithm of the amount, rounded to 3 decimals."""


class SeasonHabit(Habit):
    """Buys at one time of the year. Observed are months with a purchase, in whole years up to the day of the report."""

    years: int
    """How many whole years were looked at."""
    by_month: tuple[int, ...]
    """In how many of them each month, from January on, had a purchase."""
    concentration: float | None
    """0 where months are spread over the year evenly, 1 where it is always the same; rounded to 3 decimals."""
    middle_month: int | None
    """The month around which they gather, from 1."""


class ChannelHabit(Habit):
    """Buys by one way. Observed are purchases whose channel is known."""

    main: str | None
    share: float | None
    """Of the main one, rounded to 4 decimals."""
    unknown: int
    """Purchases whose channel was not told."""


class PriceHabit(Habit):
    """Leaves for the price. Observed are the times that a reason was told why the party did not buy.

    Amounts say nothing of it: they are price times quantity, and no fact has the price that was asked.
    """

    share: float | None
    """Of these, the times that it was the price; rounded to 4 decimals, None (unknown) where no reason was told."""


class Patterns(msgspec.Struct, frozen=True):
    """The habits of one party as of a day."""

    interval: IntervalHabit
    basket: BasketHabit
    season: SeasonHabit
    channel: ChannelHabit
    price_sensitivity: PriceHabit


def patterns(purchases: Sequence[Bought], reasons: Sequence[LossReason], day: date) -> Patterns:
    """What a party's purchases up to a day, and the reasons told for not buying, say of its habits."""
    days = sorted({bought.day for bought in purchases})
    return Patterns(
        interval=interval(days),
        basket=basket(_amounts(purchases)),
        season=season(days, day),
        channel=channel([bought.channel for bought in purchases]),
        price_sensitivity=price_sensitivity(reasons),
    )


def interval(days: Sequence[int]) -> IntervalHabit:
    """Regular where the gaps between purchase days (ordinals, rising) are more even than chance makes them.

    Moran's statistic is the log of the mean gap less the mean of the logs; `_as_even` says how often it is as small.
    Who buys every single day has no rhythm that could be told from buying a lot.
    """
    gaps = [after - before for before, after in pairwise(days)]
    n = len(gaps)
    p_value = _as_even(gaps) if n >= LEAST - 1 else None
    low, _, high = quantiles(gaps, n=4, method="inclusive") if n > 1 else (None, None, None)
    return IntervalHabit(
        found=_found(p_value),
        observations=n,
        test=Asked.MORAN,
        p_value=p_value,
        median_days=median(gaps) if gaps else None,
        quartile_days=None if low is None or high is None else (low, high),
    )


def basket(amounts: Sequence[int]) -> BasketHabit:
    """Steady where the logarithm of the amounts, all above zero, spreads less than `SPREAD`.

    n - 1 times its variance, divided by that of `SPREAD`, is chi-square distributed where they spread just so
    (amounts are taken to be log-normal).
    """
    n, spread, p_value = len(amounts), None, None
    if n > 1:
        logs = [log(amount) for amount in amounts]
        mean = sum(logs) / n
        squares = sum((each - mean) ** 2 for each in logs)
        spread = round(sqrt(squares / (n - 1)), 3)
        if n >= LEAST:
            p_value = _below(squares / SPREAD**2, n - 1)
    return BasketHabit(
        found=_found(p_value),
        observations=n,
        test=Asked.CHI_SQUARE,
        p_value=p_value,
        median_minor=median(amounts) if amounts else None,
        spread=spread,
    )


def season(days: Sequence[int], day: date) -> SeasonHabit:
    """Seasonal where months with a purchase gather at one time of the year, in whole years that end with a whole month.

    A month counts once a year, so that one spell of buying is not taken for a habit; it takes two years at least, and
    more than one of them with a purchase. Months are angles of a circle: of n of them with the mean length R,
    p = exp(sqrt(1 + 4n + 4n^2(1 - R^2)) - (1 + 2n)).
    """
    months = sorted({_month(date.fromordinal(each)) for each in days})
    end = _month(day + timedelta(days=1)) - 1
    years = max(0, end - months[0] + 1) // 12 if months else 0
    seen = [month for month in months if end - 12 * years < month <= end]
    n, length, p_value = len(seen), 0.0, None
    middle = 0
    if n:
        east = sum(cos(pi * month / 6) for month in seen) / n
        north = sum(sin(pi * month / 6) for month in seen) / n
        length, middle = hypot(east, north), round(atan2(north, east) * 6 / pi) % 12 + 1
        if n >= LEAST and years >= 2 and len({(end - month) // 12 for month in seen}) > 1:
            p_value = _rounded(exp(sqrt(1 + 4 * n + 4 * n * n * (1 - length * length)) - (1 + 2 * n)))
    by_month = Counter(month % 12 for month in seen)
    return SeasonHabit(
        found=_found(p_value),
        observations=n,
        test=Asked.RAYLEIGH,
        p_value=p_value,
        years=years,
        by_month=tuple(by_month[month] for month in range(12)),
        concentration=round(length, 3) if n else None,
        middle_month=middle if _found(p_value) else None,
    )


def channel(channels: Sequence[str | None]) -> ChannelHabit:
    """One way where more than half of the purchases, beyond chance, came by it.

    Which one is the main one shows only in the purchases themselves: of two, each could be, so that p is doubled.
    """
    known = Counter(each for each in channels if each is not None)
    n, main, p_value = known.total(), None, None
    if known:
        main = min(known, key=lambda name: (-known[name], name))
        p_value = _rounded(2 * at_least(known[main], n, USUAL)) if n >= LEAST else None
    return ChannelHabit(
        found=_found(p_value),
        observations=n,
        test=Asked.BINOMIAL,
        p_value=p_value,
        main=main,
        share=round(known[main] / n, 4) if main is not None else None,
        unknown=len(channels) - n,
    )


def price_sensitivity(reasons: Sequence[LossReason]) -> PriceHabit:
    """Sensitive where price is told as the reason more often than `PRICE_SHARE`, beyond chance."""
    told = [reason for reason in reasons if reason is not LossReason.UNKNOWN]
    n, price = len(told), told.count(LossReason.PRICE)
    p_value = _rounded(at_least(price, n, PRICE_SHARE)) if n else None
    return PriceHabit(
        found=_found(p_value),
        observations=n,
        test=Asked.BINOMIAL,
        p_value=p_value,
        share=round(price / n, 4) if n else None,
    )


def _as_even(gaps: Sequence[int]) -> float:
    """How often as many purchases, on days drawn from the span by lot, have gaps with a mean of logarithms as high.

    Whoever buys on each day with the same chance buys on any such choice of days as likely as on another, whatever the
    chance: the test holds its level also where purchases are close together, and whole days are even by themselves.
    """
    span, cuts = sum(gaps), len(gaps) - 1
    bound = float(np.log(gaps).sum()) - 1e-9
    batch = max(1, min(DRAWS // 20, DAYS_AT_ONCE // span))
    lots = np.random.default_rng(0)  # The same answer to the same question.
    even = drawn = 0
    while drawn < DRAWS and even < ENOUGH:
        days = np.sort(lots.random((batch, span - 1)).argpartition(cuts - 1, axis=1)[:, :cuts], axis=1) + 1
        even += int(np.count_nonzero(np.log(np.diff(days, prepend=0, append=span)).sum(axis=1) >= bound))
        drawn += batch
    return _rounded((1 + even) / (1 + drawn))


def _amounts(purchases: Sequence[Bought]) -> list[int]:
    """What was bought on each day, where that is known and above zero."""
    sums: Counter[int] = Counter()
    for bought in purchases:
        sums[bought.day] += bought.amount_minor or 0
    in_part = {bought.day for bought in purchases if bought.amount_minor is None}
    return [amount for day, amount in sorted(sums.items()) if amount and day not in in_part]


def _month(day: date) -> int:
    """Months since the beginning; January is divisible by 12."""
    return day.year * 12 + day.month - 1


def _found(p_value: float | None) -> bool:
    return p_value is not None and p_value < LEVEL


def _below(statistic: float, degrees: int) -> float:
    from scipy.special import chdtr

    return _rounded(chdtr(degrees, statistic))


def _rounded(p_value: float) -> float:
    return round(min(float(p_value), 1.0), 6)
