"""What only the gateway asks for."""

from fastapi import APIRouter, Response

from chassis.external_ids import AskedParties, told
from chassis.http import Session, TransactionalRoute
from services.customers.queries.parties import external_ids

router = APIRouter(prefix="/internal", include_in_schema=False, route_class=TransactionalRoute)


@router.post("/external-ids")
async def read_external_ids(body: AskedParties, session: Session) -> Response:
    """The external ids that parties hold now."""
    return told(await external_ids(session, body.hex_ids))
