"""How many prospects there are, how much they want to buy and how fast they do, week by week."""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

import msgspec

from contracts.scoring import Stage
from services.scoring.domain.policy import Desire
from services.scoring.domain.reports.proportions import median

Sign = tuple[int, int, int]
"""Day (ordinal), kind, how many of it."""
Turn = tuple[int, Stage | None]
"""A day (ordinal) and the stage from that day on."""


def desire(signs: Iterable[Sign], day: int, by: Desire) -> float:
    """How much a party wants to buy at the end of a day, from 0 to 100, rounded to 3 decimals.

    100 * (1 - 2^(-points / half_points)) over the signs of the window, each fading by half in its half-life: by default
    50 for one inquiry of the day itself, 75 for two.
    """
    points: float = sum(
        by.by_kind.get(kind, 1) * count * 0.5 ** ((day - on) / by.half_life_days)
        for on, kind, count in signs
        if day - by.window_days < on <= day
    )
    wish: float = 100 * (1 - 0.5 ** (points / by.half_points))
    return round(wish, 3)


class Week(msgspec.Struct):
    """One week of seven local days, of which `first` (ordinal) is the Monday."""

    first: int
    last: int
    """The Sunday, or the last day that is known of a week that is not over."""
    became: int = 0
    """Parties that became prospects and never were before."""
    again: int = 0
    """Parties that became prospects again."""
    active: int = 0
    """Prospects at the end of the last day."""
    desire_thousandths: int = 0
    """The sum over these, so that weeks and parts of the population add up exactly."""
    bought: int = 0
    """Parties that bought for the first time."""
    unannounced: int = 0
    """Those of them who had shown no sign of interest before."""
    deal_days: Counter[int] = msgspec.field(default_factory=Counter)
    """Of the others, how many took how many days from the first sign to the first purchase."""
    stay_days: dict[Stage, Counter[int]] = msgspec.field(default_factory=dict)
    """Of stays in a stage that ended in this week, how many took how many days."""

    @property
    def desire(self) -> float | None:
        """Of a prospect at the end of the week, on average, rounded to 1 decimal; None where there is none."""
        return round(self.desire_thousandths / self.active / 1_000, 1) if self.active else None

    @property
    def median_deal_days(self) -> float | None:
        """From the first sign to the first purchase."""
        return median(self.deal_days)

    @property
    def median_stay_days(self) -> dict[Stage, float]:
        """In each stage that somebody left in this week."""
        return {stage: found for stage, days in self.stay_days.items() if (found := median(days)) is not None}


class Weeks:
    """Consecutive weeks, each from what its parties did up to its end: no later fact says anything of it."""

    def __init__(self, monday: int, count: int, desire: Desire, until: int | None = None) -> None:
        """So many weeks from a Monday (ordinal) on; `desire` says how much prospects want to buy.

        The last one ends with the day `until`, where that comes before its Sunday: the rest of it is not known.
        """
        self._desire = desire
        sunday = monday + 7 * count - 1
        days = range(monday, sunday, 7)
        self._lasts = [min(day + 6, sunday if until is None else until) for day in days]
        self.weeks = [Week(day, last) for day, last in zip(days, self._lasts, strict=True)]

    def take(self, turns: Sequence[Turn], signs: Sequence[Sign], purchase_days: Sequence[int]) -> None:
        """One party more: its stages, each with its first day, its signs of interest and its purchase days, all rising.

        Of who becomes a prospect in these weeks all stages are needed, of others those that last into the weeks.
        """
        self._became(turns)
        self._stayed(turns)
        self._wanted(turns, signs)
        if purchase_days and (week := self._of(purchase_days[0])):
            week.bought += 1
            if signs and signs[0][0] <= purchase_days[0]:
                week.deal_days[purchase_days[0] - signs[0][0]] += 1
            else:
                week.unannounced += 1

    def _of(self, day: int) -> Week | None:
        place = (day - self.weeks[0].first) // 7
        return self.weeks[place] if 0 <= place < len(self.weeks) else None

    def _became(self, turns: Sequence[Turn]) -> None:
        first = True
        for day, stage in turns:
            if stage is Stage.PROSPECT:
                week = self._of(day)
                if week and first:
                    week.became += 1
                elif week:
                    week.again += 1
                first = False

    def _stayed(self, turns: Sequence[Turn]) -> None:
        for (begun, stage), (ended, _) in pairwise(turns):
            week = self._of(ended)
            if week and stage is not None:
                week.stay_days.setdefault(stage, Counter())[ended - begun] += 1

    def _wanted(self, turns: Sequence[Turn], signs: Sequence[Sign]) -> None:
        for place, (begun, stage) in enumerate(turns):
            if stage is not Stage.PROSPECT:
                continue
            ended = turns[place + 1][0] if place + 1 < len(turns) else self._lasts[-1] + 1
            # A week counts whose last day lies in the stay.
            for week in self.weeks[bisect_left(self._lasts, begun) : bisect_left(self._lasts, ended)]:
                low_sign = bisect_left(signs, (week.last - self._desire.window_days + 1,))
                near = signs[low_sign : bisect_right(signs, (week.last + 1,))]
                week.active += 1
                week.desire_thousandths += round(desire(near, week.last, self._desire) * 1_000)


def monday(day: int) -> int:
    """The first day of the week of a day (ordinals)."""
    return day - (day - 1) % 7
