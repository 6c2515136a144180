"""From where to where parties moved, and how many stood where on the way."""

from collections import Counter
from collections.abc import Iterable
from datetime import date
from typing import NamedTuple

from contracts.scoring import Stage
from services.scoring.domain.trajectory import Move

POINTS = 13
"""Days of a trend, the day before the period and its last one among them."""


class Flow(NamedTuple):
    """Moves from a stage to another in a period; `from_stage` None is of those who became known."""

    from_stage: Stage | None
    to_stage: Stage | None
    since: date
    until: date

    def has(self, move: Move) -> bool:
        """Whether a move is one of it."""
        if move.from_stage is move.to_stage or not self.since <= move.day <= self.until:
            return False
        return move.from_stage is self.from_stage and move.to_stage is self.to_stage


class Flows:
    """Moves between stages from one day up to and including another, and who stood where at the end of days of it."""

    def __init__(self, since: date, until: date) -> None:
        self.since, self.until = since, until
        before, last = since.toordinal() - 1, until.toordinal()
        steps = min(POINTS - 1, last - before)
        self.days = sorted({before + round((last - before) * step / steps) for step in range(steps + 1)})
        self.parties = 0
        self.moved: Counter[tuple[Stage | None, Stage | None]] = Counter()
        self.stood: Counter[tuple[int, Stage]] = Counter()

    def take(self, before: Stage | None, moves: Iterable[Move]) -> None:
        """One party more: where it stood the day before the period, and its moves in the period in order."""
        self.parties += 1
        stage, place = before, 0
        for move in moves:
            if move.from_stage is move.to_stage:
                continue
            self.moved[move.from_stage, move.to_stage] += 1
            place = self._stood(stage, place, move.day.toordinal())
            stage = move.to_stage
        self._stood(stage, place, self.days[-1] + 1)

    def _stood(self, stage: Stage | None, place: int, until: int) -> int:
        while place < len(self.days) and self.days[place] < until:
            if stage is not None:
                self.stood[self.days[place], stage] += 1
            place += 1
        return place
