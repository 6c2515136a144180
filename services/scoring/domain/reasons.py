"""Why a standing is what it is: enough to decide again by hand, and what would have decided otherwise."""

from collections.abc import Iterable
from datetime import date, datetime

import msgspec

from contracts.money import major
from contracts.scoring import Stage, Tier
from services.scoring.domain.calendar import Calendar, Entry
from services.scoring.domain.facts import Kind
from services.scoring.domain.history import History
from services.scoring.domain.policy import Ruling
from services.scoring.domain.tiers import Cuts


class Otherwise(msgspec.Struct, frozen=True):
    """What would hold on the same day with other purchases: `without` those of the days, or with one more."""

    without: tuple[date, ...]
    """Days whose purchases are taken away together."""
    added_minor: int | None
    """Amount, in the reporting currency, of a purchase added on the day itself."""
    stage: Stage | None
    tier: Tier | None


class Coming(msgspec.Struct, frozen=True):
    """What holds from a day on if nothing else happens."""

    day: date
    stage: Stage | None
    tier: Tier | None


class Reason(msgspec.Struct, frozen=True):
    """What decided, complete enough to decide again by hand."""

    rule: str
    last_purchase_day: date | None
    """The day that decides the stage."""
    silent_days: int | None
    dormant_after_days: int
    lost_after_days: int
    value_from: date
    """First day of the window in which turnover counts; the last is the day itself."""
    value_days: tuple[date, ...]
    """The days that decide the tier: those of the window with money."""
    value_minor: int
    cuts: Cuts
    unconverted: dict[str, int]
    """Net minor units of the window, by currency, that no rate converts and that are left out."""
    coming: Coming | None
    """The next change, if there is one."""
    otherwise: tuple[Otherwise, ...]
    policy: str
    """Name of the policy."""
    policy_hash: str
    sentence: str


def reason(calendar: Calendar, at: datetime, ruling: Ruling) -> Reason:
    """Why the standing at an instant is what it is."""
    history, day, policy = History(calendar, ruling), ruling.day(at), ruling.policy
    last, turn = history.last_purchase(day), history.next_turn(day)
    window = range(day - policy.turnover_days + 1, day + 1)
    unconverted: dict[str, int] = {}
    for (of_day, currency), amount in history.unconverted.items():
        if of_day in window:
            unconverted[currency] = unconverted.get(currency, 0) + amount
    coming = None if turn is None else Coming(date.fromordinal(turn), history.stage(turn), history.tier(turn))
    return Reason(
        rule=_RULES[history.stage(day)],
        last_purchase_day=None if last is None else date.fromordinal(last),
        silent_days=None if last is None else day - last,
        dormant_after_days=policy.dormant_after_days,
        lost_after_days=policy.lost_after_days,
        value_from=date.fromordinal(window.start),
        value_days=tuple(date.fromordinal(of_day) for of_day in history.money_days if of_day in window),
        value_minor=history.value(day),
        cuts=ruling.cuts,
        unconverted=unconverted,
        coming=coming,
        otherwise=tuple(_otherwise(calendar, history, day)),
        policy=policy.name,
        policy_hash=policy.content_hash,
        sentence=_sentence(history, day, coming),
    )


def with_purchase(calendar: Calendar, day: int, amount_minor: int, currency: str) -> Calendar:
    """The calendar with one more purchase on a day."""
    return calendar + Calendar(((day, int(Kind.PURCHASE), currency, 1, amount_minor),))


def without_purchases(calendar: Calendar, days: Iterable[date]) -> Calendar:
    """The calendar without any purchase on the days."""
    gone = {day.toordinal() for day in days}
    return Calendar(tuple(entry for entry in calendar.entries if not _bought_on(entry, gone)))


def _bought_on(entry: Entry, days: set[int]) -> bool:
    return entry[1] == Kind.PURCHASE and entry[0] in days


def _otherwise(calendar: Calendar, history: History, day: int) -> Iterable[Otherwise]:
    """Without the purchases that keep the stage; with the smallest purchase that lifts the tier."""
    ruling, policy, stage = history.ruling, history.policy, history.stage(day)
    limit = {Stage.CUSTOMER: policy.dormant_after_days, Stage.DORMANT_CUSTOMER: policy.lost_after_days}
    if stage in limit:
        keeping = [of_day for of_day in history.purchase_days if day - limit[stage] <= of_day <= day]
        taken = tuple(date.fromordinal(of_day) for of_day in keeping)
        other = History(without_purchases(calendar, taken), ruling)
        yield Otherwise(taken, None, other.stage(day), other.tier(day))
    if stage is not None and ruling.rates.currency is not None:
        rungs = [least for least in (ruling.cuts.mid, ruling.cuts.high, ruling.cuts.top) if least > history.value(day)]
        amount = rungs[0] - history.value(day) if rungs else 0
        other = History(with_purchase(calendar, day, amount, ruling.rates.currency), ruling)
        yield Otherwise((), amount, other.stage(day), other.tier(day))


def _sentence(history: History, day: int, coming: Coming | None) -> str:
    stage, tier, last, policy = history.stage(day), history.tier(day), history.last_purchase(day), history.policy
    if stage is None:
        return "No fact about this party counts yet."
    if last is None:
        said = "Known, but without a purchase that counts."
    else:
        limits = f"dormant after {policy.dormant_after_days}, lost after {policy.lost_after_days}"
        currency = history.ruling.rates.currency
        worth = f"{major(history.value(day), currency)} {currency}" if currency else "nothing that can be converted"
        said = (
            f"Last bought on {date.fromordinal(last)}, {day - last} days ago ({limits}): {_words(stage)}. "
            f"Net turnover of the last {policy.turnover_days} days is {worth}: tier {_words(tier)}."
        )
    if coming is None:
        return said
    return f"{said} If nothing else happens: {_words(coming.stage)}, tier {_words(coming.tier)} from {coming.day} on."


def _words(code: Stage | Tier | None) -> str:
    return str(code).replace("_", " ")


_RULES = {
    None: "no_fact_counts",
    Stage.STRANGER: "known_without_purchase",
    Stage.CUSTOMER: "silent_days_within_dormant_after_days",
    Stage.DORMANT_CUSTOMER: "silent_days_over_dormant_after_days",
    Stage.LOST_CUSTOMER: "silent_days_over_lost_after_days",
}
