"""Purchases over HTTP."""

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
    made,
    page,
)
from chassis.installation import Here
from chassis.joining import Answer, Join, JoinedRoute, answers
from chassis.outbox import Origins
from contracts.identity import Installation, check_not_ahead
from services.customers.domain.purchases import NewPurchase
from services.customers.models.fields import PurchaseId
from services.customers.models.purchases import (
    FactOutcome,
    Purchase,
    PurchaseCorrection,
    PurchaseIn,
    PurchaseVersion,
    Return,
    ReturnOfPurchase,
)
from services.customers.queries import corrections
from services.customers.queries import purchases as known
from services.customers.queries.returns import record_return_of, returned
from services.customers.routes.lists import WhatIsAsked

router = APIRouter(prefix="/v1/purchases", tags=["purchases"], route_class=TransactionalRoute)
commands = APIRouter(prefix="/v1/purchases", tags=["purchases"], route_class=JoinedRoute)
"""Those that are joined with others of the moment."""


@commands.post("", status_code=status.HTTP_201_CREATED, response_model=Purchase)
async def record_purchase(body: PurchaseIn, join: Join, here: Here) -> Response:
    """Record a purchase. The same again, by `source` and `source_id`, changes nothing (200)."""
    return await join(record_purchases_together, _told(body, here))


@router.post("/bulk", openapi_extra=bulk.body_of(PurchaseIn), response_model_exclude_none=True)
async def record_purchases_in_bulk(request: Request, session: Session, here: Here) -> bulk.BulkOutcome[FactOutcome]:
    """Record many purchases, one JSON object per line; each has an outcome of its own."""
    rows = await bulk.rows(request, PurchaseIn, lambda body: _told(body, here))
    taken = [row for row in rows if isinstance(row, NewPurchase)]
    outcomes = bulk.outcomes(rows, await known.record_purchases(session, taken, here))
    return bulk.BulkOutcome[FactOutcome].model_validate(bulk.told(outcomes, "purchase_id"))


@router.get("")
async def list_purchases(session: Session, here: Here, asked: WhatIsAsked, limit: Limit = 50) -> Page[Purchase]:
    """Purchases, the latest first, without those withdrawn. `until` itself is not in the list any more."""
    found = await known.purchases(session, here, **asked._asdict(), limit=limit + 1)
    return page(found, limit=limit, key=lambda purchase: [purchase.occurred_at, purchase.id])


@router.get("/{purchase_id}")
async def read_purchase(purchase_id: PurchaseId, session: Session, here: Here, response: Response) -> Purchase:
    """A purchase as it stands, also one that was withdrawn."""
    return await _shown(session, purchase_id, here, response)


@router.post("/{purchase_id}/returns", status_code=status.HTTP_201_CREATED)
async def record_return_of_purchase(
    purchase_id: PurchaseId, body: ReturnOfPurchase, session: Session, here: Here, response: Response
) -> Return:
    """Record that goods of a purchase came back. The same again, by `source` and `source_id`, changes nothing (200)."""
    check_not_ahead(body.occurred_at, now())
    purchase = await known.purchase_to_change(session, purchase_id)
    return_id, new = (await record_return_of(session, purchase, body, here)).accepted()
    made(response, f"/v1/returns/return_{return_id.hex}", new=new)
    shown = await returned(session, return_id, here)
    response.headers["ETag"] = etag(shown.version)
    return shown


@router.get("/{purchase_id}/versions")
async def list_versions_of_purchase(
    purchase_id: PurchaseId, session: Session, here: Here, limit: Limit = 50, cursor: Cursor = None
) -> Page[PurchaseVersion]:
    """Every version of a purchase, the latest first: nothing that was put right is lost."""
    [before] = decode_cursor(cursor, tuple[Whole]) if cursor else [LAST_VERSION]
    found = await known.versions_of_purchase(session, purchase_id, here, before=before, limit=limit + 1)
    return page(found, limit=limit, key=lambda version: [version.version])


@router.post("/{purchase_id}/correct")
async def correct_purchase(
    purchase_id: PurchaseId,
    body: PurchaseCorrection,
    session: Session,
    here: Here,
    response: Response,
    seen: IfMatch,
) -> Purchase:
    """Put a purchase right: what is named changes, and the former telling does not count any more."""
    check_not_ahead(body.occurred_at, now())
    subject = await corrections.right_subject(session, await known.purchase(session, purchase_id, here), body, here)
    row = await known.purchase_to_change(session, purchase_id)
    check_seen(row.version, seen, body.version)
    await corrections.correct_purchase(session, row, body, subject)
    return await _shown(session, purchase_id, here, response)


@router.post("/{purchase_id}/withdraw")
async def withdraw_purchase(
    purchase_id: PurchaseId,
    body: Annotated[Withdrawal, Body(default_factory=Withdrawal)],
    session: Session,
    here: Here,
    response: Response,
    seen: IfMatch,
) -> Purchase:
    """Take a purchase back that never happened, with the returns of it that the same customer made. Twice is once."""
    row = await known.purchase_to_change(session, purchase_id)
    if row.withdrawn_at is None:
        check_seen(row.version, seen, body.version)
        await corrections.withdraw(session, row)
    return await _shown(session, purchase_id, here, response)


def _told(body: PurchaseIn, here: Installation) -> NewPurchase:
    check_not_ahead(body.occurred_at, now())
    return body.purchase(here)


async def record_purchases_together(
    session: Session, rows: Sequence[NewPurchase], here: Installation, origins: Origins
) -> list[Answer]:
    """Record purchases of any number of commands; the answer to each."""
    outcomes = await known.record_purchases(session, rows, here, origins)
    return answers(outcomes, await known.recorded_purchases(session, outcomes, here), "/v1/purchases/purchase_")


async def _shown(session: Session, purchase_id: UUID, here: Installation, response: Response) -> Purchase:
    purchase = await known.purchase(session, purchase_id, here)
    response.headers["ETag"] = etag(purchase.version)
    return purchase
