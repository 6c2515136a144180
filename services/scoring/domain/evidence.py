"""What speaks for or against satisfaction and loyalty, and on which day it enters."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date

from services.scoring.domain.calendar import Entry
from services.scoring.domain.facts import CART, SURVEY, Kind
from services.scoring.domain.indexes import Evidence
from services.scoring.domain.policy import Policy

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
"""Whoever does this waits for an answer, unless it is a `CART`. A purchase is one to all but a complaint."""
COMPLAINED, REACHED, BOUGHT = int(Kind.COMPLAINED), int(Kind.REACHED), int(Kind.PURCHASE)
SOLVING = int(Kind.PROBLEM_SOLVED)


def evidence(
    entries: Sequence[Entry], purchase_days: Sequence[int], gross: Sequence[int], policy: Policy
) -> list[Piece]:
    """All evidence of a calendar, in the order of its days. `gross` is what each purchase day was worth.

    What enters on a day follows from that day and earlier ones: of any day one reads the pieces up to it.
    """
    pieces = _entering(entries, (), purchase_days, gross, policy, most=gross[0] if gross else 0)
    pieces.sort()
    return pieces


def later_evidence(
    solved: Sequence[Entry],
    since: int,
    entries: Sequence[Entry],
    purchase_days: Sequence[int],
    gross: Sequence[int],
    policy: Policy,
    most: int,
) -> list[Piece]:
    """The `evidence` of a calendar that enters on a day or later.

    `solved` are its entries of solved problems; `most` is the highest that a purchase day before was worth, of none the
    first one.
    """
    begin = since - max(policy.problem_limit_days, policy.answer_within_days) - 1
    earlier = solved[: bisect_left(solved, (begin,))]
    later = _entering(
        entries[bisect_left(entries, (begin,)) :], earlier, purchase_days, gross, policy, since, most=most
    )
    return sorted(piece for piece in later if piece[0] >= since)


def _entering(
    entries: Iterable[Entry],
    earlier: Sequence[Entry],
    purchase_days: Sequence[int],
    gross: Sequence[int],
    policy: Policy,
    since: int = 0,
    *,
    most: int,
) -> list[Piece]:
    """What enters by some entries, of purchases from a day on alone; `earlier` ones may have solved a problem."""
    # Plain numbers, looked up once: this runs for every party that an event touches.
    pieces: list[Piece] = []
    asked: list[int] = []
    complained: list[int] = []
    reached: list[int] = []
    bought: list[int] = []
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
            if kind == COMPLAINED:
                complained.append(day)
            elif detail != CART:
                asked.append(day)
        elif kind == REACHED and detail != SURVEY:
            reached.append(day)
        elif kind == BOUGHT:
            bought.append(day)
    if opened:
        solved += ((day, detail, count) for day, _, detail, count, _ in earlier)
        pieces += _overdue(opened, solved, policy.problem_limit_days)
    if asked or complained:
        within = policy.answer_within_days
        late = {*_unanswered(complained, reached, within), *_unanswered(asked, sorted(reached + bought), within)}
        pieces += ((day + within + 1, LATE, 1) for day in late)
    if len(purchase_days) > 1:
        pieces += _repeated(purchase_days, gross, since, most)
    if purchase_days:
        pieces += _anniversaries(purchase_days)
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


def _unanswered(asked: Iterable[int], answers: Sequence[int], within_days: int) -> Iterator[int]:
    for day in asked:
        place = bisect_left(answers, day)
        if place == len(answers) or answers[place] > day + within_days:
            yield day


def _repeated(purchase_days: Sequence[int], gross: Sequence[int], since: int, most: int) -> Iterator[Piece]:
    begin = bisect_left(purchase_days, since, 1)
    for day, worth in zip(purchase_days[begin:], gross[begin:], strict=True):
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
