"""`shuke drain`: nothing comes in, and all that came in arrives."""

import json
import time
from typing import Annotated, Any

import typer

from deploy.cli import options
from deploy.cli.client import answer, fail, product


def drain(
    resume: Annotated[bool, typer.Option("--resume", help="Take everything in again.")] = False,
    wait_s: Annotated[int, typer.Option("--wait", metavar="SECONDS", min=0, help="Wait for quiet so long.")] = 300,
    data: options.Data = None,
    as_json: options.Json = False,
) -> None:
    """Refuse whatever would change anything (503, Retry-After), and wait until all that came before has arrived.

    Then nothing moves in any database or on Kafka by what came from outside: the moment for an update or a move.
    Reading goes on. Ends 3 where it is not quiet after the wait; the intake stays closed until `--resume`.
    """
    with product(data) as client:
        told = answer(client.post("/v1/drain/resume" if resume else "/v1/drain"))
        if not resume and not as_json:
            typer.echo("The intake is closed.", err=True)
        until, said = time.monotonic() + wait_s, ""
        while not resume and not (told := answer(client.get("/v1/drain")))["quiet"]:
            if not as_json and (waiting := _waiting(told)) != said:
                typer.echo(said := waiting, err=True)
            if time.monotonic() > until:
                break
            time.sleep(0.2)
    if as_json:
        typer.echo(json.dumps(told, indent=2))
    elif resume:
        typer.echo("The intake is open.")
    elif told["quiet"]:
        typer.echo("Quiet: everything is published and read. `shuke drain --resume` opens the intake again.")
    if not resume and not told["quiet"]:
        fail(f"Not quiet after {wait_s} s. {_waiting(told)}", 3)


def _waiting(told: dict[str, Any]) -> str:
    waits = ", ".join(f"{name} {value}" for name, value in told["waiting"].items())
    return f"On its way: {waits}." if waits else "Nothing is on its way any more."
