"""What customers adds to a party's timeline, for the gateway."""

from typing import Annotated

from fastapi import APIRouter, Query

from chassis.fields import Instant, PartyId
from chassis.http import BadCursor, Limit, Session, TransactionalRoute
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
    before_id: Annotated[str | None, Query(pattern="^[a-z]+_[0-9a-f]{32}$")] = None,
    limit: Limit = 50,
) -> Timeline:
    """Entries of a party, the latest first, behind an instant or behind the entry with this instant and id.

    With `departments`, only interactions with those.
    """
    if before_id is not None and before_at is None:
        raise BadCursor("before_id goes with the before_at of the same entry.")
    await party(session, party_id)
    asked = Asked(before_at or LATEST[0], before_id, kinds, departments)
    found = await timeline(session, party_id, here, asked, limit + 1)
    return Timeline(data=found[:limit], has_more=len(found) > limit)
