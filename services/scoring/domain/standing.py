"""How a party stands at an instant."""

from collections.abc import Mapping
from datetime import date, datetime

import msgspec

from contracts.leads import Grade
from contracts.loss import LossReason
from contracts.problems import NotFound
from contracts.scoring import Band, Posture, Stage, Tier
from services.scoring.domain.calendar import Calendar
from services.scoring.domain.days import start_of_day
from services.scoring.domain.history import History
from services.scoring.domain.lifecycle import LOST
from services.scoring.domain.ruling import Ruling


class NoStanding(NotFound):
    """No fact counts for the party at that time: it does not stand anywhere."""

    def __init__(self, when: str = "now") -> None:
        super().__init__(f"The party has no standing {when}: no fact counts for it.")


class Standing(msgspec.Struct, frozen=True):
    """Exact in every field. Stage, tier, since and all that is graded are None where no fact counts yet."""

    stage: Stage | None
    tier: Tier | None
    since: date | None
    """First local day of the stage, see `Lifecycle.since`."""
    value_minor: int
    """What the model expects of as many days as the policy's window has, in the reporting currency; without a model the
    turnover."""
    spend_minor: int
    """Gross purchases of all time, in the reporting currency."""
    purchase_days: int
    first_day: date | None
    """First purchase day."""
    last_day: date | None
    """Last purchase day."""
    last_sign_day: date | None
    """Last day with a sign of interest."""
    last_contact_day: date | None
    """Last day on which they turned to us or we reached them, whoever began."""
    loss_reason: LossReason | None
    """Why a lost party is lost; None in every other stage."""
    next_change_at: datetime | None
    """Start of the first local day on which any code below or above, or `vip`, would differ if nothing happened, or a
    number because something else is set by hand."""
    next_stage_at: datetime | None
    """Likewise of the stage alone."""
    next_stage: Stage | None
    """The stage from that day on."""
    p: float | None = None
    """Probability of a purchase within the horizon of the policy, to six decimals; None without a model or a purchase,
    unless it is set."""
    turnover_minor: int = 0
    """Net turnover of the policy's window, in the reporting currency."""
    level: str | None = None
    """The band of the turnover."""
    satisfaction: float | None = None
    """From 0 to 100, to one decimal; 50 without evidence."""
    satisfaction_band: Band | None = None
    satisfaction_evidence: float = 0.0
    """How much evidence is left, to three decimals."""
    loyalty: float | None = None
    """Likewise."""
    loyalty_band: Band | None = None
    loyalty_evidence: float = 0.0
    posture: Posture | None = None
    treatment: str | None = None
    flags: tuple[str, ...] = ()
    """Sorted codes of `high_value`, `profit_making`, `returning`, `satisfied`."""
    vip: bool = False
    potential: Grade | None = None
    """How promising a lead of theirs was last said to be; None of who bought, and where no lead was graded."""
    derived: Mapping[str, str] = {}
    """Of each field that was set by a person to something else, what would hold without; empty for nothing."""


def assess(calendar: Calendar, at: datetime, ruling: Ruling) -> Standing:
    """The standing at an instant. Facts of later local days do not count, except for `next_change_at`."""
    return standing(History(calendar, ruling), at)


def standing(history: History, at: datetime) -> Standing:
    """`assess` of a calendar that was already read."""
    day, (satisfied, loyal) = history.ruling.day(at), history.indexes
    grades, count, known = history.grades(day), history.purchases(day), history.is_known(day)
    numbers = history.numbers(day, history.set_on(day) if known else {})
    stage_turned = history.next_stage_turn(day)
    return Standing(
        stage=grades.stage,
        tier=grades.tier,
        since=_date(history.since(day)),
        value_minor=numbers.value_minor,
        spend_minor=history.spend(day),
        purchase_days=count,
        first_day=_date(history.purchase_days[0]) if count else None,
        last_day=_date(history.last_purchase(day)),
        last_sign_day=_date(history.last_sign(day)),
        last_contact_day=_date(history.last_contact(day)),
        loss_reason=history.loss_reason(day) if grades.stage in LOST else None,
        next_change_at=_start(history.next_turn(day, grades), history.ruling),
        next_stage_at=_start(stage_turned, history.ruling),
        next_stage=None if stage_turned is None else history.stage(stage_turned),
        p=numbers.p,
        turnover_minor=numbers.turnover_minor,
        level=grades.level,
        satisfaction=numbers.satisfaction_index if known else None,
        satisfaction_band=grades.satisfaction,
        satisfaction_evidence=satisfied.amount(day),
        loyalty=numbers.loyalty_index if known else None,
        loyalty_band=grades.loyalty,
        loyalty_evidence=loyal.amount(day),
        posture=grades.posture,
        treatment=grades.treatment,
        flags=grades.flags,
        vip=grades.vip,
        potential=grades.potential,
        derived=history.derived(day),
    )


def _date(day: int | None) -> date | None:
    return None if day is None else date.fromordinal(day)


def _start(day: int | None, ruling: Ruling) -> datetime | None:
    return None if day is None else start_of_day(day, ruling.zone)
