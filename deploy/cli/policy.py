"""`shuke policy`: what decides, tried before it does."""

import json
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.cli import options
from deploy.cli.client import answer, download, fail, pages, product, whole
from deploy.cli.progress import progress

if TYPE_CHECKING:
    import httpx

app = typer.Typer(help="What decides: draft it, try it, have it approved, activate it.", no_args_is_help=True)

FileOrId = Annotated[
    str,
    typer.Argument(
        metavar="FILE|ID", help="JSON: a policy, or a part of one laid over the active one; or the id of a drafted one."
    ),
]
From = Annotated[
    datetime | None,
    typer.Option("--from", formats=["%Y-%m-%d"], metavar="DAY", help="Count moves from this local day on."),
]
Until = Annotated[
    datetime | None,
    typer.Option(formats=["%Y-%m-%d"], metavar="DAY", help="As everybody stands after this day.", show_default="now"),
]


@app.command("list")
def list_policies(
    state: Annotated[str | None, typer.Option(help="Only those in this state.", show_default="all")] = None,
    as_json: options.Json = False,
    data: options.Data = None,
) -> None:
    """List policies, the one drafted last first, with where each is in its life."""
    with product(data) as client:
        found = pages(client, "/v1/policies", **({"state": state} if state else {}))
        if as_json:
            return typer.echo(json.dumps(list(found), indent=2))
        for policy in found:
            typer.echo(listed(policy))


def listed(policy: dict[str, Any]) -> str:
    """A policy in two lines or three, its id first and whole however narrow the terminal is."""
    past = [
        f"{told} {policy[column]}" + (f" by {policy[by]}" if by and policy.get(by) else "")
        for told, column, by in (
            ("drafted", "created_at", "created_by"),
            ("tried", "tried_at", None),
            ("approved", "approved_at", "approved_by"),
            ("active from", "activated_at", "activated_by"),
            ("retired", "retired_at", "retired_by"),
        )
        if policy[column]
    ]
    return "\n".join(
        [f"{policy['hash']} {policy['name']}: {policy['state']}", f"    {', '.join(past)}", *refused(policy)]
    )


def refused(version: dict[str, Any]) -> list[str]:
    """That a policy or a model was to be active and is not, in a line; none where that is not so."""
    plan = version["refused"]
    return [f"    refused {plan['active_from']}, when it was to be active: {plan['refused']['detail']}"] if plan else []


@app.command()
def show(policy: options.PolicyId, data: options.Data = None) -> None:
    """Print a policy as JSON: what it says, where it is in its life, and who brought it there."""
    with product(data) as client:
        typer.echo(json.dumps(answer(client.get(f"/v1/policies/{whole(client, 'policies', policy)}")), indent=2))


@app.command()
def schema(data: options.Data = None) -> None:
    """Print the JSON Schema of a policy: every field with its meaning, unit and default."""
    with product(data) as client:
        typer.echo(json.dumps(answer(client.get("/v1/policies/schema")), indent=2))


@app.command()
def presets(data: options.Data = None) -> None:
    """List policies to begin with: `draft --preset NAME` drafts one."""
    with product(data) as client:
        for preset in answer(client.get("/v1/policies/presets"))["data"]:
            typer.echo(f"{preset['hash']} {preset['name']}: {preset['state'] or 'not drafted'}")


@app.command()
def draft(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="JSON: a policy or part of one."),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            metavar="ID|NAME", callback=options.named, help="Laid over this one.", show_default="the active one"
        ),
    ] = None,
    preset: Annotated[str | None, typer.Option(metavar="NAME", help="A preset, or laid over one.")] = None,
    data: options.Data = None,
) -> None:
    """Draft a policy. The same content is the same policy, however often it is drafted. Prints its id."""
    if file is None and preset is None:
        fail("Name a file or a preset.", 2)
    with product(data) as client:
        body = {
            "document": document(file) if file else {},
            "base": base and whole(client, "policies", base),
            "preset": preset,
        }
        made = answer(client.post("/v1/policies", json=body))
    typer.echo(f"{made['hash']} {made['name']}: {made['state']}")


