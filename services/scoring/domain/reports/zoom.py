"""The same measures from far and from near: of everybody, of a group, of one."""

from enum import StrEnum
from typing import Self

import msgspec

from services.scoring.domain.grades import Grades


class ZoomBy(StrEnum):
    """What groups are made by. Owners and teams are those of now, also in what is read as of a day."""

    STAGE = "stage"
    TIER = "tier"
    LEVEL = "level"
    SATISFACTION = "satisfaction"
    LOYALTY = "loyalty"
    POSTURE = "posture"
    TREATMENT = "treatment"
    VIP = "vip"
    KIND = "kind"
    OWNER = "owner"
    TEAM = "team"


NONE = "none"
"""The group of whoever has none of what groups are made by."""


def group(by: ZoomBy, grades: Grades) -> str:
    """The group of a party, as it is graded; not by its kind, nor by who takes care of it."""
    said = ("vip" if grades.vip else "other") if by is ZoomBy.VIP else getattr(grades, by)
    return NONE if said is None else str(said)


class Measures(msgspec.Struct, frozen=True):
    """Whole numbers alone, so that the parts add up to the whole exactly."""

    count: int = 0
    customers: int = 0
    """Parties that bought."""
    value_minor: int = 0
    turnover_minor: int = 0
    p_millionths: int = 0
    p_known: int = 0
    """Parties whose probability is known; it is summed over these."""
    satisfaction_tenths: int = 0
    satisfaction_known: int = 0
    """Parties of which there is evidence enough; the index is summed over these."""
    at_risk: int = 0
    """Parties whose stage falls soon if nothing happens."""
    at_risk_value_minor: int = 0

    def __add__(self, other: Self) -> Self:
        return type(self)(*(getattr(self, name) + getattr(other, name) for name in self.__struct_fields__))

    @property
    def expected_buyers(self) -> float | None:
        """How many are expected to buy within the horizon: the sum of the probabilities; None where none is known."""
        return self.p_millionths / 1_000_000 if self.p_known else None

    @property
    def mean_p(self) -> float | None:
        """The probability on average, rounded to 6 decimals; None where it is known of nobody."""
        return round(self.p_millionths / self.p_known / 1_000_000, 6) if self.p_known else None

    @property
    def mean_satisfaction(self) -> float | None:
        """The index on average, rounded to 1 decimal; None where it is known of nobody."""
        return round(self.satisfaction_tenths / self.satisfaction_known / 10, 1) if self.satisfaction_known else None


def measured(
    *,
    bought: bool,
    value_minor: int,
    turnover_minor: int,
    p: float | None,
    satisfaction: float | None,
    at_risk: bool,
) -> Measures:
    """The measures of one party: p is rounded to 6 decimals; satisfaction, to 1, is None where too little speaks."""
    return Measures(
        count=1,
        customers=int(bought),
        value_minor=value_minor,
        turnover_minor=turnover_minor,
        p_millionths=0 if p is None else round(p * 1_000_000),
        p_known=int(p is not None),
        satisfaction_tenths=0 if satisfaction is None else round(satisfaction * 10),
        satisfaction_known=int(satisfaction is not None),
        at_risk=int(at_risk),
        at_risk_value_minor=value_minor if at_risk else 0,
    )
