"""Imports looked up: one, a page of them, and the rows that were not taken."""

from collections.abc import AsyncIterator, Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from chassis.db import Database, driver
from chassis.imports.jobs import ImportNotFound
from chassis.imports.table import ImportJob

REJECTS_AT_ONCE = 2_000


async def import_job(session: AsyncSession, import_id: UUID, *, to_change: bool = False) -> ImportJob:
    """The import; `to_change` locks it until the transaction ends."""
    job = await session.get(ImportJob, import_id, with_for_update=to_change)
    if job is None:
        raise ImportNotFound("There is no such import.")
    return job


async def imports_after(session: AsyncSession, before: UUID | None, limit: int) -> Sequence[ImportJob]:
    """Imports, the newest first, and one more than `limit` where there is one."""
    wanted = select(ImportJob).order_by(col(ImportJob.id).desc()).limit(limit + 1)
    if before is not None:
        wanted = wanted.where(col(ImportJob.id) < before)
    return (await session.scalars(wanted)).all()


async def rejects(database: Database, import_id: UUID, limit: int | None = None) -> AsyncIterator[list[list[str]]]:
    """The rows that were not taken, in row order, a part at a time: number, reason, detail, then the cells.

    `limit`, at most `REJECTS_AT_ONCE`, ends them after the first ones.
    """
    after = 0
    while after == 0 or limit is None:
        async with database.transaction() as session:
            found = await (await driver(session)).fetch(_REJECTS, import_id, after, limit or REJECTS_AT_ONCE)
        if not found:
            return
        after = found[-1]["row"]
        yield [[str(row["row"]), row["reason"], row["detail"], *row["cells"]] for row in found]


_REJECTS = """
SELECT row, reason, detail, cells FROM import_reject WHERE import_id = $1 AND row > $2 ORDER BY row LIMIT $3
"""
