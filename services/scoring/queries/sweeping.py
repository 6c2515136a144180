"""Whom the clock or a new ruling concerns, and how far the passes over all parties are."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from services.scoring.queries.parties import NOBODY, STOOD
from services.scoring.queries.rulings import Connection
from services.scoring.queries.standings import count_cells


async def due(connection: Connection, until: datetime, limit: int) -> list[UUID]:
    """Parties that time changes by an instant, the longest due first."""
    return [row["party_id"] for row in await connection.fetch(_DUE.format(columns="party_id"), until, limit)]


class Part(NamedTuple):
    """Which parties are one process's to take, where several do."""

    nth: int
    of: int


async def due_rows(connection: Connection, until: datetime, part: Part, limit: int) -> list[asyncpg.Record]:
    """Likewise the rows of a part of them, with who wrote each last (`written`), and without a lock."""
    await connection.execute(_IN_ORDER)
    return await connection.fetch(_DUE_OF_PART, until, limit, *part)


async def lock_as_read(connection: Connection, rows: Sequence[asyncpg.Record]) -> set[UUID]:
    """Lock those of parties that nobody holds and nobody has written since they were read."""
    read = [[row["party_id"] for row in rows], [row["written"] for row in rows]]
    return {row["party_id"] for row in await connection.fetch(_LOCK_AS_READ, *read)}


async def under_older_ruling(connection: Connection, ruling_id: int, after: UUID, limit: int) -> list[UUID]:
    """Parties behind one, in id order, that were assessed under an older ruling."""
    query = _UNDER_OLDER.format(columns="party_id")
    return [row["party_id"] for row in await connection.fetch(query, ruling_id, after, limit)]


async def many_due(connection: Connection, until: datetime, many: int) -> bool:
    """Whether time changes more than so many parties by an instant."""
    return await connection.fetchval(_DUE.format(columns="1") + " OFFSET $3", until, 1, many) is not None


async def many_under_older_ruling(connection: Connection, ruling_id: int, many: int) -> bool:
    """Whether more than so many parties were assessed under an older ruling."""
    query = _UNDER_OLDER.format(columns="1") + " OFFSET $4"
    return await connection.fetchval(query, ruling_id, NOBODY, 1, many) is not None


async def applied(connection: Connection, ruling_id: int, at: datetime) -> None:
    """Every party was assessed under a ruling, and by that under those before it.

    Behind a rebuild, and where standings have grown, who stands where is counted anew, too.
    """
    reasons = await connection.fetch(_APPLIED, ruling_id, at)
    if any(row["reason"] == "rebuild" for row in reasons):
        await count_cells(connection)


async def unrefreshed(connection: Connection, since: datetime, after: UUID, limit: int) -> list[UUID]:
    """Parties behind one, in id order, that stand somewhere and were not assessed since an instant."""
    return [row["party_id"] for row in await connection.fetch(_UNREFRESHED, since, after, limit)]


async def refreshed_at(connection: Connection) -> datetime | None:
    """When the last pass over all stored values began."""
    at: datetime | None = await connection.fetchval("SELECT refreshed_at FROM installation")
    return at


async def refreshed(connection: Connection, at: datetime) -> None:
    """A pass over all stored values, begun at an instant, has come to its end."""
    await connection.execute("UPDATE installation SET refreshed_at = $1", at)


_APPLIED = "UPDATE ruling SET applied_at = $2 WHERE id <= $1 AND applied_at IS NULL RETURNING reason"

_DUE = "SELECT {columns} FROM party WHERE next_change_at <= $1 ORDER BY next_change_at, party_id LIMIT $2"

# How many are one's part the planner cannot know: it takes them for so few that it would read and sort all who are due.
_IN_ORDER = "SET LOCAL enable_sort = off"

_DUE_OF_PART = f"""
SELECT {STOOD}, xmin AS written FROM party
WHERE next_change_at <= $1 AND get_byte(uuid_send(party_id), 15) % $4 = $3
ORDER BY next_change_at, party_id LIMIT $2
"""

# Whoever is held by the worker is left to it. Whose calendar changes or who comes to share identities is written, too.
_LOCK_AS_READ = """
SELECT party.party_id FROM unnest($1::uuid[], $2::xid[]) AS read(party_id, written)
JOIN party ON party.party_id = read.party_id AND party.xmin = read.written
ORDER BY party.party_id FOR NO KEY UPDATE OF party SKIP LOCKED
"""

_UNDER_OLDER = "SELECT {columns} FROM party WHERE ruling < $1 AND party_id > $2 ORDER BY party_id LIMIT $3"

_UNREFRESHED = """
SELECT party_id FROM party WHERE stage IS NOT NULL AND assessed_at < $1 AND party_id > $2 ORDER BY party_id LIMIT $3
"""
