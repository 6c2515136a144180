"""Returns over HTTP, also of purchases that are not known here."""

from datetime import datetime
from uuid import UUID

from fastapi import APIRouter, Request, Response, status

from chassis import bulk
from chassis.clock import now
from chassis.fields import PartyId, Whole
from chassis.http import (
    Cursor,
    IfMatch,
    Limit,
    Page,
    Session,
    TransactionalRoute,
    decode_cursor,
    etag,
    page,
    same_version,
)
from chassis.installation import Here
from contracts.identity import Installation, check_not_ahead
from contracts.telling import check_version
from services.customers.domain.purchases import NewReturn
from services.customers.models.facts import Withdrawal
from services.customers.models.fields import ReturnId
from services.customers.models.purchases import Correction, FactOutcome, Return, ReturnIn, ReturnVersion
from services.customers.queries import corrections
from services.customers.queries import returns as known
from services.customers.queries.histories import LATEST
from services.customers.queries.parties import party
from services.customers.queries.versions import LATEST as LATEST_VERSION

router = APIRouter(prefix="/v1/returns", tags=["returns"], route_class=TransactionalRoute)


@router.post("", status_code=status.HTTP_201_CREATED)
async def record_return(body: ReturnIn, session: Session, here: Here, response: Response) -> Return:
    """Record a return whose purchase may come later or never. The same again changes nothing (200)."""
    [outcome] = await known.record_returns(session, [_told(body, here)], here)
    return_id, made = outcome.accepted()
    response.status_code = status.HTTP_201_CREATED if made else status.HTTP_200_OK
    response.headers["Location"] = f"/v1/returns/return_{return_id.hex}"
    return await _shown(session, return_id, here, response)


@router.post("/bulk", openapi_extra=bulk.body_of(ReturnIn), response_model_exclude_none=True)
async def record_returns_in_bulk(request: Request, session: Session, here: Here) -> bulk.BulkOutcome[FactOutcome]:
    """Record many returns, one JSON object per line; each has an outcome of its own."""
    rows = await bulk.rows(request, ReturnIn, lambda body: _told(body, here))
    taken = [row for row in rows if isinstance(row, NewReturn)]
    outcomes = bulk.outcomes(rows, await known.record_returns(session, taken, here))
    return bulk.BulkOutcome[FactOutcome].model_validate(bulk.told(outcomes, "return_id"))


@router.get("")
async def list_returns(
    party_id: PartyId, session: Session, here: Here, limit: Limit = 50, cursor: Cursor = None
) -> Page[Return]:
    """Returns of a party, the latest first, without those withdrawn."""
    await party(session, party_id)
    before = decode_cursor(cursor, tuple[datetime, UUID]) if cursor else LATEST
    found = await known.returns_of(session, party_id, here, before=before, limit=limit + 1)
    return page(found, limit=limit, key=lambda returned: [returned.occurred_at, returned.id])


@router.get("/{return_id}")
async def read_return(return_id: ReturnId, session: Session, here: Here, response: Response) -> Return:
    """A return as it stands, also one that was withdrawn."""
    return await _shown(session, return_id, here, response)


@router.get("/{return_id}/versions")
async def list_versions_of_return(
    return_id: ReturnId, session: Session, here: Here, limit: Limit = 50, cursor: Cursor = None
) -> Page[ReturnVersion]:
    """Every version of a return, the latest first: nothing that was put right is lost."""
    [before] = decode_cursor(cursor, tuple[Whole]) if cursor else [LATEST_VERSION]
    found = await known.versions_of_return(session, return_id, here, before=before, limit=limit + 1)
    return page(found, limit=limit, key=lambda version: [version.version])


@router.post("/{return_id}/correct")
async def correct_return(
    return_id: ReturnId, body: Correction, session: Session, here: Here, response: Response, seen: IfMatch
) -> Return:
    """Put a return right: what is named changes, and the former telling does not count any more."""
    if body.occurred_at is not None:
        check_not_ahead(body.occurred_at, now())
    subject = await corrections.right_subject(session, await known.returned(session, return_id, here), body, here)
    row = await known.return_to_change(session, return_id)
    same_version(seen, row.version)
    check_version(body.version, row.version)
    await corrections.correct_return(session, row, body, subject)
    return await _shown(session, return_id, here, response)


@router.post("/{return_id}/withdraw")
async def withdraw_return(
    return_id: ReturnId, body: Withdrawal, session: Session, here: Here, response: Response, seen: IfMatch
) -> Return:
    """Take a return back that never happened. Twice is once."""
    row = await known.return_to_change(session, return_id)
    if row.withdrawn_at is None:
        same_version(seen, row.version)
        check_version(body.version, row.version)
        await corrections.withdraw(session, row)
    return await _shown(session, return_id, here, response)


def _told(body: ReturnIn, here: Installation) -> NewReturn:
    check_not_ahead(body.occurred_at, now())
    return body.returned(here)


async def _shown(session: Session, return_id: UUID, here: Installation, response: Response) -> Return:
    shown = await known.returned(session, return_id, here)
    response.headers["ETag"] = etag(shown.version)
    return shown
