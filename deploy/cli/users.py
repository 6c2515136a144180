"""`shuke users`: who signs in. Their one-time links are printed here and sent by nobody."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.cli import options
from deploy.cli.client import answer, fail, pages, product

if TYPE_CHECKING:
    import httpx

app = typer.Typer(help="List, invite, disable and enable the people who sign in.", no_args_is_help=True)

Who = Annotated[str, typer.Argument(metavar="WHO", help="Id or e-mail address, as `shuke users list` shows them.")]


@app.command("list")
def list_users(data: options.Data = None) -> None:
    """List everybody, also those who may not sign in any more."""
    with product(data) as client:
        for user in pages(client, "/v1/users"):
            typer.echo(listed(user))


def listed(user: dict[str, Any]) -> str:
    """A person in two lines, the id first and whole however narrow the terminal is."""
    account = user["account"]
    ways = [word for word, has in (("a password", account["has_password"]), ("OpenID", account["outside"])) if has]
    way = "disabled" if user["disabled"] else f"signs in by {' or '.join(ways)}" if ways else "has not set a password"
    step = ", second step" if account["second_step"] else ""
    seen = f"last seen {account['last_seen_at']}" if account["last_seen_at"] else "not seen"
    return f"{user['id']} {user['name']} <{account['email']}>\n    {', '.join(account['roles'])}, {way}{step}, {seen}"


@app.command()
def invite(
    email: Annotated[
        str | None,
        typer.Argument(
            metavar="EMAIL", help="Whom; nobody yet for the first person, who becomes the owner.", show_default=False
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="The name of somebody who is new.", show_default=False)] = None,
    roles: Annotated[
        list[str] | None,
        typer.Option("--role", metavar="ROLE", help="What somebody new may do; repeatable.", show_default="reader"),
    ] = None,
    team: Annotated[
        str | None, typer.Option(metavar="ID", help="The team of somebody new.", show_default=False)
    ] = None,
    data: options.Data = None,
) -> None:
    """Print a one-time link: for the first person, for somebody new, or for somebody to set another password."""
    with product(data) as client:
        if email is None:
            told(client, answer(client.post("/v1/invitations/first")))
        elif known := by_email(client, email):
            if name or roles or team:
                fail(f"{email} is known already: {known['id']}. Without other options this makes a new link.")
            told(client, answer(client.post(f"/v1/users/{known['id']}/invite")))
        else:
            wanted = {"name": name or email, "email": email, "roles": roles or ["reader"], "team_id": team}
            made = answer(client.post("/v1/users", json=wanted))
            typer.echo(listed(made), err=True)
            told(client, made["invitation"])


@app.command()
def disable(who: Who, data: options.Data = None) -> None:
    """Have somebody sign in no more, and end all their sessions, at once."""
    act(data, who, "disable")


@app.command()
def enable(who: Who, data: options.Data = None) -> None:
    """Have somebody sign in again, with the password they had."""
    act(data, who, "enable")


@app.command("reset-totp")
def reset_totp(who: Who, data: options.Data = None) -> None:
    """Have somebody who lost the authenticator app sign in by the password alone."""
    act(data, who, "reset-second-step")


@app.command("owner-link")
def owner_link(
    email: Annotated[
        str | None, typer.Option(metavar="EMAIL", help="Whose password is to be set.", show_default="the first person")
    ] = None,
    data: options.Data = None,
) -> None:
    """Print a one-time link past the API, for an owner whom nobody else could let in.

    The database is the one that `GATEWAY_DATABASE_URL` names, or that of the data folder.
    """
    import asyncio

    from deploy import databases
    from deploy.backups import NoBackup, served
    from gateway.domain.invitations import NobodyToInvite
    from gateway.queries.invitations import create_owner_link

    async def made() -> str:
        if url := databases.named().get("gateway"):
            return await create_owner_link(url, email)
        async with served(data or options.DEFAULT_DATA) as urls:
            url = urls["gateway"].replace("postgresql://", "postgresql+asyncpg://", 1)
            return await create_owner_link(url, email)

    try:
        path = asyncio.run(made())
    except (NoBackup, NobodyToInvite) as error:
        fail(str(error))
    typer.echo("Behind the address of the console, once, for 7 days:", err=True)
    typer.echo(path)


def act(data: Path | None, who: str, word: str) -> None:
    """Do something to a person and say how they stand."""
    with product(data) as client:
        known = by_email(client, who) if "@" in who else {"id": who}
        if known is None:
            fail(f"Nobody has the address {who}. `shuke users list` lists everybody.")
        typer.echo(listed(answer(client.post(f"/v1/users/{known['id']}/{word}"))))


def by_email(client: "httpx.Client", email: str) -> dict[str, Any] | None:
    """The person with an address, if there is one."""
    for user in pages(client, "/v1/users"):
        if user["account"]["email"].casefold() == email.strip().casefold():
            return user
    return None


def told(client: "httpx.Client", link: dict[str, Any]) -> None:
    """The link alone on stdout; until when it works on stderr."""
    ends = datetime.fromisoformat(link["expires_at"]).astimezone()
    typer.echo(f"Give it to whom it is for. It works once, until {ends:%Y-%m-%d %H:%M}:", err=True)
    typer.echo(f"{str(client.base_url).rstrip('/')}{link['path']}")
