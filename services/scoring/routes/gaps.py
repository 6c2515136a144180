"""Partitions that stopped at a gap, and the word that lets them go on."""

from fastapi import APIRouter

from chassis.bus import TopicPartition
from chassis.http import Session, TransactionalRoute
from chassis.marks import let_pass
from services.scoring.domain.gaps import PartitionNotStopped
from services.scoring.models.rulings import GapToPass

router = APIRouter(prefix="/v1/gaps", tags=["status"], route_class=TransactionalRoute)

CONSUMER = "scoring"


@router.post("/pass")
async def pass_gap(body: GapToPass, session: Session) -> GapToPass:
    """Let a stopped partition go on without the events that are missing.

    They are given up: should they turn up later, they are dropped. Look first whether their log can be brought back,
    for then the partition goes on by itself.
    """
    if not await let_pass(session, CONSUMER, TopicPartition(body.topic, body.partition)):
        raise PartitionNotStopped("The partition has not stopped.")
    return body
