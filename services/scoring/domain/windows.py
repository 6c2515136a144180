"""What comes into the windows of many parties and leaves them by time alone: turnover, profit, posture."""

from typing import NamedTuple

import numpy as np

from services.scoring.domain.columns import EXACT, NEVER, Columns, Days, TooLarge
from services.scoring.domain.facts import Kind
from services.scoring.domain.likelihood import Whole
from services.scoring.domain.policy import Policy, Profit, Trend
from services.scoring.domain.rounding import Holds
from services.scoring.domain.tiers import Cuts

DEVELOPING, STEADY, CONSERVATIVE = range(3)
"""Places in `Posture`."""


class Turnover(NamedTuple):
    """Of each party."""

    minor: Whole
    """Net turnover of the window."""
    level: Whole
    """Its place among the levels, counted from the lowest; 0 is none."""
    profit: Holds
    turn: Whole
    """The first later day with another level, profit or, where cuts are given, tier; `NEVER` where they stay."""


def turnover(of: Columns, day: Whole, policy: Policy, cuts: Cuts | None, bought: Holds) -> Turnover:
    """The turnover of the window that ends with the day of each party. Raises `TooLarge`.

    Cuts are given where tiers follow from it, for those who bought.
    """
    prices = np.zeros(64, np.int64)
    for code, price in policy.profit.cost_minor.items():
        prices[Kind[code.upper()]] = price
    # Reckoned by floats first: whole numbers would come round to something small.
    if np.abs(prices[of.kind].astype(np.float64) * of.times).sum() >= EXACT:
        raise TooLarge
    cost = prices[of.kind] * of.times
    inside = (of.converts | (cost != 0)) & (of.day > day[of.party] - policy.turnover_days)
    days, net = of.days(inside), np.where(of.kind == Kind.RETURN, -of.worth, of.worth)
    came, spent = of.total(inside, net), of.total(inside, cost)
    left_net, left_cost = (_since_first(days, of.sums(inside, days, column)) for column in (net, cost))
    later, later_cost = came[days.party] - left_net, spent[days.party] - left_cost
    now = _codes(policy, cuts, came, spent, bought)
    then = _codes(policy, cuts, later, later_cost, bought[days.party])
    other = np.any([after != before[days.party] for before, after in zip(now, then, strict=True)], axis=0)
    turn = np.full(len(day), NEVER)
    np.minimum.at(turn, days.party[other], days.day[other] + policy.turnover_days)
    return Turnover(came, now[0], now[1].astype(np.bool_), turn)


def _since_first(days: Days, values: Whole) -> Whole:
    """What the days of each party come to, up to each of them."""
    total = np.cumsum(values)
    return total - (total - values)[days.begin[days.party]]


def _codes(policy: Policy, cuts: Cuts | None, minor: Whole, cost: Whole, bought: Holds) -> tuple[Whole, ...]:
    level = np.searchsorted([level.from_minor for level in reversed(policy.levels)], minor, "right")
    makes_profit = _margin(policy.profit, minor) > cost
    tier = np.zeros(len(minor), np.int64) if cuts is None else np.where(bought, tier_places(cuts, minor), 0)
    return level, makes_profit.astype(np.int64), tier


def _margin(profit: Profit, minor: Whole) -> Whole:
    """`Profit.of` each."""
    numerator, denominator = profit.exact_margin
    if max(numerator * int(np.abs(minor).max(initial=0)), denominator) >= EXACT:
        return np.array([profit.of(each) for each in minor.tolist()], np.int64)
    quotient, rest = np.divmod(numerator * minor, denominator)
    return np.asarray(quotient + ((2 * rest > denominator) | ((2 * rest == denominator) & (quotient % 2 == 1))))


def tier_places(cuts: Cuts, value_minor: Whole) -> Whole:
    """The place in `Tier` of parties with a purchase."""
    return 3 - np.searchsorted([cuts.mid, cuts.high, cuts.top], value_minor, "right")


def posture(touching: Days, day: Whole, trend: Trend) -> tuple[Whole, Whole]:
    """The place in `Posture` on the day of each party, and the first later day with another one."""
    window, who = trend.window_days, np.arange(len(day))
    now = _posture(touching, who, day, trend)
    turn = np.full(len(day), NEVER)
    for enters in (window, 2 * window):
        ahead = np.flatnonzero(touching.day + enters > day[touching.party])
        party, when = touching.party[ahead], touching.day[ahead] + enters
        other = _posture(touching, party, when, trend) != now[party]
        np.minimum.at(turn, party[other], when[other])
    return now, turn


def _posture(touching: Days, party: Whole, day: Whole, trend: Trend) -> Whole:
    window = trend.window_days
    until, begin, before = (touching.up_to(party, np.maximum(day - days, 0)) for days in (0, window, 2 * window))
    later, earlier = until - begin, begin - before
    ratio = later / np.maximum(earlier, 1)
    steady = np.where(ratio < trend.conservative_below, CONSERVATIVE, STEADY)
    passed = np.where(ratio >= trend.developing_from, DEVELOPING, steady)
    return np.where(earlier > 0, passed, np.where(later > 0, DEVELOPING, CONSERVATIVE))
