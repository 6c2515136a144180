"""The two indexes once more: what is evidence on which day, and what it comes to."""

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta

from contracts.scoring import Band
from services.scoring.domain.facts import CART, SURVEY, Kind
from services.scoring.domain.indexes import Evidence, Index
from services.scoring.domain.policy import Policy

Entries = Mapping[tuple[date, Kind, str], tuple[int, int]]
"""Count and sum by local day, kind and detail."""
Piece = tuple[int, Evidence, int]
"""The day (ordinal) on which it enters, what it is, how often."""

_ANSWERS: Mapping[Kind, frozenset[Kind]] = {
    Kind.INQUIRED: frozenset({Kind.REACHED, Kind.PURCHASE}),
    Kind.CONTACTED: frozenset({Kind.REACHED, Kind.PURCHASE}),
    Kind.COMPLAINED: frozenset({Kind.REACHED}),
}
"""Of each kind that waits for an answer, what is one. Who puts something into a cart asks nothing, and who fills in a
survey is not answered."""
_COUNTED: Mapping[Kind, Evidence] = {
    Kind.COMPLAINED: Evidence.COMPLAINT,
    Kind.PRAISED: Evidence.PRAISE,
    Kind.PROBLEM_OPENED: Evidence.PROBLEM_OPENED,
    Kind.PROBLEM_SOLVED: Evidence.PROBLEM_SOLVED,
    Kind.RETURN: Evidence.RETURN,
    Kind.RATED_WELL: Evidence.RATED_WELL,
    Kind.RATED_POORLY: Evidence.RATED_POORLY,
    Kind.REFERRED: Evidence.REFERRAL,
    Kind.REFERRAL_CONVERTED: Evidence.REFERRAL_CONVERTED,
    Kind.POSTED: Evidence.PARTICIPATION,
    Kind.REPLIED: Evidence.PARTICIPATION,
    Kind.REACTED: Evidence.PARTICIPATION,
}


def pieces(entries: Entries, gross: Mapping[int, int], policy: Policy) -> list[Piece]:
    """All evidence of all days. `gross` is what each purchase day (ordinal) was worth.

    What enters on a day depends on earlier days and the day itself alone, so that of any day one reads those up to it.
    """
    counted = [
        (day.toordinal(), _COUNTED[kind], count) for (day, kind, _), (count, _) in entries.items() if kind in _COUNTED
    ]
    return [*counted, *_of_purchases(gross), *_overdue(entries, policy), *_late(entries, policy)]


def _of_purchases(gross: Mapping[int, int]) -> Iterator[Piece]:
    days, most = sorted(gross), 0
    for day in days:
        if day != days[0]:
            yield day, Evidence.REPEAT_PURCHASE, 1
            if gross[day] > most:
                yield day, Evidence.UPGRADE, 1
        most = max(most, gross[day])
    year = 1
    while days:
        anniversary = _years_after(date.fromordinal(days[0]), year).toordinal()
        if anniversary > days[-1] + 365:
            break
        if any(anniversary - 365 <= day < anniversary for day in days):
            yield anniversary, Evidence.ANNIVERSARY, 1
        year += 1


def _years_after(day: date, years: int) -> date:
    """Of a leap day the first of March where there is none."""
    if (day.month, day.day) == (2, 29):
        return date(day.year + years, 2, 28) + timedelta(days=1)
    return date(day.year + years, day.month, day.day)


def _overdue(entries: Entries, policy: Policy) -> Iterator[Piece]:
    solvings: dict[str, list[tuple[date, int]]] = {}
    for (day, kind, of), (count, _) in entries.items():
        if kind is Kind.PROBLEM_SOLVED:
            solvings.setdefault(of, []).append((day, count))
    for (opened, kind, _), (count, _) in entries.items():
        if kind is Kind.PROBLEM_OPENED:
            last = opened + timedelta(days=policy.problem_limit_days)
            solved = sum(times for day, times in solvings.get(opened.isoformat(), ()) if day <= last)
            if solved < count:
                yield last.toordinal() + 1, Evidence.PROBLEM_OVERDUE, count - solved


def _late(entries: Entries, policy: Policy) -> Iterator[Piece]:
    done = {(day, kind) for day, kind, detail in entries if (kind, detail) != (Kind.REACHED, SURVEY)}
    late = set()
    for day, asking, detail in entries:
        answers = _ANSWERS.get(asking)
        if answers is None or (asking is Kind.INQUIRED and detail == CART):
            continue
        in_time = [day + timedelta(days=n) for n in range(policy.answer_within_days + 1)]
        if not any((on, answer) in done for on in in_time for answer in answers):
            late.add(day.toordinal() + policy.answer_within_days + 1)
    for enters in late:
        yield enters, Evidence.LATE_ANSWER, 1


class Fading:
    """One index of one party. What it is worth on a day follows from the pieces up to that day alone."""

    def __init__(self, index: Index, all_pieces: Iterable[Piece]) -> None:
        self.index = index
        self._pieces = sorted(piece for piece in all_pieces if piece[1] in index.weights)
        self._days = sorted({day for day, _, _ in self._pieces})
        self._known: tuple[int, float, float] | None = None

    @property
    def last_day(self) -> int | None:
        """The last day on which anything enters."""
        return self._days[-1] if self._days else None

    def evidence(self, day: int) -> float:
        """How much evidence is left on a day, to three decimals."""
        since, _, amount = self._on_last_day(day)
        return _rounded(amount * self._left(day - since), 3)

    def value(self, day: int) -> float:
        """The index on a day, from 0 to 100, to one decimal."""
        since, log_odds, _ = self._on_last_day(day)
        said = log_odds * self._left(day - since)
        if abs(said) > 700:
            return 100.0 if said > 0 else 0.0
        return _rounded(100 / (1 + math.exp(-said)), 1)

    def band(self, day: int) -> Band:
        """The band on a day."""
        if self.evidence(day) < self.index.min_evidence:
            return Band.UNKNOWN
        return self._of(self.value(day))

    def stays(self, day: int) -> bool:
        """Whether the band stays for ever if nothing enters after the day.

        Evidence only fades: what is unknown stays so. Where none is asked for the index only nears 50, so that its band
        stays if it is already that of 50. Anything else becomes unknown one day.
        """
        if self.evidence(day) < self.index.min_evidence:
            return True
        return self.index.min_evidence == 0 and self._of(self.value(day)) is self._of(50.0)

    def _of(self, value: float) -> Band:
        if value < self.index.low_below:
            return Band.LOW
        return Band.HIGH if value >= self.index.high_from else Band.MIDDLE

    def _left(self, days: int) -> float:
        return math.pow(2.0, -days / self.index.half_life_days)

    def _on_last_day(self, day: int) -> tuple[int, float, float]:
        """The last day up to one on which something entered, and log-odds and evidence on it."""
        place = bisect_right(self._days, day)
        last = self._days[place - 1] if place else day
        if self._known is None or self._known[0] != last:
            left = [(what, count * self._left(last - day)) for day, what, count in self._pieces if day <= last]
            log_odds = math.fsum(self.index.weights[what] * amount for what, amount in left)
            self._known = last, log_odds, math.fsum(amount for _, amount in left)
        return self._known


def _rounded(value: float, decimals: int) -> float:
    """Rounded from what is the same in whatever order a sum is made, which the ninth decimal is."""
    return round(round(value, 9), decimals)
