"""A report on many parties: read and computed in a process of its own, in the same state of the database."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import asyncpg

from chassis.apart import apart
from chassis.db import KEEPALIVE, PATIENCE_S, plain_url
from services.scoring.queries.rulings import Connection

T = TypeVar("T")
Report = Callable[..., Awaitable[T]]
"""A function of a module that takes a connection first; whatever else it takes and gives can be pickled."""

MANY = 2_000
"""More parties than these are left to a process, which takes a second to begin."""


async def reads_many(connection: Connection) -> bool:
    """Whether a report on everybody is to be left to a process of its own."""
    many: bool = await connection.fetchval(_MORE_THAN, MANY)
    return many


async def report_apart(connection: Connection, url: str, report: Report[T], *arguments: object) -> T:
    """A report on the state that a connection sees, which has to stay open meanwhile."""
    snapshot: str = await connection.fetchval("SELECT pg_export_snapshot()")
    return await apart(_reported, plain_url(url), snapshot, report, arguments)


def _reported(url: str, snapshot: str, report: Report[T], arguments: tuple[object, ...]) -> T:
    return asyncio.run(_report(url, snapshot, report, arguments))


async def _report(url: str, snapshot: str, report: Report[T], arguments: tuple[object, ...]) -> T:
    connection = await asyncpg.connect(url, timeout=10, command_timeout=PATIENCE_S, server_settings=_SESSION)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            # The word of the database, no text of anybody: the statement takes no arguments.
            await connection.execute(f"SET TRANSACTION SNAPSHOT '{snapshot}'")
            return await report(connection, *arguments)
    finally:
        await connection.close()


_SESSION = {"application_name": "shuke", "timezone": "UTC", "jit": "off", **KEEPALIVE}

_MORE_THAN = "SELECT EXISTS (SELECT FROM party WHERE first_identity IS NOT NULL OFFSET $1)"
