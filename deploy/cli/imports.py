"""`shuke import`: other systems' files in, and out again."""

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, cast

import typer

from deploy.cli import options
from deploy.cli.client import answer, download, fail, pages, product, settle
from deploy.cli.progress import progress

if TYPE_CHECKING:
    import httpx

SOME_REJECTED = 3
OUTCOMES = ("accepted", "duplicate", "conflict", "rejected")
PATIENCE_S = 60
"""How long a gateway that does not answer is waited for while an import goes on."""

app = typer.Typer(help="Import other systems' files, list and undo imports.", no_args_is_help=True)

File = Annotated[str, typer.Argument(metavar="FILE", help="CSV, CSV.gz or xlsx with a header row; - reads stdin.")]
Map = Annotated[
    list[str] | None,
    typer.Option("--map", metavar="FIELD=COLUMN", help="What a column is; the rest is guessed. FIELD= for none."),
]
Source = Annotated[str, typer.Option(help="The system that the file comes from; ids are known by it.")]
Money = Annotated[str | None, typer.Option(metavar="ISO", help="Currency of rows that name none.")]
Zone = Annotated[str, typer.Option(metavar="NAME", help="Time zone of times without an offset.")]
Dates = Annotated[str | None, typer.Option(metavar="dmy|mdy", help="What comes first in 01/12/2011, if unclear.")]
Date = Annotated[str | None, typer.Option("--date", metavar="YYYY-MM-DD", help="The day of rows that name none.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="What rows have that do not say it."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Read everything, record nothing.")]
Rejects = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", callback=options.writable, help="Where rejected rows go.", show_default="FILE.rejects.csv"
    ),
]
Wait = Annotated[bool, typer.Option("--wait", help="Return only when every standing is current.")]


KINDS = {
    "purchases": (
        "Import purchases: occurred_at, party (or email, or phone), and where there are, order_id, amount (or quantity"
        " and unit_price), currency, channel, product, line. Rows of one order with several products are its lines."
        "\n\nEnds 0 when all rows were taken, 3 when some were rejected. The same file again changes nothing."
    ),
    "returns": (
        "Import returns: the same fields, order_id being that of the return and original_order_id that of the purchase."
        "\n\nThe amount may have either sign."
    ),
    "parties": (
        "Import contacts: party (the id there), email, phone, one of them in each row; kind; occurred_at (known since)."
        "\n\nSeveral identifiers in one row make one party. What another party holds stays there, and the row is noted."
    ),
    "interactions": (
        "Import what passed with parties: party, occurred_at, kind, and where there are, interaction_id, department,"
        " channel, direction, attitude, speed, quality, text, loss_reason."
        "\n\nA file in which all rows are alike says it once, such as --set kind=campaign --set channel=mail."
    ),
    "leads": (
        "Import leads: lead_id, party, email, phone, occurred_at, source, medium, campaign, owner, team, note."
        "\n\nEvery other column becomes an attribute. A file without dates needs --date, the day of all its rows."
    ),
    "lead-outcomes": (
        "Import what became of leads: lead_id, outcome (won, 1, lost, 0, disqualified), reason, occurred_at, amount."
        "\n\nThe source is that of the leads. An outcome without a date happened when its lead was captured."
    ),
    "posts": (
        "Import posts and replies: post_id, community, member, occurred_at, text, in_reply_to, group."
        "\n\nWhere no column is the community, it is the source. An answer may stand before what it answers."
    ),
}
"""The kinds of files, each with what a person should know of it."""


WAYS_OUT = {
    "column_missing": "Here: --map FIELD=COLUMN, or --date YYYY-MM-DD for the day of all rows.",
    "unknown_column": "Here: --map FIELD=COLUMN.",
    "unknown_field": "Here: --map FIELD=COLUMN, --set FIELD=VALUE.",
    "ambiguous_dates": "Here: --dates dmy, or --dates mdy.",
}
"""How what is wrong with a file is said better, in the words of the command."""


