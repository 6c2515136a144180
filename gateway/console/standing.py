"""A standing as it is drawn: its parts, and what it was worth over time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Self

MOST = 6
"""Kinds of evidence that are drawn of an index."""


def grounds(reasons: Mapping[str, Any]) -> dict[str, Any]:
    """What a standing is made of, each as a bar: value against the cut points, the two indexes with their evidence."""
    tier = reasons["tier"]
    cuts = [(name, tier["cuts"][name]) for name in ("mid", "high", "top") if tier["cuts"].get(name) is not None]
    value = tier["value_minor"] if tier["as_set"] is None else tier["as_set"]
    longest = max(value, *(cut for _, cut in cuts), 1) * 1.06
    return {
        "value": {
            "value_minor": value,
            "by": tier["by"] if tier["as_set"] is None else "set",
            "share": max(value, 0) / longest,
            "cuts": [(name, cut, cut / longest) for name, cut in cuts],
        },
        "indexes": [
            (name, reasons[name], _evidence(reasons[name]["contributions"])) for name in ("satisfaction", "loyalty")
        ],
    }


def settable(standing: Mapping[str, Any]) -> dict[str, list[str]]:
    """What each part of a standing may be set to by hand; nothing for one that is set to a number.

    Why a party is lost is asked of none that is not.
    """
    reasons = standing["reasons"]
    found = {field: list(values) for field, values in _SETTABLE.items()}
    found["level"] = [level["name"] for level in reasons["turnover"]["levels"]]
    found["treatment"] = reasons["treatment"]["treatments"]
    if standing["loss_reason"] is None:
        del found["loss_reason"]
    return {field: values for field, values in found.items() if values} | {field: [] for field in NUMBERS}


def why(reasons: Mapping[str, Any]) -> str:
    """The sentence of a reason without the advice at its end, which is shown by itself."""
    text: str = reasons["sentence"]
    for said in reversed(reasons.get("advice", ())):
        text = text.removesuffix(said).rstrip()
    return text


def _evidence(contributions: Sequence[Mapping[str, Any]]) -> list[tuple[str, int, float, float]]:
    """Kind of evidence, how often, what it adds in log-odds, and that as a share of the largest, signed."""
    summed: dict[str, tuple[int, float]] = {}
    for each in contributions:
        count, odds = summed.get(each["evidence"], (0, 0.0))
        summed[each["evidence"]] = count + each["count"], odds + each["log_odds"]
    most = max((abs(odds) for _, odds in summed.values()), default=0) or 1
    ranked = sorted(summed.items(), key=lambda each: -abs(each[1][1]))
    return [(name, count, odds, odds / most) for name, (count, odds) in ranked[:MOST]]


@dataclass(frozen=True)
class Worth:
    """What a party was worth over time, in a box from 0 to 1, with its moves of stage."""

    points: Sequence[tuple[float, float]]
    marks: Sequence[tuple[float, float, Mapping[str, Any]]]
    first: str
    last: str
    most_minor: int
    currency: str | None
    rows: Sequence[tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]]]
    """For whoever reads rather than looks: days with their value, each with the moves since the one before."""

    @classmethod
    def of(cls, values: Mapping[str, Any] | None, moves: Sequence[Mapping[str, Any]]) -> Self | None:
        """From what the API tells; None where there is too little for a line."""
        if values is None or len(values["data"]) < 2:
            return None
        rows = values["data"]
        begin, end = (date.fromisoformat(rows[place]["day"]).toordinal() for place in (0, -1))
        days = max(end - begin, 1)
        most = max(*(row["value_minor"] for row in rows), 1)

        def x(day: str) -> float:
            return min(max((date.fromisoformat(day).toordinal() - begin) / days, 0), 1)

        points = [(x(row["day"]), max(row["value_minor"], 0) / most) for row in rows]
        marks = [
            (x(move["day"]), _height(points, x(move["day"])), move)
            for move in moves
            if move["from_stage"] != move["to_stage"]
        ]
        every = max(len(rows) // 12, 1)
        told = _with_moves(rows[::-1][::every][::-1], [move for _, _, move in marks])
        return cls(points, marks, rows[0]["day"], rows[-1]["day"], most, values["currency"], told)


def _with_moves(
    rows: Sequence[Mapping[str, Any]], moves: Sequence[Mapping[str, Any]]
) -> list[tuple[Mapping[str, Any], list[Mapping[str, Any]]]]:
    """Each row with the moves up to its day, but after that of the row before; the last has all later ones."""
    since = [date.min.isoformat(), *(row["day"] for row in rows[:-1])]
    until = [*(row["day"] for row in rows[:-1]), date.max.isoformat()]
    return [
        (row, sorted((move for move in moves if after < move["day"] <= last), key=lambda move: str(move["day"])))
        for row, after, last in zip(rows, since, until, strict=True)
    ]


def _height(points: Sequence[tuple[float, float]], x: float) -> float:
    """Where the line is at a place."""
    before = max((point for point in points if point[0] <= x), default=points[0])
    after = min((point for point in points if point[0] >= x), default=points[-1])
    width = after[0] - before[0]
    return before[1] if width == 0 else before[1] + (after[1] - before[1]) * (x - before[0]) / width


def forecast(summary: Mapping[str, Any]) -> dict[str, Any]:
    """A summary whose sums of values are what is to be expected; as it is where nothing is known to calibrate it by.

    Each cell is rounded by itself, so that all that is shown adds up.
    """
    factor = summary["calibration"]
    if factor is None:
        return dict(summary)
    cells = [{**cell, "value_minor": round(cell["value_minor"] * factor)} for cell in summary["data"]]
    return {**summary, "data": cells, "value_minor": sum(cell["value_minor"] for cell in cells)}


NUMBERS = ("value_minor", "turnover_minor", "p", "satisfaction_index", "loyalty_index")
"""Parts of a standing that are set to a number."""
_YES_OR_NO = ("true", "false")
_SETTABLE: Mapping[str, Sequence[str]] = {
    "stage": ("prospect", "dormant_prospect", "lost_prospect", "customer", "dormant_customer", "lost_customer"),
    "loss_reason": (
        "price", "product", "quality", "service", "competitor", "no_need", "no_budget", "timing", "no_response",
        "relationship", "moved", "not_a_customer", "duplicate", "unknown",
    ),
    "tier": ("top", "high", "mid", "low", "unproven"),
    "level": (),
    "satisfaction": ("high", "middle", "low"),
    "loyalty": ("high", "middle", "low"),
    "posture": ("developing", "steady", "conservative"),
    "potential": ("A", "B", "C", "D"),
    "treatment": (),
    "high_value": _YES_OR_NO,
    "profit_making": _YES_OR_NO,
    "returning": _YES_OR_NO,
    "satisfied": _YES_OR_NO,
    "vip": _YES_OR_NO,
}  # fmt: skip
