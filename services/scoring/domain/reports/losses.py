"""Why parties were lost, and to whom."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import TypeAlias

from contracts.loss import LossReason
from contracts.scoring import Stage
from services.scoring.domain.lifecycle import LOST
from services.scoring.domain.reports.purchases import month
from services.scoring.domain.trajectory import Move

UNNAMED = "unknown"
"""A competitor whose name nobody told."""
Told: TypeAlias = Callable[[Move], int | None]
"""The day (ordinal) of the declaration that says why a move lost somebody; None where nobody did since the last act."""


class Losses:
    """Moves to a lost stage from one day up to and including another, by month, stage and reason."""

    def __init__(self, since: date, until: date) -> None:
        self.since, self.until = since, until
        self.count: Counter[tuple[date, Stage, LossReason]] = Counter()
        self.value_minor: Counter[tuple[date, Stage, LossReason]] = Counter()

    def take(self, moves: Iterable[Move]) -> None:
        """One party more, by its moves in order."""
        for move in lost_between(moves, self.since, self.until):
            assert move.to_stage is not None
            key = month(move.day.toordinal()), move.to_stage, move.loss_reason or LossReason.UNKNOWN
            self.count[key] += 1
            self.value_minor[key] += move.value_minor


class Defections:
    """Moves to a lost stage because of a competitor, by month, competitor and segment."""

    def __init__(self, since: date, until: date) -> None:
        self.since, self.until = since, until
        self.count: Counter[tuple[date, str, str]] = Counter()
        self.value_minor: Counter[tuple[date, str, str]] = Counter()

    def take(
        self, moves: Iterable[Move], competitors: Mapping[int, str], told: Told, segment: Callable[[Move], str]
    ) -> None:
        """One party more, by its moves in order; `competitors` has who was named on a day (ordinal)."""
        for move in lost_between(moves, self.since, self.until):
            if move.loss_reason is not LossReason.COMPETITOR:
                continue
            said_on = told(move)
            to = UNNAMED if said_on is None else competitors.get(said_on, UNNAMED)
            key = month(move.day.toordinal()), to, segment(move)
            self.count[key] += 1
            self.value_minor[key] += move.value_minor


def lost_between(moves: Iterable[Move], since: date, until: date) -> Iterable[Move]:
    """The moves that lost somebody who was not lost before, from one day up to and including another."""
    return (
        move for move in moves if move.to_stage in LOST and move.from_stage not in LOST and since <= move.day <= until
    )
