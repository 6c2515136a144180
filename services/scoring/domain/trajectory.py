"""The history that a calendar implies: every change of stage or tier, with its day and its kind."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from enum import StrEnum
from itertools import groupby
from typing import NamedTuple
from uuid import UUID

import msgspec

from contracts.loss import LossReason
from contracts.scoring import Cause, MoveKind, Stage, Tier
from services.scoring.domain.calendar import Calendar
from services.scoring.domain.history import NOWHERE, History, Outcome
from services.scoring.domain.ruling import Ruling


class Move(msgspec.Struct, frozen=True):
    """A change of stage or tier that the history implies."""

    day: date
    cause: Cause
    """A fact of that day, the clock, the activation of another policy or model, or what a person set."""
    kind: MoveKind
    from_stage: Stage | None
    to_stage: Stage | None
    from_tier: Tier | None
    to_tier: Tier | None
    value_minor: int
    loss_reason: LossReason | None = None
    """Of a move to a lost stage."""


def named(party_id: UUID, moves: Iterable[Move]) -> list[tuple[UUID, Move]]:
    """The moves of a party, each with a name: by its day, which tells those of one day apart by their order, rising."""
    whose = hashlib.sha256(party_id.bytes).digest()[:11]
    by_day = groupby(moves, key=lambda move: move.day.toordinal())
    return [
        (UUID(bytes=whose + day.to_bytes(4) + nth.to_bytes(1)), move)
        for day, of_day in by_day
        for nth, move in enumerate(of_day)
    ]


class Regrading(StrEnum):
    """What a change of neither stage nor tier means."""

    REGRADED = "regraded"
    """Another band, level, treatment, posture or flag, or another reason of a loss."""


KINDS: Mapping[tuple[Stage, Stage | None], MoveKind] = {
    (Stage.STRANGER, Stage.PROSPECT): MoveKind.ADVANCED,
    (Stage.STRANGER, Stage.LOST_PROSPECT): MoveKind.LOST,
    (Stage.PROSPECT, Stage.DORMANT_PROSPECT): MoveKind.FADED,
    (Stage.PROSPECT, Stage.LOST_PROSPECT): MoveKind.LOST,
    (Stage.DORMANT_PROSPECT, Stage.LOST_PROSPECT): MoveKind.LOST,
    (Stage.DORMANT_PROSPECT, Stage.PROSPECT): MoveKind.RETURNED,
    (Stage.LOST_PROSPECT, Stage.PROSPECT): MoveKind.REVIVED,
    (Stage.STRANGER, Stage.CUSTOMER): MoveKind.ADVANCED,
    (Stage.PROSPECT, Stage.CUSTOMER): MoveKind.ADVANCED,
    (Stage.DORMANT_PROSPECT, Stage.CUSTOMER): MoveKind.ADVANCED,
    (Stage.LOST_PROSPECT, Stage.CUSTOMER): MoveKind.ADVANCED,
    (Stage.CUSTOMER, Stage.DORMANT_CUSTOMER): MoveKind.FADED,
    (Stage.CUSTOMER, Stage.LOST_CUSTOMER): MoveKind.LOST,
    (Stage.DORMANT_CUSTOMER, Stage.LOST_CUSTOMER): MoveKind.LOST,
    (Stage.DORMANT_CUSTOMER, Stage.CUSTOMER): MoveKind.RETURNED,
    (Stage.LOST_CUSTOMER, Stage.CUSTOMER): MoveKind.WON_BACK,
}
"""What a change of stage means when a fact of the day or the clock makes it; neither makes any other."""


def kind_of(before: Stage | None, after: Stage | None, cause: Cause) -> MoveKind:
    """What a change means. Only a fact and the clock can say more than that a standing was revised."""
    if before is None:
        return MoveKind.APPEARED
    if after is None:
        return MoveKind.VANISHED
    if cause not in (Cause.FACT, Cause.CLOCK):
        return MoveKind.REVISED
    return MoveKind.RETIERED if before == after else KINDS.get((before, after), MoveKind.REVISED)


class Activation(NamedTuple):
    """A ruling that holds from an instant on."""

    at: datetime
    ruling: Ruling


def trajectory(
    calendar: Calendar, until: datetime, ruling: Ruling, activations: Sequence[Activation] = ()
) -> list[Move]:
    """Every move up to an instant, oldest first.

    `ruling` counts from the beginning, each later one from its instant on; `activations` are in the order of time.
    What a day brings counts before what is activated during it.
    """
    history, after, before = History(calendar, ruling), None, ruling
    found: list[Move] = []
    for at, activated in activations:
        if at > until:
            break
        day = ruling.day(at)
        found += moves(history, after, day)
        outcome = history.outcome(day)
        history, after = History(calendar, activated), day
        if history.outcome(day) != outcome:
            found.append(_move(history, day, outcome, activated.cause_after(before)))
        before = activated
    return found + moves(history, after, ruling.day(until))


def worth_over_time(
    calendar: Calendar, until: datetime, ruling: Ruling, points: int
) -> list[tuple[int, int, Stage | None]]:
    """Day (ordinal), value and stage on so many days, evenly spread from the first that is known up to an instant."""
    history, last = History(calendar, ruling), ruling.day(until)
    first = min(history.days[0], last) if history.days else last
    days = sorted({first + round((last - first) * step / (points - 1)) for step in range(points)})
    return [(day, history.worth(day), history.stage(day)) for day in days]


def moves(history: History, after: int | None, until: int) -> list[Move]:
    """The moves on the days after one day (None: from the beginning) up to and including another.

    A day begins with what the clock does; then come its facts, and at last what is set for it.
    """
    found: list[Move] = []
    outcome = NOWHERE if after is None else history.outcome(after)
    for day in history.turning_days(after, until):
        outcome = _take_day(history, day, outcome, found)
    return found


def stage_moves(history: History, after: int | None, until: int) -> list[Move]:
    """Of the moves those of the days on which the stage changes, also there and back. Other days are not valued."""
    found: list[Move] = []
    for day in history.staging_days(after, until):
        before = history.stage(day - 1)
        steps = history.stage(day, day - 1), history.stage(day, set_on=day - 1), history.stage(day)
        if any(step is not before for step in steps):
            _take_day(history, day, history.outcome(day - 1), found)
    return found


def _take_day(history: History, day: int, before: Outcome, found: list[Move]) -> Outcome:
    """Add the moves of a day behind those before it; where it ends."""
    then = history.outcome(day)
    quiet = not history.happened(day)
    unset = history.outcome(day, set_on=day - 1) if history.overrides else then
    silent = unset if quiet else history.outcome(day, known=day - 1)
    if silent != before:
        found.append(_move(history, day, before, Cause.CLOCK, known=day - 1))
    if unset != silent:
        found.append(_move(history, day, silent, Cause.FACT, set_on=day - 1))
    if then != unset:
        found.append(_move(history, day, unset, Cause.OVERRIDE))
    return then


def _move(
    history: History, day: int, before: Outcome, cause: Cause, known: int | None = None, set_on: int | None = None
) -> Move:
    stage, tier = history.outcome(day, known, set_on)
    return Move(
        day=date.fromordinal(day),
        cause=cause,
        kind=kind_of(before[0], stage, cause),
        from_stage=before[0],
        to_stage=stage,
        from_tier=before[1],
        to_tier=tier,
        value_minor=history.worth(day, known, set_on),
        loss_reason=history.loss_reason(day, known, set_on),
    )
