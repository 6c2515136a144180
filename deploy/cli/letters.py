"""`shuke dead-letters`: what services could not handle and set aside."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.cli import options
from deploy.cli.client import answer, fail, pages, product
from deploy.cli.tables import table

if TYPE_CHECKING:
    import httpx

app = typer.Typer(help="Events that services could not handle and set aside.", no_args_is_help=True)

Ids = Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="As `shuke dead-letters list` shows them.")]
Service = Annotated[str | None, typer.Option("--service", metavar="NAME", help="Only of this service.")]
Topic = Annotated[str | None, typer.Option("--topic", metavar="TOPIC", help="Only of this topic.")]
Reason = Annotated[str | None, typer.Option("--reason", metavar="CLASS", help="Only those with this reason.")]
Since = Annotated[
    str | None, typer.Option("--since", metavar="TIME", callback=options.instant, help="Set aside from this time on.")
]
Until = Annotated[
    str | None, typer.Option("--until", metavar="TIME", callback=options.instant, help="Set aside before this time.")
]
All = Annotated[bool, typer.Option("--all", help="All that are open.")]

BECAME = {
    "handled": "handled: its effects are there now",
    "failed": "failed again, and stays open",
    "discarded": "discarded",
    "was_requeued": "nothing done: it had been handled before",
    "was_discarded": "nothing done: it had been discarded before",
    "unknown": "nothing done: there is none",
}


@app.command("list")
def list_letters(
    service: Service = None,
    topic: Topic = None,
    reason: Reason = None,
    since: Since = None,
    until: Until = None,
    status: Annotated[str, typer.Option(help="`open`, `requeued`, `discarded` or `any`.")] = "open",
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="So many at most.")] = 100,
    data: options.Data = None,
    as_json: options.Json = False,
) -> None:
    """List what was set aside, the last first, with why and how often it was tried."""
    asked = _fits(service, topic, reason, since, until) | {"status": status}
    with product(data) as client:
        found = [letter for letter, _ in zip(pages(client, "/v1/dead-letters", **asked), range(limit), strict=False)]
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    table(
        {
            "id": letter["id"],
            "topic": letter["topic"],
            "partition": letter["partition"],
            "type": letter["type"],
            "reason": letter["reason"],
            "attempts": letter["attempts"],
            "set aside": letter["first_failed_at"],
            "status": letter["status"],
        }
        for letter in found
    )
    if not found:
        typer.echo("There are no such dead letters.")


@app.command("show")
def show_letter(
    id: Annotated[str, typer.Argument(metavar="ID", help="As `shuke dead-letters list` shows it.")],
    data: options.Data = None,
    as_json: options.Json = False,
) -> None:
    """Show a dead letter with its reason, its attempts and its payload."""
    with product(data) as client:
        letter = answer(client.get(f"/v1/dead-letters/{id}"))
    if as_json:
        typer.echo(json.dumps(letter, indent=2))
        return
    payload = letter.pop("payload")
    for name, value in letter.items():
        if value is not None:
            typer.echo(f"{name:16} {value}")
    typer.echo(f"\n{_readable(payload)}")


@app.command("requeue")
def requeue(
    ids: Ids = None,
    service: Service = None,
    topic: Topic = None,
    reason: Reason = None,
    since: Since = None,
    until: Until = None,
    every: All = False,
    data: options.Data = None,
    as_json: options.Json = False,
) -> None:
    """Hand dead letters to their handler once more, by id or by filter, and say what became of each.

    It may be said again: what was handled is left alone. Ends 1 where one failed again.
    """
    body = _chosen(ids, _fits(service, topic, reason, since, until), every)
    with product(data) as client:
        told = _told(client, "requeue", body, as_json=as_json)
    if any(each["became"] in ("failed", "unknown") for each in told):
        raise typer.Exit(1)


@app.command("discard")
def discard(
    ids: Ids = None,
    service: Service = None,
    topic: Topic = None,
    reason: Reason = None,
    since: Since = None,
    until: Until = None,
    every: All = False,
    why: Annotated[str | None, typer.Option(metavar="TEXT", help="Kept with them.")] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Also all that a filter finds: they are given up for good.")
    ] = False,
    data: options.Data = None,
    as_json: options.Json = False,
) -> None:
    """Give dead letters up, by id or by filter. They cannot be requeued any more."""
    body = _chosen(ids, _fits(service, topic, reason, since, until), every) | {"why": why}
    if not (ids or yes):
        fail("All that the filter finds is given up for good. Say it with --yes.", 2)
    with product(data) as client:
        told = _told(client, "discard", body, as_json=as_json)
    if any(each["became"] == "unknown" for each in told):
        raise typer.Exit(1)


def _fits(
    service: str | None, topic: str | None, reason: str | None, since: str | None, until: str | None
) -> dict[str, Any]:
    given = {"service": service, "topic": topic, "reason": reason, "since": since, "until": until}
    return {name: value for name, value in given.items() if value is not None}


def _chosen(ids: list[str] | None, fits: dict[str, Any], every: bool) -> dict[str, Any]:
    if sum((bool(ids), bool(fits), every)) != 1:
        raise typer.BadParameter("say which: by ids, by a filter such as --topic, or --all.")
    return {"ids": ids} if ids else fits


def _told(client: "httpx.Client", word: str, body: dict[str, Any], *, as_json: bool) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        page = answer(client.post(f"/v1/dead-letters/{word}", json={**body, "cursor": cursor}))
        told += page["data"]
        if not as_json:
            for each in page["data"]:
                why = f" ({each['reason']}: {each['detail']})" if each["reason"] else ""
                typer.echo(f"{each['id']} {BECAME[each['became']]}{why}")
        cursor = page["next_cursor"]
        if not page["has_more"]:
            break
    if as_json:
        typer.echo(json.dumps(told, indent=2))
    elif not told:
        typer.echo("There are no such dead letters.")
    return told


def _readable(payload: str | None) -> str:
    if payload is None:
        return "(no payload)"
    try:
        return json.dumps(json.loads(payload), indent=2, ensure_ascii=False)
    except ValueError:
        return payload
