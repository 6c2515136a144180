"""Keep an uploaded file, chunk by chunk, until an importer has recorded it."""

import asyncio
import json
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.clock import now
from chassis.db import driver
from chassis.ids import uuid7
from chassis.imports.dates import DateOrder
from chassis.imports.files import Table, table_of
from chassis.imports.jobs import NothingKept, State
from chassis.imports.kinds import ImportKind
from chassis.imports.plans import Row, zone
from chassis.imports.table import HowToRead, ImportAgain, ImportIn, ImportJob
from chassis.imports.uploads import Upload, Wish, unpack
from contracts.identity import FURTHEST_AHEAD, Installation, check_not_ahead


async def keep_upload(
    session: AsyncSession, wanted: ImportIn, kind: ImportKind[Any], installation: Installation, *, currency: str
) -> ImportJob:
    """A new import that waits for an importer, with its file; `currency` is that of rows without one.

    The file is read in threads and in pieces, so that neither memory nor the other requests feel its size. Raises
    what is wrong with the file as a whole.
    """
    name = "".join(filter(str.isprintable, wanted.file.filename or ""))[:200]
    return await _kept(session, partial(table_of, wanted.file.file), wanted, kind, installation, name, currency)


async def keep_again(
    session: AsyncSession, looked_at: ImportJob, body: ImportAgain, kind: ImportKind[Any], installation: Installation
) -> ImportJob:
    """A new import of the rows that a dry run has kept. Raises `NothingKept`, and what is wrong with how they are read.

    The dry run keeps them for its day, so that they can be read otherwise once more.
    """
    if not looked_at.rows_kept:
        raise NothingKept("The rows of this import are not kept, or no longer: send the file again.")
    wanted = HowToRead(
        kind=looked_at.kind,
        mapping=json.dumps({**looked_at.mapping, **body.mapping}),
        constants=json.dumps(looked_at.constants if body.constants is None else body.constants),
        source=body.source or looked_at.source,
        currency=body.currency,
        timezone=body.timezone or looked_at.time_zone,
        dates=body.dates or (looked_at.dates and DateOrder(looked_at.dates)),
        date=body.date or looked_at.day,
        dry_run=body.dry_run,
        unfinished=body.unfinished,
    )
    connection, loop = await driver(session), asyncio.get_running_loop()

    def opened() -> Table:
        return Table(tuple(looked_at.columns), rows())

    def rows() -> Iterator[Row]:
        for number in range(looked_at.chunks):
            # The reading thread waits for the loop, which is free while the thread reads.
            fetched = asyncio.run_coroutine_threadsafe(connection.fetchval(_CHUNK, looked_at.id, number), loop)
            yield from unpack(fetched.result())

    currency = body.currency or looked_at.currency or ""
    return await _kept(session, opened, wanted, kind, installation, looked_at.file_name, currency)


async def forget_dry_runs(session: AsyncSession, before: datetime) -> None:
    """Forget the rows of dry runs that ended before an instant; how they were understood stays."""
    await (await driver(session)).execute(_FORGET, before)


async def _kept(
    session: AsyncSession,
    opened: Callable[[], Table],
    wanted: HowToRead,
    kind: ImportKind[Any],
    installation: Installation,
    file_name: str,
    currency: str,
) -> ImportJob:
    times = zone(wanted.timezone)
    import_id = uuid7()
    unfinished = wanted.dry_run and wanted.unfinished
    wish = Wish(kind, wanted.mapping, wanted.dates, wanted.date, wanted.constants, unfinished=unfinished)
    upload = await asyncio.to_thread(lambda: Upload(opened(), wish))
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
        file_name=file_name,
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


_KEEP = "INSERT INTO import_chunk (import_id, number, rows) VALUES ($1, $2, $3)"

_CHUNK = "SELECT rows FROM import_chunk WHERE import_id = $1 AND number = $2"

_FORGET = """
WITH ended AS (
    UPDATE import_job SET chunks = 0
    WHERE dry_run AND state = 'done' AND chunks > 0 AND finished_at < $1 RETURNING id
)
DELETE FROM import_chunk USING ended WHERE import_id = ended.id
"""

_SAME = """
SELECT id FROM import_job
WHERE content_hash = $1 AND kind = $2 AND source = $3 AND day IS NOT DISTINCT FROM $4 AND constants = $5::jsonb
    AND NOT dry_run AND state IN ('waiting', 'running', 'done')
ORDER BY id LIMIT 1
"""
