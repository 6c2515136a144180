"""What a row gives: figures with their unit, their goal and the baseline beside them."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One number of a row."""

    row: str
    what: str
    value: float
    unit: str
    goal: float | None = None
    """At most this, in the same unit; at least this where it is a rate or a ratio."""
    baseline: float | None = None
    """The same, done by hand with the least that does it, in the same run."""
    how: str = ""
    """What was done as a baseline, or under which load."""
    runs: tuple[float, ...] = ()
    """Of a median, what it is the median of."""

    @property
    def ratio(self) -> float | None:
        """So many times its baseline."""
        return self.value / self.baseline if self.baseline else None


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least so many percent of the values do not exceed."""
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def median(runs: Sequence[Figure]) -> Figure:
    """The median of one figure over several runs, and that of its baseline."""
    values = tuple(run.value for run in runs)
    baselines = [run.baseline for run in runs if run.baseline is not None]
    baseline = statistics.median(baselines) if baselines else None
    return replace(runs[0], value=statistics.median(values), baseline=baseline, runs=values)


def told(figure: Figure) -> dict[str, Any]:
    """A figure for programs: what was measured is `ours`, and `ratio` how many times the baseline that is."""
    document = asdict(figure)
    return {"row": document.pop("row"), "ours": document.pop("value"), "ratio": figure.ratio} | document
