"""Activations of policies and models that are planned for an instant to come."""

from uuid import UUID

from fastapi import APIRouter

from chassis.clock import now
from chassis.db import driver
from chassis.http import LATEST, Cursor, Limit, Page, Session, TransactionalRoute, decode_cursor, page
from services.scoring.models.fields import ActivationId
from services.scoring.models.policies import Activation
from services.scoring.queries.activations import cancel, planned, planned_before

router = APIRouter(prefix="/v1/activations", tags=["policies"], route_class=TransactionalRoute)


@router.get("")
async def list_activations(
    session: Session, open: bool = False, limit: Limit = 50, cursor: Cursor = None
) -> Page[Activation]:
    """Planned activations, the one planned last first; with `open`, those that are still to come."""
    before = decode_cursor(cursor, tuple[UUID])[0] if cursor else LATEST[1]
    rows = await planned_before(await driver(session), before, open=open, limit=limit + 1)
    return page([Activation.stored(row) for row in rows], limit=limit, key=lambda activation: (activation.id,))


@router.get("/{activation_id}")
async def read_activation(activation_id: ActivationId, session: Session) -> Activation:
    """A planned activation, and what became of it."""
    return Activation.stored(await planned(await driver(session), activation_id))


@router.delete("/{activation_id}")
async def cancel_activation(activation_id: ActivationId, session: Session) -> Activation:
    """Have a planned activation not take place."""
    return Activation.stored(await cancel(await driver(session), activation_id, now()))
