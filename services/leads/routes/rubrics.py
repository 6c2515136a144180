"""Rubrics over HTTP: what grades leads, versioned by content."""

from fastapi import APIRouter, Response

from chassis.auth import Actor
from chassis.clock import now
from chassis.fields import Whole
from chassis.http import (
    LAST_VERSION,
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

router = APIRouter(prefix="/v1/leads", tags=["leads"], route_class=TransactionalRoute)


@router.get("/rubric")
async def read_rubric_in_force(session: Session, response: Response) -> ActivatedRubric:
    """The rubric in force, and how far it is with the leads that were there."""
    return await _in_force(session, response)


@router.put("/rubric")
async def activate_rubric(
    body: Rubric, session: Session, actor: Actor, response: Response, seen: IfMatch
) -> ActivatedRubric:
    """Have a rubric grade whatever comes in from now on, and all leads that are there, bit by bit.

    The one in force already changes nothing. `GET` tells how far the grading is.
    """
    last = await known.last_activation(session)
    same_version(seen, last.activation)
    if last.content_hash != body.content_hash:
        await known.activate(session, body, now(), by=actor.key_id)
    return await _in_force(session, response)


@router.get("/rubrics")
async def list_rubrics(session: Session, limit: Limit = 50, cursor: Cursor = None) -> Page[ActivatedRubric]:
    """Rubrics as they were activated, the one in force first."""
    [before] = decode_cursor(cursor, tuple[Whole]) if cursor else [LAST_VERSION]
    found = await known.activations(session, before=before, limit=limit + 1)
    return page(found, limit=limit, key=lambda activated: [activated.activation])


@router.get("/rubrics/{content_hash}")
async def read_rubric(content_hash: RubricHash, session: Session) -> Rubric:
    """A rubric that is or was in force, by the hash of its content."""
    return await known.rubric_named(session, content_hash)


async def _in_force(session: Session, response: Response) -> ActivatedRubric:
    activated = await known.present_activation(session)
    response.headers["ETag"] = etag(activated.activation)
    return activated
