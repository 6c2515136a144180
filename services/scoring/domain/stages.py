"""When a party of one kind is in which stage, as policy has it."""

from collections.abc import Iterable
from functools import lru_cache
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from contracts.versions import Version
from services.scoring.domain.facts import DECLARATIONS, MONEY, Kind

Days = Annotated[int, Field(ge=0, le=36_500)]
Share = Annotated[float, Field(ge=0, le=1)]


def in_one_spelling(kinds: Iterable[str]) -> tuple[str, ...]:
    """Kinds of facts that may be signs of interest, each once and in order. Raises `ValueError` for any other."""
    possible = {kind.code for kind in Kind if kind not in MONEY | DECLARATIONS | {Kind.LEAD_GRADED}}
    named = set(kinds)
    if not named <= possible:
        raise ValueError(f"a sign of interest is one of {', '.join(sorted(possible))}")
    return tuple(sorted(named))


Signs = Annotated[tuple[str, ...], AfterValidator(in_one_spelling)]
"""Kinds of facts, each once and in order, so that the same signs have the same content hash."""

INTEREST = in_one_spelling(
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


class ByDays(Version):
    """The stage of whoever bought, by the days since the last purchase day."""

    by: Literal["days"] = "days"
    """What decides."""
    dormant_after_days: Days = 90
    """Dormant when strictly more days than these have passed."""
    lost_after_days: Days = 365
    """Lost when strictly more days than these have passed."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.lost_after_days <= self.dormant_after_days:
            raise ValueError("a party is lost later than it is dormant")
        return self


class ByProbability(Version):
    """The stage of whoever bought, by the probability that they buy within the horizon."""

    by: Literal["probability"] = "probability"
    """What decides."""
    fresh_days: Days = 30
    """A customer in any case for so many days after the last purchase day."""
    dormant_below: Share = 0.5
    """Dormant when the probability is below this."""
    lost_below: Share = 0.2
    """Lost when the probability is below this."""
    without_model: ByDays = ByDays()
    """What decides as long as no model is active."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.lost_below > self.dormant_below:
            raise ValueError("a party is lost at a lower probability than it is dormant")
        return self


class Interest(Version):
    """The stage of whoever never bought, by the days since the last sign of interest."""

    active_days: Days = 30
    """Dormant when strictly more days than these have passed."""
    lost_after_days: Days = 180
    """Lost when strictly more days than these have passed."""
    signs: Signs = INTEREST
    """The kinds of facts that are a sign of interest."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.lost_after_days <= self.active_days:
            raise ValueError("a prospect is lost later than it is dormant")
        return self

    @property
    def sign_numbers(self) -> frozenset[int]:
        """The numbers of the kinds that are a sign of interest."""
        return _numbers(self.signs)


@lru_cache(maxsize=64)
def _numbers(kinds: tuple[str, ...]) -> frozenset[int]:
    return frozenset(int(Kind[code.upper()]) for code in kinds)


class Stages(Version):
    """When a party of one kind is in which stage."""

    customers: Annotated[ByProbability | ByDays, Field(discriminator="by")] = ByProbability()
    """Of whoever bought."""
    prospects: Interest = Interest()
    """Of whoever never bought."""

    @property
    def by_days(self) -> ByDays:
        """The fixed days that decide where no model does."""
        return self.customers if isinstance(self.customers, ByDays) else self.customers.without_model
