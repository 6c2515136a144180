"""The arithmetic of a trial, in processes of its own. What these import is all that they have to load."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from chassis.processes import step_back
from services.scoring.domain.calendar import Calendar
from services.scoring.domain.days import start_of_day
from services.scoring.domain.trajectory import Move
from services.scoring.domain.trials import Tally, Trial, tried

Seen = tuple[UUID, Calendar, datetime]
"""A party, what counts of its calendar, and when."""
Row = tuple[UUID, datetime, Any, Any, Any, Any, str, str]
"""Party, instant, stages and tiers from and to, kind, why."""

_asked: dict[str, tuple[Trial, bool]] = {}
"""In a process of the pool: the trial that it works for, and whether moves are kept."""


def begin_apart(trial: Trial, keeps: bool) -> None:
    """Make a process of the pool ready for a trial."""
    step_back()
    _asked["trial"] = trial, keeps


def try_apart(page: Sequence[Seen]) -> tuple[Tally, list[Row]]:
    """What parties add to the trial, and their moves where these are kept."""
    trial, keeps = _asked["trial"]
    tally: Tally = Counter()
    rows: list[Row] = []
    for party_id, calendar, at in page:
        counted, moves = tried(trial, calendar, at)
        tally.update(counted)
        if keeps:
            rows += [_row(party_id, move, why, trial) for move, why in moves]
    return tally, rows


def _row(party_id: UUID, move: Move, why: str, trial: Trial) -> Row:
    at = start_of_day(move.day.toordinal(), trial.draft.zone)
    return party_id, at, move.from_stage, move.to_stage, move.from_tier, move.to_tier, move.kind, why
