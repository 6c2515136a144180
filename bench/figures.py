"""What a row gives: figures with their unit, their goal and the baseline beside them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One number of a row."""

    row: str
    what: str
    value: float
    unit: str
    goal: float | None = None
    """At most this, in the same unit."""
    baseline: float | None = None
    """The same, done by hand with the least that does it, in the same run."""
    how: str = ""
    """What was done as a baseline, or under which load."""


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least so many percent of the values do not exceed."""
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]
