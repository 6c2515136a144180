"""How a party stands at an instant."""

from datetime import date, datetime

import msgspec

from contracts.loss import LossReason
from contracts.problems import NotFound
from contracts.scoring import Stage, Tier
from services.scoring.domain.calendar import Calendar
from services.scoring.domain.course import earliest
from services.scoring.domain.days import start_of_day
from services.scoring.domain.history import LOST, History
from services.scoring.domain.ruling import Ruling


class NoStanding(NotFound):
    """No fact counts for the party at that time: it does not stand anywhere."""

    def __init__(self, when: str = "now") -> None:
        super().__init__(f"The party has no standing {when}: no fact counts for it.")


class Standing(msgspec.Struct, frozen=True):
    """Exact in every field. Stage, tier and since are None where no fact counts yet."""

    stage: Stage | None
    tier: Tier | None
    since: date | None
    """First local day of the stage."""
    value_minor: int
    """Net turnover of the policy's window, in the reporting currency."""
    spend_minor: int
    """Gross purchases of all time, in the reporting currency."""
    purchase_days: int
    first_day: date | None
    """First purchase day."""
    last_day: date | None
    """Last purchase day."""
    last_sign_day: date | None
    """Last day with a sign of interest."""
    loss_reason: LossReason | None
    """Why a lost party is lost; None in every other stage."""
    next_change_at: datetime | None
    """Start of the first local day on which stage or tier would differ if nothing happened."""
    next_stage_at: datetime | None
    """Likewise of the stage alone."""
    next_stage: Stage | None
    """The stage from that day on."""


def assess(calendar: Calendar, at: datetime, ruling: Ruling) -> Standing:
    """The standing at an instant. Facts of later local days do not count, except for `next_change_at`."""
    return standing(History(calendar, ruling), at)


def standing(history: History, at: datetime) -> Standing:
    """`assess` of a calendar that was already read."""
    day = history.ruling.day(at)
    stage, tier = history.stage(day), history.tier(day)
    stage_turned = history.next_stage_turn(day)
    turned = earliest(history.next_tier_turn(day, stage_turned), stage_turned)
    count = history.purchases(day)
    return Standing(
        stage=stage,
        tier=tier,
        since=_date(history.since(day)),
        value_minor=history.value(day),
        spend_minor=history.spend(day),
        purchase_days=count,
        first_day=_date(history.purchase_days[0]) if count else None,
        last_day=_date(history.last_purchase(day)),
        last_sign_day=_date(history.last_sign(day)),
        loss_reason=history.loss_reason(day) if stage in LOST else None,
        next_change_at=_start(turned, history.ruling),
        next_stage_at=_start(stage_turned, history.ruling),
        next_stage=None if stage_turned is None else history.stage(stage_turned),
    )


def _date(day: int | None) -> date | None:
    return None if day is None else date.fromordinal(day)


def _start(day: int | None, ruling: Ruling) -> datetime | None:
    return None if day is None else start_of_day(day, ruling.zone)
