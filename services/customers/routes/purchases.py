"""Purchases over HTTP."""

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
from services.customers.domain.purchases import NewPurchase
from services.customers.models.facts import Withdrawal
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
from services.customers.queries.histories import LATEST
from services.customers.queries.parties import party
from services.customers.queries.returns import record_return_of, returned
from services.customers.queries.versions import LATEST as LATEST_VERSION

router = APIRouter(prefix="/v1/purchases", tags=["purchases"], route_class=TransactionalRoute)


@router.post("", status_code=status.HTTP_201_CREATED)
async def record_purchase(body: PurchaseIn, session: Session, here: Here, response: Response) -> Purchase:
    """Record a purchase. The same again, by `source` and `source_id`, changes nothing (200)."""
    [outcome] = await known.record_purchases(session, [_told(body, here)], here)
    purchase_id, made = outcome.accepted()
    response.status_code = status.HTTP_201_CREATED if made else status.HTTP_200_OK
    response.headers["Location"] = f"/v1/purchases/purchase_{purchase_id.hex}"
    return await _shown(session, purchase_id, here, response)


@router.post("/bulk", openapi_extra=bulk.body_of(PurchaseIn), response_model_exclude_none=True)
async def record_purchases_in_bulk(request: Request, session: Session, here: Here) -> bulk.BulkOutcome[FactOutcome]:
    """Record many purchases, one JSON object per line; each has an outcome of its own."""
    rows = await bulk.rows(request, PurchaseIn, lambda body: _told(body, here))
    taken = [row for row in rows if isinstance(row, NewPurchase)]
    outcomes = bulk.outcomes(rows, await known.record_purchases(session, taken, here))
    return bulk.BulkOutcome[FactOutcome].model_validate(bulk.told(outcomes, "purchase_id"))


@router.get("")
async def list_purchases(
    party_id: PartyId, session: Session, here: Here, limit: Limit = 50, cursor: Cursor = None
) -> Page[Purchase]:
    """Purchases of a party, the latest first, without those withdrawn."""
    await party(session, party_id)
    before = decode_cursor(cursor, tuple[datetime, UUID]) if cursor else LATEST
    found = await known.purchases_of(session, party_id, here, before=before, limit=limit + 1)
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
    return_id, made = (await record_return_of(session, purchase, body, here)).accepted()
    response.status_code = status.HTTP_201_CREATED if made else status.HTTP_200_OK
    response.headers["Location"] = f"/v1/returns/return_{return_id.hex}"
    shown = await returned(session, return_id, here)
    response.headers["ETag"] = etag(shown.version)
    return shown


@router.get("/{purchase_id}/versions")
async def list_versions_of_purchase(
    purchase_id: PurchaseId, session: Session, here: Here, limit: Limit = 50, cursor: Cursor = None
) -> Page[PurchaseVersion]:
    """Every version of a purchase, the latest first: nothing that was put right is lost."""
    [before] = decode_cursor(cursor, tuple[Whole]) if cursor else [LATEST_VERSION]
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
    if body.occurred_at is not None:
        check_not_ahead(body.occurred_at, now())
    subject = await corrections.right_subject(session, await known.purchase(session, purchase_id, here), body, here)
    row = await known.purchase_to_change(session, purchase_id)
    same_version(seen, row.version)
    check_version(body.version, row.version)
    await corrections.correct_purchase(session, row, body, subject)
    return await _shown(session, purchase_id, here, response)


@router.post("/{purchase_id}/withdraw")
async def withdraw_purchase(
    purchase_id: PurchaseId, body: Withdrawal, session: Session, here: Here, response: Response, seen: IfMatch
) -> Purchase:
    """Take a purchase back that never happened, with the returns of it that the same customer made. Twice is once."""
    row = await known.purchase_to_change(session, purchase_id)
    if row.withdrawn_at is None:
        same_version(seen, row.version)
        check_version(body.version, row.version)
        await corrections.withdraw(session, row)
    return await _shown(session, purchase_id, here, response)


def _told(body: PurchaseIn, here: Installation) -> NewPurchase:
    check_not_ahead(body.occurred_at, now())
    return body.purchase(here)


async def _shown(session: Session, purchase_id: UUID, here: Installation, response: Response) -> Purchase:
    purchase = await known.purchase(session, purchase_id, here)
    response.headers["ETag"] = etag(purchase.version)
    return purchase
