"""`shuke rates`: what other currencies are worth in the reporting currency."""

import csv
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated

import typer

from deploy.cli import options
from deploy.cli.client import answer, fail, product

COLUMNS = ("day", "currency", "rate")
AT_ONCE = 5_000

app = typer.Typer(help="What other currencies are worth in the reporting currency.", no_args_is_help=True)


@app.command("import")
def import_rates(
    file: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="CSV: day,currency,rate.")],
    data: options.Data = None,
) -> None:
    """Add rates: units of the reporting currency for one unit of the currency, from that day on."""
    rows = read(file)
    added = 0
    with product(data) as client:
        for start in range(0, len(rows), AT_ONCE):
            added += answer(client.post("/v1/rates", json={"rates": rows[start : start + AT_ONCE]}))["added"]
    typer.echo(f"{len(rows):,} rates, {added:,} of them new.")


def read(file: Path) -> list[dict[str, str]]:
    """The rates of a file, as text so that nothing is rounded; a row that is none ends the command with 2."""
    with file.open(newline="", encoding="utf-8-sig") as content:
        reader = csv.DictReader(content)
        if missing := [name for name in COLUMNS if name not in (reader.fieldnames or ())]:
            fail(f"{file} has no column {', '.join(missing)}; a file of rates has {', '.join(COLUMNS)}.", 2)
        rows = [{name: (row[name] or "").strip() for name in COLUMNS} for row in reader]
    for number, row in enumerate(rows, 2):
        try:
            good = Decimal(row["rate"]) > 0
        except InvalidOperation:
            good = False
        if not good:
            fail(f"{file}, row {number}: a rate is a number above zero.", 2)
    return rows
