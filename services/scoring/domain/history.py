"""A calendar read under a ruling: what it says of any day."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise

from contracts.scoring import Stage, Tier
from services.scoring.domain.calendar import Calendar
from services.scoring.domain.fading import FARTHEST
from services.scoring.domain.grades import Grades
from services.scoring.domain.grading import Grading

Outcome = tuple[Stage | None, Tier | None]
"""The part of a standing whose change is a move."""
NOWHERE: Outcome = (None, None)
"""No standing."""
SOON = 28
"""So many days ahead it is looked first for what changes next."""
LAST = 10_000_000
"""Behind every day."""

Fades = Callable[[int, int], int | None]
"""Gives the first day between two on which something is another than on the first of the two, if nothing happens."""


class History(Grading):
    """A graded life with its turns: the days on which it is graded otherwise if nothing else happens."""

    __slots__ = ()

    def outcome(self, day: int, known: int | None = None, set_on: int | None = None) -> Outcome:
        """Stage and tier on a day, if nothing happened after the day `known` and what is set is what was on `set_on`.

        `set_on` is `known` where it is not given, and `known` the day itself.
        """
        return self.stage(day, known, set_on), self.tier(day, known, set_on)

    def changed(self, calendar: Calendar, since: int, *, spent: bool = False) -> "History":
        """The history of a calendar that is the same on the days before one: it is read anew from that day on alone.

        Where this one is `spent` it is not asked again, and to go on takes no longer after many days.
        """
        return History(calendar, self.ruling, self, since, spent=spent)

    def next_turn(self, day: int, now: Grades | None = None) -> int | None:
        """The first later day on which any of the grades, why it is lost, or a number that is set differs if nothing
        else happens.

        None if all stay for ever.

        What fades is looked for in the `FARTHEST` days after the day; value falls in the `LONGEST` days after the last
        purchase day.
        """
        now, why, before, fading = now or self.grades(day), self.loss_reason(day), day, self._fading
        windows = None if self.overrides or self.policy.vip_by_money else self._windows(day)
        for turn, leaves in self._turns(day):
            if leaves and windows is not None and self._windows(turn) == windows:
                continue
            for faded in self._fades(before, turn, fading):
                if self.grades(faded) != now:
                    return faded
            if (
                self.grades(turn) != now
                or self.loss_reason(turn) is not why
                or (self.overrides and self.renumbered(turn))
            ):
                return turn
            before = turn
        return next((day for day in self._fades(before, day + FARTHEST + 1, fading) if self.grades(day) != now), None)

    def _windows(self, day: int) -> tuple[object, ...]:
        """All that is graded by what lies in a window, and changes as days leave it."""
        turnover = self.turnover(day)
        tier = None if self.expects else self.ruling.cuts.tier(turnover)
        return self._posture(day), self.policy.level(turnover), self.makes_profit(turnover, day), tier

    def turning_days(self, after: int | None, until: int) -> Iterator[int]:
        """The days behind one (None: from the beginning) up to another on which stage or tier may change, in order."""
        if after is None:
            after = self.days[0] - 1 if self.days else 0
        fading = (self._falls,) if self.expects else ()
        before = after
        for day in self._in_order((*self._staging(after), _later(self.money_days, self.policy.turnover_days, after))):
            if day > until:
                break
            if fading:
                yield from self._fades(before, day, fading)
                before = day
            yield day
        if fading:
            yield from self._fades(before, until + 1, fading)

    def staging_days(self, after: int | None, until: int) -> list[int]:
        """The days behind one (None: from the beginning) up to another on which the stage may change, in order."""
        if after is None:
            after = self.days[0] - 1 if self.days else 0
        return [day for day in self._in_order(self._staging(after)) if day <= until]

    def _staging(self, after: int) -> Iterator[Iterable[int]]:
        yield _later(self.days, 0, after)
        for of in (self._person, self._organisation):
            if of is not None:
                # Of the two courses most parties have one alone.
                yield from (course.silences(after) for course in (of.interest, of.purchases) if course.acts)
        if self.overrides:
            yield _later(self.overrides.boundaries, 0, after)

    def _turns(self, after: int) -> Iterator[tuple[int, bool]]:
        """The days behind one on which any of the grades may change by more than fading, in order.

        Each with whether all that happens is that days leave a window.
        """
        satisfied, loyal = self.indexes
        graded = [day for day, _ in self.graded]
        entering = (_later(days, 0, after) for days in (satisfied.days, loyal.days, graded) if days)
        happens = {day for days in (*self._staging(after), *entering) for day in days}
        window, turnover = self.policy.posture.window_days, self.policy.turnover_days
        costs = self._costs_by_day[0] if self.policy.profit.cost_minor else ()
        windows = (
            (self.touching_days, window), (self.touching_days, 2 * window), (self.money_days, turnover),
            (costs, turnover),
        )  # fmt: skip
        # The next weeks first: mostly something changes by then.
        for begin, end in pairwise((after, after + SOON, LAST)):
            leaving = {day for days, offset in windows if days for day in _later(days, offset, begin, end)}
            for day in sorted(leaving.union(day for day in happens if begin < day <= end)):
                yield day, day not in happens

    @staticmethod
    def _in_order(turning: Iterable[Iterable[int]]) -> list[int]:
        return sorted({day for days in turning for day in days})

    @staticmethod
    def _fades(before: int, turn: int, fading: Sequence[Fades]) -> Iterator[int]:
        """The days between two on which something is another than the day before, as one fading thing after another.

        In between nothing happens, so that whatever fades goes one way and no outcome of it comes back.
        """
        while turn - before > 1:
            first = turn
            for fades in fading:
                faded = fades(before, first)
                first = first if faded is None else faded
            if first == turn:
                return
            yield first
            before = first

    @property
    def _fading(self) -> Sequence[Fades]:
        satisfied, loyal = self.indexes
        # What takes least comes first: what comes behind it is looked for no farther than it has found.
        return (satisfied.fades, loyal.fades, self._falls) if self.expects else (satisfied.fades, loyal.fades)

    def _falls(self, day: int, until: int) -> int | None:
        """The first day between two on which the value is below an amount that matters, if nothing is bought."""
        if not self.has_bought(day):
            return None
        value, amounts = self.value(day), self.ruling.amounts
        place = bisect_right(amounts, value)
        if not place or self.value(until - 1) >= amounts[place - 1]:
            return None
        amount = amounts[place - 1]
        return bisect_left(range(until), True, day + 1, until - 1, key=lambda day: self.value(day) < amount)


def _later(days: Sequence[int], offset: int, after: int, until: int = LAST) -> Sequence[int]:
    if not days or days[-1] + offset <= after:
        return ()
    return [day + offset for day in days[bisect_right(days, after - offset) : bisect_right(days, until - offset)]]
