"""What standings there are, out as a file, and the proof that they are right."""

import json
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.cli import example, options
from deploy.cli.client import answer, download, fail, pages, product, steps, whole
from deploy.cli.progress import progress

if TYPE_CHECKING:
    import httpx

AsOf = Annotated[
    datetime | None,
    typer.Option(
        "--as-of", formats=["%Y-%m-%d"], metavar="DAY", help="As of the end of this local day.", show_default="now"
    ),
]

standings = typer.Typer(help="Who stands where.", no_args_is_help=True)
export = typer.Typer(help="Take everything out as a file.", no_args_is_help=True)
tiers = typer.Typer(help="The amounts that divide the tiers.", no_args_is_help=True)


@standings.command()
def summary(
    as_of: AsOf = None,
    known_at: options.KnownAt = None,
    policy: options.Policy = None,
    model: options.Model = None,
    horizon_days: options.HorizonDays = None,
    data: options.Data = None,
) -> None:
    """Show how many parties are in each stage and tier."""
    from rich.console import Console

    with product(data) as client:
        query = asked(client, as_of, known_at, policy, model, horizon_days)
        example.show_summary(client, Console(), query)


PartyId = Annotated[str, typer.Argument(metavar="PARTY", help="Its id: party_…")]


@standings.command(context_settings={"ignore_unknown_options": True})
def override(
    party: PartyId,
    field: Annotated[
        str,
        typer.Argument(
            metavar="FIELD",
            help="stage, tier, satisfaction, loyalty, posture, potential, level, treatment, high_value, profit_making,"
            " returning, satisfied, vip, loss_reason, or a number: value_minor, turnover_minor, p, satisfaction_index,"
            " loyalty_index.",
        ),
    ],
    value: Annotated[
        str,
        typer.Argument(
            metavar="VALUE",
            help="What it is to be, whatever the facts say: a code, true or false, or a number"
            " (amounts in minor units, p from 0 to 1, indexes from 0 to 100).",
        ),
    ],
    why: Annotated[str, typer.Option(metavar="TEXT", help="For whoever reads it later.")],
    until: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], metavar="DAY", help="The last local day.", show_default="until it is ended"),
    ] = None,
    data: options.Data = None,
) -> None:
    """Set a part of a standing by hand. What follows from the facts stays visible, and comes back."""
    body = {"field": field, "value": value, "why": why, "until": until and until.date().isoformat()}
    with product(data) as client:
        told = answer(client.post(f"/v1/standings/{party}/overrides", json=body))
    typer.echo(overridden(told))
    typer.echo(stands(told["standing"]))


@standings.command()
def overrides(party: PartyId, data: options.Data = None) -> None:
    """List what was ever set by hand for a party, the last first: who, why, until when, and what became of it."""
    with product(data) as client:
        found = list(pages(client, f"/v1/standings/{party}/overrides"))
    for each in found:
        typer.echo(overridden(each))
    if not found:
        typer.echo("Nothing was set.")


@standings.command("end-override")
def end_override(
    override: Annotated[str, typer.Argument(metavar="ID", help="Its id, as `shuke standings overrides` lists it.")],
    why: Annotated[str | None, typer.Option(metavar="TEXT", help="For whoever reads it later.")] = None,
    data: options.Data = None,
) -> None:
    """Leave a part of a standing to the facts again, with all that was set for it before."""
    with product(data) as client:
        told = answer(client.post(f"/v1/overrides/{override}/end", json={"why": why}))
    typer.echo(overridden(told))
    typer.echo(stands(told["standing"]))


def overridden(override: dict[str, Any]) -> str:
    """An override in two or three lines, its id first."""
    until = f" until {override['until']}" if override["until"] else ""
    lines = [
        f"{override['id']} {override['field']} {override['value']}{until}: {override['state']}",
        f"    set {override['set_at']} by {override['set_by']}: {override['why']}",
    ]
    if override["ended_at"]:
        why = f": {override['end_reason']}" if override["end_reason"] else ""
        lines.append(f"    ended {override['ended_at']} by {override['ended_by']}{why}")
    return "\n".join(lines)


def stands(standing: dict[str, Any] | None) -> str:
    """How a party stands, and what follows from the facts where that is something else."""
    if standing is None:
        return "The party stands nowhere any more."
    derived = ", ".join(f"{field} {value}" for field, value in sorted(standing["derived"].items()))
    by_facts = f" By the facts: {derived}." if derived else ""
    return f"{standing['party_id']} stands as {standing['stage']}, {standing['tier']}.{by_facts}"


