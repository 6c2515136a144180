"""Policy: every threshold that decides, as data with a content hash; and the ruling, all that decides together."""

from datetime import datetime
from typing import Annotated, Self
from zoneinfo import ZoneInfo

import msgspec
from pydantic import Field, model_validator

from contracts.versions import Version
from services.scoring.domain.days import local_day
from services.scoring.domain.money import Rates
from services.scoring.domain.tiers import Cuts

Days = Annotated[int, Field(ge=0, le=36_500)]


class Policy(Version):
    """How stage and tier are decided."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")]
    dormant_after_days: Days
    """A customer is dormant when strictly more days than these have passed since the last purchase day."""
    lost_after_days: Days
    """A customer is lost when strictly more days than these have passed since the last purchase day."""
    turnover_days: Annotated[int, Field(ge=1, le=36_500)] = 365
    """Value is the net turnover of the local day itself and of the days before it, so many in all."""
    cuts: Cuts
    """Tier amounts before the first fit."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.lost_after_days <= self.dormant_after_days:
            raise ValueError("a party is lost later than it is dormant")
        return self


DAYS_1 = Policy(
    name="days-1", dormant_after_days=90, lost_after_days=365, cuts=Cuts(top=100_000, high=30_000, mid=10_000)
)
"""Fixed days; stands in wherever there is no model."""


class Ruling(msgspec.Struct, frozen=True):
    """All that decides besides the facts."""

    policy: Policy
    cuts: Cuts
    """The fitted ones, or those of the policy."""
    rates: Rates
    """With them the reporting currency."""
    zone: ZoneInfo
    """What a local day is."""

    def day(self, at: datetime) -> int:
        """The local day of an instant, as an ordinal."""
        return local_day(at, self.zone)
