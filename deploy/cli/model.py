"""`shuke model`: what the past of all says about each, fitted, judged and activated."""

import json
import time
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.cli import options
from deploy.cli.client import answer, fail, pages, product, whole
from deploy.cli.policy import refused
from deploy.cli.progress import progress

if TYPE_CHECKING:
    import httpx
    from rich.progress import Progress, TaskID

app = typer.Typer(help="How probable it is that people buy again: fit it, judge it, activate it.", no_args_is_help=True)

ROWS: tuple[tuple[str, str], ...] = (
    ("parties", "{:,}"),
    ("repeaters", "{:,}"),
    ("bought_again", "{:.3f}"),
    ("auc", "{:.3f}"),
    ("auc_of_stages", "{:.3f}"),
    ("brier", "{:.4f}"),
    ("calibration", "{:.3f}"),
    ("top_tier_share", "{:.3f}"),
    ("top_share_by_value", "{:.3f}"),
    ("top_share_by_spend", "{:.3f}"),
)
"""What is shown of a period, below its re-purchase rates."""
AS_THEY_ARE = ("as_of", "parties", "repeaters", "r", "alpha", "a", "b", "log_likelihood", "p", "q")
"""What is shown of a model as it is told."""
LABELS = {
    "bought_again": "bought again",
    "auc": "AUC of P",
    "auc_of_stages": "AUC of the three stages",
    "brier": "Brier score of P",
    "calibration": "purchases / expected",
    "top_tier_share": "revenue of top tier",
    "top_share_by_value": "revenue, top 10 % value",
    "top_share_by_spend": "revenue, top 10 % spend",
}


AsOf = Annotated[
    datetime | None,
    typer.Option(
        "--as-of",
        formats=["%Y-%m-%d"],
        metavar="DAY",
        help="By what happened up to this local day.",
        show_default="today",
    ),
]
AnyModelId = Annotated[
    str | None,
    typer.Argument(
        metavar="[ID]",
        callback=options.beginning,
        help=options.ID_HELP,
        show_default="the active one, else the one fitted last",
    ),
]
Force = Annotated[
    bool, typer.Option("--force", help="Also where it is worse than the active one by more than the margin.")
]


@app.command()
def fit(
    as_of: AsOf = None,
    activate: Annotated[bool, typer.Option("--activate", help="Have it decide at once.")] = False,
    force: Force = False,
    as_json: options.Json = False,
    data: options.Data = None,
) -> None:
    """Fit a model to everybody who has bought, and judge it. Ends 1 where too few bought again, or it is not activated.

    r, alpha, a and b are in weeks, as they are published; v and amounts are in the reporting currency. It waits for a
    fit that is under way. Broken off, it cancels its own.
    """
    asked = {"as_of": as_of.date().isoformat() if as_of else None, "activate": activate, "force": force}
    with product(data) as client:
        done = _fitted(client, asked)
        if lacking := done["not_enough"]:
            typer.echo(json.dumps(lacking, indent=2) if as_json else lacking["detail"])
            raise typer.Exit(1)
        path = f"/v1/models/{done['model']}"
        told, judged = said(answer(client.get(path))), answer(client.get(f"{path}/quality"))
    if as_json:
        more = {"activated": done["activated"], "refused": done["refused"], "quality": judged}
        typer.echo(json.dumps({**told, **more}, indent=2))
    else:
        typer.echo("\n".join(lines(told)))
        _show_quality(judged)
    if done["refused"]:
        fail(f"Not activated: {done['refused']['detail']}")


@app.command("list")
def list_models(as_json: options.Json = False, data: options.Data = None) -> None:
    """List models, the one fitted last first."""
    with product(data) as client:
        if as_json:
            return typer.echo(json.dumps(list(pages(client, "/v1/models")), indent=2))
        for model in pages(client, "/v1/models"):
            document = model["document"]
            typer.echo(f"{model['hash']} as of {model['as_of']}: {model['state']}")
            flags = f", {', '.join(document['flags'])}" if document["flags"] else ""
            typer.echo(f"    fitted {model['fitted_at']}, {document['parties']:,} parties{flags}")
            for line in refused(model):
                typer.echo(line)


@app.command()
def show(model: AnyModelId = None, as_json: options.Json = False, data: options.Data = None) -> None:
    """Show what a model says."""
    with product(data) as client:
        told = said(answer(client.get(f"/v1/models/{_chosen(client, model)}")))
    typer.echo(json.dumps(told, indent=2) if as_json else "\n".join(lines(told)))


@app.command()
def quality(model: AnyModelId = None, as_json: options.Json = False, data: options.Data = None) -> None:
    """Show how good fits as of three earlier days were, each judged by what came after it.

    How many bought again of those that stood as customer, dormant and lost; how well the probability and the stages
    alone order people; how far the probability was from what happened; and what part of the revenue that came was
    brought by the top tier, and by the tenth of the parties with the highest value, beside those with the most spend.
    """
    with product(data) as client:
        told = answer(client.get(f"/v1/models/{_chosen(client, model)}/quality"))
    if as_json:
        typer.echo(json.dumps(told, indent=2))
    else:
        _show_quality(told)


