"""`shuke keys`: who may come in, and who no more."""

import re
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.cli import options
from deploy.cli.client import answer, fail, pages, product

if TYPE_CHECKING:
    import httpx

app = typer.Typer(help="Make, list, rotate and revoke API keys.", no_args_is_help=True)

KeyId = Annotated[str, typer.Argument(metavar="ID", help="As `shuke keys list` shows it.")]


def limit_of(text: str | None) -> str | None:
    """A limit as it is written, or misuse."""
    if text and not re.fullmatch(r"[1-9]\d{0,5}/[1-9]\d{0,5}", text):
        raise typer.BadParameter("write requests per second and how many may come at once, such as 100/200.")
    return text


@app.command("list")
def list_keys(data: options.Data = None) -> None:
    """List keys, also those that have ended. No secret is shown."""
    with product(data) as client:
        for key in pages(client, "/v1/keys"):
            typer.echo(listed(key))


def listed(key: dict[str, Any]) -> str:
    """A key in two lines, its id first and whole however narrow the terminal is."""
    ends = f"revoked {key['revoked_at']}" if key["revoked_at"] else f"until {key['expires_at'] or 'revoked'}"
    used = f"last used {key['last_used_at']}" if key["last_used_at"] else "never used"
    own = " (this one)" if key["current"] else ""
    rate = f"{key['limit']['per_s']}/{key['limit']['burst']} requests"
    tail = f"…{key['last_four']}, " if key["last_four"] else ""
    return f"{key['id']} {key['name']}{own}\n    {tail}{', '.join(key['scopes'])}, {rate}, {used}, {ends}"


@app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose key it is, for people.")],
    scopes: Annotated[
        list[str],
        typer.Option("--scope", metavar="admin|operator|analyst|ingest|reader", help="What it may do; repeatable."),
    ],
    expires: Annotated[
        datetime | None, typer.Option(metavar="TIME", help="When it ends, in local time.", show_default="never")
    ] = None,
    limit: Annotated[
        str | None,
        typer.Option(
            metavar="PER_S/BURST", callback=limit_of, help="Requests per second, and at once.", show_default="by scope"
        ),
    ] = None,
    data: options.Data = None,
) -> None:
    """Make a key and print its secret, which is never shown again."""
    wanted: dict[str, Any] = {"name": name, "scopes": scopes}
    if expires:
        wanted["expires_at"] = expires.astimezone().isoformat()
    if limit:
        per_s, _, burst = limit.partition("/")
        wanted["limit"] = {"per_s": int(per_s), "burst": int(burst)}
    with product(data) as client:
        told(answer(client.post("/v1/keys", json=wanted)))


@app.command()
def rotate(
    key_id: KeyId,
    grace: Annotated[
        int, typer.Option(metavar="SECONDS", min=0, max=604_800, help="How long the old secret goes on.")
    ] = 0,
    data: options.Data = None,
) -> None:
    """Give a key a new secret and print it. The key of the data folder is put into its `admin.key`, too."""
    with product(data) as client:
        own = answer(client.get(f"/v1/keys/{key_id}"))["current"]
        made = answer(client.post(f"/v1/keys/{key_id}/rotate", json={"grace_s": grace}))
        if own and (path := kept_at(client, data)):
            from deploy.postgres import write_secret

            write_secret(path, f"{made['secret']}\n")
            typer.echo(f"{path} has the new secret.", err=True)
        told(made)


@app.command()
def revoke(key_id: KeyId, data: options.Data = None) -> None:
    """Have a key work no more, at once."""
    with product(data) as client:
        key = answer(client.post(f"/v1/keys/{key_id}/revoke"))
    typer.echo(f"{key['id']} {key['name']} was revoked {key['revoked_at']}.")


def kept_at(client: "httpx.Client", data: Path | None) -> Path | None:
    """The file from which the key of this command came, if it came from one."""
    path = (data or options.DEFAULT_DATA) / "admin.key"
    if not path.exists() or client.headers["Authorization"] != f"Bearer {path.read_text().strip()}":
        return None
    return path


def told(made: dict[str, Any]) -> None:
    """The secret alone on stdout, so that it can be put into a file; what else is known on stderr."""
    if not made.get("secret"):
        fail("The answer has no secret.")
    typer.echo(listed(made), err=True)
    typer.echo(made["secret"])
