"""Parties over HTTP: registered, found, and told apart or together."""

from datetime import timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Query, Response, status
from msgspec import Meta

from chassis.auth import Actor
from chassis.clock import now
from chassis.contact import check_search
from chassis.fields import IdentityId, PartyId, TeamId, UserId, Whole
from chassis.http import (
    Cursor,
    IfMatch,
    Limit,
    Page,
    Session,
    TransactionalRoute,
    decode_cursor,
    etag,
    made,
    page,
    same_version,
)
from chassis.installation import Here
from contracts.event import Slug
from contracts.identity import BadIdentifier, FutureDate, Scheme
from services.customers.models.parties import (
    AddedIdentifier,
    CorrectedIdentifier,
    Found,
    Merge,
    MergeInto,
    NewName,
    NewParty,
    Party,
    Release,
    Unmerge,
)
from services.customers.queries import merges as edges
from services.customers.queries import names, searching
from services.customers.queries import parties as known
from services.customers.queries.assignments import Connected, parties_to_change
from services.customers.queries.reach import check_reach

router = APIRouter(prefix="/v1/parties", tags=["parties"], route_class=TransactionalRoute)
NOBODY = UUID(int=0)
Key = Annotated[str, Meta(pattern=r"^[^\x00]*$")]
Ids = Annotated[list[PartyId], Query(max_length=500, default_factory=list)]


@router.post("", status_code=status.HTTP_201_CREATED)
async def register_party(body: NewParty, session: Session, here: Here, response: Response) -> Party:
    """Make a person or an organisation known. The same identifiers again give the party that is there (200)."""
    identities = [identifier.identity(here) for identifier in body.identifiers]
    party_id, new = await known.register(session, body.kind, identities)
    if body.name is not None and (await known.party(session, party_id)).name is None:
        await names.give_name(session, party_id, body.name)
    made(response, f"/v1/parties/party_{party_id.hex}", new=new)
    return await _shown(session, party_id, response)


