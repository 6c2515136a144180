"""What only the gateway asks for."""

from fastapi import APIRouter

from chassis.external_ids import AskedParties, ExternalIds
from chassis.http import Session, TransactionalRoute
from services.customers.queries.parties import external_ids

router = APIRouter(prefix="/internal", include_in_schema=False, route_class=TransactionalRoute)


@router.post("/external-ids")
async def read_external_ids(body: AskedParties, session: Session) -> ExternalIds:
    """The external ids that parties hold now."""
    return ExternalIds(data=await external_ids(session, body.party_ids))
