"""`shuke bench [ROW…] [--times N] [--parties N] [--json FILE]`."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from bench import costs, drain, freshness, gateway, journey, live, machine, model, posts, standing, streams
from bench.console import visits
from bench.figures import Figure, median, told
from bench.product import ROOT

SIZED: Mapping[str, Callable[[int], list[Figure]]] = {
    "activation": standing.activation,
    "sweeper": standing.sweeper,
    "trial": standing.trial,
    "export": standing.export,
    "pages": standing.pages,
    "console": visits.visited,
    "event-cost": costs.of_events,
    "drain": drain.embedded,
    "drain-kafka": drain.kafka,
    "drain-naive": drain.beside_naive,
}
"""Rows about a population of so many parties."""
SMALL = {name: drain.DEFAULT_PARTIES for name in ("drain", "drain-kafka", "drain-naive")}
"""Rows with a smaller population, unless a size is asked for."""
ROWS: Mapping[str, Callable[[], list[Figure]]] = {
    "freshness": freshness.embedded,
    "freshness-kafka": freshness.kafka,
    "journey": journey.imported,
    "live": live.embedded,
    "post": posts.posts,
    "gateway": gateway.proxied,
    "streams": streams.opened,
    "fit": model.fitted,
    "assess-array": model.assessed,
}
ALL = (*ROWS, *SIZED)
RESULTS = ROOT / "bench" / "results"


def main(
    rows: Annotated[list[str] | None, typer.Argument(metavar="ROW…", help=f"Of {', '.join(ALL)}; else all.")] = None,
    times: Annotated[int, typer.Option(min=1, help="Measure each row so often, and tell the medians.")] = 3,
    parties: Annotated[
        int | None,
        typer.Option(
            min=1_000,
            help=f"Size of the population of {', '.join(SIZED)}."
            f" Unless given {standing.DEFAULT_PARTIES:,}; {drain.DEFAULT_PARTIES:,} of {', '.join(SMALL)}.",
        ),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the figures there, else to bench/results/.")
    ] = None,
) -> None:
    """Measure, each figure beside a raw baseline of the same run.

    `faults` breaks the product on purpose instead, and judges what is left; `soak` loads it for an hour, and watches;
    `screenshots` takes pictures of every page of the console. Each tells its options: `shuke bench faults --help`.
    """
    if unknown := [name for name in rows or () if name not in ALL]:
        raise typer.BadParameter(f"There is no row {', '.join(unknown)}. Rows: {', '.join(ALL)}.")
    began, on, figures = datetime.now(UTC), machine.described(), []
    typer.echo(", ".join(f"{name} {value}" for name, value in on.items()))
    for name in rows or ALL:
        measured, size = [], parties or SMALL.get(name, standing.DEFAULT_PARTIES)
        for nth in range(1, times + 1):
            typer.echo(f"{name}: run {nth} of {times}")
            measured.append(SIZED[name](size) if name in SIZED else ROWS[name]())
        figures += [median(runs) for runs in zip(*measured, strict=True)]
    Console(width=160).print(table(figures, times))
    file = json_file or RESULTS / f"{began:%Y%m%dT%H%M%SZ}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "began": began.isoformat(timespec="seconds"),
        "machine": on,
        "times": times,
        "parties": parties,
        "figures": [told(figure) for figure in figures],
    }
    file.write_text(json.dumps(document, indent=2) + "\n")
    typer.echo(f"Written to {file}")


def table(figures: list[Figure], times: int) -> Table:
    """The figures for people."""
    shown = Table("row", "what", "measured", "goal", "baseline", "ratio", "how", caption=f"Medians of runs: {times}")
    for figure in figures:
        cells = (figure.value, figure.goal, figure.baseline)
        numbers = ["" if cell is None else f"{cell:,.1f} {figure.unit}" for cell in cells]
        ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
        shown.add_row(figure.row, figure.what, *numbers, ratio, figure.how)
    return shown


app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
app.command()(main)
app(prog_name="shuke bench")
