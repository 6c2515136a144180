"""`shuke backup` and `shuke restore`: all that an installation is, kept and brought back."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.cli import options
from deploy.cli.client import fail
from deploy.cli.progress import progress

if TYPE_CHECKING:
    from deploy.backups import Manifest, Told
    from deploy.restoring import Restored

MB = 1_000_000
OTHERS = ("admin.key", "installation.json")
"""What else of a data folder a backup holds. Passwords of databases are made anew."""
KEYS = {"admin.key": "the admin key", "internal.secret": "the secret of the installation"}
KEY_FILE = "SHUKE_IDENTITY_KEY_FILE"
SECRET = "SHUKE_INTERNAL_SECRET"
ANOTHER_SECRET = f"""\
The backup was made under another {SECRET}, which is in its internal.secret. Start the services with that one: under
another, webhooks need new secrets, and people sign in by recovery codes until their second step is reset."""


def backup(
    target: Annotated[Path, typer.Argument(metavar="PATH", help="A new folder or, if it ends in .tar, a file.")],
    data: options.Data = None,
    as_json: options.Json = False,
) -> None:
    """Keep all databases as of one moment, and the keys, while the product serves or not.

    Of the data folder or, without --data, of the databases that `*_DATABASE_URL` in the environment name.
    """
    import asyncio

    with refusals(), shown("backing up") as told:
        made = asyncio.run(taken(target, data, told))
    if as_json:
        typer.echo(json.dumps({"path": str(target), "bytes": size(target), **json.loads(made.text())}, indent=2))
        return
    for name, dump in made.services.items():
        typer.echo(f"{name}: {dump.revision}, {sum(dump.tables.values()) / MB:,.1f} MB in {len(dump.tables)} tables")
    typer.echo(f"{target}: {size(target) / MB:,.1f} MB, as of {made.made_at}, version {made.product}")
    held = ["the identity key", *(name for file, name in KEYS.items() if file in made.sha256)]
    typer.echo(
        f"It holds {', '.join(held)} and everything about everybody: keep it where nobody else reads it.", err=True
    )


async def taken(target: Path, data: Path | None, told: "Told") -> "Manifest":
    """A backup of whatever is meant."""
    import asyncio

    from deploy import backups, databases, postgres

    urls = databases.named()
    if data is None and urls:
        file = os.environ.get(KEY_FILE)
        if not file:
            fail(f"{KEY_FILE} is not set: without the identity key a backup is of no use.", 2)
        known = {"time_zone": os.environ.get("SHUKE_TIME_ZONE", "UTC"), "currency": os.environ.get("SHUKE_CURRENCY")}
        others = {"installation.json": json.dumps({**known, "example": "none"}, indent=2) + "\n"}
        if internal := os.environ.get(SECRET):
            others[backups.INTERNAL_SECRET] = internal + "\n"
        key = await asyncio.to_thread(Path(file).read_text)
        return await backups.take(target, urls, key, others, told)
    folder = data or options.DEFAULT_DATA
    async with backups.served(folder) as urls:
        others = {name: (folder / name).read_text() for name in OTHERS if (folder / name).exists()}
        others[backups.INTERNAL_SECRET] = postgres.passwords(folder)["internal"] + "\n"
        return await backups.take(target, urls, (folder / backups.IDENTITY_KEY).read_text(), others, told)


def restore(
    source: Annotated[Path, typer.Argument(metavar="PATH", help="What `shuke backup` made.")],
    data: options.Data = None,
    force: Annotated[bool, typer.Option("--force", help="Replace what is there.")] = False,
    as_json: options.Json = False,
) -> None:
    """Bring a backup back where no product runs: into a data folder or, without --data, into the databases that
    `*_DATABASE_URL` in the environment name.

    Migrations that the backup lacks are applied. Cut short, it can be begun again.
    """
    import asyncio

    with refusals(), shown("restoring") as told:
        done, report = asyncio.run(restored(source, data, told, force=force))
    if as_json:
        typer.echo(json.dumps({**report, "applied": done.applied, "epoch": done.epoch}, indent=2))
        return
    for name, versions in done.applied.items():
        typer.echo(f"{name}: restored, {', '.join(versions)} applied" if versions else f"{name}: restored")
    if done.epoch:
        typer.echo(f"Events go on in epoch {done.epoch}; what Kafka got after the backup is passed over.")
    for variable, value in report["settings"].items():
        typer.echo(f"Start the services with {variable}={value}.")
    typer.echo(f"{report['into']} is as it was at {report['made_at']}.")


async def restored(source: Path, data: Path | None, told: "Told", *, force: bool) -> tuple["Restored", dict[str, Any]]:
    """A backup brought back into whatever is meant, and what there is to say of it."""
    import asyncio
    import tempfile

    from deploy import backups, databases, restoring, supervisor

    urls = databases.named()
    folder = data or options.DEFAULT_DATA
    by_urls = data is None and bool(urls)
    if not by_urls:
        folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".backup-", dir=None if by_urls else folder) as workspace:
        if by_urls:
            file = os.environ.get(KEY_FILE)
            if not file:
                fail(f"{KEY_FILE} is not set: it says where the identity key is put, and read by the services.", 2)
            opened = await asyncio.to_thread(backups.opened, source, Path(workspace))
            restoring.keep_identity_key(opened, Path(file))
            done = await restoring.into_databases(opened, urls, force=force, told=told)
            report = {"into": ", ".join(opened.manifest.services), "settings": restoring.settings(opened)}
            if restoring.another_secret(opened, os.environ.get(SECRET)):
                typer.echo(ANOTHER_SECRET, err=True)
        else:
            with supervisor.only_one(folder):
                restoring.refuse_folder(folder, force=force)
                opened = await asyncio.to_thread(backups.opened, source, Path(workspace))
                done = await restoring.into_folder(opened, folder, told)
            report = {"into": str(folder), "settings": {}}
    return done, {**report, "made_at": opened.manifest.made_at, "product": opened.manifest.product}


@contextmanager
def shown(doing: str) -> Iterator["Told"]:
    """A bar of megabytes."""
    with progress(doing, "MB") as (bar, task):
        yield lambda done, of: bar.update(task, completed=round(done / MB, 1), total=round(of / MB, 1))


@contextmanager
def refusals() -> Iterator[None]:
    """Say in one line why it cannot be."""
    import asyncpg

    from deploy import backups, databases, postgres, readiness, supervisor

    known = (
        backups.NoBackup,
        databases.CannotMigrate,
        postgres.CannotRun,
        readiness.NotReady,
        supervisor.AlreadyRuns,
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        OSError,
    )
    try:
        yield
    except known as error:
        fail(str(error) or type(error).__name__)


def size(path: Path) -> int:
    """Bytes of a file, or of the files in a folder."""
    files = path.iterdir() if path.is_dir() else [path]
    return sum(each.stat().st_size for each in files)
