"""The days of a party one after the other, in the second implementation: what each leaves, and where it puts them."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import TYPE_CHECKING

from contracts.customers import PartyKind
from contracts.loss import LossReason
from contracts.scoring import Band, Posture, Stage, Tier
from services.scoring.domain.facts import Kind
from services.scoring.domain.plain_indexes import Entries, Fading, pieces
from services.scoring.domain.plain_model import plain_probability, plain_value
from services.scoring.domain.policy import ByProbability, Policy, Stages
from services.scoring.domain.rules import All, AnyOf, Comparison, Not, Rule
from services.scoring.domain.tiers import Cuts

if TYPE_CHECKING:
    from services.scoring.domain.model import Model

_EXACT = Context(prec=60)
FARTHEST = 36_500
"""So many days after the day asked the bands of indexes, and after the last purchase chances and value, may fall."""
_LEAP = 64
_AGAINST = frozenset({Kind.LEAD_LOST, Kind.LEAD_DISQUALIFIED, Kind.DECLINED})
_TOUCHES = frozenset({
    Kind.PURCHASE, Kind.INQUIRED, Kind.CONTACTED, Kind.REACHED, Kind.COMPLAINED, Kind.PRAISED, Kind.POSTED,
    Kind.REPLIED, Kind.REACTED, Kind.LEAD_CAPTURED,
})  # fmt: skip
"""Contact or purchase."""


@dataclass(frozen=True)
class Outcome:
    """What of a standing is discrete, overrides in force; None, empty and false where there is none."""

    stage: Stage | None = None
    tier: Tier | None = None
    satisfaction: Band | None = None
    loyalty: Band | None = None
    level: str | None = None
    posture: Posture | None = None
    treatment: str | None = None
    flags: tuple[str, ...] = ()
    vip: bool = False


class Walk:
    """Stands on one day (ordinal) after the other; of each it knows whatever happened up to it and nothing later."""

    def __init__(
        self,
        entries: Entries,
        gross: Mapping[int, int],
        net: Mapping[int, int],
        policy: Policy,
        cuts: Cuts,
        model: "Model | None",
        start: int,
    ) -> None:
        """Before the first day of all, or before `start` where that is earlier. Amounts are converted, by day."""
        self.policy, self.cuts, self.model = policy, cuts, model
        self._gross, self._net = gross, net
        self._happened: defaultdict[int, list[tuple[Kind, str]]] = defaultdict(list)
        self._costs: defaultdict[int, int] = defaultdict(int)
        for (day, kind, detail), (count, _) in entries.items():
            self._happened[day.toordinal()].append((kind, detail))
            self._costs[day.toordinal()] += count * policy.profit.cost_minor.get(kind.name.lower(), 0)
        self._touched = {day for day, done in self._happened.items() if any(kind in _TOUCHES for kind, _ in done)}
        every = pieces(entries, gross, policy)
        self.satisfaction, self.loyalty = Fading(policy.satisfaction, every), Fading(policy.loyalty, every)
        self.day = min([start, *self._happened]) - 1
        self.quiet_from = self._last_turn()
        """From this day on only what falls little by little changes anything: chances, value, and both indexes."""
        self.known = self.organisation = False
        self.first_bought: int | None = None
        self.bought: int | None = None
        """The last purchase day, as the two below are the last days of their kind."""
        self.declared: int | None = None
        """A lead lost or disqualified, or the party declined."""
        self.declined: int | None = None
        self._signs: dict[PartyKind, int | None] = dict.fromkeys(PartyKind)
        self._declared_reasons: frozenset[str] = frozenset()
        self._declined_reasons: frozenset[str] = frozenset()
        self.days_bought = self.turnover = self.spend = 0
        self._costing = self._later = self._earlier = self._paid_days = self._paid = 0
        self._overrides: list[str] = []
        self._amounts = sorted({cuts.top, cuts.high, cuts.mid, *_amounts(policy.vip)})
        self._stretch: tuple[int, int] | None = None
        self._stride = 15
        self._seen: tuple[tuple[object, ...], Outcome] | None = None

    def _last_turn(self) -> int:
        """Every way in which a day reaches another one, by its longest arm."""
        policy, last = self.policy, max(self._happened, default=self.day)
        arms = [policy.turnover_days, 2 * policy.posture.window_days]
        for stages in _both(policy):
            by = stages.customers
            arms += [stages.prospects.lost_after_days + 1, stages.prospects.active_days + 1]
            if isinstance(by, ByProbability):
                arms.append(by.fresh_days + 1)
                by = by.without_model
            arms += [by.lost_after_days + 1, by.dormant_after_days + 1]
        entering = [day for index in (self.satisfaction, self.loyalty) if (day := index.last_day) is not None]
        untils = [
            date.fromisoformat(until).toordinal() + 1
            for done in self._happened.values()
            for kind, detail in done
            if kind is Kind.OVERRIDDEN and (until := detail.split("|")[3])
        ]
        return max([last + max(arms), *entering, *untils])

    def step(self) -> None:
        """Go on to the next day, and take in what happens on it."""
        self.day += 1
        day, window = self.day, self.policy.posture.window_days
        before = day - self.policy.turnover_days
        self.turnover += self._net.get(day, 0) - self._net.get(before, 0)
        self._costing += self._costs.get(day, 0) - self._costs.get(before, 0)
        self._later += (day in self._touched) - (day - window in self._touched)
        self._earlier += (day - window in self._touched) - (day - 2 * window in self._touched)
        if day in self._happened:
            self._take_in(self._happened[day])

    def _take_in(self, done: list[tuple[Kind, str]]) -> None:
        day, kinds = self.day, {kind for kind, _ in done}
        self._overrides += [detail for kind, detail in done if kind is Kind.OVERRIDDEN]
        self.known = self.known or bool(kinds - {Kind.OVERRIDDEN})
        self.organisation = self.organisation or (Kind.REGISTERED, PartyKind.ORGANISATION.value) in done
        for whose in PartyKind:
            if any(kind.name.lower() in self.policy.stages(whose).prospects.signs for kind in kinds):
                self._signs[whose] = day
        if Kind.PURCHASE in kinds:
            self.first_bought = day if self.first_bought is None else self.first_bought
            self.bought = day
            self.days_bought += 1
            self.spend += self._gross[day]
            if self._gross[day] > 0:
                self._paid_days += 1
                self._paid += self._gross[day]
            self._stretch = None
        against = frozenset(detail for kind, detail in done if kind in _AGAINST)
        if against:
            self.declared, self._declared_reasons = day, against
        declining = frozenset(detail for kind, detail in done if kind is Kind.DECLINED)
        if declining:
            self.declined, self._declined_reasons = day, declining

    @property
    def kind(self) -> PartyKind:
        """What the party is, as far as it is known."""
        return PartyKind.ORGANISATION if self.organisation else PartyKind.PERSON

    @property
    def sign(self) -> int | None:
        """The last day with a sign of interest, as it counts for this kind of party."""
        return self._signs[self.kind]

    def probability(self, day: int | None = None) -> float | None:
        """The chance of buying within the horizon; None without a model or a purchase."""
        if self.model is None or self.first_bought is None or self.bought is None:
            return None
        x, tx, age = self.days_bought - 1, self.bought - self.first_bought, self._age(day, self.bought)
        return plain_probability(self.model, x, tx, age, self.policy.horizon_days)

    def value(self, day: int | None = None) -> int:
        """What is expected of a party that has bought; the turnover without a model of amounts."""
        if self.model is None or self.model.p is None:
            return self.turnover
        if self.first_bought is None or self.bought is None:
            return 0
        return plain_value(
            self.model,
            self.days_bought - 1,
            self.bought - self.first_bought,
            self._age(day, self.bought),
            paid_days=self._paid_days,
            paid_minor=self._paid,
            days=self.policy.turnover_days,
        )

    def _age(self, day: int | None, bought: int) -> int:
        """Days since the first purchase. What has not fallen a century after the last one never falls."""
        return min(self.day if day is None else day, bought + FARTHEST) - (self.first_bought or bought)

    def derived_stage(self, day: int | None = None) -> Stage | None:
        """The stage before overrides, if nothing happened after the present day."""
        day = self.day if day is None else day
        if not self.known:
            return None
        if self.bought is not None:
            return self._customer(day, self.bought)
        rule, sign, declared = self.policy.stages(self.kind).prospects, self.sign, self.declared
        if declared is not None and (sign is None or declared >= sign):
            return Stage.LOST_PROSPECT
        if sign is None:
            return Stage.STRANGER
        if day - sign > rule.lost_after_days:
            return Stage.LOST_PROSPECT
        return Stage.DORMANT_PROSPECT if day - sign > rule.active_days else Stage.PROSPECT

    def _customer(self, day: int, bought: int) -> Stage:
        if self.declined is not None and self.declined > bought:
            return Stage.LOST_CUSTOMER
        rule, silent = self.policy.stages(self.kind).customers, day - bought
        if isinstance(rule, ByProbability):
            chance = None if self.model is None else self.probability(day)
            if chance is not None:
                if silent <= rule.fresh_days or chance >= rule.dormant_below:
                    return Stage.CUSTOMER
                return Stage.DORMANT_CUSTOMER if chance >= rule.lost_below else Stage.LOST_CUSTOMER
            rule = rule.without_model
        if silent > rule.lost_after_days:
            return Stage.LOST_CUSTOMER
        return Stage.DORMANT_CUSTOMER if silent > rule.dormant_after_days else Stage.CUSTOMER

    def overridden(self) -> dict[str, str]:
        """What is set by hand on this day, by field: of what still lasts the one set last."""
        lasting: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
        for detail in sorted(self._overrides):
            _, field, value, until = detail.split("|")
            if value:
                lasting[field].append((value, until))
            else:
                lasting[field].clear()
        today = date.fromordinal(self.day).isoformat() if lasting else ""
        there = {
            field: [value for value, until in all_ if not until or today <= until] for field, all_ in lasting.items()
        }
        return {field: values[-1] for field, values in there.items() if values}

    def stage(self, by_hand: Mapping[str, str] | None = None) -> Stage | None:
        """The stage, as set by hand where it is: on this day, or as is said."""
        stage = self.derived_stage()
        if stage is None or not self._overrides:
            return stage
        return Stage((self.overridden() if by_hand is None else by_hand).get("stage", stage))

    def stage_by_silence(self) -> Stage | None:
        """The stage with which the next day begins: nothing happened on it yet, and what is set is what was."""
        stage = self.derived_stage(self.day + 1)
        return Stage(self.overridden().get("stage", stage)) if stage and self._overrides else stage

    def outcome(self) -> Outcome:
        """How the party stands on this day; as on the day before where nothing differs that it is derived from."""
        inputs = (
            self.derived_stage(), self.satisfaction.band(self.day), self.loyalty.band(self.day),
            self._decisive_value(), self.turnover, self._costing, self._later, self._earlier, self.days_bought,
            self.kind, self.overridden() if self._overrides else None,
        )  # fmt: skip
        if self._seen is None or self._seen[0] != inputs:
            self._seen = inputs, self.told()[0]
        return self._seen[1]

    def told(self) -> tuple[Outcome, dict[str, str]]:
        """How the party stands on this day, and what it is that was set otherwise by hand."""
        derived_stage = self.derived_stage()
        if derived_stage is None:
            return Outcome(), {}
        by_hand, derived = self.overridden() if self._overrides else {}, dict[str, str]()

        def said(field: str, computed: str) -> str:
            if by_hand.get(field, computed) != computed:
                derived[field] = computed
            return by_hand.get(field, computed)

        decisive = self._decisive_value()
        stage = Stage(said("stage", derived_stage))
        tier = Tier(said("tier", self._tier(decisive)))
        satisfaction = Band(said("satisfaction", self.satisfaction.band(self.day)))
        loyalty = Band(said("loyalty", self.loyalty.band(self.day)))
        posture = Posture(said("posture", self._posture()))
        treatment = said("treatment", self._treatment(tier, satisfaction, loyalty))
        about: dict[str, str | int] = {
            "kind": self.kind, "stage": stage, "tier": tier, "satisfaction": satisfaction, "loyalty": loyalty,
            "posture": posture, "turnover_minor": self.turnover, "value_minor": decisive, "spend_minor": self.spend,
            "purchase_days": self.days_bought,
        }  # fmt: skip
        vip = self.policy.vip is not None and _holds(self.policy.vip, about)
        flags = {
            "high_value": tier in (Tier.TOP, Tier.HIGH),
            "profit_making": self._profit() > 0,
            "returning": self.days_bought >= 2,
            "satisfied": satisfaction is Band.HIGH,
        }
        outcome = Outcome(
            stage=stage,
            tier=tier,
            satisfaction=satisfaction,
            loyalty=loyalty,
            level=next((level.name for level in self.policy.levels if self.turnover >= level.from_minor), None),
            posture=posture,
            treatment=treatment,
            flags=tuple(flag for flag, so in flags.items() if so),
            vip=said("vip", "true" if vip else "false") == "true",
        )
        return outcome, derived

    def loss_reason(self, stage: Stage | None) -> LossReason | None:
        """Why a lost party is lost. Of several reasons on one day the one that the taxonomy has first."""
        reasons: frozenset[str] = frozenset()
        if stage is Stage.LOST_PROSPECT:
            if self.declared is not None and (self.sign is None or self.sign <= self.declared):
                reasons = self._declared_reasons
        elif stage is Stage.LOST_CUSTOMER:
            if self.declined is not None and (self.bought is None or self.declined > self.bought):
                reasons = self._declined_reasons
            elif self.declared is not None and (self.bought is None or self.declared >= self.bought):
                reasons = self._declared_reasons
        else:
            return None
        return next((reason for reason in LossReason if reason.value in reasons), LossReason.UNKNOWN)

    def stays(self, *, stage_alone: bool) -> bool:
        """Whether from this day on nothing changes any more, or not the stage.

        Chances and value only fall, so that those that are where they will be in the end are there for good.
        """
        if self.day < self.quiet_from:
            return False
        end = self.day if self.bought is None else max(self.day, self.bought + FARTHEST)
        if self.derived_stage(end) is not self.derived_stage():
            return False
        if stage_alone:
            return True
        indexes = self.satisfaction.stays(self.day) and self.loyalty.stays(self.day)
        return indexes and self._above(self.value(end)) == self._above(self._decisive_value())

    def rest(self, day: int) -> None:
        """Go on to a later day at once, where the stage stays and nothing happens any more."""
        self.day = day

    def leap(self) -> None:
        """Go on by several days of which nothing can be told, as far as there are such.

        What falls little by little is on both ends on the same side of every amount that decides, so it is in between.
        """
        here = self._signature(self.day)
        while self._signature(self.day + _LEAP) == here and not self.stays(stage_alone=False):
            self.day += _LEAP

    def _signature(self, day: int) -> tuple[object, ...]:
        bands = self.satisfaction.band(day), self.loyalty.band(day)
        return (self.derived_stage(day), self._above(self.value(day)), *bands)

    def _decisive_value(self) -> int:
        """A value that decides as that of the day does, mostly that of a day before.

        Until the next purchase the value only falls. As it takes long to compute, it is not computed again as long as
        it is above the same amounts of tiers and rules as at the end of a stretch of days that was looked at before.
        """
        if self.model is None or self.model.p is None or self.bought is None:
            return self.value()
        if self._stretch is None or self.day > self._stretch[0]:
            value = self.value()
            above, days = self._above(value), self._stride
            if not any(above):
                days = FARTHEST
            while days and self._above(self.value(self.day + days)) != above:
                days //= 2
            self._stride = min(2 * days + 1, FARTHEST)
            self._stretch = self.day + days, value
        return self._stretch[1]

    def _above(self, value: int) -> tuple[bool, ...]:
        return tuple(value >= amount for amount in self._amounts)

    def _tier(self, decisive: int) -> Tier:
        if self.bought is None:
            return Tier.UNPROVEN
        amounts = ((Tier.TOP, self.cuts.top), (Tier.HIGH, self.cuts.high), (Tier.MID, self.cuts.mid))
        return next((name for name, least in amounts if decisive >= least), Tier.LOW)

    def _posture(self) -> Posture:
        if self._earlier == 0:
            return Posture.DEVELOPING if self._later else Posture.CONSERVATIVE
        ratio, trend = self._later / self._earlier, self.policy.posture
        if ratio >= trend.developing_from:
            return Posture.DEVELOPING
        return Posture.CONSERVATIVE if ratio < trend.conservative_below else Posture.STEADY

    def _treatment(self, tier: Tier, satisfaction: Band, loyalty: Band) -> str:
        for row in self.policy.treatments:
            fits = (row.tier, tier), (row.satisfaction, satisfaction), (row.loyalty, loyalty)
            if all(said in wanted for wanted, said in fits if wanted):
                return row.treatment
        raise AssertionError("the last row fits everybody")

    def _profit(self) -> int:
        kept = _EXACT.multiply(Decimal(repr(self.policy.profit.margin)), Decimal(self.turnover))
        return int(kept.to_integral_value(rounding=ROUND_HALF_EVEN)) - self._costing


def _both(policy: Policy) -> list[Stages]:
    return [policy.persons] if policy.organisations is None else [policy.persons, policy.organisations]


def _holds(rule: Rule, about: Mapping[str, str | int]) -> bool:
    match rule:
        case All():
            return False not in [_holds(part, about) for part in rule.all]
        case AnyOf():
            return True in [_holds(part, about) for part in rule.any]
        case Not():
            return not _holds(rule.not_, about)
    said, wanted = about[rule.field], rule.value
    if isinstance(wanted, tuple):
        return any(said == one for one in wanted)
    if isinstance(said, str) or isinstance(wanted, str) or rule.op == "eq":
        return said == wanted
    return said >= wanted if rule.op == "gte" else said < wanted


def _amounts(rule: Rule | None) -> Iterator[int]:
    """The amounts that a rule holds the value against; what equals one is on two sides."""
    match rule:
        case All():
            for part in rule.all:
                yield from _amounts(part)
        case AnyOf():
            for part in rule.any:
                yield from _amounts(part)
        case Not():
            yield from _amounts(rule.not_)
        case Comparison(field="value_minor", value=int(amount)):
            yield from (amount, amount + 1)
