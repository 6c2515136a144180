"""The stage that each day leaves a party in, in the second implementation."""

from collections.abc import Mapping

from contracts.loss import LossReason
from contracts.scoring import Stage
from services.scoring.domain.plain_days import Days
from services.scoring.domain.plain_model import plain_probability
from services.scoring.domain.stages import ByProbability

FARTHEST = 36_500
"""So many days after the day asked the bands of indexes, and after the last purchase chances and value, may fall."""


class Staged(Days):
    """Knows the stage of the day on which it stands, and of later ones if nothing happens any more."""

    def probability(self, day: int | None = None) -> float | None:
        """The chance of buying within the horizon; None without a model or a purchase."""
        if self.model is None or self.first_bought is None or self.bought is None:
            return None
        x, tx, age = self.days_bought - 1, self.bought - self.first_bought, self._age(day, self.bought)
        return plain_probability(self.model, x, tx, age, self.policy.horizon_days)

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
