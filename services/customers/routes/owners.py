"""Owners and teams of parties over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from chassis.fields import PartyId, Whole
from chassis.http import (
    LAST_VERSION,
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
from services.customers.domain.owners import HandOverToItself
from services.customers.models.owners import HandedOver, HandOver, NewOwner, Ownership, PartyOwner
from services.customers.queries import owners as known
from services.customers.queries.assignments import parties_to_change
from services.customers.queries.parties import party

router = APIRouter(tags=["owners"], route_class=TransactionalRoute)

AtOnce = Annotated[int, Query(ge=1, le=5_000)]


@router.get("/v1/parties/{party_id}/owner")
async def read_owner(party_id: PartyId, session: Session, response: Response) -> PartyOwner:
    """Who takes care of a party. Version 0 says that nobody ever did."""
    return await _shown(session, party_id, response)


@router.put("/v1/parties/{party_id}/owner")
async def change_owner(
    party_id: PartyId, body: NewOwner, session: Session, response: Response, seen: IfMatch
) -> PartyOwner:
    """Give a party to a user, a team, both or none. The same again changes nothing."""
    await parties_to_change(session, party_id)
    present = await known.owner(session, party_id)
    same_version(seen, present.version)
    known.check_team(session, body)
    await known.give(session, present, body)
    return await _shown(session, party_id, response)


@router.get("/v1/parties/{party_id}/owners")
async def list_owners(party_id: PartyId, session: Session, limit: Limit = 50, cursor: Cursor = None) -> Page[Ownership]:
    """The owners that a party had, the latest first."""
    await party(session, party_id)
    [before] = decode_cursor(cursor, tuple[Whole]) if cursor else [LAST_VERSION]
    found = await known.owners(session, party_id, before=before, limit=limit + 1)
    return page(found, limit=limit, key=lambda ownership: [ownership.version])


@router.post("/v1/owners/hand-over")
async def hand_over_parties(body: HandOver, session: Session, at_once: AtOnce = 1_000) -> HandedOver:
    """Hand the parties of a user over to another one, so many at once; ask again until none remain."""
    if body.from_owner_id == body.to_owner_id:
        raise HandOverToItself("These parties have this owner already; name another one.")
    return await known.hand_over(session, body, at_once)


async def _shown(session: Session, party_id: PartyId, response: Response) -> PartyOwner:
    owner = await known.owner(session, party_id)
    response.headers["ETag"] = etag(owner.version)
    return owner
