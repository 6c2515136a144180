"""Referrals over HTTP."""

from datetime import datetime
from uuid import UUID

from fastapi import APIRouter, Response, status

from chassis.clock import now
from chassis.fields import Instant, PartyId, SourceId, Withdrawal
from chassis.http import (
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
from contracts.event import Slug
from contracts.identity import Installation, check_not_ahead
from services.community.domain.referrals import Outcome
from services.community.models.fields import Code, MemberId, ReferralId
from services.community.models.referrals import (
    Conversion,
    Ending,
    Naming,
    Redemption,
    Referral,
    ReferralIn,
    ReferralRow,
)
from services.community.queries import referrals as known

router = APIRouter(prefix="/v1/referrals", tags=["referrals"], route_class=TransactionalRoute)


@router.post("", status_code=status.HTTP_201_CREATED)
async def record_referral(body: ReferralIn, session: Session, here: Here, response: Response) -> Referral:
    """Record that somebody recommends us. The same again, by `source_id` or `code`, changes nothing (200)."""
    check_not_ahead(body.occurred_at, now())
    referral_id, new = await known.record_referral(session, body, here)
    made(response, f"/v1/referrals/referral_{referral_id.hex}", new=new)
    return await _shown(session, referral_id, here, response)


@router.get("")
async def list_referrals(
    session: Session,
    here: Here,
    code: Code | None = None,
    source: Slug | None = None,
    source_id: SourceId | None = None,
    outcome: Outcome | None = None,
    member_id: MemberId | None = None,
    party_id: PartyId | None = None,
    referred_party_id: PartyId | None = None,
    since: Instant | None = None,
    until: Instant | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[Referral]:
    """Referrals, the latest first, without those withdrawn: that with a code, or those that a party made.

    Those made from `since` on and before `until`. `source` with `source_id` finds what a source told of.
    """
    found = await known.referrals(
        session,
        here,
        code=code,
        source=source,
        source_id=source_id,
        ended=outcome,
        member_id=member_id,
        party_id=party_id,
        referred_party_id=referred_party_id,
        since=since,
        until=until,
        before=decode_cursor(cursor, tuple[datetime, UUID]) if cursor else None,
        limit=limit + 1,
    )
    return page(found, limit=limit, key=lambda referral: [referral.occurred_at, referral.id])


@router.post("/redeem")
async def redeem_referral(body: Redemption, session: Session, here: Here, response: Response) -> Referral:
    """Somebody comes with a code: they are whom we were recommended to. The same person again changes nothing."""
    row = await known.referral_of_code(session, body.code)
    return await _named(session, row, body, here, response)


@router.get("/{referral_id}")
async def read_referral(referral_id: ReferralId, session: Session, here: Here, response: Response) -> Referral:
    """A referral as it stands, also one that was withdrawn."""
    return await _shown(session, referral_id, here, response)


@router.post("/{referral_id}/name")
async def name_referred(
    referral_id: ReferralId, body: Naming, session: Session, here: Here, response: Response, seen: IfMatch
) -> Referral:
    """Say to whom we were recommended. The same person again changes nothing."""
    row = await known.referral_to_change(session, referral_id)
    check_seen(row.version, seen, body.version)
    return await _named(session, row, body, here, response)


@router.post("/{referral_id}/convert")
async def convert_referral(
    referral_id: ReferralId,
    session: Session,
    here: Here,
    response: Response,
    seen: IfMatch,
    body: Conversion | None = None,
) -> Referral:
    """Say that a referral led to a sale. The same again changes nothing."""
    body = body or Conversion()
    check_not_ahead(body.occurred_at, now())
    row = await known.referral_to_change(session, referral_id)
    check_seen(row.version, seen, body.version)
    known.convert(session, row, body)
    return await _shown(session, referral_id, here, response)


@router.post("/{referral_id}/expire")
async def expire_referral(
    referral_id: ReferralId,
    session: Session,
    here: Here,
    response: Response,
    seen: IfMatch,
    body: Ending | None = None,
) -> Referral:
    """End a referral now; its code cannot be used any more."""
    row = await known.referral_to_change(session, referral_id)
    check_seen(row.version, seen, body.version if body else None)
    known.expire(row)
    return await _shown(session, referral_id, here, response)


@router.post("/{referral_id}/withdraw")
async def withdraw_referral(
    referral_id: ReferralId,
    session: Session,
    here: Here,
    response: Response,
    seen: IfMatch,
    body: Withdrawal | None = None,
) -> Referral:
    """Take a referral back with all that became of it. Twice is once."""
    row = await known.referral_to_change(session, referral_id)
    if row.withdrawn_at is None:
        check_seen(row.version, seen, body.version if body else None)
        known.withdraw(session, row)
    return await _shown(session, referral_id, here, response)


async def _named(
    session: Session, row: ReferralRow, body: Naming | Redemption, here: Installation, response: Response
) -> Referral:
    occurred_at = body.occurred_at or now()
    check_not_ahead(occurred_at, now())
    await known.name(session, row, body.identifier.identity(here).id, occurred_at, here)
    return await _shown(session, row.id, here, response)


async def _shown(session: Session, referral_id: UUID, here: Installation, response: Response) -> Referral:
    referral = await known.referral(session, referral_id, here)
    response.headers["ETag"] = etag(referral.version)
    return referral
