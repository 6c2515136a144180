"""`shuke bench [ROW…] [--times N] [--parties N] [--minutes N] [--json] [--out FILE]`."""

import json
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from bench import machine
from bench.figures import Figure, by_row, table, told
from bench.product import ROOT
from bench.rows import ALL, POPULATIONS, SIZES, measured

RESULTS = ROOT / "bench" / "results"


def main(
    rows: Annotated[list[str] | None, typer.Argument(metavar="ROW…", help=f"Of {', '.join(ALL)}; else all.")] = None,
    times: Annotated[int, typer.Option(min=1, help="Measure each row so often, and tell the medians.")] = 5,
    parties: Annotated[
        int | None,
        typer.Option(
            min=1_000,
            help="Size of the population. Unless given: "
            + ", ".join(f"{name} {SIZES[name]:,}" for name in POPULATIONS)
            + ".",
        ),
    ] = None,
    minutes: Annotated[float, typer.Option(min=1, help="How long the load of `memory` goes on, once.")] = 60,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Print one JSON object per row, as soon as it is measured: the first figure with a goal, and the"
            " others in `figures`.",
        ),
    ] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the figures there, else to bench/results/.")
    ] = None,
) -> None:
    """Measure, each figure beside a raw baseline of the same run.

    `faults` breaks the product on purpose instead, and judges what is left; `soak` loads it for an hour, and watches;
    `screenshots` takes pictures of every page of the console; `tables` writes results into docs/performance.md. Each
    tells its options: `shuke bench faults --help`.

    Ends 1 if a process grew while `memory` went on. A missed goal of another row is told and ends 0: the machine may be
    the reason. A row that cannot be measured is told, with why, the others are measured all the same, and it ends 1.
    """
    if unknown := [name for name in rows or () if name not in ALL]:
        raise typer.BadParameter(f"There is no row {', '.join(unknown)}. Rows: {', '.join(ALL)}.")
    began, on = datetime.now(UTC), machine.described()
    file = out or RESULTS / f"{began:%Y%m%dT%H%M%SZ}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    typer.echo(", ".join(f"{name} {value}" for name, value in on.items()), err=True)
    figures: list[Figure] = []
    failed: dict[str, str] = {}
    for name in rows or ALL:
        try:
            of_row = measured(name, times=times, parties=parties, minutes=minutes)
        # Of whatever kind: the hours of the rows that come after it are not lost.
        except Exception as why:
            traceback.print_exc()
            typer.echo(f"{name}: failed, {type(why).__name__}: {why}", err=True)
            of_row, failed[name] = [], f"{type(why).__name__}: {why}"
        figures += of_row
        for each in by_row(of_row) if as_json else ():
            typer.echo(json.dumps(each))
        # After each row: of one that is ended half-way the rows before it are kept.
        file.write_text(json.dumps(document(figures, on, began, times, parties, failed), indent=2) + "\n")
    Console(width=160, stderr=as_json).print(table(figures))
    typer.echo(f"Written to {file}", err=True)
    missed = [f"{figure.row}: {figure.what}" for figure in figures if figure.binding and figure.met is False]
    for title, found in (("Failed", list(failed)), ("Missed", missed)):
        if found:
            typer.echo(f"{title}: {'; '.join(found)}", err=True)
    if failed or missed:
        raise typer.Exit(1)


def document(
    figures: list[Figure],
    on: dict[str, str | int],
    began: datetime,
    times: int,
    parties: int | None,
    failed: Mapping[str, str],
) -> dict[str, Any]:
    """The figures with the machine, for the record, and why rows have none."""
    return {
        "began": began.isoformat(timespec="seconds"),
        "machine": on,
        "times": times,
        "parties": parties,
        "failed": dict(failed),
        "figures": [told(figure) for figure in figures],
    }


app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
app.command()(main)

if __name__ == "__main__":
    app(prog_name="shuke bench")
