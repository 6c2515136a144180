"""`shuke gaps`: partitions that stopped, and the word that lets one go on."""

from typing import Annotated

import typer

from deploy.cli import options
from deploy.cli.client import answer, product

app = typer.Typer(help="Partitions that stopped because events are missing.", no_args_is_help=True)


@app.command("list")
def list_gaps(data: options.Data = None) -> None:
    """List consumers that have stopped at a partition, each as `gaps pass` names it, with its reason."""
    with product(data) as client:
        gaps = answer(client.get("/v1/status"))["gaps"]
    for gap in gaps:
        whose = f"--service {gap['service']} --consumer {gap['consumer']}"
        typer.echo(f"{gap['topic']} {gap['partition']} {whose}\n    {gap['reason']}")
    if not gaps:
        typer.echo("No partition has stopped.")


@app.command("pass")
def let_pass(
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="As `shuke gaps list` shows it.")],
    partition: Annotated[int, typer.Argument(metavar="PARTITION", min=0)],
    service: Annotated[str | None, typer.Option(help="Whose consumer; needed where several have stopped.")] = None,
    consumer: Annotated[str | None, typer.Option(help="Which of the service; needed where several of it have.")] = None,
    data: options.Data = None,
) -> None:
    """Let a consumer go on at a partition without the events that are missing. It gives them up for good."""
    place = {"topic": topic, "partition": partition, "service": service, "consumer": consumer}
    with product(data) as client:
        passed = answer(client.post("/v1/gaps/pass", json=place))
    typer.echo(f"{topic} {partition} goes on for {passed['consumer']} of {passed['service']}.")
