"""Imports over HTTP: a file in, progress and rejects out, undo."""

import csv
import io
from collections.abc import AsyncIterator
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Request, Response, status
from fastapi.responses import StreamingResponse
from fastapi.routing import APIRoute

from chassis.clock import now
from chassis.db import Database
from chassis.fields import ImportId
from chassis.http import Cursor, Limit, Page, Session, TransactionalRoute, decode_cursor, page
from services.customers.domain.imports.jobs import State, undo
from services.customers.models.imports import Import, ImportIn
from services.customers.queries.imports.jobs import import_job, imports_after, rejects
from services.customers.queries.imports.uploads import keep_upload

router = APIRouter(prefix="/v1/imports", tags=["imports"], route_class=TransactionalRoute)
streams = APIRouter(prefix="/v1/imports", tags=["imports"], route_class=APIRoute)


@router.post("", status_code=status.HTTP_202_ACCEPTED)
async def start_import(
    wanted: Annotated[ImportIn, Form(media_type="multipart/form-data")],
    request: Request,
    response: Response,
    session: Session,
) -> Import:
    """Import a file of purchases or returns.

    The answer tells how the file is understood; its rows are then recorded one by one, and `GET` tells how far they
    are. The same file again changes nothing.
    """
    settings, installation = request.app.state.settings, request.app.state.installation
    currency = wanted.currency or settings.currency or DEFAULT_CURRENCY
    job = await keep_upload(session, wanted, installation, currency=currency)
    response.headers["Location"] = f"/v1/imports/import_{job.id.hex}"
    return Import.shown(job, now())


@router.get("")
async def list_imports(session: Session, limit: Limit = 50, cursor: Cursor = None) -> Page[Import]:
    """Imports, the newest first."""
    before = decode_cursor(cursor, tuple[UUID])[0] if cursor else None
    jobs = await imports_after(session, before, limit)
    return page([Import.shown(job, now()) for job in jobs], limit=limit, key=lambda job: (job.id,))


@router.get("/{import_id}")
async def read_import(import_id: ImportId, session: Session) -> Import:
    """How far an import is, and what became of its rows."""
    return Import.shown(await import_job(session, import_id), now())


@router.post("/{import_id}/undo", status_code=status.HTTP_202_ACCEPTED)
async def undo_import(import_id: ImportId, session: Session) -> Import:
    """Withdraw everything that an import brought, as if it had never been; also one that still runs."""
    job = await import_job(session, import_id, to_change=True)
    job.state = undo(State(job.state), dry_run=job.dry_run)
    return Import.shown(job, now())


@streams.get("/{import_id}/rejects", response_class=StreamingResponse)
async def read_import_rejects(import_id: ImportId, request: Request) -> StreamingResponse:
    """The rows that were not taken as CSV: row number, reason, detail, then the row as it came."""
    database: Database = request.app.state.database
    async with database.transaction() as session:
        job = await import_job(session, import_id)
    name = f"import_{import_id.hex}.rejects.csv"
    return StreamingResponse(
        _csv(["row", "reason", "detail", *job.columns], rejects(database, import_id)),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


async def _csv(header: list[str], parts: AsyncIterator[list[list[str]]]) -> AsyncIterator[str]:
    yield _lines([header])
    async for part in parts:
        yield _lines(part)


def _lines(rows: list[list[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


DEFAULT_CURRENCY = "EUR"
"""Where neither the rows, the request nor the installation name one; the answer shows it."""
