"""Groups over HTTP, and who is in them."""

from datetime import datetime
from uuid import UUID

from fastapi import APIRouter, Response, status

from chassis.clock import now
from chassis.fields import PartyId, Whole
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
from contracts.event import Slug
from contracts.identity import Installation, check_not_ahead
from services.community.domain.groups import GroupKey
from services.community.models.fields import GroupId, MemberId
from services.community.models.groups import (
    Group,
    GroupChange,
    GroupIn,
    GroupJoining,
    GroupLeaving,
    GroupMember,
    GroupVersion,
)
from services.community.queries import groups as known
from services.community.queries.members import member_named

router = APIRouter(prefix="/v1/groups", tags=["groups"], route_class=TransactionalRoute)


@router.post("", status_code=status.HTTP_201_CREATED)
async def record_group(body: GroupIn, session: Session, here: Here, response: Response) -> Group:
    """Make a group of a community known. The same name again gives the group that is there (200)."""
    group_id, new = await known.record_group(session, GroupKey(body.community, body.name), body.access)
    made(response, f"/v1/groups/group_{group_id.hex}", new=new)
    return await _shown(session, group_id, here, response)


@router.get("")
async def list_groups(
    session: Session,
    here: Here,
    community: Slug | None = None,
    member_id: MemberId | None = None,
    party_id: PartyId | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[Group]:
    """Groups, the newest first: of a community, or those that a member or a party is in now."""
    found = await known.groups(
        session,
        here,
        community=community,
        member_id=member_id,
        party_id=party_id,
        before=decode_cursor(cursor, tuple[datetime, UUID]) if cursor else None,
        limit=limit + 1,
    )
    return page(found, limit=limit, key=lambda group: [group.recorded_at, group.id])


@router.get("/{group_id}")
async def read_group(group_id: GroupId, session: Session, here: Here, response: Response) -> Group:
    """A group as it stands."""
    return await _shown(session, group_id, here, response)


@router.patch("/{group_id}")
async def change_group(
    group_id: GroupId, body: GroupChange, session: Session, here: Here, response: Response, seen: IfMatch
) -> Group:
    """Give a group another name, open or close it."""
    row = await known.group_to_change(session, group_id)
    check_seen(row.version, seen, body.version)
    await known.change_group(session, row, name=body.name, access=body.access)
    return await _shown(session, group_id, here, response)


@router.get("/{group_id}/versions")
async def list_versions_of_group(
    group_id: GroupId, session: Session, here: Here, limit: Limit = 50, cursor: Cursor = None
) -> Page[GroupVersion]:
    """Every name and access that a group had, the latest first."""
    await known.group(session, group_id, here)
    [before] = decode_cursor(cursor, tuple[Whole]) if cursor else [LAST_VERSION]
    found = await known.versions(session, group_id, before=before, limit=limit + 1)
    return page(found, limit=limit, key=lambda version: [version.version])


@router.post("/{group_id}/members", status_code=status.HTTP_201_CREATED)
async def join_group(
    group_id: GroupId, body: GroupJoining, session: Session, here: Here, response: Response
) -> GroupMember:
    """Have a member join a group. One that is in it stays as it is; so does a joining told before (200)."""
    at = body.joined_at or now()
    check_not_ahead(at, now())
    member = await member_named(session, body.ref(), at, here)
    row = await known.group_to_change(session, group_id)
    new = await known.join_group(session, row, member, body.joined_at)
    made(response, f"/v1/groups/group_{group_id.hex}/members/member_{member['id'].hex}", new=new)
    return await known.group_member(session, group_id, member["id"])


@router.get("/{group_id}/members")
async def list_group_members(
    group_id: GroupId, session: Session, here: Here, limit: Limit = 50, cursor: Cursor = None
) -> Page[GroupMember]:
    """Who is in a group and who was, the latest to join first."""
    await known.group(session, group_id, here)
    before = decode_cursor(cursor, tuple[datetime, UUID]) if cursor else None
    found = await known.group_members(session, group_id, before=before, limit=limit + 1)
    return page(found, limit=limit, key=lambda member: [member.joined_at, member.id])


@router.get("/{group_id}/members/{member_id}")
async def read_group_member(group_id: GroupId, member_id: MemberId, session: Session, here: Here) -> GroupMember:
    """The latest that is known of a member in a group."""
    await known.group(session, group_id, here)
    return await known.group_member(session, group_id, member_id)


@router.post("/{group_id}/members/{member_id}/leave")
async def leave_group(
    group_id: GroupId, member_id: MemberId, session: Session, body: GroupLeaving | None = None
) -> GroupMember:
    """Have a member leave a group. Twice is once."""
    left_at = (body.left_at if body else None) or now()
    check_not_ahead(left_at, now())
    await known.group_to_change(session, group_id)
    await known.leave_group(session, group_id, member_id, left_at)
    return await known.group_member(session, group_id, member_id)


async def _shown(session: Session, group_id: UUID, here: Installation, response: Response) -> Group:
    group = await known.group(session, group_id, here)
    response.headers["ETag"] = etag(group.version)
    return group
