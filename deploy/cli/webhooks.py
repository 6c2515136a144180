"""`shuke webhooks`: which systems are called, how it fares, and what is told again."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import typer

from deploy.cli import options
from deploy.cli.client import answer, fail, pages, product

app = typer.Typer(help="Make, list, change, try, pause, replay and delete webhooks.", no_args_is_help=True)

WebhookId = Annotated[str, typer.Argument(metavar="ID", help="As `shuke webhooks list` shows it.")]
Types = Annotated[
    list[str] | None,
    typer.Option("--type", metavar="TYPE", help="Only events of this type; repeatable.", show_default="all"),
]
Stages = Annotated[
    list[str] | None,
    typer.Option("--stage", metavar="STAGE", help="Only what leaves its party in this stage; repeatable."),
]
Tiers = Annotated[
    list[str] | None,
    typer.Option("--tier", metavar="TIER", help="Only what leaves its party in this tier; repeatable."),
]


class State(StrEnum):
    """How a message fares."""

    WAITING = "waiting"
    DELIVERED = "delivered"


class Filter(StrEnum):
    """What a webhook may be told some of only."""

    TYPE = "type"
    STAGE = "stage"
    TIER = "tier"


@app.command("list")
def list_webhooks(data: options.Data = None) -> None:
    """List webhooks, also those that do not deliver, and why. No secret is shown."""
    with product(data) as client:
        for webhook in pages(client, "/v1/webhooks"):
            typer.echo(listed(webhook))


def listed(webhook: dict[str, Any]) -> str:
    """A webhook in two lines, and more for what is wrong with it; its id comes first."""
    told = [", ".join(webhook[name]) for name in ("types", "stages", "tiers") if webhook[name]] or ["everything"]
    told += ["also what is long past"] if webhook["historic"] else []
    wrong = [webhook["notice"]] if webhook["notice"] else []
    if webhook["state"] == "active" and webhook["failures"]:
        wrong.append(f"failing since {webhook['failing_since']}, {webhook['failures']} tries in a row")
    named = f" ({webhook['name']})" if webhook["name"] else ""
    first = f"{webhook['id']} {webhook['state']} {webhook['url']}{named}"
    return "\n    ".join([first, "; ".join(told), *wrong])


@app.command()
def create(
    url: Annotated[str, typer.Argument(metavar="URL", help="Where it goes, by https.")],
    types: Types = None,
    stages: Stages = None,
    tiers: Tiers = None,
    name: Annotated[str, typer.Option(metavar="TEXT", help="What people call it.")] = "",
    historic: Annotated[bool, typer.Option("--historic", help="Also what was long past when it was recorded.")] = False,
    data: options.Data = None,
) -> None:
    """Make a webhook and print its secret, which is never shown again."""
    wanted: dict[str, Any] = {"url": url, "name": name, "historic": historic}
    wanted |= {name: chosen for name, chosen in (("types", types), ("stages", stages), ("tiers", tiers)) if chosen}
    with product(data) as client:
        made = answer(client.post("/v1/webhooks", json=wanted))
    shown(made)


def shown(made: dict[str, Any]) -> None:
    """The secret alone on stdout, so that it can be put into a file; the webhook on stderr."""
    typer.echo(listed(made), err=True)
    typer.echo(made["secret"])


@app.command()
def change(
    webhook_id: WebhookId,
    url: Annotated[str | None, typer.Option(metavar="URL", help="Where it goes from now on.")] = None,
    name: Annotated[str | None, typer.Option(metavar="TEXT", help="What people call it.")] = None,
    types: Types = None,
    stages: Stages = None,
    tiers: Tiers = None,
    every: Annotated[
        list[Filter] | None,
        typer.Option("--every", metavar="FILTER", help="Let go of a filter: type, stage or tier; repeatable."),
    ] = None,
    historic: Annotated[
        bool | None, typer.Option("--historic/--no-historic", help="Also what was long past when it was recorded.")
    ] = None,
    data: options.Data = None,
) -> None:
    """Change where a webhook goes or what it is told. What is left out stays; what waits goes to the new address."""
    chosen: dict[str, Any] = {"types": types, "stages": stages, "tiers": tiers}
    wanted: dict[str, Any] = {name: each for name, each in chosen.items() if each}
    for each in every or []:
        if f"{each}s" in wanted:
            fail(f"Name either --{each} or --every {each}.", 2)
        wanted[f"{each}s"] = None
    wanted |= {key: each for key, each in (("url", url), ("name", name), ("historic", historic)) if each is not None}
    if not wanted:
        fail("Say what is to be different.", 2)
    with product(data) as client:
        typer.echo(listed(answer(client.patch(f"/v1/webhooks/{webhook_id}", json=wanted))))


@app.command()
def rotate(
    webhook_id: WebhookId,
    grace: Annotated[
        int, typer.Option(metavar="SECONDS", min=0, max=604_800, help="How long messages are signed with both.")
    ] = 86_400,
    data: options.Data = None,
) -> None:
    """Give a webhook a new secret and print it, this once."""
    with product(data) as client:
        shown(answer(client.post(f"/v1/webhooks/{webhook_id}/rotate", json={"grace_s": grace})))


@app.command()
def delete(
    webhook_id: WebhookId,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    data: options.Data = None,
) -> None:
    """Delete a webhook with all that waits for it."""
    with product(data) as client:
        webhook = answer(client.get(f"/v1/webhooks/{webhook_id}"))
        if not yes:
            typer.echo(listed(webhook))
            typer.confirm("Delete it with all that waits for it?", abort=True)
        seen = {"If-Match": f'"{webhook["version"]}"'}
        answer(client.delete(f"/v1/webhooks/{webhook_id}", headers=seen))
    typer.echo(f"{webhook['id']} is gone.")


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
