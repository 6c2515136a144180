"""What only the gateway asks for: the leads of a party, and its life as they know it."""

from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response

from chassis import status
from chassis.external_ids import AskedParties, told
from chassis.fields import PartyId
from chassis.http import LATEST, Cursor, Limit, Page, Session, TransactionalRoute, decode_cursor, page
from chassis.installation import Here
from chassis.timelines import Timeline, WhatIsAsked, timeline
from services.leads.models.leads import Lead
from services.leads.queries import leads as known
from services.leads.queries.grading import ungraded

router = APIRouter(prefix="/internal", include_in_schema=False, route_class=TransactionalRoute)
reports = APIRouter(prefix="/internal", include_in_schema=False)


@reports.get("/status")
async def read_leads_status(request: Request) -> dict[str, Any]:
    """What every service tells, and how many leads are to be graded anew."""
    return await status.report(request, ungraded=ungraded)


@router.get("/parties/{party_id}/leads")
async def list_leads_of_party(
    party_id: PartyId, session: Session, here: Here, limit: Limit = 50, cursor: Cursor = None
) -> Page[Lead]:
    """Leads of the party that an id leads to, the latest first."""
    before = decode_cursor(cursor, tuple[datetime, UUID]) if cursor else LATEST
    found = await known.leads(session, known.Filter(), here, party_id=party_id, before=before, limit=limit + 1)
    return page(found, limit=limit, key=lambda lead: [lead.occurred_at, lead.id])


@router.post("/external-ids")
async def read_external_ids(body: AskedParties, session: Session, here: Here) -> Response:
    """The ids that leads of parties have in their sources."""
    return told(await known.external_ids(session, body.hex_ids, here))


@router.get("/parties/{party_id}/timeline")
async def read_timeline_of_party(
    party_id: PartyId, session: Session, here: Here, asked: WhatIsAsked, limit: Limit = 50
) -> Timeline:
    """What happened with the leads of a party before a row of any service, the latest first."""
    return timeline(await known.entries(session, party_id, here, asked, limit + 1), limit=limit)
