"""Drain: the door takes nothing in, until all that came in before has arrived everywhere."""

from datetime import timedelta

from fastapi import APIRouter, Request

from chassis.acts import administrative
from chassis.clock import now
from chassis.http import Session, TransactionalRoute
from gateway.domain import drain, status
from gateway.models.operating import Drain
from gateway.queries.intake import FRESH_S, close, closed, reopen
from gateway.queries.services import Services
from gateway.routes.door import Asking

router = APIRouter(prefix="/v1/drain", tags=["status"], route_class=TransactionalRoute)


@router.get("")
async def read_drain(request: Request, session: Session) -> Drain:
    """Whether the intake is closed, and what is still on its way; quiet when nothing is."""
    services: Services = request.app.state.services
    closed_at, closed_by = await closed(session)
    reports = await services.readers_reports()
    waiting = drain.waiting(reports, status.composed(reports))
    # Other processes of the gateway may have let something in until they heard of it.
    heard = closed_at is not None and now() - closed_at > timedelta(seconds=2 * FRESH_S)
    return Drain(closed_at=closed_at, closed_by=closed_by, waiting=waiting, quiet=heard and not waiting)


@router.post("")
async def begin_drain(request: Request, session: Session, asking: Asking) -> Drain:
    """Close the intake: whatever would change anything is answered with 503, while reading goes on."""
    since = await close(session, now(), asking.key_id)
    request.app.state.intake.doubt()
    administrative("intake closed", asking.key_id)
    return Drain(closed_at=since, closed_by=asking.key_id, waiting={}, quiet=False)


@router.post("/resume")
async def end_drain(request: Request, session: Session, asking: Asking) -> Drain:
    """Open the intake again."""
    await reopen(session)
    request.app.state.intake.doubt()
    administrative("intake opened", asking.key_id)
    return Drain(closed_at=None, closed_by=None, waiting={}, quiet=False)
