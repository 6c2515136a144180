"""How a party stands at an instant, and why."""

from datetime import date, datetime

import msgspec

from contracts.scoring import Stage, Tier
from services.scoring.domain.calendar import Calendar
from services.scoring.domain.days import start_of_day
from services.scoring.domain.history import History
from services.scoring.domain.policy import Ruling
from services.scoring.domain.tiers import Cuts


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
    next_change_at: datetime | None
    """Start of the first local day on which stage or tier would differ if nothing happened."""


class Reason(msgspec.Struct, frozen=True):
    """What decided, complete enough to decide again by hand."""

    rule: str
    last_purchase_day: date | None
    silent_days: int | None
    dormant_after_days: int
    lost_after_days: int
    value_from: date
    """First day of the window in which turnover counts; the last is the day itself."""
    value_minor: int
    cuts: Cuts
    unconverted: dict[str, int]
    """Net minor units of the window, by currency, that no rate converts and that are left out."""
    policy: str
    """Name of the policy."""
    policy_hash: str


def assess(calendar: Calendar, at: datetime, ruling: Ruling) -> Standing:
    """The standing at an instant. Facts of later local days do not count, except for `next_change_at`."""
    return standing(History(calendar, ruling), at)


def standing(history: History, at: datetime) -> Standing:
    """`assess` of a calendar that was already read."""
    day = history.ruling.day(at)
    stage, tier = history.stage(day), history.tier(day)
    turned = history.next_turn(day)
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
        next_change_at=None if turned is None else start_of_day(turned, history.ruling.zone),
    )


def reason(calendar: Calendar, at: datetime, ruling: Ruling) -> Reason:
    """Why the standing at an instant is what it is."""
    history, day, policy = History(calendar, ruling), ruling.day(at), ruling.policy
    last = history.last_purchase(day)
    window = range(day - policy.turnover_days + 1, day + 1)
    unconverted: dict[str, int] = {}
    for (of_day, currency), amount in history.unconverted.items():
        if of_day in window:
            unconverted[currency] = unconverted.get(currency, 0) + amount
    return Reason(
        rule=_RULES[history.stage(day)],
        last_purchase_day=_date(last),
        silent_days=None if last is None else day - last,
        dormant_after_days=policy.dormant_after_days,
        lost_after_days=policy.lost_after_days,
        value_from=date.fromordinal(window.start),
        value_minor=history.value(day),
        cuts=ruling.cuts,
        unconverted=unconverted,
        policy=policy.name,
        policy_hash=policy.content_hash,
    )


def _date(day: int | None) -> date | None:
    return None if day is None else date.fromordinal(day)


_RULES = {
    None: "no_fact_counts",
    Stage.STRANGER: "known_without_purchase",
    Stage.CUSTOMER: "silent_days_within_dormant_after_days",
    Stage.DORMANT_CUSTOMER: "silent_days_over_dormant_after_days",
    Stage.LOST_CUSTOMER: "silent_days_over_lost_after_days",
}