def command(kind: str, told: str) -> None:
    """Have a command for a kind of files."""

    @app.command(kind, help=told)
    def bring_in(
        file: File,
        columns: Map = None,
        constants: Set = None,
        source: Source = "import",
        currency: Money = None,
        timezone: Zone = "UTC",
        dates: Dates = None,
        date: Date = None,
        dry_run: DryRun = False,
        rejects: Rejects = None,
        wait: Wait = False,
        data: options.Data = None,
    ) -> None:
        form = {"kind": kind, "source": source, "currency": currency}
        form |= {"timezone": timezone, "dates": dates, "date": date}
        form["constants"] = json.dumps(pairs("--set", "FIELD=VALUE", constants or []))
        bring(file, form, columns, dry_run=dry_run, rejects=rejects, wait=wait, data=data)


for kind, told in KINDS.items():
    command(kind, told)


@app.command()
def undo(
    import_id: Annotated[str, typer.Argument(metavar="ID", help="As `shuke import list` shows it.")],
    wait: Wait = False,
    data: options.Data = None,
) -> None:
    """Withdraw everything that an import brought, as if it had never been."""
    with product(data) as client:
        answer(client.post(f"/v1/imports/{import_id}/undo"))
        job = follow(client, import_id, "undoing")
        typer.echo(f"{job['withdrawn']:,} {job['kind']} are withdrawn.")
        if wait:
            settle(client)


@app.command("list")
def list_imports(data: options.Data = None) -> None:
    """List imports, the newest first."""
    with product(data) as client:
        for job in pages(client, "/v1/imports"):
            typer.echo(listed(job))


def listed(job: dict[str, Any]) -> str:
    """An import in two lines, its id first and whole however narrow the terminal is."""
    told = "dry run" if job["dry_run"] else job["state"]
    rows = counts(job, ("rows", *OUTCOMES, "withdrawn"))
    return f"{job['id']} {told}\n    {job['kind']} from {job['source']}, {job['file_name']}: {rows}"


def counts(job: dict[str, Any], names: Iterable[str]) -> str:
    """How many rows became what."""
    return ", ".join(f"{job[name]:,} {name}" for name in names)


def bring(
    file: str,
    form: dict[str, str | None],
    columns: list[str] | None,
    *,
    dry_run: bool,
    rejects: Path | None,
    wait: bool,
    data: Path | None,
) -> None:
    """Send a file, show how it is understood, follow it to its end and fetch what was rejected."""
    said = {name: value for name, value in form.items() if value is not None}
    said |= {"mapping": json.dumps(pairs("--map", "FIELD=COLUMN", columns or [])), "dry_run": str(dry_run).lower()}
    with product(data) as client:
        job = sent(client, file, said)
        show_understanding(job)
        job = follow(client, job["id"], "reading" if dry_run else "importing")
        typer.echo(summary(job))
        refused, noted = job["rejected"] + job["conflict"], job["noted"]
        if refused or noted:
            path = rejects or Path("import.rejects.csv" if file == "-" else f"{file}.rejects.csv")
            fetch_rejects(client, job["id"], path)
            typer.echo(f"{told_apart(refused, noted)}; each with its reason in {path}.", err=True)
        if wait and not dry_run:
            settle(client, seconds=3600)
    if refused:
        raise typer.Exit(SOME_REJECTED)


def told_apart(refused: int, noted: int) -> str:
    """How many rows are to be looked at, and why."""
    parts = [f"{refused:,} rows were not taken"] if refused else []
    return ", ".join([*parts, *([f"{noted:,} were taken and are to be looked at"] if noted else [])])


def pairs(option: str, form: str, said: list[str]) -> dict[str, str]:
    """`field=column` or `field=value` pairs as a mapping."""
    if wrong := [pair for pair in said if "=" not in pair]:
        fail(f"{option} takes {form}, not {wrong[0]!r}.", 2)
    return dict(pair.split("=", 1) for pair in said)


