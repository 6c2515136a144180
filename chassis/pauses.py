"""The words that pause a consumer of a service and let it go on, passed on by the gateway."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import Field

from chassis.acts import administrative
from chassis.auth import Actor
from chassis.clock import now
from chassis.fields import Body, Shown
from chassis.http import Session, TransactionalRoute
from chassis.marks import pause, resume

router = APIRouter(prefix="/internal/consumers", include_in_schema=False, route_class=TransactionalRoute)


class Reading(Body):
    """What a consumer reads, or a topic of it."""

    consumer: Annotated[str, Field(max_length=200)]
    topic: Annotated[str, Field(max_length=200)] | None = None


class Turned(Shown):
    """How many partitions stand, or go on, by it."""

    partitions: int


@router.post("/pause")
async def pause_consumer(body: Reading, session: Session, actor: Actor) -> Turned:
    """Have a consumer of this service read nothing more, until it is resumed."""
    topics = [body.topic] if body.topic else None
    stood = await pause(session, body.consumer, topics, now(), actor.key_id)
    administrative("consumer paused", actor.key_id, consumer=body.consumer, topic=body.topic, partitions=stood)
    return Turned(partitions=stood)


@router.post("/resume")
async def resume_consumer(body: Reading, session: Session, actor: Actor) -> Turned:
    """Have a consumer of this service read again."""
    went_on = await resume(session, body.consumer, [body.topic] if body.topic else None)
    administrative("consumer resumed", actor.key_id, consumer=body.consumer, topic=body.topic, partitions=went_on)
    return Turned(partitions=went_on)
