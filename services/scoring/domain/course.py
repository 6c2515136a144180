"""How long what somebody does keeps them: the same course for interest as for purchases."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from enum import Enum
from itertools import pairwise


class Phase(Enum):
    """Where somebody is in a course."""

    ACTIVE = 1
    DORMANT = 2
    LOST = 3


class Course:
    """Days (ordinals) of acts, each of which makes active, and of ends, each of which loses; none is both.

    In between silence alone decides. An act after an end begins anew.
    """

    __slots__ = ("_runs", "acts", "dormant_in", "ends", "lost_in")

    def __init__(
        self, acts: Sequence[int], ends: Sequence[int], *, dormant_after_days: int, lost_after_days: int
    ) -> None:
        self.acts = acts
        self.ends = ends
        self.dormant_in = dormant_after_days + 1
        """Days from an act to the first dormant one."""
        self.lost_in = lost_after_days + 1
        self._runs: list[int] | None = None

    def phase(self, day: int, known: int) -> Phase | None:
        """The phase on a day, if nothing happened after the day `known`; None before anything happened."""
        act = last(self.acts, known)
        end = last(self.ends, known) if self.ends else None
        if act is None:
            return None if end is None else Phase.LOST
        if (end is not None and end > act) or day - act >= self.lost_in:
            return Phase.LOST
        return Phase.DORMANT if day - act >= self.dormant_in else Phase.ACTIVE

    def since(self, day: int) -> int | None:
        """The first day of the phase that holds on the day."""
        act = last(self.acts, day)
        match self.phase(day, day):
            case None:
                return None
            case Phase.ACTIVE:
                return last(self._run_starts(), day)
            case Phase.DORMANT:
                return None if act is None else act + self.dormant_in
            case Phase.LOST:
                end = following(self.ends, 0 if act is None else act)
                silent = None if act is None else act + self.lost_in
                return earliest(end, silent)

    def next_turn(self, day: int) -> int | None:
        """The first later day with another phase, as far as it is known; None if it stays for ever."""
        act, end = following(self.acts, day), following(self.ends, day)
        match self.phase(day, day):
            case None:
                return earliest(act, end)
            case Phase.LOST:
                return act
            case Phase.DORMANT:
                before = last(self.acts, day)
                return earliest(None if before is None else before + self.lost_in, earliest(act, end))
            case Phase.ACTIVE:
                # Before the next run begins, this one has ended: by silence, or by an end on the way.
                next_run = following(self._run_starts(), day)
                final = self.acts[-1] if next_run is None else self.acts[bisect_left(self.acts, next_run) - 1]
                return earliest(final + self.dormant_in, end)

    def _run_starts(self) -> list[int]:
        """The acts that made active who was not; who acts on the very day of turning dormant never was."""
        if self._runs is None:
            self._runs = list(self.acts[:1])
            for before, after in pairwise(self.acts):
                if after - before > self.dormant_in or self._ended_between(before, after):
                    self._runs.append(after)
        return self._runs

    def _ended_between(self, before: int, after: int) -> bool:
        end = following(self.ends, before) if self.ends else None
        return end is not None and end < after


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
