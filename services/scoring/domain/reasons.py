"""Why a standing is what it is: enough to decide again by hand."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from itertools import groupby
from math import fsum
from typing import Any, Literal

from contracts.scoring import Band, Posture, Stage, Tier
from services.scoring.domain.calendar import Calendar
from services.scoring.domain.earnings import Earned, Piece, earnings, pieces
from services.scoring.domain.evidence import Fading
from services.scoring.domain.facts import DECLARATIONS, Kind
from services.scoring.domain.grounds import (
    Bought,
    Chances,
    Coming,
    Compared,
    Contribution,
    Cost,
    DayMoney,
    Deciding,
    Fitted,
    FlagGround,
    IndexGround,
    OverrideGround,
    PostureGround,
    ProfitGround,
    Reason,
    StageGround,
    TierGround,
    TreatmentGround,
    TurnoverGround,
    VipGround,
)
from services.scoring.domain.history import History
from services.scoring.domain.model import Model
from services.scoring.domain.otherwise import changes, otherwise
from services.scoring.domain.policy import ByProbability, Index
from services.scoring.domain.reading import TOUCHING
from services.scoring.domain.rules import Comparison, comparisons
from services.scoring.domain.ruling import Ruling

TOLD = 100
"""Days of one part that are told one by one."""


def reason(calendar: Calendar, at: datetime, ruling: Ruling) -> Reason | None:
    """Why the standing at an instant is what it is; None where the party stands nowhere."""
    history, day = History(calendar, ruling), ruling.day(at)
    if not history.is_known(day):
        return None
    return _Reasoning(calendar, history, day).reason()


class _Reasoning:
    """What of one party on one day is needed by several parts of its reason."""

    def __init__(self, calendar: Calendar, history: History, day: int) -> None:
        self.calendar, self.history, self.day = calendar, history, day
        self.policy, self.ruling = history.policy, history.ruling
        self.grades = history.grades(day)
        self.derived = history.derived(day)
        self.window = range(day - self.policy.turnover_days + 1, day + 1)
        self.earned = {earned.day: earned for earned in earnings(calendar, history.ruling) if earned.day <= day}
        self.pieces = pieces(calendar, history.purchase_days, history.ruling)
        self.bought = self._bought()

    def reason(self) -> Reason:
        """All parts together."""
        history, day, policy, model = self.history, self.day, self.policy, self.ruling.model
        return Reason(
            day=date.fromordinal(day),
            kind=history.kind(day),
            currency=self.ruling.rates.currency,
            policy=policy.name,
            policy_hash=policy.content_hash,
            model=None if model is None else _fitted(model),
            bought=self.bought,
            chances=self._chances(),
            stage=self._stage(),
            turnover=self._turnover(),
            tier=self._tier(),
            satisfaction=self._index(policy.satisfaction, history.indexes[0], "satisfaction"),
            loyalty=self._index(policy.loyalty, history.indexes[1], "loyalty"),
            posture=self._posture(),
            profit=self._profit(),
            flags=self._flags(),
            vip=self._vip(),
            treatment=self._treatment(),
            overrides=self._overrides(),
            coming=self._coming(history.next_turn(day)),
            coming_stage=self._coming(history.next_stage_turn(day)),
            otherwise=tuple(otherwise(self.calendar, history, self.pieces, day)),
        )

    def _bought(self) -> Bought | None:
        days = self.history.purchase_days[: self.history.purchases(self.day)]
        if not days:
            return None
        paid = [bought for day in days if (bought := self.earned.get(day, Earned(day, 0, 0)).bought_minor) > 0]
        x, tx, T = self.history.asked(self.day, len(days))
        return Bought(
            x=x,
            tx_days=tx,
            T_days=T,
            paid_days=len(paid),
            paid_minor=sum(paid),
        )

    def _chances(self) -> Chances | None:
        model, bought, p = self.ruling.model, self.bought, self.history.p(self.day)
        if model is None or bought is None or p is None:
            return None
        x, tx, T = bought.x, bought.tx_days, bought.T_days
        return Chances(
            p_alive=model.p_alive(x, tx, T),
            horizon_days=self.policy.horizon_days,
            p=p,
            value_days=self.policy.turnover_days,
            purchases=model.expected_purchases(x, tx, T, self.policy.turnover_days),
            amount_minor=(model.expected_amount(bought.paid_days, bought.paid_minor) if self.history.expects else None),
        )

    def _stage(self) -> StageGround:
        history, day = self.history, self.day
        stages = history.stages_on(day)
        by_days, customers = stages.by_days, stages.customers
        by_model = customers if isinstance(customers, ByProbability) and self.ruling.model is not None else None
        bought, sign = history.last_purchase(day), history.last_sign(day)
        declared, declined = history.declared.last(day), history.declined.last(day)
        acted = sign if bought is None else bought
        stage = Stage(self.derived.get("stage", str(self.grades.stage)))
        by: Literal["interest", "days", "probability"] = "interest"
        if bought is not None:
            by = "days" if by_model is None else "probability"
        silent = None if acted is None else day - acted
        return StageGround(
            stage=stage,
            rule=self._rule(stage, by_model, silent),
            by=by,
            last_purchase_day=_date(bought),
            last_sign_day=_date(sign),
            declared_day=_date(declared[0]) if declared else None,
            declared=self._kinds(declared[0], DECLARATIONS) if declared else (),
            declined_day=_date(declined[0]) if declined else None,
            silent_days=silent,
            loss_reason=history.loss_reason(day),
            interest=stages.prospects.signs,
            active_days=stages.prospects.active_days,
            prospect_lost_after_days=stages.prospects.lost_after_days,
            dormant_after_days=by_days.dormant_after_days,
            lost_after_days=by_days.lost_after_days,
            fresh_days=None if by_model is None else by_model.fresh_days,
            dormant_below=None if by_model is None else by_model.dormant_below,
            lost_below=None if by_model is None else by_model.lost_below,
            facts=self._deciding(by),
        )

    def _rule(self, stage: Stage, by_model: ByProbability | None, silent: int | None) -> str:
        history, day = self.history, self.day
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

    def _deciding(self, by: str) -> Deciding:
        history, day = self.history, self.day
        bought, sign = history.purchases(day), history.last_sign(day)
        if bought:
            kinds, against = {Kind.PURCHASE, Kind.DECLINED}, history.declined.last(day)
            days = history.purchase_days[:bought] if by == "probability" else [history.purchase_days[bought - 1]]
        else:
            kinds, against = {*Kind}, history.declared.last(day)
            days = history.days[:1] if sign is None else [sign]
        if against and against[0] > days[-1]:
            days = [*days, against[0]]
        told = days[-TOLD:]
        return Deciding(
            kinds=tuple(sorted({kind for of_day in told for kind in self._kinds(of_day, kinds)})),
            days=tuple(date.fromordinal(of_day) for of_day in told),
            days_total=len(days),
        )

    def _kinds(self, day: int, of: Iterable[Kind]) -> tuple[str, ...]:
        start = date.fromordinal(day)
        entries = self.calendar.between(start, date.fromordinal(day + 1)).entries
        return tuple(sorted({Kind(entry[1]).code for entry in entries if Kind(entry[1]) in of}))

    def _turnover(self) -> TurnoverGround:
        unconverted: dict[str, int] = {}
        for (of_day, currency), amount in self.history.unconverted.items():
            if of_day in self.window:
                unconverted[currency] = unconverted.get(currency, 0) + amount
        turnover = self.history.turnover(self.day)
        return TurnoverGround(
            turnover_minor=turnover,
            window_days=self.policy.turnover_days,
            start=date.fromordinal(self.window.start),
            days=tuple(
                DayMoney(day=date.fromordinal(of_day), bought_minor=bought, returned_minor=returned)
                for of_day, bought, returned in self.earned.values()
                if of_day in self.window
            ),
            unconverted=unconverted,
            level=self.policy.level(turnover),
            levels=self.policy.levels,
        )

    def _tier(self) -> TierGround:
        by: Literal["no_purchase", "turnover", "expected"] = "expected" if self.history.expects else "turnover"
        return TierGround(
            tier=Tier(self.derived.get("tier", str(self.grades.tier))),
            by="no_purchase" if self.bought is None else by,
            value_minor=self.history.value(self.day),
            cuts=self.ruling.cuts,
        )

    def _index(self, index: Index, fading: Fading, field: str) -> IndexGround:
        told = tuple(contributions(self.pieces, index, self.day))
        return IndexGround(
            index=fading.value(self.day),
            band=Band(self.derived.get(field, getattr(self.grades, field))),
            log_odds=fsum(each.log_odds for each in told),
            evidence=fading.amount(self.day),
            min_evidence=index.min_evidence,
            low_below=index.low_below,
            high_from=index.high_from,
            half_life_days=index.half_life_days,
            contributions=told,
        )

    def _posture(self) -> PostureGround:
        trend, days = self.policy.posture, self.history.touching_days
        later = sum(self.day - trend.window_days < day <= self.day for day in days)
        earlier = sum(self.day - 2 * trend.window_days < day <= self.day - trend.window_days for day in days)
        return PostureGround(
            posture=Posture(self.derived.get("posture", str(self.grades.posture))),
            window_days=trend.window_days,
            kinds=tuple(sorted(Kind(number).code for number in TOUCHING)),
            later_days=later,
            earlier_days=earlier,
            ratio=later / earlier if earlier else None,
            developing_from=trend.developing_from,
            conservative_below=trend.conservative_below,
        )

    def _profit(self) -> ProfitGround:
        profit, turnover = self.policy.profit, self.history.turnover(self.day)
        margin = profit.of(turnover)
        costs = tuple(self._costs(profit.cost_minor))
        return ProfitGround(
            margin=profit.margin,
            turnover_minor=turnover,
            margin_minor=margin,
            costs=costs,
            profit_minor=margin - sum(cost.minor for cost in costs),
        )

    def _costs(self, prices: Mapping[str, int]) -> Iterator[Cost]:
        counts: dict[str, int] = {}
        for day, kind, _, count, _ in self.calendar.entries:
            if day in self.window and (code := Kind(kind).code) in prices:
                counts[code] = counts.get(code, 0) + count
        for code, count in sorted(counts.items()):
            yield Cost(kind=code, count=count, each_minor=prices[code], minor=prices[code] * count)

    def _flags(self) -> tuple[FlagGround, ...]:
        profit = self._profit().profit_minor
        rules: Mapping[str, tuple[str, Literal["eq", "in", "gte"], Any, Any]] = {
            "high_value": ("tier", "in", (Tier.TOP.value, Tier.HIGH.value), self.grades.tier),
            "profit_making": ("profit_minor", "gte", 1, profit),
            "returning": ("purchase_days", "gte", 2, self.history.purchases(self.day)),
            "satisfied": ("satisfaction", "eq", Band.HIGH.value, self.grades.satisfaction),
        }
        return tuple(
            FlagGround(
                flag=flag,
                by=Compared(field=field, op=op, value=value, said=said, holds=flag in self.grades.flags),
            )
            for flag, (field, op, value, said) in rules.items()
        )

    def _vip(self) -> VipGround:
        rule, grades = self.policy.vip, self.grades
        about: Mapping[str, Any] = {
            "kind": self.history.kind(self.day),
            **{field: getattr(grades, field) for field in ("stage", "tier", "satisfaction", "loyalty", "posture")},
            "turnover_minor": self.history.turnover(self.day),
            "value_minor": self.history.value(self.day),
            "spend_minor": self.history.spend(self.day),
            "purchase_days": self.history.purchases(self.day),
        }
        return VipGround(
            vip=self.derived["vip"] == "true" if "vip" in self.derived else grades.vip,
            rule=rule,
            comparisons=() if rule is None else tuple(_compared(leaf, about) for leaf in comparisons(rule)),
        )

    def _treatment(self) -> TreatmentGround:
        tier, satisfaction = Tier(str(self.grades.tier)), Band(str(self.grades.satisfaction))
        loyalty = Band(str(self.grades.loyalty))
        row = next(
            number for number, row in enumerate(self.policy.treatments, 1) if row.fits(tier, satisfaction, loyalty)
        )
        return TreatmentGround(
            treatment=self.policy.treatment(tier, satisfaction, loyalty),
            tier=tier,
            satisfaction=satisfaction,
            loyalty=loyalty,
            row=row,
            rows=self.policy.treatments[:row],
        )

    def _overrides(self) -> tuple[OverrideGround, ...]:
        return tuple(self._override(field, str(derived)) for field, derived in sorted(self.derived.items()))

    def _override(self, field: str, derived: str) -> OverrideGround:
        said = sorted(
            (
                entry[2]
                for entry in self.calendar.entries
                if entry[1] == Kind.OVERRIDDEN and entry[0] <= self.day and entry[2].split("|")[1] == field
            ),
            reverse=True,
        )
        today = date.fromordinal(self.day).isoformat()
        rows = (row.split("|") for row in said)
        set_at, _, value, until = next(row for row in rows if not row[3] or today <= row[3])
        return OverrideGround(
            field=field,
            value=value,
            derived=derived,
            set_at=datetime.fromisoformat(set_at),
            until=date.fromisoformat(until) if until else None,
        )

    def _coming(self, turn: int | None) -> Coming | None:
        if turn is None:
            return None
        then = self.history.grades(turn)
        return Coming(
            day=date.fromordinal(turn), stage=then.stage, tier=then.tier, changes=tuple(changes(self.grades, then))
        )


def contributions(pieces: Iterable[Piece], index: Index, day: int) -> list[Contribution]:
    """What evidence up to a day adds to an index, oldest first; one by one on the last hundred days that have any.

    What is older is told together by kind.
    """
    counted = [piece for piece in pieces if piece.day <= day and piece.what in index.weights]
    days = sorted({piece.day for piece in counted})
    begun = days[-TOLD] if len(days) > TOLD else 0
    alone = sorted((piece for piece in counted if piece.day >= begun), key=lambda piece: piece[:2])
    groups = [list(group) for _, group in groupby(alone, key=lambda piece: piece[:2])]
    together = sorted((piece for piece in counted if piece.day < begun), key=lambda piece: (piece.what, piece.day))
    older = [list(group) for _, group in groupby(together, key=lambda piece: piece.what)]
    return [_contribution(group, index, day) for group in older + groups]


def _contribution(pieces: list[Piece], index: Index, day: int) -> Contribution:
    what, weight = pieces[0].what, index.weights[pieces[0].what]
    faded = fsum(count * 2.0 ** (-(day - of_day) / index.half_life_days) for of_day, _, count in pieces)
    return Contribution(
        evidence=what,
        first_day=date.fromordinal(pieces[0].day),
        last_day=date.fromordinal(pieces[-1].day),
        count=sum(piece.times for piece in pieces),
        weight=weight,
        faded_count=faded,
        log_odds=weight * faded,
    )


def _compared(leaf: Comparison, about: Mapping[str, Any]) -> Compared:
    return Compared(field=leaf.field, op=leaf.op, value=leaf.value, said=about[leaf.field], holds=leaf.holds(about))


def _fitted(model: Model) -> Fitted:
    return Fitted(
        hash=model.content_hash,
        **{name: getattr(model, name) for name in Fitted.model_fields if name != "hash"},
    )


def _date(day: int | None) -> date | None:
    return None if day is None else date.fromordinal(day)


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
