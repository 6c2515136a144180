"""Members over HTTP."""

from datetime import datetime
from uuid import UUID

from fastapi import APIRouter, Response, status

from chassis.clock import now
from chassis.fields import Instant, PartyId, SourceId, Whole
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
from chassis.ids import uuid7
from chassis.installation import Here
from contracts.event import Slug
from contracts.identity import Installation, check_not_ahead
from services.community.models.fields import GroupId, MemberId
from services.community.models.members import (
    Joining,
    JoiningCorrection,
    Leaving,
    Link,
    Member,
    MemberChange,
    MemberIn,
    Membership,
    MemberVersion,
)
from services.community.queries import members as known
from services.community.queries import memberships

router = APIRouter(prefix="/v1/members", tags=["members"], route_class=TransactionalRoute)


@router.post("", status_code=status.HTTP_201_CREATED)
async def record_member(body: MemberIn, session: Session, here: Here, response: Response) -> Member:
    """Make a member known. The same again, by `community` and `source_id`, changes nothing (200).

    What a member was made known by that only named it is filled in, the time of its joining too (200).
    """
    check_not_ahead(body.joined_at, now())
    member_id, new = await known.record_member(session, body.told(uuid7().hex), here)
    made(response, f"/v1/members/member_{member_id.hex}", new=new)
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
    """Members, the latest to join first: of a community, of a group, or those that a party is today.

    Those who joined from `since` on and before `until`.
    """
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
    check_seen(row.version, seen, body.version)
    known.change_member(session, row, body.model_dump(exclude_unset=True, exclude={"version"}))
    return await _shown(session, member_id, here, response)


@router.get("/{member_id}/versions")
async def list_versions_of_member(
    member_id: MemberId, session: Session, here: Here, limit: Limit = 50, cursor: Cursor = None
) -> Page[MemberVersion]:
    """What a member was and is, the latest first."""
    await known.member(session, member_id, here)
    [before] = decode_cursor(cursor, tuple[Whole]) if cursor else [LAST_VERSION]
    found = await known.versions(session, member_id, before=before, limit=limit + 1)
    return page(found, limit=limit, key=lambda version: [version.version])


@router.get("/{member_id}/memberships")
async def list_memberships_of_member(
    member_id: MemberId, session: Session, here: Here, limit: Limit = 50, cursor: Cursor = None
) -> Page[Membership]:
    """From when until when a member was and is in its community, the latest first."""
    await known.member(session, member_id, here)
    before = decode_cursor(cursor, tuple[datetime, UUID]) if cursor else None
    found = await memberships.memberships(session, member_id, before=before, limit=limit + 1)
    return page(found, limit=limit, key=lambda membership: [membership.joined_at, membership.fact_id])


@router.post("/{member_id}/correct")
async def correct_joining(
    member_id: MemberId, body: JoiningCorrection, session: Session, here: Here, response: Response, seen: IfMatch
) -> Member:
    """Say when a member joined in truth, for the last time where it did so more than once."""
    check_not_ahead(body.joined_at, now())
    row = await known.member_to_change(session, member_id)
    check_seen(row.version, seen, body.version)
    await memberships.correct_joining(session, row, body.joined_at)
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
    check_seen(row.version, seen, body.version)
    known.link(session, row, party_id=body.party_id, identity_id=identity.id if identity else None)
    return await _shown(session, member_id, here, response)


@router.post("/{member_id}/leave")
async def leave_community(
    member_id: MemberId, session: Session, here: Here, response: Response, seen: IfMatch, body: Leaving | None = None
) -> Member:
    """Have a member leave its community, and the groups in it, after all that it did. Twice is once."""
    body = body or Leaving()
    left_at = body.left_at or now()
    check_not_ahead(left_at, now())
    row = await known.member_to_change(session, member_id, parted=True)
    check_seen(row.version, seen, body.version)
    await memberships.leave(session, row, left_at)
    return await _shown(session, member_id, here, response)


@router.post("/{member_id}/rejoin")
async def rejoin_community(
    member_id: MemberId, session: Session, here: Here, response: Response, seen: IfMatch, body: Joining | None = None
) -> Member:
    """Have a member that left join again. Twice is once."""
    body = body or Joining()
    joined_at = body.joined_at or now()
    check_not_ahead(joined_at, now())
    row = await known.member_to_change(session, member_id)
    check_seen(row.version, seen, body.version)
    memberships.join_again(session, row, joined_at)
    return await _shown(session, member_id, here, response)


async def _shown(session: Session, member_id: UUID, here: Installation, response: Response) -> Member:
    member = await known.member(session, member_id, here)
    response.headers["ETag"] = etag(member.version)
    return member
