"""Tiers: the amounts that part the customer base, so that one event re-tiers one party alone."""

from collections.abc import Iterable
from itertools import accumulate
from typing import Annotated, Self

from pydantic import Field, model_validator

from contracts.problems import Invalid
from contracts.scoring import Tier
from contracts.versions import Version

Minor = Annotated[int, Field(ge=-(2**53), le=2**53)]
"""Money in minor units, within what every reader of JSON holds exactly."""


Percent = Annotated[int, Field(ge=1, le=98)]
"""Of the customer base."""


class NoCustomers(Invalid):
    """Cut points need the value of at least one party with a purchase."""


class Cuts(Version):
    """The smallest value of each tier, in minor units of the reporting currency. Ties go up."""

    top: Minor
    """From here on a party is `top`, in minor units, as the two below."""
    high: Minor
    """From here on it is `high`."""
    mid: Minor
    """From here on it is `mid`; below, `low`."""

    @model_validator(mode="after")
    def _descend(self) -> Self:
        if not self.top >= self.high >= self.mid:
            raise ValueError("cut points fall from top over high to mid")
        return self

    def tier(self, value_minor: int) -> Tier:
        """The tier of a party with a purchase."""
        if value_minor >= self.top:
            return Tier.TOP
        if value_minor >= self.high:
            return Tier.HIGH
        return Tier.MID if value_minor >= self.mid else Tier.LOW


class TierShares(Version):
    """How much of the customer base each tier takes when cut points are fitted, in percent; the rest is `low`."""

    top: Percent = 5
    """The part with the highest values."""
    high: Percent = 15
    """The part below it."""
    mid: Percent = 30
    """The part below that."""

    @model_validator(mode="after")
    def _of_one_base(self) -> Self:
        if self.top + self.high + self.mid > 100:
            raise ValueError("the parts come to no more than 100 percent")
        return self


SHARES = TierShares()
"""What a policy has that does not say it."""


def fit(values_minor: Iterable[int], shares: TierShares = SHARES) -> Cuts:
    """Cut points from the values of all parties with a purchase, so that each tier has its share of them.

    A share that is not a whole number of parties is rounded up. A cut is at least one minor unit: where most of the
    base has not bought for a year, ties at nothing would lift all of it. Raises `NoCustomers` without values.
    """
    falling = sorted(values_minor, reverse=True)
    if not falling:
        raise NoCustomers("No party has a purchase that counts, so there is nothing to part into tiers.")
    percents = accumulate((shares.top, shares.high, shares.mid))
    top, high, mid = (max(1, falling[-(-len(falling) * percent // 100) - 1]) for percent in percents)
    return Cuts(top=top, high=high, mid=mid)
