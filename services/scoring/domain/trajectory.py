"""The history that a calendar implies: every change of stage or tier, with its day and its kind."""

from datetime import date, datetime

import msgspec

from contracts.scoring import Cause, MoveKind, Stage, Tier
from services.scoring.domain.calendar import Calendar
from services.scoring.domain.history import History
from services.scoring.domain.policy import Ruling


class Move(msgspec.Struct, frozen=True):
    """A change of stage or tier that the history implies."""

    day: date
    cause: Cause
    """A fact of that day, or the clock."""
    kind: MoveKind
    from_stage: Stage | None
    to_stage: Stage | None
    from_tier: Tier | None
    to_tier: Tier | None
    value_minor: int


KINDS = {
    (Stage.STRANGER, Stage.CUSTOMER): MoveKind.ADVANCED,
    (Stage.CUSTOMER, Stage.DORMANT_CUSTOMER): MoveKind.FADED,
    (Stage.CUSTOMER, Stage.LOST_CUSTOMER): MoveKind.LOST,
    (Stage.DORMANT_CUSTOMER, Stage.LOST_CUSTOMER): MoveKind.LOST,
    (Stage.DORMANT_CUSTOMER, Stage.CUSTOMER): MoveKind.RETURNED,
    (Stage.LOST_CUSTOMER, Stage.CUSTOMER): MoveKind.WON_BACK,
}
"""What a change of stage means when a fact of the day or the clock makes it."""


def kind_of(before: Stage | None, after: Stage | None, cause: Cause) -> MoveKind:
    """What a change means. Only a fact and the clock can say more than that a standing was revised."""
    if before is None:
        return MoveKind.APPEARED
    if after is None:
        return MoveKind.VANISHED
    if cause not in (Cause.FACT, Cause.CLOCK):
        return MoveKind.REVISED
    return MoveKind.RETIERED if before == after else KINDS.get((before, after), MoveKind.REVISED)


def trajectory(calendar: Calendar, until: datetime, ruling: Ruling) -> list[Move]:
    """Every move up to an instant, oldest first."""
    return moves(History(calendar, ruling), None, ruling.day(until))


def moves(history: History, after: int | None, until: int) -> list[Move]:
    """The moves on the days after one day (None: from the beginning) up to and including another."""
    found = []
    stage, tier = (None, None) if after is None else (history.stage(after), history.tier(after))
    happened = set(history.days)
    for day in history.turning_days(after):
        if day > until:
            break
        then = history.stage(day), history.tier(day)
        if then == (stage, tier):
            continue
        cause = Cause.FACT if day in happened else Cause.CLOCK
        found.append(
            Move(
                day=date.fromordinal(day),
                cause=cause,
                kind=kind_of(stage, then[0], cause),
                from_stage=stage,
                to_stage=then[0],
                from_tier=tier,
                to_tier=then[1],
                value_minor=history.value(day),
            )
        )
        stage, tier = then
    return found
