"""Keep an uploaded file, chunk by chunk, until an importer has recorded it."""

import asyncio
import json
from typing import Any, BinaryIO

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.clock import now
from chassis.db import driver
from chassis.ids import uuid7
from chassis.imports.files import table_of
from chassis.imports.jobs import State
from chassis.imports.kinds import ImportKind
from chassis.imports.plans import zone
from chassis.imports.table import ImportIn, ImportJob
from chassis.imports.uploads import Upload, Wish
from contracts.identity import FURTHEST_AHEAD, Installation, check_not_ahead


async def keep_upload(
    session: AsyncSession, wanted: ImportIn, kind: ImportKind[Any], installation: Installation, *, currency: str
) -> ImportJob:
    """A new import that waits for an importer, with its file; `currency` is that of rows without one.

    The file is read in threads and in pieces, so that neither memory nor the other requests feel its size. Raises
    what is wrong with the file as a whole.
    """
    times = zone(wanted.timezone)
    import_id = uuid7()
    wish = Wish(kind, wanted.mapping, wanted.dates, wanted.date, wanted.constants)
    upload = await asyncio.to_thread(_opened, wanted.file.file, wish)
    chunks, connection, number = upload.chunks(), await driver(session), 0
    while packed := await asyncio.to_thread(next, chunks, None):
        await connection.execute(_KEEP, import_id, number, packed)
        number += 1
    at = now()
    plan = upload.plan(installation, source=wanted.source, currency=currency, times=times, latest=at + FURTHEST_AHEAD)
    if plan.start_of_day is not None:
        check_not_ahead(plan.start_of_day, at)
    constants = json.dumps(upload.constants)
    same = await connection.fetchval(_SAME, upload.content_hash, kind.name, wanted.source, wanted.date, constants)
    job = ImportJob(
        id=import_id,
        kind=kind.name,
        state=State.WAITING,
        dry_run=wanted.dry_run,
        file_name="".join(filter(str.isprintable, wanted.file.filename or ""))[:200],
        content_hash=upload.content_hash,
        same_as=same,
        source=wanted.source,
        currency=plan.currency or None,
        day=wanted.date,
        time_zone=wanted.timezone,
        dates=plan.order,
        days_only=plan.days_only,
        decimal_mark=plan.mark,
        columns=list(upload.columns),
        mapping=upload.mapping,
        constants=upload.constants,
        notes=upload.notes(plan, currency_said=wanted.currency is not None),
        preview=upload.preview(plan),
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
WHERE content_hash = $1 AND kind = $2 AND source = $3 AND day IS NOT DISTINCT FROM $4 AND constants = $5::jsonb
    AND NOT dry_run AND state IN ('waiting', 'running', 'done')
ORDER BY id LIMIT 1
"""
