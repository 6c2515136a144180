"""What customers adds to a party's timeline, for the gateway."""

from typing import Annotated

from fastapi import APIRouter, Query

from chassis.fields import Instant, PartyId
from chassis.http import Limit, Session, TransactionalRoute
from chassis.installation import Here
from contracts.customers import Department
from services.customers.domain.timelines import EntryKind
from services.customers.models.timelines import Timeline
from services.customers.queries.histories import LATEST
from services.customers.queries.parties import party
from services.customers.queries.timelines import Asked, timeline

router = APIRouter(prefix="/internal", include_in_schema=False, route_class=TransactionalRoute)


@router.get("/parties/{party_id}/timeline")
async def read_timeline(
    party_id: PartyId,
    session: Session,
    here: Here,
    kinds: Annotated[list[EntryKind], Query(default_factory=list)],
    departments: Annotated[list[Department], Query(default_factory=list)],
    before_at: Instant | None = None,
    before_id: Annotated[str, Query(max_length=100, pattern=r"^[\x20-\x7e]*$")] = "",
    limit: Limit = 50,
) -> Timeline:
    """Entries of a party, the latest first, behind an entry of any service, or what is before an instant.

    With `departments`, only interactions with those.
    """
    await party(session, party_id)
    asked = Asked(before_at or LATEST[0], before_id, kinds, departments)
    found = await timeline(session, party_id, here, asked, limit + 1)
    return Timeline(data=found[:limit], has_more=len(found) > limit)
