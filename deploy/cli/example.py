"""The example: a tenth of the CDNOW customers, moved in time so that their last day is yesterday."""

import csv
import gzip
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import typer

from deploy.cli import imports, options
from deploy.cli.client import answer, client_of, pages, product, settle

if TYPE_CHECKING:
    import httpx
    from rich.console import Console

ORDERS = Path(__file__).resolve().parents[2] / "examples" / "cdnow" / "orders.csv.gz"
SOURCE = "example"
CURRENCY = "USD"
LAST_DAY = date(1998, 6, 30)
MAPPING = {"party": "customer_id", "order_id": "order_id", "occurred_at": "ts", "amount": "amount"}
STAGES = ("customer", "dormant_customer", "lost_customer", "prospect", "dormant_prospect", "lost_prospect", "stranger")
TIERS = ("top", "high", "mid", "low", "unproven")

app = typer.Typer(help="The example: 2,357 customers of a record shop.", no_args_is_help=True)


@app.command()
def load(data: options.Data = None) -> None:
    """Load the example into the running product. Loaded already, nothing changes."""
    with product(data) as client:
        load_into(client)


@app.command()
def remove(data: options.Data = None) -> None:
    """Take the example out again, as if it had never been loaded."""
    with product(data) as client:
        there = loaded(client)
        if there is None:
            typer.echo("The example is not loaded.")
            return
        answer(client.post(f"/v1/imports/{there['id']}/undo"))
        imports.follow(client, there["id"], "taking the example out")
        settle(client)
    typer.echo("The example is gone.")


async def first_load(url: str, key: str) -> None:
    """Load the example at the first start, beside the supervisor that called."""
    import asyncio

    def work() -> None:
        with client_of(url, key) as client:
            load_into(client)

    await asyncio.to_thread(work)


def load_into(client: "httpx.Client") -> None:
    """Import the orders under the source `example`, cut the tiers by them, show who is where."""
    from rich.console import Console

    there = loaded(client)
    if there is None:
        zone = ZoneInfo(answer(client.get("/v1/status"))["time_zone"])
        content = gzip.compress(shifted(datetime.now(zone).date() - timedelta(days=1)).encode(), 1, mtime=0)
        form = {"kind": "purchases", "source": SOURCE, "currency": CURRENCY, "mapping": json.dumps(MAPPING)}
        there = answer(client.post("/v1/imports", data=form, files={"file": ("example.csv.gz", content)}))
    imports.follow(client, there["id"], "loading the example")
    settle(client)
    answer(client.post("/v1/tiers/fit"))
    settle(client)
    show_summary(client, Console())


def loaded(client: "httpx.Client") -> dict[str, Any] | None:
    """The import of the example that stands, if any."""
    return next((each for each in pages(client, "/v1/imports") if each["source"] == SOURCE and stands(each)), None)


def stands(job: dict[str, Any]) -> bool:
    """Whether an import brought something that was not taken out again."""
    return not job["dry_run"] and job["state"] not in ("undoing", "undone")


def shifted(last: date) -> str:
    """The orders as CSV, moved by whole days so that the last of them is on `last`."""
    with gzip.open(ORDERS, "rt", newline="") as file:
        rows = list(csv.DictReader(file))
    return written(moved(rows, last - LAST_DAY), list(rows[0]))


def moved(rows: Iterable[dict[str, str]], by: timedelta) -> Iterator[dict[str, str]]:
    """Each row on another day."""
    for row in rows:
        yield {**row, "ts": (date.fromisoformat(row["ts"]) + by).isoformat()}


def written(rows: Iterable[dict[str, str]], columns: list[str]) -> str:
    """Rows as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def show_summary(
    client: "httpx.Client", console: "Console", asked: Mapping[str, str | int] = MappingProxyType({})
) -> None:
    """Print how many parties stand where: a row per stage, a column per tier."""
    from rich.table import Table

    cells = answer(client.get("/v1/standings/summary", params=asked, timeout=None))["data"]
    counts = {(cell["stage"], cell["tier"]): cell["count"] for cell in cells}
    tiers = [tier for tier in TIERS if any(column == tier for _, column in counts)]
    table = Table("stage", *tiers)
    for stage in STAGES:
        if any(row == stage for row, _ in counts):
            table.add_row(stage, *(f"{counts.get((stage, tier), 0):,}" for tier in tiers))
    console.print(table)
