"""Policy: every threshold that decides, as data with a content hash; and the ruling, all that decides together."""

from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Self
from zoneinfo import ZoneInfo

import msgspec
from pydantic import AfterValidator, Field, model_validator

from contracts.versions import Version
from services.scoring.domain.days import local_day
from services.scoring.domain.facts import DECLARATIONS, MONEY, Kind
from services.scoring.domain.money import Rates
from services.scoring.domain.tiers import Cuts

Days = Annotated[int, Field(ge=0, le=36_500)]


def _in_one_spelling(kinds: Iterable[str]) -> tuple[str, ...]:
    possible = {kind.code for kind in Kind if kind not in MONEY | DECLARATIONS}
    named = set(kinds)
    if not named <= possible:
        raise ValueError(f"a sign of interest is one of {', '.join(sorted(possible))}")
    return tuple(sorted(named))


Signs = Annotated[tuple[str, ...], AfterValidator(_in_one_spelling)]
"""Kinds of facts, each once and in order, so that the same signs have the same content hash."""

INTEREST = _in_one_spelling(
    kind.code
    for kind in (
        Kind.LEAD_CAPTURED,
        Kind.LEAD_QUALIFIED,
        Kind.LEAD_WON,
        Kind.LEAD_REOPENED,
        Kind.INQUIRED,
        Kind.CONTACTED,
        Kind.COMPLAINED,
        Kind.PRAISED,
        Kind.POSTED,
        Kind.REPLIED,
    )
)
"""Whatever a party itself does toward us beyond visiting, joining or reacting."""


class Policy(Version):
    """How stage and tier are decided."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")]
    dormant_after_days: Days
    """A customer is dormant when strictly more days than these have passed since the last purchase day."""
    lost_after_days: Days
    """A customer is lost when strictly more days than these have passed since the last purchase day."""
    active_days: Days = 30
    """A prospect is dormant when strictly more days than these have passed since the last sign of interest."""
    prospect_lost_after_days: Days = 180
    """A prospect is lost when strictly more days than these have passed since the last sign of interest."""
    interest: Signs = INTEREST
    """The kinds of facts that are a sign of interest."""
    turnover_days: Annotated[int, Field(ge=1, le=36_500)] = 365
    """Value is the net turnover of the local day itself and of the days before it, so many in all."""
    cuts: Cuts
    """Tier amounts before the first fit."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.lost_after_days <= self.dormant_after_days:
            raise ValueError("a party is lost later than it is dormant")
        if self.prospect_lost_after_days <= self.active_days:
            raise ValueError("a prospect is lost later than it is dormant")
        return self

    @property
    def signs(self) -> frozenset[int]:
        """The numbers of the kinds that are a sign of interest."""
        return _numbers(self.interest)


@lru_cache(maxsize=64)
def _numbers(kinds: tuple[str, ...]) -> frozenset[int]:
    return frozenset(int(Kind[code.upper()]) for code in kinds)


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
