"""What only the gateway asks for: a party as its communities know it."""

from fastapi import APIRouter

from chassis.fields import PartyId
from chassis.http import Limit, Session, TransactionalRoute
from chassis.installation import Here
from chassis.timelines import Timeline, WhatIsAsked, timeline
from services.community.models.parties import PartyInCommunity
from services.community.queries import parties as known

router = APIRouter(prefix="/internal/parties", include_in_schema=False, route_class=TransactionalRoute)


@router.get("/{party_id}/community")
async def read_party_in_community(
    party_id: PartyId, session: Session, here: Here, limit: Limit = 20
) -> PartyInCommunity:
    """What the party that an id leads to is and did in communities, with the latest of each."""
    return await known.in_community(session, party_id, here, limit=limit)


@router.get("/{party_id}/timeline")
async def read_timeline_of_party(
    party_id: PartyId, session: Session, here: Here, asked: WhatIsAsked, limit: Limit = 50
) -> Timeline:
    """What a party did in communities before an entry of any service, the latest first."""
    return timeline(await known.entries(session, party_id, here, asked, limit + 1), limit=limit)
