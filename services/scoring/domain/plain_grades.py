"""Where each day puts a party besides its stage, in the second implementation, and how long it stays there."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import TYPE_CHECKING, Any

from contracts.leads import Grade
from contracts.loss import LossReason
from contracts.scoring import Band, Posture, Stage, Tier
from services.scoring.domain.plain_indexes import Entries, Fading
from services.scoring.domain.plain_model import plain_value
from services.scoring.domain.plain_rules import amounts, holds
from services.scoring.domain.plain_stages import FARTHEST, Staged
from services.scoring.domain.policy import Policy
from services.scoring.domain.tiers import Cuts

if TYPE_CHECKING:
    from services.scoring.domain.model import Model

_EXACT = Context(prec=60)
_LEAP = 64


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
    loss_reason: LossReason | None = None
    potential: Grade | None = None


class Walk(Staged):
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
        """See `Days`."""
        super().__init__(entries, gross, net, policy, model, start)
        self.cuts = cuts
        self._amounts = sorted({cuts.top, cuts.high, cuts.mid, *amounts(policy.vip)})
        self._stretch: tuple[int, int, int] | None = None
        self._stride = 15
        self._seen: tuple[tuple[object, ...], Outcome] | None = None

    @property
    def _expects(self) -> bool:
        return self.model is not None and self.model.p is not None

    def value(self, day: int | None = None) -> int:
        """What is expected of a party that has bought; the turnover without a model of amounts."""
        if self.model is None or not self._expects:
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

    def outcome(self) -> Outcome:
        """How the party stands on this day; as on the day before where nothing differs that it is derived from."""
        inputs = (
            self.derived_stage(), self.satisfaction.band(self.day), self.loyalty.band(self.day),
            self._decisive_value(), self.turnover, self._costing, self._later, self._earlier, self.days_bought,
            self.kind, self.overridden() if self._overrides else None, self.loss_reason(Stage.LOST_PROSPECT),
            self.loss_reason(Stage.LOST_CUSTOMER), self.graded,
        )  # fmt: skip
        if self._seen is None or self._seen[0] != inputs:
            self._seen = inputs, self.told()[0]
        return self._seen[1]

    def counted(self, by_hand: Mapping[str, str] | None = None) -> tuple[dict[str, Any], dict[str, str]]:
        """The numbers of this day, as set by hand on it or as is said, and what it is that was set otherwise."""
        by_hand = self.overridden() if by_hand is None else by_hand
        by_hand = by_hand if self.known else {}
        turnover = int(by_hand.get("turnover_minor", self.turnover))
        follows: dict[str, Any] = {
            "turnover_minor": self.turnover,
            "value_minor": self.value() if self._expects else turnover,
            "p": self.probability(),
            "satisfaction_index": self.satisfaction.value(self.day),
            "loyalty_index": self.loyalty.value(self.day),
        }
        said = {field: float(by_hand[field]) for field in follows if field in by_hand}
        said |= {field: int(by_hand[field]) for field in said if field.endswith("_minor")}
        derived = {
            field: "" if follows[field] is None else format(Decimal(str(follows[field])), "f")
            for field, number in said.items()
            if number != follows[field]
        }
        return follows | said, derived

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

        turnover = int(by_hand.get("turnover_minor", self.turnover))
        decisive = self._decisive_value() if self._expects else turnover
        decisive = int(by_hand.get("value_minor", decisive))
        stage = Stage(said("stage", derived_stage))
        tier = Tier(said("tier", self._tier(decisive)))
        satisfaction = Band(said("satisfaction", self._band(by_hand, "satisfaction")))
        loyalty = Band(said("loyalty", self._band(by_hand, "loyalty")))
        posture = Posture(said("posture", self._posture()))
        treatment = said("treatment", self._treatment(tier, satisfaction, loyalty))
        about: dict[str, str | int] = {
            "kind": self.kind, "stage": stage, "tier": tier, "satisfaction": satisfaction, "loyalty": loyalty,
            "posture": posture, "turnover_minor": turnover, "value_minor": decisive, "spend_minor": self.spend,
            "purchase_days": self.days_bought,
        }  # fmt: skip
        vip = self.policy.vip is not None and holds(self.policy.vip, about)
        flags = {
            "high_value": tier in (Tier.TOP, Tier.HIGH),
            "profit_making": self._profit(turnover) > 0,
            "returning": self.days_bought >= 2,
            "satisfied": satisfaction is Band.HIGH,
        }
        level = next((level.name for level in self.policy.levels if turnover >= level.from_minor), "")
        reason = self.loss_reason(stage)
        potential = "" if self.days_bought else said("potential", self.graded[-1:])
        outcome = Outcome(
            stage=stage,
            tier=tier,
            satisfaction=satisfaction,
            loyalty=loyalty,
            level=said("level", level) or None,
            posture=posture,
            treatment=treatment,
            flags=tuple(flag for flag, so in flags.items() if said(flag, "true" if so else "false") == "true"),
            vip=said("vip", "true" if vip else "false") == "true",
            loss_reason=reason and LossReason(said("loss_reason", reason)),
            potential=Grade(potential) if potential else None,
        )
        return outcome, derived

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
        if not self._expects or self.bought is None:
            return self.value()
        if self._stretch is None or self.day > self._stretch[0] or self.bought != self._stretch[2]:
            value = self.value()
            above, days = self._above(value), self._stride
            if not any(above):
                days = FARTHEST
            while days and self._above(self.value(self.day + days)) != above:
                days //= 2
            self._stride = min(2 * days + 1, FARTHEST)
            self._stretch = self.day + days, value, self.bought
        return self._stretch[1]

    def _above(self, value: int) -> tuple[bool, ...]:
        return tuple(value >= amount for amount in self._amounts)

    def _band(self, by_hand: Mapping[str, str], name: str) -> Band:
        index: Fading = getattr(self, name)
        if f"{name}_index" not in by_hand:
            return index.band(self.day)
        said, rule = float(by_hand[f"{name}_index"]), getattr(self.policy, name)
        if said >= rule.high_from:
            return Band.HIGH
        return Band.LOW if said < rule.low_below else Band.MIDDLE

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

    def _profit(self, turnover: int) -> int:
        kept = _EXACT.multiply(Decimal(repr(self.policy.profit.margin)), Decimal(turnover))
        return int(kept.to_integral_value(rounding=ROUND_HALF_EVEN)) - self._costing
