"""The discrete part of a standing."""

from enum import StrEnum
from typing import NamedTuple

from contracts.leads import Grade
from contracts.scoring import Band, Posture, Stage, Tier


class Flag(StrEnum):
    """What may be said of a party besides."""

    HIGH_VALUE = "high_value"
    """Of the top or the high tier."""
    PROFIT_MAKING = "profit_making"
    """The margin of the turnover is more than what its facts cost."""
    RETURNING = "returning"
    """Bought on more than one day."""
    SATISFIED = "satisfied"
    """The band of satisfaction is high."""


class Numbers(NamedTuple):
    """The numbers of a standing that grades follow from, and the probability."""

    value_minor: int
    turnover_minor: int
    p: float | None
    satisfaction_index: float
    loyalty_index: float


class Grades(NamedTuple):
    """The discrete part of a standing."""

    stage: Stage | None
    tier: Tier | None
    satisfaction: Band | None = None
    loyalty: Band | None = None
    level: str | None = None
    posture: Posture | None = None
    treatment: str | None = None
    flags: tuple[str, ...] = ()
    """Codes of `Flag`, sorted."""
    vip: bool = False
    potential: Grade | None = None
    """What was last said of a lead of whoever never bought."""
