"""What runs, where it answers, and how far behind it is."""

import json
from pathlib import Path
from typing import Any

import typer

from deploy.cli import client, options


def status(data: options.Data = None, as_json: options.Json = False) -> None:
    """Processes, addresses, lag, dead letters, gaps, oldest event without a number."""
    url, key = client.found(data)
    with client.client_of(url, key) as product:
        health = client.answer(product.get("/v1/status"))
    here = local(data or options.DEFAULT_DATA)
    report = {**here, **health} if here.get("url") == url else health
    if here.get("url") == url:
        known = {each["name"]: each["pid"] for each in here["on_this_machine"]}
        report["processes"] = [{**each, "pid": known.get(each["name"])} for each in health["processes"]]
    if as_json:
        typer.echo(json.dumps(report, indent=2))
    else:
        show(report)


def local(folder: Path) -> dict[str, Any]:
    """What this machine knows: addresses, and its processes with their pids, also those that are not ours."""
    from deploy import supervisor
    from deploy.process import alive

    running = supervisor.pids(folder)
    processes = [{"name": name, "pid": pid, "alive": alive(pid)} for name, pid in running.items()]
    return {**supervisor.endpoints(folder), "on_this_machine": processes}


def show(report: dict[str, Any]) -> None:
    """Print the report: scalars as lines, lists of records as tables, each part under its name."""
    from rich.console import Console

    console = Console()
    for name, value in report.items():
        console.print(rendered(name, value))


def rendered(name: str, value: Any) -> Any:
    """A table for records, a line for anything else."""
    from rich.table import Table

    match value:
        case [{}, *_]:
            table = Table(title=name, title_justify="left")
            columns = list(value[0])
            for column in columns:
                table.add_column(column)
            for record in value:
                table.add_row(*(str(record.get(column, "")) for column in columns))
            return table
        case {}:
            table = Table(title=name, title_justify="left", show_header=False)
            for key, inner in value.items():
                table.add_row(key, json.dumps(inner) if isinstance(inner, dict | list) else str(inner))
            return table
        case _:
            return f"[bold]{name}[/bold] {value}"