@export.command("standings")
def export_standings(
    as_of: AsOf = None,
    known_at: options.KnownAt = None,
    policy: options.Policy = None,
    model: options.Model = None,
    horizon_days: options.HorizonDays = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", callback=options.writable, show_default="stdout"),
    ] = None,
    data: options.Data = None,
) -> None:
    """Write every standing as CSV; money in major units."""
    with product(data) as client:
        query = asked(client, as_of, known_at, policy, model, horizon_days)
        download(client, "/v1/standings/export", output, params=query)


@tiers.command()
def fit(data: options.Data = None) -> None:
    """Cut the tiers anew by the present customers, by the shares of the policy: top 5 %, high 15 %, mid 30 %."""
    with product(data) as client:
        typer.echo(json.dumps(answer(client.post("/v1/tiers/fit")), indent=2))


def digest(
    as_of: AsOf = None,
    known_at: options.KnownAt = None,
    policy: options.Policy = None,
    model: options.Model = None,
    horizon_days: options.HorizonDays = None,
    data: options.Data = None,
) -> None:
    """Print the SHA-256 over all standings: equal where two installations hold the same."""
    with product(data) as client:
        query = asked(client, as_of, known_at, policy, model, horizon_days)
        typer.echo(answer(client.get("/v1/digest", params=query, timeout=None))["digest"])


def verify(
    party: Annotated[str | None, typer.Option(metavar="ID", help="Only this party.")] = None,
    sample: Annotated[
        int | None, typer.Option(metavar="N", min=1, max=1_000_000, help="Only so many, as they happen to be drawn.")
    ] = None,
    data: options.Data = None,
) -> None:
    """Recompute standings from the facts and compare. Ends 1 where anything differs."""
    if party and sample:
        fail("Say either --party or --sample.", 2)
    with product(data) as client:
        if party:
            found = answer(client.post(f"/v1/standings/{party}/verify"))
            typer.echo(json.dumps(found, indent=2))
            agrees = not found.get("disagreements")
        else:
            agrees = verify_all(client, sample)
    if not agrees:
        raise typer.Exit(1)


def verify_all(client: "httpx.Client", sample: int | None = None) -> bool:
    """Verify every party, or so many, with a progress bar; whether all agree."""
    last: dict[str, Any] = {}
    asked = {} if sample is None else {"sample": sample}
    with progress("verifying", "parties") as (bar, task):
        for last in steps(client, "/v1/verify", "The verification", params=asked):
            bar.update(task, completed=last.get("checked"), total=last.get("parties"))
            for disagreement in last.get("found", []):
                bar.console.print(json.dumps(disagreement), markup=False, highlight=False)
    typer.echo(f"{last['checked']:,} parties, {last['disagreements']:,} disagreements.")
    return not last["disagreements"]


def rebuild(
    time_zone: Annotated[
        str | None,
        typer.Option(metavar="NAME", callback=options.zone_name, help="Count days in this zone from now on."),
    ] = None,
    data: options.Data = None,
) -> None:
    """Compute all calendars and standings anew from the facts, beside the present ones, and swap them in."""
    with product(data) as client:
        asked = answer(client.post("/v1/rebuild", json={"time_zone": time_zone}))
        done = rebuilt(client, asked["id"])
    typer.echo(f"{done['folded']:,} calendars are rebuilt in {done['time_zone']}, and every standing assessed by them.")
    if time_zone:
        typer.echo("Restart the product, so that dates of imports are read in this zone too.")


def rebuilt(client: "httpx.Client", rebuild_id: str) -> dict[str, Any]:
    """Show the progress of a rebuild until its end. It goes on without this command."""
    with progress("rebuilding", "calendars") as (bar, task):
        while True:
            job: dict[str, Any] = answer(client.get(f"/v1/rebuild/{rebuild_id}"))
            doing = "assessing" if job["state"] == "done" else "rebuilding"
            bar.update(task, description=doing, total=job["identities"] or None, completed=job["folded"])
            if job["state"] == "failed":
                fail(f"The rebuild failed on our side and changed nothing: {job['error']}")
            if job["reassessed"]:
                return job
            time.sleep(0.2)


def asked(
    client: "httpx.Client",
    as_of: datetime | None,
    known_at: str | None,
    policy: str | None,
    model: str | None,
    horizon_days: int | None,
) -> dict[str, str | int]:
    """The query of what is asked for; nothing of what is not."""
    query = {
        "as_of": as_of.date().isoformat() if as_of else None,
        "known_at": known_at,
        "policy": policy and whole(client, "policies", policy),
        "model": model and whole(client, "models", model),
        "horizon_days": horizon_days,
    }
    return {name: value for name, value in query.items() if value is not None}
