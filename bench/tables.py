"""`shuke bench tables FILE… [--page FILE]`."""

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

PAGE = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- results: written by `bench tables` -->", "<!-- end of the results -->"
ORDER = (*ALL, "soak")
HEAD = ("| What | Measured | Baseline | Ratio | Goal | Met | Runs |", "| --- | --- | --- | --- | --- | --- | --- |")


class NoPlace(Exception):
    """The page has no place for results."""


def main(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", exists=True, help="What `--out` has written.")],
    page: Annotated[Path, typer.Option(metavar="FILE", help="The page with the tables.", exists=True)] = PAGE,
) -> None:
    """Write the tables of results into docs/performance.md.

    The table of a row that the files hold takes the place of the former one; of several files the latest holds. The
    tables of other rows stay.
    """
    new = sections(json.loads(file.read_text()) for file in files)
    page.write_text(with_results(page.read_text(), new))
    typer.echo(f"{', '.join(new)} written to {page}")


def sections(documents: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The section of each row in some results, by the latest of them."""
    found: dict[str, str] = {}
    for document in sorted(documents, key=lambda each: datetime.fromisoformat(each["began"])):
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
    before, begun, rest = page.partition(BEGIN)
    old, ended, after = rest.partition(END)
    if not (begun and ended):
        raise NoPlace(f"The page has to hold a line {BEGIN} and, below it, a line {END}.")
    standing = {found[1]: f"{found[0].rstrip()}\n" for found in _SECTION.finditer(old)}
    all_ = standing | dict(new)
    ordered = sorted(all_, key=lambda row: (ORDER.index(row) if row in ORDER else len(ORDER), row))
    results = "".join(f"{all_[row]}\n" for row in ordered)
    return f"{before}{BEGIN}\n\n{results}{END}{after}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


_SECTION = re.compile(r"^### `([^`]+)`\n.*?(?=^### |\Z)", re.MULTILINE | re.DOTALL)

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
app.command()(main)

if __name__ == "__main__":
    app(prog_name="shuke bench tables")
