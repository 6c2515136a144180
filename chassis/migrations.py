"""Databases are brought to their newest version while the version before goes on serving."""

import asyncio
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from chassis.rest import rest

if TYPE_CHECKING:
    from alembic.config import Config

LOCK_TIMEOUT_S = 1.0
"""Whoever reads or writes a table waits behind a change of it that waits for its lock: not for longer than this."""
PATIENCE_S = 300.0
"""So long a change is tried again that finds its table in use."""


def _silent(_: str) -> None:
    """Say nothing."""


async def migrate(
    url: str,
    package: str,
    *,
    to: str = "head",
    patience_s: float = PATIENCE_S,
    say: Callable[[str], None] = _silent,
) -> list[str]:
    """Bring a database to a version of a package's `migrations` (Alembic); return the versions applied.

    One process at a time does it. Each version is a transaction of its own, which gives way after `LOCK_TIMEOUT_S` and
    is tried again, so that nobody waits behind one that waits for a long reader. Raises `TimeoutError` where that does
    not end within `patience_s`; what was applied by then stays.
    """
    engine = create_async_engine(url)
    try:
        async with engine.connect() as connection:
            await _alone(connection)
            # To commit is to end the transaction: the lock is the session's, and Alembic makes its own transactions.
            await connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT_S}s'"))
            await connection.commit()
            return await _patiently(connection, _config(package), to, patience_s, say)
    finally:
        await engine.dispose()


async def _alone(connection: AsyncConnection) -> None:
    # Asked again and again: one that waits inside a statement has a snapshot, for whose end an index that is made
    # concurrently waits in turn.
    while not (await connection.execute(text("SELECT pg_try_advisory_lock(hashtext('migrate'))"))).scalar():
        await connection.rollback()
        await rest(0.2)


async def _patiently(
    connection: AsyncConnection, config: "Config", to: str, patience_s: float, say: Callable[[str], None]
) -> list[str]:
    loop = asyncio.get_running_loop()
    until = loop.time() + patience_s
    applied: list[str] = []
    while True:
        try:
            await connection.run_sync(_upgrade, config, to, applied)
        except DBAPIError as error:
            if not in_use(error):
                raise
            await connection.rollback()
            if loop.time() > until:
                raise TimeoutError(
                    f"its tables were in use for {patience_s:.0f} s without a pause; pg_stat_activity shows by whom"
                ) from error
            say("a table is in use, its change is tried again")
            await rest(0.5)
        else:
            return applied


def in_use(error: DBAPIError) -> bool:
    """Whether a change only came at a bad moment: a lock was not to be had in time, or two waited for each other."""
    cause = error.orig and error.orig.__cause__
    return isinstance(cause, asyncpg.LockNotAvailableError | asyncpg.DeadlockDetectedError)


def _upgrade(connection: Connection, config: "Config", to: str, applied: list[str]) -> None:
    # Here, because every process would otherwise spend a quarter of a second of its start on it.
    from alembic import command
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    present = MigrationContext.configure(connection).get_current_revision()
    connection.commit()
    missing = ScriptDirectory.from_config(config).iterate_revisions(to, present or "base")
    applied += [version.revision for version in missing if version.revision not in applied][::-1]
    config.attributes["connection"] = connection
    command.upgrade(config, to)


def _config(package: str) -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(str(files("chassis"))) / "alembic"))
    config.set_main_option("version_locations", str(Path(str(files(package))) / "migrations"))
    config.set_main_option("path_separator", "newline")
    return config


def versions(package: str) -> list[str]:
    """The versions of a package's database, the oldest first."""
    from alembic.script import ScriptDirectory

    walked = ScriptDirectory.from_config(_config(package)).walk_revisions()
    return [version.revision for version in walked][::-1]


def index(name: str, on: str, *, instead_of: str | None = None) -> None:
    """Make an index on a table that may be big, in a migration, while others write to it.

    `on` is what follows `ON`. What stands before it in the same migration is committed first, and what was left of it
    by a migration that was cut short is made anew. `instead_of` is an index that goes, because the new one serves
    whoever used it as well, also in the version before.
    """
    from alembic import op

    with op.get_context().autocommit_block():
        # It lets others read and write while it waits.
        op.execute("SET lock_timeout = 0")
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
        op.execute(f"CREATE INDEX CONCURRENTLY {name} ON {on}")
        if instead_of is not None:
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {instead_of}")
        op.execute(f"SET lock_timeout = '{LOCK_TIMEOUT_S}s'")
