"""How far an import is: claimed by one importer at a time, moved on with what it recorded."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import driver
from chassis.imports.plans import Refusal, Row
from chassis.imports.table import ImportJob
from chassis.imports.uploads import unpack

LEASE = timedelta(seconds=10)
"""An importer that did not move its import on for so long is taken for dead."""


async def claim(session: AsyncSession, importer: UUID, at: datetime) -> UUID | None:
    """The oldest import that has work to do and no living importer, now leased to `importer`."""
    found: UUID | None = await (await driver(session)).fetchval(_CLAIM, importer, at, at + LEASE)
    return found


async def held(session: AsyncSession, import_id: UUID, importer: UUID, at: datetime) -> ImportJob | None:
    """The import, locked, its lease renewed; None where another importer has it."""
    job = await session.get(ImportJob, import_id, with_for_update=True)
    if job is None or job.leased_by != importer:
        return None
    job.leased_until = at + LEASE
    return job


async def chunk_rows(session: AsyncSession, job: ImportJob) -> list[Row]:
    """The rows of the chunk that is next."""
    packed: bytes = await (await driver(session)).fetchval(_CHUNK, job.id, job.next_chunk)
    return unpack(packed)


async def keep_lines(session: AsyncSession, job: ImportJob, lines: Iterable[tuple[str, Row]]) -> None:
    """Put rows aside under what they are parts of."""
    await (await driver(session)).copy_records_to_table(
        "import_line",
        records=[(job.id, group_id, row, cells) for group_id, (row, cells) in lines],
        columns=["import_id", "group_id", "row", "cells"],
    )


async def next_groups(session: AsyncSession, job: ImportJob, limit: int) -> dict[str, list[Row]]:
    """The rows of the next groups in the order of their ids: at least one group, about `limit` rows."""
    connection = await driver(session)
    rows = await connection.fetch(_LINES, job.id, job.after_group, limit)
    groups: dict[str, list[Row]] = {}
    for line in rows:
        groups.setdefault(line["group_id"], []).append((line["row"], line["cells"]))
    return groups


async def keep_rejects(
    session: AsyncSession, job: ImportJob, refusals: Sequence[Refusal], cells: dict[int, list[str]]
) -> None:
    """Keep rows that are not taken, or are to be looked at, with the reason and as they came."""
    await (await driver(session)).executemany(
        _REJECT, [(job.id, refused.row, refused.reason, refused.detail, cells[refused.row]) for refused in refusals]
    )


async def forget_file(session: AsyncSession, job: ImportJob) -> None:
    """Delete the rows that were kept; those that were not taken stay."""
    connection = await driver(session)
    await connection.execute("DELETE FROM import_chunk WHERE import_id = $1", job.id)
    await forget_lines(session, job)


async def forget_lines(session: AsyncSession, job: ImportJob) -> None:
    """Delete what was sorted; the file as it was read stays."""
    await (await driver(session)).execute("DELETE FROM import_line WHERE import_id = $1", job.id)


_CLAIM = """
UPDATE import_job SET leased_by = $1, leased_until = $3, started_at = coalesce(started_at, $2)
WHERE id = (
    SELECT id FROM import_job
    WHERE state IN ('waiting', 'running', 'undoing') AND (leased_until IS NULL OR leased_until < $2)
    ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED
)
RETURNING id
"""

_CHUNK = "SELECT rows FROM import_chunk WHERE import_id = $1 AND number = $2"

_LINES = """
WITH next AS (
    SELECT group_id FROM import_line WHERE import_id = $1 AND group_id > $2 ORDER BY group_id, row LIMIT $3
)
SELECT group_id, row, cells FROM import_line
WHERE import_id = $1 AND group_id > $2 AND group_id <= (SELECT max(group_id) FROM next)
ORDER BY group_id, row
"""

_REJECT = "INSERT INTO import_reject (import_id, row, reason, detail, cells) VALUES ($1, $2, $3, $4, $5)"
