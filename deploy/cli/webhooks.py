"""`shuke webhooks`: which systems are called, how it fares, and what is told again."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import typer

from deploy.cli import options
from deploy.cli.client import answer, fail, pages, product

app = typer.Typer(help="Make, list, try, pause and replay webhooks.", no_args_is_help=True)

WebhookId = Annotated[str, typer.Argument(metavar="ID", help="As `shuke webhooks list` shows it.")]


class State(StrEnum):
    """How a message fares."""

    WAITING = "waiting"
    DELIVERED = "delivered"


@app.command("list")
def list_webhooks(data: options.Data = None) -> None:
    """List webhooks, also those that do not deliver, and why. No secret is shown."""
    with product(data) as client:
        for webhook in pages(client, "/v1/webhooks"):
            typer.echo(listed(webhook))


def listed(webhook: dict[str, Any]) -> str:
    """A webhook in two lines, and a third one for its notice; its id comes first."""
    told = [", ".join(webhook[name]) for name in ("types", "stages", "tiers") if webhook[name]] or ["everything"]
    told += ["also what is long past"] if webhook["historic"] else []
    notice = f"\n    {webhook['notice']}" if webhook["notice"] else ""
    return f"{webhook['id']} {webhook['state']} {webhook['url']}\n    {'; '.join(told)}{notice}"


@app.command()
def create(
    url: Annotated[str, typer.Argument(metavar="URL", help="Where it goes, by https.")],
    types: Annotated[
        list[str] | None,
        typer.Option("--type", metavar="TYPE", help="Only events of this type; repeatable.", show_default="all"),
    ] = None,
    stages: Annotated[
        list[str] | None,
        typer.Option("--stage", metavar="STAGE", help="Only what leaves its party in this stage; repeatable."),
    ] = None,
    tiers: Annotated[
        list[str] | None,
        typer.Option("--tier", metavar="TIER", help="Only what leaves its party in this tier; repeatable."),
    ] = None,
    historic: Annotated[bool, typer.Option("--historic", help="Also what was long past when it was recorded.")] = False,
    data: options.Data = None,
) -> None:
    """Make a webhook and print its secret, which is never shown again."""
    wanted: dict[str, Any] = {"url": url, "historic": historic}
    wanted |= {name: chosen for name, chosen in (("types", types), ("stages", stages), ("tiers", tiers)) if chosen}
    with product(data) as client:
        made = answer(client.post("/v1/webhooks", json=wanted))
    # The secret alone on stdout, so that it can be put into a file.
    typer.echo(listed(made), err=True)
    typer.echo(made["secret"])


@app.command("test")
def send_test(webhook_id: WebhookId, data: options.Data = None) -> None:
    """Send a message of the type `webhook.test`. How it fares stands in the deliveries."""
    told(webhook_id, "test", data)


@app.command()
def deliveries(
    webhook_id: WebhookId,
    state: Annotated[State | None, typer.Option(help="Only those.", show_default="all")] = None,
    most: Annotated[int, typer.Option(min=1, max=100, help="Messages at most, the latest first.")] = 50,
    data: options.Data = None,
) -> None:
    """List messages, the latest first: answer, duration, attempts, and when each is tried next."""
    asked = {"limit": most} | ({"state": state.value} if state else {})
    with product(data) as client:
        for each in answer(client.get(f"/v1/webhooks/{webhook_id}/deliveries", params=asked))["data"]:
            typer.echo(fares(each))


def fares(delivery: dict[str, Any]) -> str:
    """A message in two lines: what it is, and how it fares."""
    said = [f"{delivery['attempts']} attempts"]
    if delivery["response_code"] is not None:
        said.append(f"answered {delivery['response_code']}")
    if delivery["duration_ms"] is not None:
        said.append(f"in {delivery['duration_ms']} ms")
    if delivery["error"]:
        said.append(delivery["error"])
    said += [f"{word} {delivery[name]}" for word, name in (("last", "last_at"), ("next", "next_at")) if delivery[name]]
    about = f"{delivery['message_id']} {delivery['type']} {delivery['sequence']}"
    return f"{about} {delivery['state']}\n    {', '.join(said)}"


@app.command()
def replay(
    webhook_id: WebhookId,
    after: Annotated[int | None, typer.Option(metavar="SEQUENCE", min=0, help="After this sequence.")] = None,
    since: Annotated[datetime | None, typer.Option(metavar="TIME", help="From then on, in local time.")] = None,
    data: options.Data = None,
) -> None:
    """Tell again from a place or a time on, as far as the feed goes back. Messages have the ids that they had."""
    if (after is None) == (since is None):
        fail("Name either --after or --since.", 2)
    wanted = {"after": after} if since is None else {"since": since.astimezone().isoformat()}
    told(webhook_id, "replay", data, wanted)


@app.command()
def pause(webhook_id: WebhookId, data: options.Data = None) -> None:
    """Deliver nothing until it is resumed; what comes waits for as long as the feed keeps it."""
    told(webhook_id, "pause", data)


@app.command()
def resume(webhook_id: WebhookId, data: options.Data = None) -> None:
    """Deliver again, all that waits at once, in its order."""
    told(webhook_id, "resume", data)


def told(webhook_id: str, word: str, data: options.Data, wanted: dict[str, Any] | None = None) -> None:
    """Say a word to a webhook, and print what it is then."""
    with product(data) as client:
        typer.echo(listed(answer(client.post(f"/v1/webhooks/{webhook_id}/{word}", json=wanted))))
