"""What a row gives: figures with their unit, their goal and the baseline beside them."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from rich.table import Table

RATES = frozenset({"/s", "1/s"})
"""Units of which more is better; of all others less is."""


@dataclass(frozen=True)
class Figure:
    """One number of a row."""

    row: str
    what: str
    value: float
    unit: str
    goal: float | None = None
    """At most this, in the same unit; at least this where it is a rate."""
    baseline: float | None = None
    """The same, done by hand with the least that does it, in the same run."""
    how: str = ""
    """What was done as a baseline, or under which load."""
    goal_ratio: float | None = None
    """So many times the baseline at most, or at least where it is a rate."""
    binding: bool = False
    """Whether the bench ends 1 where a goal is missed: only where no slower machine could be the reason."""
    runs: tuple[float, ...] = ()
    """Of a median, what it is the median of."""
    ratios: tuple[float, ...] = ()
    """Of a median, how many times the baseline of the same run each run was."""

    @property
    def ratio(self) -> float | None:
        """So many times its baseline; of several runs the median of their ratios, not the ratio of two medians."""
        if self.ratios:
            return statistics.median(self.ratios)
        return self.value / self.baseline if self.baseline else None

    @property
    def met(self) -> bool | None:
        """Whether all its goals are met; of one without a goal, or without the baseline that its goal needs, None."""
        judged = [
            seen >= goal if self.unit in RATES else seen <= goal
            for seen, goal in ((self.value, self.goal), (self.ratio, self.goal_ratio))
            if seen is not None and goal is not None
        ]
        return all(judged) if judged else None


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least so many percent of the values do not exceed."""
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def median(runs: Sequence[Figure]) -> Figure:
    """The median of one figure over several runs, that of its baseline, and the ratio of each run.

    What it says of its load and a goal that hangs on it are those of the run that lies in the middle.
    """
    values, ratios = tuple(run.value for run in runs), tuple(run.ratio for run in runs if run.ratio is not None)
    baselines = [run.baseline for run in runs if run.baseline is not None]
    baseline = statistics.median(baselines) if baselines else None
    value = statistics.median(values)
    middle = min(runs, key=lambda run: abs(run.value - value))
    return replace(middle, value=value, baseline=baseline, runs=values, ratios=ratios)


def told(figure: Figure) -> dict[str, Any]:
    """A figure for programs: what was measured is `ours`, and `ratio` how many times the baseline that is."""
    document = asdict(figure)
    first = {"row": document.pop("row"), "ours": document.pop("value")}
    return first | {"baseline": document.pop("baseline"), "ratio": figure.ratio} | document | {"met": figure.met}


def by_row(figures: Sequence[Figure]) -> list[dict[str, Any]]:
    """One object for each row: of its figures the first that has a goal, and the others in `figures`."""
    rows: dict[str, list[Figure]] = {}
    for figure in figures:
        rows.setdefault(figure.row, []).append(figure)
    found = []
    for of_row in rows.values():
        first = next((each for each in of_row if each.met is not None), of_row[0])
        found.append(told(first) | {"figures": [told(each) for each in of_row if each is not first]})
    return found


def read(document: dict[str, Any]) -> Figure:
    """The figure that was told."""
    fields = {name: value for name, value in document.items() if name not in ("ours", "ratio", "met")}
    return Figure(
        value=document["ours"], **{**fields, "runs": tuple(fields["runs"]), "ratios": tuple(fields["ratios"])}
    )


def table(figures: Sequence[Figure]) -> Table:
    """The figures for people."""
    names = "row", "what", "measured", "baseline", "ratio", "goal", "met", "runs", "how"
    shown = Table(*names)
    for figure in figures:
        shown.add_row(figure.row, figure.what, *cells(figure), figure.how)
    return shown


def cells(figure: Figure) -> list[str]:
    """Measured, baseline, ratio, goal, whether it is met, and of how many runs it is the median, as text."""
    measured, baseline, goal = (
        "" if number is None else f"{written(number)} {figure.unit}".strip()
        for number in (figure.value, figure.baseline, figure.goal)
    )
    bound = "≥" if figure.unit in RATES else "≤"
    goals = [f"{bound} {goal}"] if goal else []
    goals += [] if figure.goal_ratio is None else [f"{bound} {figure.goal_ratio:g} × baseline"]
    met = {True: "yes", False: "no", None: ""}[figure.met]
    ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
    return [measured, baseline, ratio, ", ".join(goals), met, str(len(figure.runs) or 1)]


def written(number: float) -> str:
    """With three digits that say something, and all of a large one."""
    if abs(number) >= 100 or number == int(number):
        return f"{number:,.0f}"
    return f"{number:.1f}" if abs(number) >= 10 else f"{number:.2f}"
