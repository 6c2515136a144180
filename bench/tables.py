"""`shuke bench tables FILE… [--page FILE] [--faults-page FILE]`."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.figures import Figure, cells, read
from bench.product import ROOT
from bench.rows import ALL

PAGE, FAULTS_PAGE = ROOT / "docs" / "performance.md", ROOT / "docs" / "faults.md"
BEGIN, END = "<!-- results: written by `bench tables` -->", "<!-- end of the results -->"
ORDER = (*ALL, "soak")
HEAD = ("| What | Measured | Baseline | Ratio | Goal | Met | Runs |", "| --- | --- | --- | --- | --- | --- | --- |")


COUNTS = {
    "commands": "Commands acknowledged",
    "attempts": "Attempts that they took",
    "lost": "Lost",
    "doubled": "Doubled",
    "out_of_order": "Out of order",
    "verify_disagreements": "Parties on which `verify` disagrees",
    "state_differs": "Differences of the compacted topic",
    "stuck": "Stuck",
    "refused": "Refused",
    "unexpected_dead_letters": "Dead letters that were not meant to be",
    "repeated_on_kafka": "Records repeated on Kafka, which consumers drop",
    "events_told": "Events told to the listeners",
}
"""What a run of faults counts, as it is written."""


class NoPlace(Exception):
    """The page has no place for results."""


def main(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", exists=True, help="What `--out` has written.")],
    page: Annotated[Path, typer.Option(metavar="FILE", help="The page with the rows.", exists=True)] = PAGE,
    faults_page: Annotated[
        Path, typer.Option(metavar="FILE", help="The page with the faults.", exists=True)
    ] = FAULTS_PAGE,
) -> None:
    """Write the tables of results into docs/performance.md, those of faults into docs/faults.md.

    The table of a row that the files hold takes the place of the former one; of several files the latest holds. The
    tables of other rows stay. A run of faults takes the place of the former run.
    """
    documents = [json.loads(file.read_text()) for file in files]
    runs = sorted((each for each in documents if "recovery_s" in each), key=_began)
    new = sections(each for each in documents if "figures" in each)
    if new:
        page.write_text(with_results(page.read_text(), new))
        typer.echo(f"{', '.join(new)} written to {page}")
    if runs:
        faults_page.write_text(with_fault_run(faults_page.read_text(), runs[-1]))
        typer.echo(f"{runs[-1]['faults']} faults written to {faults_page}")


def sections(documents: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The section of each row in some results, by the latest of them."""
    found: dict[str, str] = {}
    for document in sorted(documents, key=_began):
        of_rows: dict[str, list[Figure]] = {}
        for figure in map(read, document["figures"]):
            of_rows.setdefault(figure.row, []).append(figure)
        found |= {row: section(row, figures, document) for row, figures in of_rows.items()}
    return found


def section(row: str, figures: Sequence[Figure], document: Mapping[str, Any]) -> str:
    """A heading, when and on what it was measured, a table, and what was done."""
    lines = [f"### `{row}`", "", measured_on(document), "", *HEAD]
    lines += [f"| {' | '.join(map(_cell, (figure.what, *cells(figure))))} |" for figure in figures]
    hows = dict.fromkeys(figure.how for figure in figures if figure.how)
    return "\n".join([*lines, "", *(f"- {how[0].upper()}{how[1:]}." for how in hows)]).rstrip() + "\n"


def measured_on(document: Mapping[str, Any]) -> str:
    """The day, the commit and the machine."""
    on, day = document["machine"], datetime.fromisoformat(document["began"])
    return (
        f"{day.day} {day:%B %Y}, commit {on['commit']}: {on['processor']}, {on['cores']} cores, {on['memory_gb']} GB,"
        f" Linux {on['kernel']}, Python {on['python']}, PostgreSQL {on['postgresql']}."
    )


def with_results(page: str, new: Mapping[str, str]) -> str:
    """The page with new sections in the order of the rows. Raises `NoPlace` where it has no place for them."""
    before, old, after = _place(page)
    standing = {found[1]: f"{found[0].rstrip()}\n" for found in _SECTION.finditer(old)}
    all_ = standing | dict(new)
    ordered = sorted(all_, key=lambda row: (ORDER.index(row) if row in ORDER else len(ORDER), row))
    results = "".join(f"{all_[row]}\n" for row in ordered)
    return f"{before}{BEGIN}\n\n{results}{END}{after}"


def with_fault_run(page: str, run: Mapping[str, Any]) -> str:
    """The page with what a run of faults found in the place of what was there. Raises `NoPlace` as `with_results`."""
    before, _, after = _place(page)
    minutes, seconds = divmod(round(run["took_s"]), 60)
    told = f"{run['faults']} faults of seed {run['seed']} in {minutes} min {seconds} s. {measured_on(run)}"
    lines = [told, ""]
    if not run["judged"]:
        lines += ["What was left was not judged as a whole.", ""]
    counts = [(title, f"{run[name]:,}") for name, title in COUNTS.items()]
    lines += ["| Found | |", "| --- | --- |", *(f"| {title} | {count} |" for title, count in counts)]
    lines += [f"| Digest that of a quiet installation | {'yes' if run['digest_equal'] else 'no'} |"]
    lines += ["", "| Kind | Times | Median, s | Longest, s | Promised, s |", "| --- | --- | --- | --- | --- |"]
    for kind, took in run["recovery_s"].items():
        limit = "" if took["limit"] is None else f"{took['limit']:g}"
        lines.append(f"| {kind} | {took['times']} | {took['median']:.1f} | {took['max']:.1f} | {limit} |")
    notes = [f"Full disks: {run['full_disk']}."]
    notes += [f"Late: {', '.join(run['late'])}."] * bool(run["late"])
    notes += [f"Left out: {', '.join(run['left_out'])}."] * bool(run["left_out"])
    notes += [f"Not done: {each}." for each in run["failed"]]
    return "\n".join([f"{before}{BEGIN}", "", *lines, "", *(f"- {note}" for note in notes), "", f"{END}{after}"])


def _place(page: str) -> tuple[str, str, str]:
    """What stands before the results, the results, and what stands behind them."""
    before, begun, rest = page.partition(BEGIN)
    old, ended, after = rest.partition(END)
    if not (begun and ended):
        raise NoPlace(f"The page has to hold a line {BEGIN} and, below it, a line {END}.")
    return before, old, after


def _began(document: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(document["began"])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


_SECTION = re.compile(r"^### `([^`]+)`\n.*?(?=^### |\Z)", re.MULTILINE | re.DOTALL)

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
app.command()(main)

if __name__ == "__main__":
    app(prog_name="shuke bench tables")
