"""Rubrics over HTTP: what grades leads, versioned by content."""

from fastapi import APIRouter, Response

from chassis.clock import now
from chassis.fields import Whole
from chassis.http import (
    Cursor,
    IfMatch,
    Limit,
    Page,
    Session,
    TransactionalRoute,
    decode_cursor,
    etag,
    page,
    same_version,
)
from services.leads.domain.rubrics import Rubric
from services.leads.models.fields import RubricHash
from services.leads.models.rubrics import ActivatedRubric
from services.leads.queries import rubrics as known

router = APIRouter(prefix="/v1/leads/rubrics", tags=["leads"], route_class=TransactionalRoute)


@router.get("")
async def list_rubrics(session: Session, limit: Limit = 50, cursor: Cursor = None) -> Page[ActivatedRubric]:
    """Rubrics as they were activated, the one in force first, and how far each is with the leads that were there."""
    [before] = decode_cursor(cursor, tuple[Whole]) if cursor else [known.NEWEST]
    found = await known.activations(session, before=before, limit=limit + 1)
    return page(found, limit=limit, key=lambda activated: [activated.activation])


@router.put("")
async def activate_rubric(body: Rubric, session: Session, response: Response, seen: IfMatch) -> ActivatedRubric:
    """Have a rubric grade whatever comes in from now on, and all leads that are there, bit by bit.

    The one in force already changes nothing. `GET` tells how far the grading is.
    """
    last = await known.last_activation(session)
    same_version(seen, last.activation)
    if last.hash != body.content_hash:
        await known.activate(session, body, now())
    return await _in_force(session, response)


@router.get("/{rubric_hash}")
async def read_rubric(rubric_hash: RubricHash, session: Session) -> Rubric:
    """A rubric that is or was in force, by the hash of its content."""
    return await known.rubric_named(session, rubric_hash)


async def _in_force(session: Session, response: Response) -> ActivatedRubric:
    [activated] = await known.activations(session, before=known.NEWEST, limit=1)
    response.headers["ETag"] = etag(activated.activation)
    return activated
