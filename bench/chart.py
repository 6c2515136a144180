"""Series of numbers over time as one SVG: a panel per unit, lines named at their ends."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import cycle, pairwise

WIDTH, LEFT, RIGHT = 960, 70, 190
PANEL, ABOVE, BETWEEN, BELOW = 180, 60, 50, 40
TICKS = 4
LABEL = 15
"""Two names at the ends of lines are at least so far apart."""
COLOURS = ("#0b6e6e", "#b3541e", "#3f5fb0", "#8a3f8f", "#5d7d1f", "#a3243b", "#6b6f76", "#1f86b8")
STYLE = """text { font: 12px system-ui, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1d2733; }
    .sheet { fill: #ffffff; } .title { font-size: 15px; font-weight: 600; } .grid { stroke: #d5dce4; }
    .line { fill: none; stroke-width: 1.5; } .left { text-anchor: end; } .middle { text-anchor: middle; }"""


@dataclass(frozen=True)
class Panel:
    """Lines with the same unit; points are (seconds from the beginning, value), in order."""

    title: str
    lines: Mapping[str, Sequence[tuple[float, float]]]


def svg(title: str, panels: Sequence[Panel]) -> str:
    """A document by itself: no script, no font, nothing from elsewhere."""
    height = ABOVE + len(panels) * (PANEL + BETWEEN) - BETWEEN + BELOW
    last_s = max(point[0] for panel in panels for points in panel.lines.values() for point in points)
    drawn = [
        part
        for number, panel in enumerate(panels)
        for part in _panel(panel, ABOVE + number * (PANEL + BETWEEN), last_s or 1.0)
    ]
    return (
        "\n  ".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img"'
                ' aria-labelledby="title">',
                f'<title id="title">{escape(title)}</title>',
                f"<style>{STYLE}</style>",
                f'<rect class="sheet" width="{WIDTH}" height="{height}"/>',
                f'<text class="title" x="{LEFT}" y="22">{escape(title)}</text>',
                *drawn,
                *(
                    f'<text class="middle" x="{_across(last_s * tick / TICKS, last_s or 1.0):.1f}" y="{height - 14}">'
                    f"{last_s * tick / TICKS / 60:.0f} min</text>"
                    for tick in range(TICKS + 1)
                ),
            ]
        )
        + "\n</svg>\n"
    )


def _across(seconds: float, last_s: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * seconds / last_s


def _panel(panel: Panel, top: float, last_s: float) -> list[str]:
    most = _round_up(max(value for points in panel.lines.values() for _, value in points))
    drawn = [f'<text x="{LEFT}" y="{top - 12:.0f}">{escape(panel.title)}</text>']
    for tick in range(TICKS + 1):
        y = top + PANEL * (1 - tick / TICKS)
        drawn.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
        drawn.append(f'<text class="left" x="{LEFT - 8}" y="{y + 4:.1f}">{most * tick / TICKS:,g}</text>')
    ends = {}
    for (name, points), colour in zip(panel.lines.items(), cycle(COLOURS), strict=False):
        places = [(_across(at_s, last_s), top + PANEL * (1 - value / most)) for at_s, value in points]
        drawn.append(f'<path class="line" stroke="{colour}" d="M{"L".join(f"{x:.1f} {y:.1f}" for x, y in places)}"/>')
        ends[name] = places[-1][1], colour
    for (name, (_, colour)), y in zip(*_apart(ends), strict=True):
        drawn.append(f'<text x="{WIDTH - RIGHT + 8}" y="{y + 4:.1f}" style="fill:{colour}">{escape(name)}</text>')
    return drawn


def _apart(ends: Mapping[str, tuple[float, str]]) -> tuple[list[tuple[str, tuple[float, str]]], list[float]]:
    """The names from the lowest to the highest, and where each is written so that none lies on another."""
    ordered = sorted(ends.items(), key=lambda end: -end[1][0])
    places = [end[0] for _, end in ordered]
    for lower, upper in pairwise(range(len(places))):
        places[upper] = min(places[upper], places[lower] - LABEL)
    return ordered, places


def _round_up(value: float) -> float:
    """The next of 1, 2, 4, 8 times a power of ten: its quarters are short to write."""
    step = 1.0
    while value > step * 8:
        step *= 10
    return next(step * times for times in (1, 2, 4, 8) if value <= step * times)
