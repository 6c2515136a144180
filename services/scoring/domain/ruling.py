"""The ruling: all that decides besides the facts."""

from collections.abc import Sequence
from datetime import datetime
from typing import Self
from zoneinfo import ZoneInfo

import msgspec

from contracts.scoring import Cause
from services.scoring.domain.days import local_day
from services.scoring.domain.model import Model
from services.scoring.domain.money import Rates
from services.scoring.domain.policy import Policy
from services.scoring.domain.tiers import Cuts


class Decided(msgspec.Struct, frozen=True):
    """What decided of stages until something else took its place during a day. What that day brought it has decided."""

    policy: Policy
    model: Model | None
    until: int
    """That day, as an ordinal."""


class Ruling(msgspec.Struct, frozen=True):
    """All that decides besides the facts."""

    policy: Policy
    cuts: Cuts
    """The fitted ones, or those of the model, or those of the policy."""
    rates: Rates
    """With them the reporting currency."""
    zone: ZoneInfo
    """What a local day is."""
    model: Model | None = None
    """None as long as none is active: then fixed days decide, and value is turnover."""
    earlier: tuple[Decided, ...] = ()
    """What decided of stages before, the latest first; nothing of a ruling that counts from the beginning."""

    @property
    def by_kind(self) -> bool:
        """Whether organisations have stages of their own under it or an earlier one."""
        return any(policy.organisations for policy in (self.policy, *(each.policy for each in self.earlier)))

    @property
    def amounts(self) -> Sequence[int]:
        """The amounts at which a value that falls may come to mean something else, rising."""
        steps, cuts = self.policy.value_steps, (self.cuts.mid, self.cuts.high, self.cuts.top)
        return sorted((*cuts, *steps)) if steps else cuts

    @property
    def calibration(self) -> float | None:
        """What a sum of values is multiplied with to be a forecast; None where no model that was judged expects them.

        Each value alone puts people in their order; the sum of many is as far off as the model was in the last period.
        """
        model = self.model
        return None if model is None or model.p is None or "not_judged" in model.flags else model.calibration

    def unused(self) -> Self:
        """The same without what its model has remembered, as another process is given it."""
        earlier = tuple(msgspec.structs.replace(each, model=_unused(each.model)) for each in self.earlier)
        return msgspec.structs.replace(self, model=_unused(self.model), earlier=earlier)

    def from_the_beginning(self) -> Self:
        """The same as if nothing else had ever decided."""
        return msgspec.structs.replace(self, earlier=())

    def cause_after(self, before: Self) -> Cause:
        """What made things different where this ruling took the place of another: the policy, or the model alone."""
        replaced = self.policy == before.policy and self.model != before.model
        return Cause.MODEL if replaced else Cause.POLICY

    def day(self, at: datetime) -> int:
        """The local day of an instant, as an ordinal."""
        return local_day(at, self.zone)


def _unused(model: Model | None) -> Model | None:
    return model and Model.model_validate_json(model.model_dump_json())
