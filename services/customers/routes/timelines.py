"""What customers adds to a party's timeline, for the gateway."""

from fastapi import APIRouter

from chassis.fields import PartyId
from chassis.http import Limit, Session, TransactionalRoute
from chassis.installation import Here
from chassis.timelines import Timeline, WhatIsAsked, timeline
from services.customers.queries.parties import party
from services.customers.queries.timelines import entries

router = APIRouter(prefix="/internal", include_in_schema=False, route_class=TransactionalRoute)


@router.get("/parties/{party_id}/timeline")
async def read_timeline(
    party_id: PartyId, session: Session, here: Here, asked: WhatIsAsked, limit: Limit = 50
) -> Timeline:
    """Entries of a party, the latest first, behind an entry of any service, or what is before an instant.

    What was put right is shown as it stands, with its `version` and where its `versions` are; what was withdrawn has
    `withdrawn_at`. With `departments`, only interactions with those.
    """
    await party(session, party_id)
    return timeline(await entries(session, party_id, here, asked, limit + 1), limit=limit)
