"""The word that lets a stopped partition of a service go on, passed on by the gateway, which finds whose it is."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import Field

from chassis.bus import TopicPartition
from chassis.fields import Body, Shown
from chassis.http import Session, TransactionalRoute
from chassis.marks import let_pass

router = APIRouter(prefix="/internal/gaps", include_in_schema=False, route_class=TransactionalRoute)


class StoppedPartition(Body):
    """A partition at which a consumer stands."""

    consumer: Annotated[str, Field(max_length=200)]
    topic: Annotated[str, Field(max_length=200)]
    partition: Annotated[int, Field(ge=0, le=100_000)]


class Passed(Shown):
    """What became of it."""

    passed: bool
    """False where the partition was not stopped, or went on meanwhile."""


@router.post("/pass")
async def pass_gap_of_consumer(body: StoppedPartition, session: Session) -> Passed:
    """Let a consumer of this service go on without the events that are missing; it does so by itself."""
    place = TopicPartition(body.topic, body.partition)
    return Passed(passed=await let_pass(session, body.consumer, place))
