"""What only the gateway asks for."""

from typing import Any

from fastapi import APIRouter, Request, Response

from chassis import status
from chassis.external_ids import AskedParties, told
from chassis.http import Session, TransactionalRoute
from services.customers.queries.deciding import undecided
from services.customers.queries.parties import external_ids

router = APIRouter(prefix="/internal", include_in_schema=False, route_class=TransactionalRoute)
reports = APIRouter(prefix="/internal", include_in_schema=False)


@reports.get("/status")
async def read_customers_status(request: Request) -> dict[str, Any]:
    """What every service tells, and how many pairs are to be decided."""
    return await status.report(request, undecided=undecided)


@router.post("/external-ids")
async def read_external_ids(body: AskedParties, session: Session) -> Response:
    """The external ids that parties hold now."""
    return told(await external_ids(session, body.hex_ids))