@app.command()
def diff(
    policy: options.PolicyId,
    against: Annotated[
        str | None,
        typer.Argument(
            metavar="ID|NAME", callback=options.named, help="Against this one.", show_default="the active one"
        ),
    ] = None,
    data: options.Data = None,
) -> None:
    """Tell in sentences what a policy says otherwise than another."""
    with product(data) as client:
        query = {"against": whole(client, "policies", against)} if against else {}
        found = answer(client.get(f"/v1/policies/{whole(client, 'policies', policy)}/diff", params=query))
    for difference in found["differences"]:
        typer.echo(difference["sentence"])
    if not found["differences"]:
        typer.echo("Both say the same.")


@app.command("trial")
def try_policy(
    policy: FileOrId,
    first: From = None,
    until: Until = None,
    model: options.Model = None,
    moves: Annotated[
        Path | None,
        typer.Option(metavar="FILE", callback=options.writable, help="Write every move under the draft as CSV."),
    ] = None,
    json_: options.Json = False,
    data: options.Data = None,
) -> None:
    """Try a policy over the whole history beside the active one: who would stand where, who moved when, what was wrong.

    It changes nothing but that the policy is drafted and tried. Broken off, it is cancelled.
    """
    body: dict[str, Any] = {"keep_moves": moves is not None}
    body |= {name: day.date().isoformat() for name, day in (("from", first), ("until", until)) if day}
    with product(data) as client:
        body["model"] = model and whole(client, "models", model)
        job = answer(client.post(f"/v1/policies/{to_try(client, policy)}/trials", json=body))
        try:
            done = carried_out(client, job["id"])
        except KeyboardInterrupt:
            answer(client.delete(f"/v1/trials/{job['id']}"))
            fail("The trial is cancelled.", 130)
        if moves:
            download(client, f"/v1/trials/{job['id']}/moves", moves, timeout=None)
    if json_:
        typer.echo(json.dumps(done, indent=2))
    else:
        show_trial(done["result"])


@app.command()
def approve(policy: options.PolicyId, data: options.Data = None) -> None:
    """Say that a policy that was tried may decide. Needs a key with the role admin."""
    _act(policy, "approve", data)


@app.command()
def activate(
    policy: options.PolicyId,
    active_from: options.ActiveFrom = None,
    data: options.Data = None,
) -> None:
    """Have an approved policy decide, now or from an instant to come. Every standing is assessed again then."""
    _act(policy, "activate", data, active_from=active_from)


@app.command()
def retire(policy: options.PolicyId, data: options.Data = None) -> None:
    """Put a policy away that does not decide."""
    _act(policy, "retire", data)


@app.command()
def plan(
    cancel: Annotated[str | None, typer.Option(metavar="ID", help="Have this activation not take place.")] = None,
    data: options.Data = None,
) -> None:
    """List the activations that are planned for an instant to come, or cancel one."""
    with product(data) as client:
        if cancel:
            answer(client.delete(f"/v1/activations/{cancel}"))
            typer.echo("The activation is cancelled.")
            return
        planned = list(pages(client, "/v1/activations", open=True))
    for each in sorted(planned, key=lambda each: each["active_from"]):
        what = f"policy {each['policy']}" if each["policy"] else f"model {each['model']}"
        typer.echo(
            f"{each['id']} {each['active_from']} {what}\n    planned {each['planned_at']} by {each['planned_by']}"
        )
    if not planned:
        typer.echo("Nothing is planned.")


def _act(policy: str, act: str, data: Path | None, **body: Any) -> None:
    with product(data) as client:
        told = answer(client.post(f"/v1/policies/{whole(client, 'policies', policy)}/{act}", json=body or None))
    typer.echo(listed(told))
    for planned in told["planned"]:
        typer.echo(f"    to be active from {planned['active_from']} ({planned['id']})")


def to_try(client: "httpx.Client", policy: str) -> str:
    """The id of what is to be tried, which a file is drafted for."""
    if options.HASH.fullmatch(policy) and not Path(policy).exists():
        return whole(client, "policies", policy)
    drafted: str = answer(client.post("/v1/policies", json={"document": document(Path(policy))}))["hash"]
    return drafted


def document(file: Path) -> dict[str, Any]:
    """The JSON object in a file; anything else is misuse."""
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        fail(f"{file} cannot be read: {error.strerror}.", 2)
    except (ValueError, RecursionError) as error:
        fail(f"{file} is no JSON: {error}", 2)
    if not isinstance(content, dict):
        fail(f"{file} holds no object, but a policy or a part of one is.", 2)
    return content


