"""What speaks for or against satisfaction and loyalty on which day, and what it comes to on any other.

index(day) = 100 * sigmoid(sum over earlier days and the day itself of weight * count * 2^(-age / half-life))
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from math import exp, exp2, log, log2

from contracts.scoring import Band
from services.scoring.domain.calendar import Entry
from services.scoring.domain.facts import Kind
from services.scoring.domain.indexes import Evidence
from services.scoring.domain.policy import Index, Policy

Piece = tuple[int, int, int]
"""The day (ordinal) on which it enters, its place in `Evidence`, how often."""

PLACES: Mapping[Evidence, int] = {what: place for place, what in enumerate(Evidence)}
REPEATED, UPGRADE, ANNIVERSARY, OVERDUE, LATE, OPENED, SOLVED = (
    PLACES[what]
    for what in (
        Evidence.REPEAT_PURCHASE,
        Evidence.UPGRADE,
        Evidence.ANNIVERSARY,
        Evidence.PROBLEM_OVERDUE,
        Evidence.LATE_ANSWER,
        Evidence.PROBLEM_OPENED,
        Evidence.PROBLEM_SOLVED,
    )
)

NOISE = 9
"""Decimals that are exact whatever the order in which a sum was made; what is shown is rounded from these."""
NEVER = 10_000_000
"""Days that do not come."""
FARTHEST = 36_500
"""So many days ahead it is looked for what fades."""
YEAR = 365
"""Days before an anniversary within which there was a purchase."""

COUNTED: Mapping[int, Evidence] = {
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
"""Kinds of facts that are evidence as they are, each fact once."""
PLACE_OF_KIND = {int(kind): PLACES[what] for kind, what in COUNTED.items()}
ASKING = frozenset({int(Kind.INQUIRED), int(Kind.CONTACTED), int(Kind.COMPLAINED)})
"""Whoever does this waits for an answer."""
REACHED = int(Kind.REACHED)


def evidence(
    entries: Iterable[Entry], purchase_days: Sequence[int], gross: Sequence[int], policy: Policy
) -> list[Piece]:
    """All evidence of a calendar, in the order of its days. `gross` is what each purchase day was worth.

    What enters on a day follows from that day and earlier ones: of any day one reads the pieces up to it.
    """
    # Plain numbers, looked up once: this runs for every party that an event touches.
    pieces: list[Piece] = []
    asked: list[int] = []
    reached: list[int] = []
    opened: Counter[int] = Counter()
    solved: list[tuple[int, str, int]] = []
    for day, kind, detail, count, _ in entries:
        place = PLACE_OF_KIND.get(kind)
        if place is not None:
            pieces.append((day, place, count))
            if place == OPENED:
                opened[day] += count
            elif place == SOLVED:
                solved.append((day, detail, count))
        if kind in ASKING:
            asked.append(day)
        elif kind == REACHED:
            reached.append(day)
    if opened:
        pieces += _overdue(opened, solved, policy.problem_limit_days)
    if asked:
        pieces += _late(asked, reached, policy.answer_within_days)
    if len(purchase_days) > 1:
        pieces += _repeated(purchase_days, gross)
    if purchase_days:
        pieces += _anniversaries(purchase_days)
    pieces.sort()
    return pieces


def _overdue(opened: Mapping[int, int], solved: Iterable[tuple[int, str, int]], limit_days: int) -> Iterator[Piece]:
    in_time: Counter[str] = Counter()
    for day, detail, count in solved:
        if detail and day <= date.fromisoformat(detail).toordinal() + limit_days:
            in_time[detail] += count
    for day, count in opened.items():
        left = count - in_time[date.fromordinal(day).isoformat()]
        if left > 0:
            yield day + limit_days + 1, OVERDUE, left


def _late(asked: Iterable[int], reached: Sequence[int], within_days: int) -> Iterator[Piece]:
    for day in dict.fromkeys(asked):
        place = bisect_left(reached, day)
        if place == len(reached) or reached[place] > day + within_days:
            yield day + within_days + 1, LATE, 1


def _repeated(purchase_days: Sequence[int], gross: Sequence[int]) -> Iterator[Piece]:
    most = gross[0]
    for day, worth in zip(purchase_days[1:], gross[1:], strict=True):
        yield day, REPEATED, 1
        if worth > most:
            yield day, UPGRADE, 1
            most = worth


def _anniversaries(purchase_days: Sequence[int]) -> Iterator[Piece]:
    first, end = date.fromordinal(purchase_days[0]), purchase_days[-1] + YEAR
    for year in range(first.year + 1, date.max.year + 1):
        day = _in_year(first, year).toordinal()
        if day > end:
            return
        place = bisect_left(purchase_days, day)
        if purchase_days[place - 1] >= day - YEAR:
            yield day, ANNIVERSARY, 1


def _in_year(day: date, year: int) -> date:
    """The same day of another year; of a leap day the first of March where there is none."""
    leap = (day.month, day.day) == (2, 29) and not (year % 4 == 0 and (year % 100 != 0 or year % 400 == 0))
    return date(year, 3, 1) if leap else day.replace(year=year)


class Fading:
    """One index of one party: running sums over the days on which evidence enters, faded to the day that is asked."""

    __slots__ = ("_amounts", "_log_odds", "days", "index")

    def __init__(self, pieces: Sequence[Piece], index: Index) -> None:
        self.index = index
        self.days: list[int] = []
        """The days on which evidence enters."""
        self._log_odds: list[float] = []
        self._amounts: list[float] = []
        if pieces:
            self._sum(pieces)

    def _sum(self, pieces: Iterable[Piece]) -> None:
        weights, half_life_days = self.index.by_place, self.index.half_life_days
        days, sums, amounts = self.days, self._log_odds, self._amounts
        log_odds = amount = 0.0
        before = 0
        for day, place, count in pieces:
            weight = weights[place]
            if weight is None:
                continue
            if day != before:
                if before:
                    days.append(before)
                    sums.append(log_odds)
                    amounts.append(amount)
                    left = exp2((before - day) / half_life_days)
                    log_odds *= left
                    amount *= left
                before = day
            log_odds += weight * count
            amount += count
        if before:
            days.append(before)
            sums.append(log_odds)
            amounts.append(amount)

    def value(self, day: int) -> float:
        """The index on a day, from 0 to 100, to one decimal; 50 without evidence."""
        place = bisect_right(self.days, day) - 1
        if place < 0:
            return 50.0
        said = self._log_odds[place] * self._left(day - self.days[place])
        return round(round(100.0 * _sigmoid(said), NOISE), 1)

    def amount(self, day: int) -> float:
        """How much evidence is left on a day, to three decimals."""
        place = bisect_right(self.days, day) - 1
        if place < 0:
            return 0.0
        return round(round(self._amounts[place] * self._left(day - self.days[place]), NOISE), 3)

    def band(self, day: int) -> Band:
        """Where the index lies on a day; unknown where too little evidence is left."""
        index = self.index
        if self.amount(day) < index.min_evidence:
            return Band.UNKNOWN
        value = self.value(day)
        if value < index.low_below:
            return Band.LOW
        return Band.HIGH if value >= index.high_from else Band.MIDDLE

    def fades(self, day: int, until: int) -> int | None:
        """The first day between two on which the band is another, where no evidence enters; None where it stays."""
        begun = self.band(day)
        place = bisect_right(self.days, day) - 1
        if place < 0 or begun is Band.UNKNOWN or until - day <= 1:
            return None

        def faded(day: int) -> bool:
            return self.band(day) is not begun

        # Looked for about the day that exact arithmetic gives; the rounded one decides.
        low, high = day + 1, until
        likely = self.days[place] + self._lasts(place, begun)
        for near in (likely - 1, likely + 2):
            if low <= near < high:
                low, high = (low, near) if faded(near) else (near + 1, high)
        found = bisect_left(range(high), True, low, high, key=faded)
        return found if found < until else None

    def _lasts(self, place: int, band: Band) -> int:
        """About how many days after an entry of evidence the band ends; `NEVER` where it does not."""
        index, said = self.index, abs(self._log_odds[place])
        left = index.min_evidence / self._amounts[place]
        if band is not Band.MIDDLE:
            share = (index.high_from if band is Band.HIGH else index.low_below) / 100
            left = max(left, abs(log(share / (1 - share))) / said if said else 0.0)
        return int(index.half_life_days * -log2(left)) if left else NEVER

    def _left(self, days: int) -> float:
        return exp2(-days / self.index.half_life_days)


def _sigmoid(log_odds: float) -> float:
    if log_odds >= 0:
        return 1 / (1 + exp(-log_odds))
    return exp(max(log_odds, -700.0)) / (1 + exp(max(log_odds, -700.0)))
