"""`shuke bench faults [--count N] [--seed S] [--json]`."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from bench import machine
from bench.faults import driver, judge
from bench.faults.account import Outcome
from bench.faults.deck import KINDS
from bench.faults.driver import Asked
from deploy import supervisor

OWN_NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount", "--propagation", "private")
INSIDE = "SHUKE_FAULTS_INSIDE"


def main(
    count: Annotated[int, typer.Option(min=0, help="How many faults.")] = 12,
    seed: Annotated[int, typer.Option(help="Of which faults, which commands and in which order.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object; --out has more.")] = False,
    kind: Annotated[
        list[str] | None, typer.Option(help="Only faults of this kind; may be given several times.", metavar="KIND")
    ] = None,
    brokers: Annotated[int, typer.Option(help="Kafka brokers: 1 or 3.")] = 3,
    workers: Annotated[int, typer.Option(min=1, help="Scoring workers.")] = 2,
    per_s: Annotated[float, typer.Option(min=0.1, help="Commands per second that clients begin.")] = driver.PER_S,
    within: Annotated[
        float, typer.Option(min=1, help="End 1 where a recovery took more than so many times what is promised.")
    ] = 1.0,
    minutes: Annotated[
        float | None, typer.Option(min=1, help="Break nothing more after so long, and judge what was broken.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the account there, anew after each fault.")
    ] = None,
    keep: Annotated[Path | None, typer.Option(metavar="DIR", help="Keep the logs of all processes there.")] = None,
) -> None:
    """Break the distributed product on purpose, under load, and judge it.

    Each fault is told as soon as the product is itself again. What the driver itself cannot do is told and does not end
    the run. One that is ended tells of the faults so far, which nobody has judged then: `--minutes` has them judged.

    Ends 1 if anything is wrong, late, or could not be done.
    """
    if unknown := [name for name in kind or () if name not in KINDS]:
        raise typer.BadParameter(f"There is no kind {', '.join(unknown)}. Kinds: {', '.join(KINDS)}.")
    if brokers not in (1, 3):
        raise typer.BadParameter("Kafka runs with 1 or 3 brokers.")
    in_own_namespace()
    import uvloop

    asked = Asked(count, seed, brokers, workers, per_s, tuple(kind or ()), within, minutes, keep)
    outcome, began, on = Outcome(), datetime.now(UTC), machine.described()

    def kept(so_far: Outcome) -> None:
        nonlocal outcome
        outcome = so_far
        if out:
            account = {"began": began.isoformat(timespec="seconds"), "machine": on, "count": count, "seed": seed}
            supervisor.put(out, json.dumps(account | outcome.account(), indent=2) + "\n")

    try:
        say = partial(typer.echo, err=True)
        uvloop.run(driver.run(asked, say, disks=INSIDE in os.environ, keep=kept))
    except asyncio.CancelledError:
        typer.echo(f"ended after {outcome.faults} faults, which are not judged", err=True)
    for line in judge.shown(outcome.verdict):
        typer.echo(line, err=True)
    Console(stderr=True, width=120).print(table(outcome))
    if as_json:
        typer.echo(json.dumps(outcome.summary()))
    else:
        typer.echo(json.dumps(outcome.document(), indent=2))
    for what in outcome.failed:
        typer.echo(f"failed: {what}", err=True)
    for kind_, took in outcome.late().items():
        typer.echo(f"late: {kind_} took {took:.1f} s, promised are {outcome.limits[kind_]:.0f}", err=True)
    if not outcome.good:
        raise typer.Exit(1)


def in_own_namespace() -> None:
    """Go on in a mount namespace of our own, where the kernel allows it: only there a disk can be made full."""
    if os.environ.get(INSIDE) or not shutil.which("unshare"):
        return
    if subprocess.run([*OWN_NAMESPACE, "true"], capture_output=True, check=False).returncode == 0:
        command = [*OWN_NAMESPACE, sys.executable, "-P", "-m", "bench.faults", *sys.argv[1:]]
        os.execvpe(command[0], command, os.environ | {INSIDE: "1"})


def table(outcome: Outcome) -> Table:
    """How long it took until the product was itself again, for people."""
    shown = Table("kind", "times", "median", "longest", "promised", title="Recovery in seconds")
    for kind, found in outcome.document()["recovery_s"].items():
        limit = "" if found["limit"] is None else f"{found['limit']:.0f}"
        shown.add_row(kind, str(found["times"]), f"{found['median']:.1f}", f"{found['max']:.1f}", limit)
    return shown


app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
app.command()(main)

if __name__ == "__main__":
    app(prog_name="shuke bench faults")