@app.command()
def activate(
    model: options.ModelId,
    active_from: options.ActiveFrom = None,
    force: Force = False,
    data: options.Data = None,
) -> None:
    """Have a model decide, at once or from a time to come. Every standing is assessed again."""
    with product(data) as client:
        path = f"/v1/models/{whole(client, 'models', model)}/activate"
        told = answer(client.post(path, json={"active_from": active_from, "force": force}))
    for plan in told["planned"]:
        typer.echo(f"It is to decide from {plan['active_from']} on ({plan['id']}).")
    if told["state"] == "active":
        typer.echo("It decides from now on.")


def said(model: dict[str, Any]) -> dict[str, Any]:
    """A model flat, money in major units."""
    from contracts.money import MINOR_DIGITS

    document = model["document"]
    minor = 10 ** MINOR_DIGITS.get(document["currency"] or "", 2)
    cuts = document["cuts"]
    return {
        "model": model["hash"],
        "state": model["state"],
        **{name: document[name] for name in AS_THEY_ARE},
        "v": None if document["v"] is None else document["v"] / minor,
        "amount_log_likelihood": document["amount_log_likelihood"],
        "mean_amount": document["mean_minor"] / minor,
        "currency": document["currency"],
        "cuts": cuts and {tier: amount / minor for tier, amount in cuts.items()},
        "calibration": document["calibration"],
        "flags": document["flags"],
    }


def lines(told: dict[str, Any]) -> list[str]:
    """A model for people, a line for each thing."""
    shown = []
    for name, value in told.items():
        if isinstance(value, dict):
            value = ", ".join(f"{tier} from {amount:,.2f}" for tier, amount in value.items())
        elif isinstance(value, list):
            value = ", ".join(value)
        elif isinstance(value, float):
            value = f"{value:.6g}" if abs(value) < 1_000_000 else f"{value:,.1f}"
        shown.append(f"{name}: {'none' if value in (None, '') else value}")
    return shown


def _fitted(client: "httpx.Client", asked: dict[str, Any]) -> dict[str, Any]:
    """Ask for a fit and show its progress until its end, behind one that is under way."""
    with progress("waiting", "parties") as shown:
        while True:
            response = client.post("/v1/models", json=asked)
            problem = response.json() if response.status_code == 409 else {}
            if problem.get("code") != "fit_under_way":
                break
            if other := problem.get("fit_id"):
                _ended(client, other, "another fit", *shown)
        fit_id = answer(response)["id"]
        try:
            job = _ended(client, fit_id, "reading", *shown)
        except KeyboardInterrupt:
            answer(client.delete(f"/v1/fits/{fit_id}"))
            fail("The fit is cancelled.", 130)
    match job["state"]:
        case "failed":
            fail(f"The fit failed on our side and changed nothing: {job['error']}")
        case "cancelled":
            fail("The fit was cancelled.")
    return job


def _ended(client: "httpx.Client", fit_id: str, doing: str, bar: "Progress", task: "TaskID") -> dict[str, Any]:
    """A fit that has come to its end; until then the bar shows how far it is."""
    while True:
        job: dict[str, Any] = answer(client.get(f"/v1/fits/{fit_id}"))
        if job["state"] not in ("waiting", "running"):
            return job
        told = "waiting" if job["state"] == "waiting" else "fitting" if 0 < job["done"] >= job["parties"] else doing
        bar.update(task, description=told, total=job["parties"] or None, completed=job["done"])
        time.sleep(0.2)


def _chosen(client: "httpx.Client", asked: str | None) -> str:
    """The id of the model that was asked for by its beginning; the active one, else the one fitted last."""
    if asked:
        return whole(client, "models", asked)
    known = list(pages(client, "/v1/models"))
    if not known:
        fail("There is no model yet. `shuke model fit` fits one.")
    found: str = next((model for model in known if model["state"] == "active"), known[0])["hash"]
    return found


def _show_quality(told: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    periods = told["periods"]
    if not periods:
        typer.echo("Not judged: no fit as of an earlier day has a horizon behind it yet.")
        return
    days = [period["as_of"] for period in periods]
    title = f"Each judged by the {told['horizon_days']} days after it: who bought again, and later revenue"
    table = Table("as of", *days, title=title)
    for groups in zip(*(period["stages"] for period in periods), strict=True):
        cells = [f"{_number(group['bought_again'], '{:.3f}')} of {group['parties']:,}" for group in groups]
        table.add_row(f"again, {groups[0]['stage']}", *cells)
    for name, form in ROWS:
        table.add_row(LABELS.get(name, name), *(_number(period[name], form) for period in periods))
    Console().print(table)
    if beside := told["active"]:
        typer.echo(
            f"The active model on the last period: AUC {_number(beside['auc'], '{:.3f}')}, Brier {beside['brier']:.4f}."
        )


def _number(value: float | None, form: str) -> str:
    return "none" if value is None else form.format(value)
