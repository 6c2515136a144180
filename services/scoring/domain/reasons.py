"""Why a standing is what it is: enough to decide again by hand."""

from collections.abc import Mapping
from datetime import date, datetime

import msgspec

from contracts.loss import LossReason
from contracts.money import major
from contracts.scoring import Stage, Tier
from services.scoring.domain.calendar import Calendar
from services.scoring.domain.facts import DECLARATIONS, Kind
from services.scoring.domain.history import History
from services.scoring.domain.otherwise import Otherwise, otherwise
from services.scoring.domain.ruling import Ruling
from services.scoring.domain.tiers import Cuts


class Coming(msgspec.Struct, frozen=True):
    """What holds from a day on if nothing else happens."""

    day: date
    stage: Stage | None
    tier: Tier | None


class Reason(msgspec.Struct, frozen=True):
    """What decided, complete enough to decide again by hand."""

    rule: str
    last_purchase_day: date | None
    """The day that decides the stage of whoever bought."""
    last_sign_day: date | None
    """The day that decides the stage of whoever did not: the last one with a sign of interest."""
    declared_day: date | None
    """The last day on which somebody declared the party lost: a declaration counts against nothing later."""
    declared: tuple[str, ...]
    """The kinds of facts that did."""
    loss_reason: LossReason | None
    """Of a lost stage."""
    silent_days: int | None
    """Since the last purchase day or, without a purchase, since the last sign of interest."""
    active_days: int
    prospect_lost_after_days: int
    dormant_after_days: int
    lost_after_days: int
    interest: tuple[str, ...]
    """The kinds of facts that are a sign of interest."""
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
    bought, sign, turn = history.last_purchase(day), history.last_sign(day), history.next_turn(day)
    declared = history.declared.last(day)
    acted = sign if bought is None else bought
    window = range(day - policy.turnover_days + 1, day + 1)
    unconverted: dict[str, int] = {}
    for (of_day, currency), amount in history.unconverted.items():
        if of_day in window:
            unconverted[currency] = unconverted.get(currency, 0) + amount
    coming = None if turn is None else Coming(date.fromordinal(turn), history.stage(turn), history.tier(turn))
    return Reason(
        rule=_rule(history, day),
        last_purchase_day=_date(bought),
        last_sign_day=_date(sign),
        declared_day=_date(declared[0]) if declared else None,
        declared=_declared(calendar, declared[0]) if declared else (),
        loss_reason=history.loss_reason(day),
        silent_days=None if acted is None else day - acted,
        active_days=policy.persons.prospects.active_days,
        prospect_lost_after_days=policy.persons.prospects.lost_after_days,
        dormant_after_days=policy.persons.by_days.dormant_after_days,
        lost_after_days=policy.persons.by_days.lost_after_days,
        interest=policy.persons.prospects.signs,
        value_from=date.fromordinal(window.start),
        value_days=tuple(date.fromordinal(of_day) for of_day in history.money_days if of_day in window),
        value_minor=history.value(day),
        cuts=ruling.cuts,
        unconverted=unconverted,
        coming=coming,
        otherwise=tuple(otherwise(calendar, history, day)),
        policy=policy.name,
        policy_hash=policy.content_hash,
        sentence=_sentence(history, day, coming),
    )


def _declared(calendar: Calendar, day: int) -> tuple[str, ...]:
    return tuple(
        sorted({Kind(entry[1]).code for entry in calendar.entries if entry[0] == day and entry[1] in DECLARATIONS})
    )


def _rule(history: History, day: int) -> str:
    stage = history.stage(day)
    bought, sign = history.last_purchase(day), history.last_sign(day)
    declared, declined = history.declared.last(day), history.declined.last(day)
    if stage is Stage.LOST_CUSTOMER and declined and bought is not None and declined[0] > bought:
        return "declined_after_last_purchase"
    if stage is Stage.LOST_PROSPECT and declared and declared[0] >= (sign or 0):
        return "declared_lost_since_last_sign"
    return _RULES[stage]


def _sentence(history: History, day: int, coming: Coming | None) -> str:
    stage, tier = history.stage(day), history.tier(day)
    if stage is None:
        return "No fact about this party counts yet."
    said = f"{_deciding(history, day)}: {_words(stage)}{_because(history, day)}."
    if history.last_purchase(day) is not None:
        currency = history.ruling.rates.currency
        worth = f"{major(history.value(day), currency)} {currency}" if currency else "nothing that can be converted"
        said += f" Net turnover of the last {history.policy.turnover_days} days is {worth}: tier {_words(tier)}."
    if coming is None:
        return said
    return f"{said} If nothing else happens: {_words(coming.stage)}, tier {_words(coming.tier)} from {coming.day} on."


def _deciding(history: History, day: int) -> str:
    """What decides the stage, in words."""
    policy, rule = history.policy, _rule(history, day)
    bought, sign = history.last_purchase(day), history.last_sign(day)
    declared, declined = history.declared.last(day), history.declined.last(day)
    if rule == "declined_after_last_purchase" and declined:
        silence = _silence_alone(day, bought, policy.persons.by_days.lost_after_days)
        return f"Last bought on {_date(bought)}, and declined on {_date(declined[0])}{silence}"
    if bought is not None:
        by_days = policy.persons.by_days
        limits = f"dormant after {by_days.dormant_after_days}, lost after {by_days.lost_after_days}"
        return f"Last bought on {_date(bought)}, {day - bought} days ago ({limits})"
    if rule == "declared_lost_since_last_sign" and declared:
        interest = "Showed no interest" if sign is None else f"Last showed interest on {_date(sign)}"
        silence = _silence_alone(day, sign, policy.persons.prospects.lost_after_days)
        return f"{interest}, and was declared lost on {_date(declared[0])}{silence}"
    if sign is not None:
        prospects = policy.persons.prospects
        limits = f"dormant after {prospects.active_days}, lost after {prospects.lost_after_days}"
        return f"Last showed interest on {_date(sign)}, {day - sign} days ago ({limits})"
    return "Known, but without a purchase or a sign of interest that counts"


def _silence_alone(day: int, acted: int | None, lost_after_days: int) -> str:
    """Said of a declaration that silence has overtaken: without it the stage is the same."""
    if acted is None or day - acted <= lost_after_days:
        return ""
    return f" ({day - acted} days of silence would do alone, lost after {lost_after_days})"


def _because(history: History, day: int) -> str:
    reason = history.loss_reason(day)
    return "" if reason is None else f", reason {_words(reason)}"


def _words(code: Stage | Tier | LossReason | None) -> str:
    return str(code).replace("_", " ")


def _date(day: int | None) -> date | None:
    return None if day is None else date.fromordinal(day)


_RULES: Mapping[Stage | None, str] = {
    None: "no_fact_counts",
    Stage.STRANGER: "known_without_interest",
    Stage.PROSPECT: "silent_days_within_active_days",
    Stage.DORMANT_PROSPECT: "silent_days_over_active_days",
    Stage.LOST_PROSPECT: "silent_days_over_prospect_lost_after_days",
    Stage.CUSTOMER: "silent_days_within_dormant_after_days",
    Stage.DORMANT_CUSTOMER: "silent_days_over_dormant_after_days",
    Stage.LOST_CUSTOMER: "silent_days_over_lost_after_days",
}
"""What decided where no declaration did."""
