"""The databases of the services: made, brought to the newest version, their logs opened to one role that reads them."""

import os
from collections.abc import Callable, Mapping
from urllib.parse import unquote, urlsplit

import asyncpg

from chassis.db import plain_url
from chassis.migrations import migrate
from deploy.roles import PACKAGES

LOG_READER = "log_reader"
READABLE = ("event_log", "event_stream", "sequencing")
"""What a service publishes of its database: what another one needs to read its log."""


UNFINISHED = "restore_unfinished"
"""A table that is there as long as a restore into the database has not come to its end."""


class CannotMigrate(Exception):
    """A database cannot be brought to the newest version; what it said."""


def named() -> dict[str, str]:
    """The databases that the environment names, by service."""
    urls = {name: os.environ.get(variable(name)) for name in PACKAGES}
    return {name: url for name, url in urls.items() if url}


def variable(service: str) -> str:
    """The setting that names a service's database."""
    return f"{service.upper()}_DATABASE_URL"


async def have(superuser_url: str, urls: Mapping[str, str], *, log_reader_password: str | None) -> None:
    """Have each database with its owner, and the role that reads the logs. What is there already stays as it is.

    Owners and their passwords are those of `urls`. Nobody else may enter, but for the log reader.
    """
    owners = {owner_of(url): database_of(url) for url in urls.values()}
    passwords = {owner_of(url): unquote(urlsplit(url).password or "") for url in urls.values()}
    if log_reader_password:
        passwords[LOG_READER] = log_reader_password
    connection = await asyncpg.connect(plain_url(superuser_url))
    try:
        for role, password in passwords.items():
            if not await connection.fetchval("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", role):
                create = "SELECT format('CREATE ROLE %I LOGIN PASSWORD %L', $1::text, $2::text)"
                await connection.execute(await connection.fetchval(create, role, password))
        for owner, name in owners.items():
            if not await connection.fetchval("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name):
                await connection.execute(f'CREATE DATABASE "{name}" OWNER "{owner}"')
            await connection.execute(f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC')
            if log_reader_password:
                await connection.execute(f'GRANT CONNECT ON DATABASE "{name}" TO {LOG_READER}')
    finally:
        await connection.close()


def owner_of(url: str) -> str:
    """The role that a URL names."""
    return unquote(urlsplit(url).username or "")


def database_of(url: str) -> str:
    """The database that a URL names."""
    return unquote(urlsplit(url).path.removeprefix("/"))


async def bring_up(
    urls: Mapping[str, str],
    *,
    restoring: bool = False,
    to: str = "head",
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, list[str]]:
    """Bring each database to the newest version, or the one named, and open its log; return the versions applied.

    They are told by service. Asked again, nothing changes. Raises `CannotMigrate` with the first one that fails, or
    that a restore, unless it is this one, has left unfinished.
    """
    from alembic.util import CommandError
    from sqlalchemy.exc import DBAPIError

    applied = {}
    for name, url in urls.items():
        try:
            if not restoring:
                await refuse_unfinished(name, url)
            applied[name] = await migrate(url, PACKAGES[name], to=to, say=_of(name, say))
            await open_log(url)
        except (CommandError, DBAPIError, OSError, TimeoutError, asyncpg.PostgresError) as error:
            cause = error.orig if isinstance(error, DBAPIError) else error
            raise CannotMigrate(f"{name} was not brought to the newest version: {cause}") from error
    return applied


def _of(name: str, say: Callable[[str], None]) -> Callable[[str], None]:
    return lambda text: say(f"{name}: {text}")


async def refuse_unfinished(name: str, url: str) -> None:
    """Raise `CannotMigrate` where a restore was cut short."""
    connection = await asyncpg.connect(plain_url(url))
    try:
        if await is_unfinished(connection):
            raise CannotMigrate(f"{name} was not restored to its end: begin `shuke restore` again.")
    finally:
        await connection.close()


async def is_unfinished(connection: "asyncpg.Connection[asyncpg.Record]") -> bool:
    """Whether a restore into the database was cut short, or is at it."""
    return bool(await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", UNFINISHED))


async def open_log(url: str) -> None:
    """Let the log reader, where there is one, read the published surface of a database and nothing else."""
    connection = await asyncpg.connect(plain_url(url))
    try:
        if await connection.fetchval("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", LOG_READER):
            for table in READABLE:
                await connection.execute(f"GRANT SELECT ON {table} TO {LOG_READER}")
    finally:
        await connection.close()
