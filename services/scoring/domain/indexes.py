"""Satisfaction and loyalty: what people do, additive in log-odds and fading by half-lives."""

from collections.abc import Mapping
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Self

from pydantic import Field, model_validator

from contracts.scoring import Band
from contracts.versions import Version


class Evidence(StrEnum):
    """What speaks for or against satisfaction or loyalty."""

    COMPLAINT = "complaint"
    PRAISE = "praise"
    PROBLEM_OPENED = "problem_opened"
    PROBLEM_SOLVED = "problem_solved"
    PROBLEM_OVERDUE = "problem_overdue"
    """A problem is open past the limit; it enters on the first day past it."""
    RETURN = "return"
    LATE_ANSWER = "late_answer"
    """Who turned to us had no answer in time; it enters on the first day past the limit."""
    RATED_WELL = "rated_well"
    """The stated attitude, speed and quality of a contact are above the middle of the scale on average."""
    RATED_POORLY = "rated_poorly"
    """They are below it."""
    REPEAT_PURCHASE = "repeat_purchase"
    """A purchase day after the first."""
    UPGRADE = "upgrade"
    """A purchase day that is worth more than every one before it."""
    REFERRAL = "referral"
    REFERRAL_CONVERTED = "referral_converted"
    PARTICIPATION = "participation"
    """A post, a reply or a reaction."""
    ANNIVERSARY = "anniversary"
    """Another whole year since the first purchase day, for whoever bought within the year before it."""


class Index(Version):
    """How an index from 0 to 100 is made of evidence: 100 * sigmoid(sum of weight * count * 2^(-age / half-life))."""

    weights: Mapping[Evidence, Annotated[float, Field(ge=-10, le=10)]]
    """What one piece of evidence of a kind adds to the log-odds on its day; kinds that are not named add nothing."""
    half_life_days: Annotated[int, Field(ge=1, le=36_500)] = 180
    """After so many days a piece of evidence counts half."""
    min_evidence: Annotated[float, Field(ge=0, le=1_000)] = 0.5
    """The band is `unknown` where the aged count of all evidence is below this; one piece alone comes to 1 on its day,
    and to 0.5 after a half-life."""
    low_below: Annotated[float, Field(gt=0, lt=100)] = 40.0
    """The band is `low` where the index is below this."""
    high_from: Annotated[float, Field(gt=0, lt=100)] = 60.0
    """The band is `high` where the index is at least this."""

    def graded(self, value: float) -> Band:
        """The band in which an index lies that enough evidence is left of."""
        if value < self.low_below:
            return Band.LOW
        return Band.HIGH if value >= self.high_from else Band.MIDDLE

    @cached_property
    def by_place(self) -> tuple[float | None, ...]:
        """The weight of each kind of evidence in the order of `Evidence`; None of one that is none of this index."""
        return tuple(self.weights.get(what) for what in Evidence)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.high_from <= self.low_below:
            raise ValueError("the high band begins above the low one")
        return self


SATISFACTION = Index(
    weights={
        Evidence.COMPLAINT: -0.8,
        Evidence.PRAISE: 0.5,
        Evidence.PROBLEM_OPENED: -0.4,
        Evidence.PROBLEM_SOLVED: 0.3,
        Evidence.PROBLEM_OVERDUE: -0.8,
        Evidence.RETURN: -0.5,
        Evidence.LATE_ANSWER: -0.3,
        Evidence.RATED_WELL: 0.3,
        Evidence.RATED_POORLY: -0.5,
        Evidence.REPEAT_PURCHASE: 0.4,
        Evidence.REFERRAL: 0.8,
    }
)
LOYALTY = Index(
    weights={
        Evidence.REPEAT_PURCHASE: 0.5,
        Evidence.REFERRAL: 0.6,
        Evidence.REFERRAL_CONVERTED: 0.6,
        Evidence.PARTICIPATION: 0.2,
        Evidence.UPGRADE: 0.4,
        Evidence.ANNIVERSARY: 0.3,
    },
    half_life_days=365,
)