def sent(client: "httpx.Client", file: str, form: dict[str, str]) -> dict[str, Any]:
    """The import that the server made of a file; what it refuses about the file ends the command with 2."""
    with opened(file) as content:
        name = "stdin" if file == "-" else Path(file).name
        response = client.post("/v1/imports", data=form, files={"file": (name, content)}, timeout=None)
    try:
        return cast(dict[str, Any], answer(response, WAYS_OUT))
    except typer.Exit:
        raise typer.Exit(2 if response.status_code in (413, 422) else 1) from None


@contextmanager
def opened(file: str) -> Iterator[IO[bytes]]:
    """A file, or all of stdin put aside, so that its length is known."""
    if file == "-":
        with tempfile.TemporaryFile() as aside:
            shutil.copyfileobj(sys.stdin.buffer, aside)
            aside.seek(0)
            yield aside
    elif not os.access(file, os.R_OK) or Path(file).is_dir():
        fail(f"{file} is not a file that can be read.", 2)
    else:
        with Path(file).open("rb") as content:
            yield content


def show_understanding(job: dict[str, Any]) -> None:
    """Print the mapping, what was decided about the file, and its first rows."""
    from rich.console import Console
    from rich.table import Table

    console = Console(stderr=True, highlight=False)
    mapping = ", ".join(f"{field} = {column}" for field, column in job["mapping"].items())
    money = f" in {job['currency']} where they name nothing else" if job["currency"] else ""
    console.print(f"[bold]{job['rows']:,} rows[/bold]{money}. {mapping}")
    unused = [column for column in job["columns"] if column not in job["mapping"].values()]
    # A lead keeps every column, and a note says so.
    if unused and job["kind"] != "leads":
        console.print(f"Not used: {', '.join(unused)}.", markup=False)
    for note in job["notes"]:
        console.print(f"• {note}", markup=False)
    names = list(dict.fromkeys(name for row in job["preview"] for name in row))
    table = Table(*names, title="first rows", title_justify="left")
    for row in job["preview"]:
        table.add_row(*(str(row.get(name, "")) for name in names))
    console.print(table)


def follow(client: "httpx.Client", import_id: str, doing: str) -> dict[str, Any]:
    """Show the progress of an import until it ends. The import goes on without this command."""
    from rich.progress import TimeRemainingColumn

    columns = "{task.fields[rate]} rows/s, {task.fields[refused]} rejected", TimeRemainingColumn()
    with progress(doing, *columns, rate="–", refused=0) as (bar, task):
        while True:
            job = state(client, import_id)
            undoing = job["state"] in ("undoing", "undone")
            bar.update(
                task,
                total=job["accepted" if undoing else "rows"],
                completed=job["withdrawn" if undoing else "rows_read"],
                rate=f"{job['rows_per_s'] or 0:,.0f}",
                refused=job["rejected"] + job["conflict"],
            )
            if job["state"] == "failed":
                fail(f"{import_id} failed on our side; the log of its importer says why. It can be undone.")
            if job["state"] in ("done", "undone"):
                return job
            time.sleep(0.1)


def state(client: "httpx.Client", import_id: str) -> dict[str, Any]:
    """How far an import is, also across a restart of the gateway."""
    import httpx

    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            response = client.get(f"/v1/imports/{import_id}")
            if response.status_code < 500 or time.monotonic() > until:
                return cast(dict[str, Any], answer(response))
        except httpx.TransportError:
            if time.monotonic() > until:
                raise
        time.sleep(0.5)


def summary(job: dict[str, Any]) -> str:
    """One line on what became of the rows."""
    rate = f" at {job['rows_per_s']:,.0f} rows/s" if job["rows_per_s"] else ""
    line = f"{job['id']}: {counts(job, OUTCOMES)}{rate}."
    if job["dry_run"]:
        return f"{line} It was a dry run: nothing is recorded."
    if not job["accepted"]:
        return f"{line} Nothing has changed: " + (
            f"this is the file of {job['same_as']}." if job["same_as"] else "every row that can be taken was known."
        )
    return line


def fetch_rejects(client: "httpx.Client", import_id: str, path: Path) -> None:
    """Write the rejected rows with their reasons to a file."""
    download(client, f"/v1/imports/{import_id}/rejects", path)
