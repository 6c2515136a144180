"""Tables on a terminal."""

import sys
from collections.abc import Iterable, Mapping
from typing import Any


def table(rows: Iterable[Mapping[str, Any]]) -> None:
    """Print rows that all have the same columns; numbers stand to the right. Without rows nothing is printed."""
    from rich.console import Console
    from rich.table import Table

    made: Table | None = None
    for row in rows:
        if made is None:
            made = Table(box=None, pad_edge=False, header_style="bold")
            for column, value in row.items():
                right = isinstance(value, int)
                made.add_column(column, justify="right" if right else "left", overflow="fold", no_wrap=right)
        made.add_row(*(_cell(value) for value in row.values()))
    if made is not None:
        # What is piped on is not broken into the width of a terminal that is not there.
        Console(width=None if sys.stdout.isatty() else 400).print(made)


def _cell(value: Any) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return "" if value is None else str(value).replace("[", "\\[")


def ago(seconds: float | None) -> str:
    """Seconds as a person says them."""
    if not seconds:
        return ""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"
