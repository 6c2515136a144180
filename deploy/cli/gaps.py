"""`shuke gaps`: partitions that stopped, and the word that lets one go on."""

from typing import Annotated

import typer

from deploy.cli import options
from deploy.cli.client import answer, product

app = typer.Typer(help="Partitions that stopped because events are missing.", no_args_is_help=True)


@app.command("list")
def list_gaps(data: options.Data = None) -> None:
    """List partitions that have stopped, each with its reason."""
    with product(data) as client:
        gaps = answer(client.get("/v1/status"))["gaps"]
    for gap in gaps:
        typer.echo(f"{gap['topic']} {gap['partition']}\n    {gap['reason']}")
    if not gaps:
        typer.echo("No partition has stopped.")


@app.command("pass")
def let_pass(
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="As `shuke gaps list` shows it.")],
    partition: Annotated[int, typer.Argument(metavar="PARTITION", min=0)],
    data: options.Data = None,
) -> None:
    """Let a stopped partition go on without the events that are missing. They are given up for good."""
    with product(data) as client:
        answer(client.post("/v1/gaps/pass", json={"topic": topic, "partition": partition}))
    typer.echo(f"{topic} {partition} goes on.")
