"""Rebuilds as they are asked for and shown; `rebuilds` has how they are carried out."""

from datetime import datetime
from uuid import UUID

import asyncpg

from services.scoring.domain.rebuilds import RebuildNotFound, RebuildUnderWay
from services.scoring.queries.rulings import Connection


async def ask_for_rebuild(
    connection: Connection, rebuild_id: UUID, time_zone: str | None, at: datetime
) -> asyncpg.Record:
    """A rebuild that waits to be carried out. Raises `RebuildUnderWay`."""
    if await connection.fetchval(_ASK, rebuild_id, time_zone, at) is None:
        open_one = await connection.fetchval("SELECT id FROM rebuild WHERE state IN ('waiting', 'running')")
        there = {"rebuild_id": f"rebuild_{open_one.hex}"} if open_one else {"retry_after_s": 1}
        raise RebuildUnderWay("A rebuild is under way already.", **there)
    return await rebuild(connection, rebuild_id)


async def rebuild(connection: Connection, rebuild_id: UUID) -> asyncpg.Record:
    """A rebuild, and whether every standing was assessed again since."""
    row = await connection.fetchrow(f"{_REBUILDS} WHERE id = $1", rebuild_id)
    if row is None:
        raise RebuildNotFound("There is no such rebuild.")
    return row


async def rebuilds_before(connection: Connection, before: UUID, *, limit: int) -> list[asyncpg.Record]:
    """Rebuilds before one, the newest first."""
    return await connection.fetch(f"{_REBUILDS} WHERE id < $1 ORDER BY id DESC LIMIT $2", before, limit)


_ASK = """
INSERT INTO rebuild (id, state, time_zone, requested_at)
SELECT $1, 'waiting', coalesce($2, time_zone), $3 FROM installation
ON CONFLICT DO NOTHING RETURNING id
"""

_REBUILDS = """
SELECT id, state, time_zone, identities, folded, requested_at, started_at, finished_at, error,
       state = 'done' AND NOT EXISTS (
           SELECT FROM ruling WHERE reason = 'rebuild' AND active_from = finished_at AND applied_at IS NULL
       ) AS reassessed
FROM rebuild
"""