def carried_out(client: "httpx.Client", trial_id: str) -> dict[str, Any]:
    """Show the progress of a trial until its end; one that does not reach it ends the command."""
    with progress("waiting", "parties") as (bar, task):
        while True:
            job: dict[str, Any] = answer(client.get(f"/v1/trials/{trial_id}"))
            doing = "waiting" if job["state"] == "waiting" else "trying"
            bar.update(task, description=doing, total=job["parties"] or None, completed=job["done"])
            match job["state"]:
                case "done":
                    return job
                case "failed":
                    fail(f"The trial failed on our side and changed nothing: {job['error']}")
                case "cancelled":
                    fail("The trial was cancelled.")
            time.sleep(0.2)


def show_trial(result: dict[str, Any]) -> None:
    """What came out, the draft beside the active policy."""
    from rich.console import Console
    from rich.table import Table

    console, draft, active = Console(), result["draft"], result["active"]
    since = f"from {result['from']} " if result["from"] else ""
    table = Table("", "draft", "active", title=f"{since}up to {result['until']}, {result['parties']:,} parties")
    table.add_row("policy", *(f"{side['name']} {side['policy'][: options.SHOWN]}" for side in (draft, active)))
    months = months_of(result)
    for rows in (stands(draft, active), moved(draft, active), wrong(draft, active), work(draft, active, months)):
        table.add_section()
        for row in rows:
            table.add_row(*row)
    console.print(table)
    console.print(f"{result['differ']['parties']:,} parties would stand elsewhere.")


Rows = list[tuple[str, ...]]


def stands(draft: dict[str, Any], active: dict[str, Any]) -> Rows:
    """Parties by stage and tier at the end."""
    sides = [
        {f"{each['stage']} {each['tier']}": each["parties"] for each in side["stands"]} for side in (draft, active)
    ]
    return _beside(*sides)


def moved(draft: dict[str, Any], active: dict[str, Any]) -> Rows:
    """Moves and the parties that made them, by kind."""
    sides = [side["moves"] | {"there and back in 30 days": side["flapping"]} for side in (draft, active)]
    kinds = dict.fromkeys([*sides[0], *sides[1]])
    return [(f"{kind}: moves (parties)", *(_moves(side.get(kind)) for side in sides)) for kind in kinds]


def wrong(draft: dict[str, Any], active: dict[str, Any]) -> Rows:
    """How often a stage was wrong, of the moves to it since which the horizon has passed."""
    stages = draft["judged"]
    return [
        (f"{each}: wrong of decided", *(_share(side["judged"][each]) for side in (draft, active))) for each in stages
    ]


def months_of(result: dict[str, Any]) -> int:
    """The calendar months of a trial: from its `from`, else the first month with a move on either side, to `until`."""
    moved = [each["month"] for side in ("draft", "active") for each in result[side]["months"]]
    first, last = result["from"] or min(moved, default=result["until"]), result["until"]
    (year, month), (last_year, last_month) = (map(int, day.split("-")[:2]) for day in (first, last))
    return max(1, (last_year - year) * 12 + last_month - month + 1)


def work(draft: dict[str, Any], active: dict[str, Any], months: int) -> Rows:
    """What there is to do, on average in each of the months, quiet ones too, and at the end."""
    rows: Rows = [
        (f"{told}, a month", *(_monthly(side, what, months) for side in (draft, active)))
        for what, told in _WORK.items()
    ]
    treated = [{f"treatment {name}": n for name, n in side["treatments"].items()} for side in (draft, active)]
    return rows + _beside(*treated)


_WORK = {"at_risk": "to a dormant stage", "lost": "to a lost stage", "follow_ups": "to follow up"}


def _moves(moved: dict[str, int] | None) -> str:
    return f"{moved['moves']:,} ({moved['parties']:,})" if moved else "0 (0)"


def _monthly(side: dict[str, Any], what: str, months: int) -> str:
    return f"{sum(month[what] for month in side['workload']) / months:,.1f}"


def _beside(draft: dict[str, int], active: dict[str, int]) -> Rows:
    return [(name, f"{draft.get(name, 0):,}", f"{active.get(name, 0):,}") for name in dict.fromkeys([*draft, *active])]


def _share(judged: dict[str, int]) -> str:
    share = f" ({judged['wrong'] / judged['decided']:.1%})" if judged["decided"] else ""
    return f"{judged['wrong']:,} of {judged['decided']:,}{share}"
