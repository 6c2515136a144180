"""`shuke bench [ROW…] [--json FILE]`."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from bench import freshness, journey, machine
from bench.figures import Figure

ROWS: Mapping[str, Callable[[], list[Figure]]] = {
    "freshness": freshness.embedded,
    "freshness-kafka": freshness.kafka,
    "journey": journey.imported,
}


def main(
    rows: Annotated[list[str] | None, typer.Argument(metavar="ROW…", help=f"Of {', '.join(ROWS)}; else all.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the figures there.")] = None,
) -> None:
    """Measure, each figure beside a raw baseline of the same run."""
    if unknown := [name for name in rows or () if name not in ROWS]:
        raise typer.BadParameter(f"There is no row {', '.join(unknown)}. Rows: {', '.join(ROWS)}.")
    on, figures = machine.described(), []
    typer.echo(", ".join(f"{name} {value}" for name, value in on.items()))
    for name in rows or ROWS:
        figures += ROWS[name]()
    Console(width=160).print(table(figures))
    if json_file:
        document = {"machine": on, "figures": [asdict(figure) for figure in figures]}
        json_file.write_text(json.dumps(document, indent=2) + "\n")


def table(figures: list[Figure]) -> Table:
    """The figures for people."""
    shown = Table("row", "what", "measured", "goal", "baseline", "how")
    for figure in figures:
        cells = (figure.value, figure.goal, figure.baseline)
        numbers = ["" if cell is None else f"{cell:,.1f} {figure.unit}" for cell in cells]
        shown.add_row(figure.row, figure.what, *numbers, figure.how)
    return shown


app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
app.command()(main)
app(prog_name="shuke bench")
