"""Computing all calendars and standings anew from the facts, on demand."""

from uuid import UUID

from fastapi import APIRouter, Response, status

from chassis.clock import now
from chassis.db import driver
from chassis.http import LATEST, Cursor, Limit, Page, Session, TransactionalRoute, decode_cursor, page
from chassis.ids import uuid7
from services.scoring.models.fields import RebuildId
from services.scoring.models.rulings import Rebuild, RebuildAsked
from services.scoring.queries.asking import ask_for_rebuild, rebuild, rebuilds_before

router = APIRouter(prefix="/v1/rebuild", tags=["rebuild"], route_class=TransactionalRoute)


@router.post("", status_code=status.HTTP_202_ACCEPTED)
async def start_rebuild(session: Session, response: Response, body: RebuildAsked | None = None) -> Rebuild:
    """Compute all calendars anew from the facts, beside the present ones, and swap them in.

    Standings are served all the while; then every one is assessed again. `GET` tells how far it is.
    """
    connection = await driver(session)
    asked = await ask_for_rebuild(connection, uuid7(), body.time_zone if body else None, now())
    response.headers["Location"] = f"/v1/rebuild/rebuild_{asked['id'].hex}"
    return Rebuild(**asked)


@router.get("")
async def list_rebuilds(session: Session, limit: Limit = 50, cursor: Cursor = None) -> Page[Rebuild]:
    """Rebuilds, the newest first."""
    before = decode_cursor(cursor, tuple[UUID])[0] if cursor else LATEST[1]
    rows = await rebuilds_before(await driver(session), before, limit=limit + 1)
    return page([Rebuild(**row) for row in rows], limit=limit, key=lambda rebuild: (rebuild.id,))


@router.get("/{rebuild_id}")
async def read_rebuild(rebuild_id: RebuildId, session: Session) -> Rebuild:
    """How far a rebuild is."""
    return Rebuild(**await rebuild(await driver(session), rebuild_id))
