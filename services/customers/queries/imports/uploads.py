"""Keep an uploaded file, chunk by chunk, until an importer has recorded it."""

import asyncio
from typing import BinaryIO

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.clock import now
from chassis.db import driver
from chassis.ids import uuid7
from contracts.identity import FURTHEST_AHEAD, Installation
from services.customers.domain.imports.files import table_of
from services.customers.domain.imports.jobs import State
from services.customers.domain.imports.rows import zone
from services.customers.domain.imports.uploads import Upload, Wish
from services.customers.models.imports import ImportIn, ImportJob


async def keep_upload(
    session: AsyncSession, wanted: ImportIn, installation: Installation, *, currency: str
) -> ImportJob:
    """A new import that waits for an importer, with its file; `currency` is that of rows without one.

    The file is read in threads and in pieces, so that neither memory nor the other requests feel its size. Raises
    what is wrong with the file as a whole.
    """
    times = zone(wanted.timezone)
    import_id = uuid7()
    upload = await asyncio.to_thread(_opened, wanted.file.file, Wish(wanted.kind, wanted.mapping, wanted.dates))
    chunks, connection, number = upload.chunks(), await driver(session), 0
    while packed := await asyncio.to_thread(next, chunks, None):
        await connection.execute(_KEEP, import_id, number, packed)
        number += 1
    plan, at = upload.plan(currency=currency, times=times, days=installation.zone), now()
    job = ImportJob(
        id=import_id,
        kind=wanted.kind,
        state=State.WAITING,
        dry_run=wanted.dry_run,
        file_name="".join(filter(str.isprintable, wanted.file.filename or ""))[:200],
        content_hash=upload.content_hash,
        same_as=await connection.fetchval(_SAME, upload.content_hash, wanted.kind, wanted.source),
        source=wanted.source,
        currency=currency,
        time_zone=wanted.timezone,
        dates=plan.order,
        days_only=plan.days_only,
        decimal_mark=plan.mark,
        columns=list(upload.columns),
        mapping={str(field): column for field, column in upload.mapping.items()},
        notes=upload.notes(plan, currency_said=wanted.currency is not None),
        preview=upload.preview(plan, latest=at + FURTHEST_AHEAD),
        rows=upload.survey.rows,
        chunks=number,
        created_at=at,
    )
    session.add(job)
    await session.flush()
    return job


def _opened(file: BinaryIO, wish: Wish) -> Upload:
    return Upload(table_of(file), wish)


_KEEP = "INSERT INTO import_chunk (import_id, number, rows) VALUES ($1, $2, $3)"

_SAME = """
SELECT id FROM import_job
WHERE content_hash = $1 AND kind = $2 AND source = $3 AND NOT dry_run AND state IN ('waiting', 'running', 'done')
ORDER BY id LIMIT 1
"""
