"""Which processes of a service run: each says so now and then in the service's database, whatever its role."""

import asyncio
import os
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Never

import structlog

from chassis.db import Database, database_is_away, driver
from chassis.rest import rest
from chassis.telemetry import FELL_AT

log = structlog.get_logger()

REST_S = 10.0
AWAY = timedelta(seconds=35)
"""A process that has said nothing for so long went away: it missed three times."""
FORGOTTEN = timedelta(hours=1)
"""So long one that went away is told of."""
LEAVING_S = 2.0
"""So long a process that ends waits for its leave."""


def own_name() -> str:
    """The name of this process, the one that its supervisor gave it (`SHUKE_MEMBER`) or host and process id."""
    return os.environ.get("SHUKE_MEMBER") or f"{socket.gethostname()}-{os.getpid()}"


async def tell(
    database: Database,
    *,
    name: str,
    roles: Sequence[str],
    version: str,
    ordered: asyncio.Event,
    rest_s: float = REST_S,
) -> Never:
    """Say that a process is there, once for each of its roles, until cancelled.

    It takes its leave where `ordered` says that it was told to end; of one that ends otherwise its last word stays, and
    by that the next one under its name knows: `shuke_process_fell_timestamp_seconds` has when it began.
    """
    since: datetime | None = None
    try:
        while True:
            try:
                if since is None and await fell(database, name):
                    log.warning("took the place of a process that nobody had told to end", name=name)
                    # By the clock of the machine, as Prometheus has it: that of the product may be ahead.
                    FELL_AT.set(time.time())
                since = await beat(database, name=name, roles=roles, version=version, since=since)
            except Exception as error:
                if not database_is_away(error):
                    raise
                log.warning("presence is told later", error=str(error))
            await rest(rest_s)
    finally:
        if ordered.is_set():
            # Whoever ends does not stay for a database that is away.
            with suppress(Exception):
                async with asyncio.timeout(LEAVING_S):
                    await leave(database, name)


async def beat(
    database: Database, *, name: str, roles: Sequence[str], version: str, since: datetime | None
) -> datetime:
    """Say it once; without `since` it begins now, by the clock of the database, and that is returned."""
    async with database.transaction() as session:
        connection = await driver(session)
        began: datetime = await connection.fetchval(_BEAT, name, list(roles), version, since)
        await connection.execute("DELETE FROM process WHERE seen_at < now() - $1::interval", FORGOTTEN)
    return began


async def fell(database: Database, name: str) -> bool:
    """Whether the last process of a name did not take its leave, asked before the next one says that it is there."""
    async with database.transaction() as session:
        return bool(await (await driver(session)).fetchval(_FELL, name, FORGOTTEN))


async def leave(database: Database, name: str) -> None:
    """Say that it ends in order."""
    async with database.transaction() as session:
        await (await driver(session)).execute("DELETE FROM process WHERE name = $1", name)


_FELL = "SELECT EXISTS (SELECT FROM process WHERE name = $1 AND seen_at > now() - $2::interval)"

_BEAT = """
INSERT INTO process (name, role, version, since, seen_at)
SELECT $1, role, $3, coalesce($4, now()), now() FROM unnest($2::text[]) AS role
ON CONFLICT (name, role) DO UPDATE
SET version = excluded.version, since = excluded.since, seen_at = excluded.seen_at
RETURNING since
"""

SEEN = f"""
SELECT name, role, version, since, seen_at,
       CASE WHEN seen_at < now() - interval '{AWAY.total_seconds()} s' THEN 'away' ELSE 'running' END AS state
FROM process ORDER BY role, name
"""
"""Those that run, and those that went away a short while ago without a word."""
