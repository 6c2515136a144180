"""Why a party is in its stage."""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Literal

from contracts.loss import LossReason
from contracts.scoring import Stage
from services.scoring.domain.facts import DECLARATIONS, Kind
from services.scoring.domain.reasons.ground import Ground, Subject, told
from services.scoring.domain.stages import ByProbability

TOLD = 100
"""Days that are told one by one."""


class Deciding(Ground):
    """Facts that decide."""

    kinds: tuple[str, ...]
    days: tuple[date, ...]
    """The days on which they lie, at most the last hundred."""
    days_total: int
    """How many days there are."""


class StageGround(Ground):
    """What decided the stage."""

    stage: Stage
    """What the facts give."""
    rule: str
    by: Literal["interest", "days", "probability"]
    """What decides unless a declaration does: the days since the last sign of interest, those since the last purchase
    day, or the probability of another purchase."""
    last_purchase_day: date | None
    """The day that decides the stage of whoever bought."""
    last_sign_day: date | None
    """The day that decides the stage of whoever did not: the last one with a sign of interest."""
    declared_day: date | None
    """The last day on which somebody declared the party lost: a declaration counts against nothing later."""
    declared: tuple[str, ...]
    """The kinds of facts that did."""
    declared_reason: LossReason | None
    """The reason that they gave."""
    declined_day: date | None
    """The last day on which the party itself declined, which alone loses whoever bought."""
    declined_reason: LossReason | None
    """The reason that it gave."""
    silent_days: int | None
    """Since the last purchase day or, without a purchase, since the last sign of interest."""
    loss_reason: LossReason | None
    """Of a lost stage, what the facts give."""
    interest: tuple[str, ...]
    """The kinds of facts that are a sign of interest."""
    active_days: int
    """Without a purchase: dormant after more silent days than these."""
    prospect_lost_after_days: int
    """Without a purchase: lost after more silent days than these."""
    dormant_after_days: int
    """With a purchase, by days: dormant after more silent days than these."""
    lost_after_days: int
    """With a purchase, by days: lost after more silent days than these."""
    fresh_days: int | None
    """With a purchase, by probability: a customer in any case up to so many silent days; None where days decide."""
    dormant_below: float | None
    """With a purchase, by probability: dormant below this."""
    lost_below: float | None
    """With a purchase, by probability: lost below this."""
    facts: Deciding


def stage_ground(of: Subject) -> StageGround:
    """What decided the stage."""
    history, day = of.history, of.day
    stages = history.stages_on(day)
    by_days, customers = stages.by_days, stages.customers
    by_model = customers if isinstance(customers, ByProbability) and of.ruling.model is not None else None
    bought, sign = history.last_purchase(day), history.last_sign(day)
    declared, declined = history.declared.last(day), history.declined.last(day)
    acted = sign if bought is None else bought
    stage = Stage(of.follows("stage"))
    by: Literal["interest", "days", "probability"] = "interest"
    if bought is not None:
        by = "days" if by_model is None else "probability"
    silent = None if acted is None else day - acted
    return StageGround(
        stage=stage,
        rule=_rule(of, stage, by_model, silent),
        by=by,
        last_purchase_day=told(bought),
        last_sign_day=told(sign),
        declared_day=told(declared[0]) if declared else None,
        declared=_kinds(of, declared[0], DECLARATIONS) if declared else (),
        declared_reason=declared[1] if declared else None,
        declined_day=told(declined[0]) if declined else None,
        declined_reason=declined[1] if declined else None,
        silent_days=silent,
        loss_reason=history.reason_of(stage, day),
        interest=stages.prospects.signs,
        active_days=stages.prospects.active_days,
        prospect_lost_after_days=stages.prospects.lost_after_days,
        dormant_after_days=by_days.dormant_after_days,
        lost_after_days=by_days.lost_after_days,
        fresh_days=None if by_model is None else by_model.fresh_days,
        dormant_below=None if by_model is None else by_model.dormant_below,
        lost_below=None if by_model is None else by_model.lost_below,
        facts=_deciding(of, by),
    )


def _rule(of: Subject, stage: Stage, by_model: ByProbability | None, silent: int | None) -> str:
    history, day = of.history, of.day
    bought, sign = history.last_purchase(day), history.last_sign(day)
    declared, declined = history.declared.last(day), history.declined.last(day)
    if bought is not None and declined and declined[0] > bought:
        return "declined_after_last_purchase"
    if bought is None and declared and declared[0] >= (sign or 0):
        return "declared_lost_since_last_sign"
    if bought is None or by_model is None:
        return _BY_DAYS[stage]
    if silent is not None and silent <= by_model.fresh_days:
        return "silent_days_within_fresh_days"
    return _BY_PROBABILITY[stage]


def _deciding(of: Subject, by: str) -> Deciding:
    history, day, bought = of.history, of.day, of.bought
    sign = history.last_sign(day)
    if bought:
        kinds, against = {Kind.PURCHASE, Kind.DECLINED}, history.declined.last(day)
        days = history.purchase_days[:bought] if by == "probability" else [history.purchase_days[bought - 1]]
    else:
        signs = {*Kind} if sign is None else {*map(Kind, history.stages.prospects.sign_numbers)}
        kinds, against = signs | DECLARATIONS, history.declared.last(day)
        days = history.days[:1] if sign is None else [sign]
    if against and against[0] > days[-1]:
        days = [*days, against[0]]
    shown = days[-TOLD:]
    return Deciding(
        kinds=tuple(sorted({kind for of_day in shown for kind in _kinds(of, of_day, kinds)})),
        days=tuple(date.fromordinal(of_day) for of_day in shown),
        days_total=len(days),
    )


def _kinds(of: Subject, day: int, among: Iterable[Kind]) -> tuple[str, ...]:
    entries = of.calendar.between(date.fromordinal(day), date.fromordinal(day + 1)).entries
    return tuple(sorted({Kind(entry[1]).code for entry in entries if Kind(entry[1]) in among}))


_BY_DAYS: Mapping[Stage, str] = {
    Stage.STRANGER: "known_without_interest",
    Stage.PROSPECT: "silent_days_within_active_days",
    Stage.DORMANT_PROSPECT: "silent_days_over_active_days",
    Stage.LOST_PROSPECT: "silent_days_over_prospect_lost_after_days",
    Stage.CUSTOMER: "silent_days_within_dormant_after_days",
    Stage.DORMANT_CUSTOMER: "silent_days_over_dormant_after_days",
    Stage.LOST_CUSTOMER: "silent_days_over_lost_after_days",
}
"""What decided where neither a declaration nor a probability did."""
_BY_PROBABILITY: Mapping[Stage, str] = {
    Stage.CUSTOMER: "probability_from_dormant_below",
    Stage.DORMANT_CUSTOMER: "probability_below_dormant_below",
    Stage.LOST_CUSTOMER: "probability_below_lost_below",
}
"""What decided where a probability did."""
