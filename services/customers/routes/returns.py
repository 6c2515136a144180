"""Returns over HTTP, also of purchases that are not known here."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Request, Response, status

from chassis import bulk
from chassis.clock import now
from chassis.fields import Whole, Withdrawal
from chassis.http import (
    LAST_VERSION,
    Cursor,
    IfMatch,
    Limit,
    Page,
    Session,
    TransactionalRoute,
    check_seen,
    decode_cursor,
    etag,
    page,
)
from chassis.installation import Here
from chassis.joining import Answer, Join, JoinedRoute, answers
from chassis.outbox import Origins
from contracts.identity import Installation, check_not_ahead
from services.customers.domain.purchases import NewReturn
from services.customers.models.fields import ReturnId
from services.customers.models.purchases import Correction, FactOutcome, Return, ReturnIn, ReturnVersion
from services.customers.queries import corrections
from services.customers.queries import returns as known
from services.customers.routes.lists import WhatIsAsked

router = APIRouter(prefix="/v1/returns", tags=["returns"], route_class=TransactionalRoute)
commands = APIRouter(prefix="/v1/returns", tags=["returns"], route_class=JoinedRoute)
"""Those that are joined with others of the moment."""


@commands.post("", status_code=status.HTTP_201_CREATED, response_model=Return)
async def record_return(body: ReturnIn, join: Join, here: Here) -> Response:
    """Record a return whose purchase may come later or never. The same again changes nothing (200)."""
    return await join(record_returns_together, _told(body, here))


@router.post("/bulk", openapi_extra=bulk.body_of(ReturnIn), response_model_exclude_none=True)
async def record_returns_in_bulk(request: Request, session: Session, here: Here) -> bulk.BulkOutcome[FactOutcome]:
    """Record many returns, one JSON object per line; each has an outcome of its own."""
    rows = await bulk.rows(request, ReturnIn, lambda body: _told(body, here))
    taken = [row for row in rows if isinstance(row, NewReturn)]
    outcomes = bulk.outcomes(rows, await known.record_returns(session, taken, here))
    return bulk.BulkOutcome[FactOutcome].model_validate(bulk.told(outcomes, "return_id"))


@router.get("")
async def list_returns(session: Session, here: Here, asked: WhatIsAsked, limit: Limit = 50) -> Page[Return]:
    """Returns, the latest first, without those withdrawn. `until` itself is not in the list any more."""
    found = await known.returns(session, here, **asked._asdict(), limit=limit + 1)
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
    [before] = decode_cursor(cursor, tuple[Whole]) if cursor else [LAST_VERSION]
    found = await known.versions_of_return(session, return_id, here, before=before, limit=limit + 1)
    return page(found, limit=limit, key=lambda version: [version.version])


@router.post("/{return_id}/correct")
async def correct_return(
    return_id: ReturnId, body: Correction, session: Session, here: Here, response: Response, seen: IfMatch
) -> Return:
    """Put a return right: what is named changes, and the former telling does not count any more."""
    check_not_ahead(body.occurred_at, now())
    subject = await corrections.right_subject(session, await known.returned(session, return_id, here), body, here)
    row = await known.return_to_change(session, return_id)
    check_seen(row.version, seen, body.version)
    await corrections.correct_return(session, row, body, subject)
    return await _shown(session, return_id, here, response)


@router.post("/{return_id}/withdraw")
async def withdraw_return(
    return_id: ReturnId,
    body: Annotated[Withdrawal, Body(default_factory=Withdrawal)],
    session: Session,
    here: Here,
    response: Response,
    seen: IfMatch,
) -> Return:
    """Take a return back that never happened. Twice is once."""
    row = await known.return_to_change(session, return_id)
    if row.withdrawn_at is None:
        check_seen(row.version, seen, body.version)
        await corrections.withdraw(session, row)
    return await _shown(session, return_id, here, response)


def _told(body: ReturnIn, here: Installation) -> NewReturn:
    check_not_ahead(body.occurred_at, now())
    return body.returned(here)


async def record_returns_together(
    session: Session, rows: Sequence[NewReturn], here: Installation, origins: Origins
) -> list[Answer]:
    """Record returns of any number of commands; the answer to each."""
    outcomes = await known.record_returns(session, rows, here, origins)
    return answers(outcomes, await known.recorded_returns(session, outcomes, here), "/v1/returns/return_")


async def _shown(session: Session, return_id: UUID, here: Installation, response: Response) -> Return:
    shown = await known.returned(session, return_id, here)
    response.headers["ETag"] = etag(shown.version)
    return shown