@router.get("")
async def list_parties(
    session: Session,
    here: Here,
    actor: Actor,
    ids: Ids,
    scheme: Scheme | None = None,
    system: Slug | None = None,
    value: Annotated[str | None, Query(max_length=400)] = None,
    owner_id: UserId | None = None,
    team_id: TeamId | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[Party]:
    """All parties, those of an owner or a team, or the one that holds an identifier (`scheme`, `value`, and `system`
    for an external id) where it is theirs. With `ids`, only the parties that these lead to."""
    if (scheme is None) != (value is None) or (system and not scheme):
        raise BadIdentifier("To find a party by an identifier, give scheme and value.")
    check_search(actor, scheme)
    held = here.identity(scheme, value, system=system) if scheme is not None and value is not None else None
    [after] = decode_cursor(cursor, tuple[UUID]) if cursor else [NOBODY]
    found = await known.parties(
        session, held=held, owner_id=owner_id, team_id=team_id, ids=ids, after=after, limit=limit + 1
    )
    return page(found, limit=limit, key=lambda party: [party.id])


@router.get("/search")
async def search_parties(
    session: Session,
    here: Here,
    actor: Actor,
    q: Annotated[str, Query(min_length=1, max_length=200, pattern=r"^[^\x00]*[^\s\x00][^\x00]*$")],
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Cursor = None,
) -> Found:
    """Parties that a text leads to: a name, an e-mail address, a phone number, a number elsewhere, or how one begins.

    Of Chinese names any two characters that stand together are enough, of phone numbers the last four digits.
    """
    after = searching.Place(*decode_cursor(cursor, tuple[Whole, Key, UUID])) if cursor else searching.BEFORE_ALL
    return await searching.found(session, q, here, contact=actor.contact, after=after, limit=limit)


@router.get("/{party_id}")
async def read_party(party_id: PartyId, session: Session, response: Response) -> Party:
    """A party. The id of one that was merged leads to the one that it is part of now."""
    return await _shown(session, party_id, response)


@router.put("/{party_id}/name")
async def name_party(party_id: PartyId, body: NewName, session: Session, response: Response) -> Party:
    """Say what a party is called, or by null that it is not to be kept. The same again changes nothing."""
    await names.give_name(session, party_id, body.name)
    return await _shown(session, party_id, response)


@router.post("/{party_id}/identifiers", status_code=status.HTTP_201_CREATED)
async def add_identifier(
    party_id: PartyId, body: AddedIdentifier, session: Session, here: Here, response: Response, seen: IfMatch
) -> Party:
    """Add something that the party, which is where `Location` leads, is known by. What it has changes nothing (200)."""
    identity = body.identifier.identity(here)
    connected = await _to_change(session, party_id, seen)
    added = await known.add_identifier(session, connected, party_id, identity)
    made(response, f"/v1/parties/party_{party_id.hex}", new=added)
    return await _shown(session, party_id, response)


@router.post("/{party_id}/identifiers/{identity_id}/correct")
async def correct_identifier(
    party_id: PartyId,
    identity_id: IdentityId,
    body: CorrectedIdentifier,
    session: Session,
    actor: Actor,
    here: Here,
    response: Response,
    seen: IfMatch,
) -> Party:
    """Write an identifier right. What the wrong one did up to today stays with the party."""
    connected = await _to_change(session, party_id, seen)
    wrong = await known.identity_named(session, identity_id)
    assert wrong.scheme is not None
    right = here.identity(wrong.scheme, body.value, system=wrong.system)
    tomorrow = here.day(now()) + timedelta(days=1)
    await known.correct_identifier(
        session, connected, party_id, wrong=identity_id, right=right, from_day=tomorrow, told_by=actor.key_id
    )
    return await _shown(session, party_id, response)


@router.post("/{party_id}/identifiers/{identity_id}/release")
async def release_identifier(
    party_id: PartyId,
    identity_id: IdentityId,
    body: Annotated[Release, Body(default_factory=Release)],
    session: Session,
    actor: Actor,
    here: Here,
    response: Response,
    seen: IfMatch,
) -> Party:
    """Give an identifier up. What it did before the day stays with the party; what comes is a fresh party's."""
    today = here.day(now())
    if body.from_day is not None and body.from_day > today:
        raise FutureDate("An identifier is given up today at the latest.")
    connected = await _to_change(session, party_id, seen)
    await known.release(session, connected, party_id, identity_id, body.from_day or today, told_by=actor.key_id)
    return await _shown(session, party_id, response)


@router.post("/{party_id}/merge", status_code=status.HTTP_201_CREATED)
async def merge_parties(
    party_id: PartyId, body: MergeInto, session: Session, actor: Actor, response: Response
) -> Merge:
    """Say that two parties are one. The smallest id of all that is connected survives; the others lead to it."""
    merge, new = await edges.merge(session, party_id, body.party_id, by=actor.key_id)
    made(response, f"/v1/merges/merge_{merge.id.hex}", new=new)
    return merge


@router.post("/{party_id}/unmerge")
async def unmerge_parties(party_id: PartyId, body: Unmerge, session: Session, actor: Actor) -> Merge:
    """Take one merge back, whatever was merged before or after it. Nothing merges these two by itself again."""
    return await edges.unmerge(session, party_id, body.merge_id, by=actor.key_id)


@router.get("/{party_id}/merges")
async def list_merges(party_id: PartyId, session: Session, limit: Limit = 50, cursor: Cursor = None) -> Page[Merge]:
    """Merges of the party and of all that it is merged with, in order of their making; those taken back too."""
    await known.party(session, party_id)
    [after] = decode_cursor(cursor, tuple[UUID]) if cursor else [NOBODY]
    found = await edges.merges(session, party_id, after=after, limit=limit + 1)
    return page(found, limit=limit, key=lambda merge: [merge.id])


async def _to_change(session: Session, party_id: UUID, seen: int | None) -> Connected:
    connected = await parties_to_change(session, party_id)
    await check_reach(session, [party_id])
    same_version(seen, connected.version)
    return connected


async def _shown(session: Session, party_id: UUID, response: Response) -> Party:
    party = await known.party(session, party_id)
    response.headers["ETag"] = etag(party.version)
    return party
