"""How long what somebody does keeps them: the same course for interest as for purchases."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from enum import Enum
from itertools import pairwise

from services.scoring.domain.spans import Spans


class Phase(Enum):
    """Where somebody is in a course."""

    ACTIVE = 1
    DORMANT = 2
    LOST = 3


class Course:
    """Days (ordinals) of acts, each of which makes active, and of ends, each of which loses; none is both.

    In between silence alone decides. An act after an end begins anew.
    """

    __slots__ = ("_begun", "_runs", "_since", "acts", "ends", "spans")

    def __init__(
        self, acts: Sequence[int], ends: Sequence[int], spans: Spans, like: "Course | None" = None, since: int = 0
    ) -> None:
        """`like` is a course with the same acts, ends and spans on the days before `since`."""
        self.acts = acts
        self.ends = ends
        self.spans = spans
        self._runs: list[int] | None = None
        self._begun: list[int] = []
        """The first of the runs, where they are known: those of acts before a day."""
        self._since = 0
        if like is not None and like._runs is not None:
            self._begun, self._since = like._runs[: bisect_left(like._runs, since)], since

    def phase(self, day: int, known: int) -> Phase | None:
        """The phase on a day, if nothing happened after the day `known`; None before anything happened."""
        place = bisect_right(self.acts, known) - 1
        end = last(self.ends, known) if self.ends else None
        if place < 0:
            return None if end is None else Phase.LOST
        act = self.acts[place]
        if end is not None and end > act:
            return Phase.LOST
        silent = day - act
        if silent < self.spans.least or not _over(silent, self.spans.dormant_in(place)):
            return Phase.ACTIVE
        return Phase.LOST if _over(silent, self.spans.lost_in(place)) else Phase.DORMANT

    def since(self, day: int) -> int | None:
        """The first day of the phase that holds on the day."""
        place = bisect_right(self.acts, day) - 1
        match self.phase(day, day):
            case None:
                return None
            case Phase.ACTIVE:
                return last(self._run_starts(), day)
            case Phase.DORMANT:
                return self._after(place, self.spans.dormant_in(place))
            case Phase.LOST:
                if place < 0:
                    return following(self.ends, 0)
                return earliest(following(self.ends, self.acts[place]), self._after(place, self.spans.lost_in(place)))

    def next_turn(self, day: int) -> int | None:
        """The first later day with another phase, as far as it is known; None if it stays for ever."""
        act, end = following(self.acts, day), following(self.ends, day)
        match self.phase(day, day):
            case None:
                return earliest(act, end)
            case Phase.LOST:
                return act
            case Phase.DORMANT:
                place = bisect_right(self.acts, day) - 1
                return earliest(self._after(place, self.spans.lost_in(place)), earliest(act, end))
            case Phase.ACTIVE:
                # Before the next run begins, this one has ended: by silence, or by an end on the way.
                place = next(filter(self._left_before, self._later_runs(day)), len(self.acts)) - 1
                return earliest(self._after(place, self.spans.dormant_in(place)), end)

    def silences(self, after: int) -> Iterator[int]:
        """The days behind one on which silence makes dormant or lost, in order."""
        acts, spans = self.acts, self.spans
        for place in range(max(bisect_right(acts, after) - 1, 0), len(acts)):
            act, until = acts[place], acts[place + 1] if place + 1 < len(acts) else None
            if until is not None and until - act < spans.least:
                continue
            for day in dict.fromkeys(
                (self._after(place, spans.dormant_in(place)), self._after(place, spans.lost_in(place)))
            ):
                if day is not None and day > after and (until is None or day <= until):
                    yield day

    def _after(self, place: int, days: int | None) -> int | None:
        return None if days is None else self.acts[place] + days

    def _run_starts(self) -> list[int]:
        """The acts that made active who was not, be it that silence had its way at the start of that very day."""
        if self._runs is None:
            self._runs = self._begun or list(self.acts[:1])
            least, first = self.spans.least, max(bisect_left(self.acts, self._since) - 1, 0)
            for place, (before, after) in enumerate(pairwise(self.acts[first:]), first):
                silent = after - before >= least and _over(after - before, self.spans.dormant_in(place))
                if silent or (self.ends and self._ended_between(before, after)):
                    self._runs.append(after)
        return self._runs

    def _later_runs(self, day: int) -> Iterator[int]:
        runs = self._run_starts()
        return (bisect_left(self.acts, run) for run in runs[bisect_right(runs, day) :])

    def _left_before(self, place: int) -> bool:
        """Whether a whole day between an act and the one before it was not active."""
        before, after = self.acts[place - 1], self.acts[place]
        return _over(after - before - 1, self.spans.dormant_in(place - 1)) or self._ended_between(before, after)

    def _ended_between(self, before: int, after: int) -> bool:
        end = following(self.ends, before)
        return end is not None and end < after


def _over(silent: int, days: int | None) -> bool:
    return days is not None and silent >= days


def last(days: Sequence[int], until: int) -> int | None:
    """The last of the days up to one."""
    index = bisect_right(days, until)
    return days[index - 1] if index else None


def following(days: Sequence[int], after: int) -> int | None:
    """The first of the days behind one."""
    index = bisect_right(days, after)
    return days[index] if index < len(days) else None


def earliest(one: int | None, other: int | None) -> int | None:
    """The earlier of two days, either of which may be none."""
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)
