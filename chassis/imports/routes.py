"""Imports over HTTP: a file in, progress and rejects out, undo. The app sets `app.state.import_kinds`."""

import csv
import io
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Form, Query, Request, Response, status
from fastapi.responses import StreamingResponse
from fastapi.routing import APIRoute

from chassis.clock import now
from chassis.db import Database
from chassis.fields import ImportId
from chassis.http import Cursor, Limit, Page, Session, TransactionalRoute, decode_cursor, page
from chassis.imports.jobs import State, undo
from chassis.imports.keeping import keep_again, keep_upload
from chassis.imports.kinds import ImportKind
from chassis.imports.lookup import import_job, imports_after, rejects
from chassis.imports.settings import DEFAULT_CURRENCY
from chassis.imports.table import Import, ImportAgain, ImportIn, Kinds, KindShown
from chassis.installation import Here
from contracts.problems import Invalid

router = APIRouter(prefix="/v1/imports", tags=["imports"], route_class=TransactionalRoute)
streams = APIRouter(prefix="/v1/imports", tags=["imports"], route_class=APIRoute)


class UnknownKind(Invalid):
    """No service imports files of this kind."""


@router.post("", status_code=status.HTTP_202_ACCEPTED)
async def start_import(
    wanted: Annotated[ImportIn, Form(media_type="multipart/form-data")],
    request: Request,
    response: Response,
    session: Session,
    here: Here,
) -> Import:
    """Import a file of one of the kinds.

    The answer tells how the file is understood; its rows are then recorded one by one, and `GET` tells how far they
    are. The same file again changes nothing.
    """
    kind = _kind(request.app.state.import_kinds, wanted.kind)
    currency = wanted.currency or request.app.state.settings.currency or DEFAULT_CURRENCY
    job = await keep_upload(session, wanted, kind, here, currency=currency)
    response.headers["Location"] = f"/v1/imports/import_{job.id.hex}"
    return Import.shown(job, now())


@router.get("")
async def list_imports(session: Session, limit: Limit = 50, cursor: Cursor = None) -> Page[Import]:
    """Imports, the newest first."""
    before = decode_cursor(cursor, tuple[UUID])[0] if cursor else None
    jobs = await imports_after(session, before, limit)
    return page([Import.shown(job, now()) for job in jobs], limit=limit, key=lambda job: (job.id,))


@router.get("/kinds")
async def list_import_kinds(request: Request) -> Kinds:
    """The kinds of files that can be imported, and what their columns can be."""
    return Kinds(data=[KindShown.of(kind) for kind in request.app.state.import_kinds])


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


@router.post("/{import_id}/again", status_code=status.HTTP_202_ACCEPTED)
async def import_again(
    import_id: ImportId,
    request: Request,
    response: Response,
    session: Session,
    here: Here,
    body: ImportAgain | None = None,
) -> Import:
    """Import the rows that a dry run looked at, without sending the file again; also as another dry run.

    What is left out is read as it was. The rows are there for a day.
    """
    looked_at = await import_job(session, import_id)
    kind = _kind(request.app.state.import_kinds, looked_at.kind)
    job = await keep_again(session, looked_at, body or ImportAgain(), kind, here)
    response.headers["Location"] = f"/v1/imports/import_{job.id.hex}"
    return Import.shown(job, now())


@streams.get("/{import_id}/rejects", response_class=StreamingResponse)
async def read_import_rejects(
    import_id: ImportId, request: Request, limit: Annotated[int | None, Query(ge=1, le=1_000)] = None
) -> StreamingResponse:
    """The rows that were not taken, and those noted, as CSV: row number, reason, detail, then the row as it came.

    With `limit`, the first ones alone.
    """
    database: Database = request.app.state.database
    async with database.transaction() as session:
        job = await import_job(session, import_id)
    name = f"import_{import_id.hex}.rejects.csv"
    return StreamingResponse(
        _csv(["row", "reason", "detail", *job.columns], rejects(database, import_id, limit)),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _kind(kinds: Sequence[ImportKind[Any]], name: str | None) -> ImportKind[Any]:
    found = next((kind for kind in kinds if name in (None, kind.name)), None)
    if found is None:
        names = [kind.name for kind in kinds]
        raise UnknownKind(f"There is no kind of import {name!r}; there are {', '.join(names)}.", kinds=names)
    return found


async def _csv(header: list[str], parts: AsyncIterator[list[list[str]]]) -> AsyncIterator[str]:
    yield _lines([header])
    async for part in parts:
        yield _lines(part)


def _lines(rows: list[list[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
