"""Members over HTTP."""

from datetime import datetime
from uuid import UUID

from fastapi import APIRouter, Response, status

from chassis.clock import now
from chassis.fields import Instant, PartyId, SourceId
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
from chassis.ids import uuid7
from chassis.installation import Here
from contracts.event import Slug
from contracts.identity import Installation, check_not_ahead
from contracts.telling import check_version
from services.community.models.fields import GroupId, MemberId
from services.community.models.members import Joining, Leaving, Link, Member, MemberChange, MemberIn
from services.community.queries import members as known

router = APIRouter(prefix="/v1/members", tags=["members"], route_class=TransactionalRoute)


@router.post("", status_code=status.HTTP_201_CREATED)
async def record_member(body: MemberIn, session: Session, here: Here, response: Response) -> Member:
    """Make a member known. The same again, by `community` and `source_id`, changes nothing (200)."""
    if body.joined_at is not None:
        check_not_ahead(body.joined_at, now())
    member_id, made = await known.record_member(session, body.told(uuid7().hex), here)
    response.status_code = status.HTTP_201_CREATED if made else status.HTTP_200_OK
    response.headers["Location"] = f"/v1/members/member_{member_id.hex}"
    return await _shown(session, member_id, here, response)


@router.get("")
async def list_members(
    session: Session,
    here: Here,
    community: Slug | None = None,
    source_id: SourceId | None = None,
    group_id: GroupId | None = None,
    party_id: PartyId | None = None,
    since: Instant | None = None,
    until: Instant | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[Member]:
    """Members, the latest to join first: of a community, of a group, or those that a party is today."""
    found = await known.members(
        session,
        here,
        community=community,
        source_id=source_id,
        group_id=group_id,
        party_id=party_id,
        since=since,
        until=until,
        before=decode_cursor(cursor, tuple[datetime, UUID]) if cursor else None,
        limit=limit + 1,
    )
    return page(found, limit=limit, key=lambda member: [member.joined_at, member.id])


@router.get("/{member_id}")
async def read_member(member_id: MemberId, session: Session, here: Here, response: Response) -> Member:
    """A member as it stands."""
    return await _shown(session, member_id, here, response)


@router.patch("/{member_id}")
async def change_member(
    member_id: MemberId, body: MemberChange, session: Session, here: Here, response: Response, seen: IfMatch
) -> Member:
    """Change the name that a member shows, or what it says of itself. Both are kept here only."""
    row = await known.member_to_change(session, member_id)
    same_version(seen, row.version)
    check_version(body.version, row.version)
    known.change_member(row, body.model_dump(exclude_unset=True, exclude={"version"}))
    return await _shown(session, member_id, here, response)


@router.post("/{member_id}/link")
async def link_member(
    member_id: MemberId, body: Link, session: Session, here: Here, response: Response, seen: IfMatch
) -> Member:
    """Say which party a member is, or that it is none of those known after all.

    What the member did before belongs to that party, too, from the first day on.
    """
    identity = body.identifier.identity(here) if body.identifier else None
    row = await known.member_to_change(session, member_id)
    same_version(seen, row.version)
    check_version(body.version, row.version)
    known.link(session, row, party_id=body.party_id, identity_id=identity.id if identity else None)
    return await _shown(session, member_id, here, response)


@router.post("/{member_id}/leave")
async def leave_community(
    member_id: MemberId, body: Leaving, session: Session, here: Here, response: Response, seen: IfMatch
) -> Member:
    """Have a member leave its community, and the groups in it. Twice is once."""
    left_at = body.left_at or now()
    check_not_ahead(left_at, now())
    row = await known.member_to_change(session, member_id)
    same_version(seen, row.version)
    check_version(body.version, row.version)
    await known.leave(session, row, left_at)
    return await _shown(session, member_id, here, response)


@router.post("/{member_id}/rejoin")
async def rejoin_community(
    member_id: MemberId, body: Joining, session: Session, here: Here, response: Response, seen: IfMatch
) -> Member:
    """Have a member that left join again. Twice is once."""
    joined_at = body.joined_at or now()
    check_not_ahead(joined_at, now())
    row = await known.member_to_change(session, member_id)
    same_version(seen, row.version)
    check_version(body.version, row.version)
    known.join_again(session, row, joined_at)
    return await _shown(session, member_id, here, response)


async def _shown(session: Session, member_id: UUID, here: Installation, response: Response) -> Member:
    member = await known.member(session, member_id, here)
    response.headers["ETag"] = etag(member.version)
    return member
