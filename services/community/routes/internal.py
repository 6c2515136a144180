"""What only the gateway asks for: a party as its communities know it."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query

from chassis.fields import Instant, PartyId
from chassis.http import Limit, Session, TransactionalRoute
from chassis.installation import Here
from services.community.models.parties import PartyInCommunity, Timeline
from services.community.queries import parties as known

router = APIRouter(prefix="/internal/parties", include_in_schema=False, route_class=TransactionalRoute)

END_OF_TIME = datetime(9999, 1, 1, tzinfo=UTC)


@router.get("/{party_id}/community")
async def read_party_in_community(
    party_id: PartyId, session: Session, here: Here, limit: Limit = 20
) -> PartyInCommunity:
    """What the party that an id leads to is and did in communities, with the latest of each."""
    return await known.in_community(session, party_id, here, limit=limit)


@router.get("/{party_id}/timeline")
async def read_timeline_of_party(
    party_id: PartyId,
    session: Session,
    here: Here,
    before_at: Instant | None = None,
    before_id: Annotated[str, Query(max_length=100, pattern=r"^[\x20-\x7e]*$")] = "",
    limit: Limit = 50,
) -> Timeline:
    """What a party did in communities before an entry of any service, the latest first."""
    before = (before_at or END_OF_TIME, before_id)
    found = await known.timeline(session, party_id, here, before=before, limit=limit + 1)
    return Timeline(data=found[:limit], has_more=len(found) > limit)
