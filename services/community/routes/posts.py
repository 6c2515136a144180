"""Posts, replies and reactions over HTTP."""

from datetime import datetime
from uuid import UUID

from fastapi import APIRouter, Request, Response, status

from chassis import bulk
from chassis.clock import now
from chassis.fields import Instant, PartyId, SourceId, Whole, Withdrawal
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
from services.community.domain.posts import NewPost
from services.community.models.fields import GroupId, MemberId, PostId, ReactionId
from services.community.models.posts import (
    GivenReaction,
    Post,
    PostChange,
    PostIn,
    PostOutcome,
    PostVersion,
    ReactionCorrection,
    ReactionIn,
    ReactionVersion,
    ReplyIn,
)
from services.community.queries import posts as known
from services.community.queries import reactions as given
from services.community.queries.members import member_named

router = APIRouter(prefix="/v1/posts", tags=["posts"], route_class=TransactionalRoute)


@router.post("", status_code=status.HTTP_201_CREATED)
async def record_post(body: PostIn, session: Session, here: Here, response: Response) -> Post:
    """Record a post, or a reply. The same again, by `source` and `source_id`, changes nothing (200)."""
    return await _recorded(session, _told(body), here, response)


@router.post("/bulk", openapi_extra=bulk.body_of(PostIn), response_model_exclude_none=True)
async def record_posts_in_bulk(request: Request, session: Session, here: Here) -> bulk.BulkOutcome[PostOutcome]:
    """Record many posts and replies, one JSON object per line; each has an outcome of its own."""
    rows = await bulk.rows(request, PostIn, _told)
    taken = [row for row in rows if isinstance(row, NewPost)]
    outcomes = bulk.outcomes(rows, await known.record_posts(session, taken, here))
    return bulk.BulkOutcome[PostOutcome].model_validate(bulk.told(outcomes, "post_id"))


@router.get("")
async def list_posts(
    session: Session,
    here: Here,
    community: Slug | None = None,
    source: Slug | None = None,
    source_id: SourceId | None = None,
    group_id: GroupId | None = None,
    member_id: MemberId | None = None,
    party_id: PartyId | None = None,
    since: Instant | None = None,
    until: Instant | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[Post]:
    """Posts and replies, the latest first, without those withdrawn: of a community, a group, a member or a party.

    Those written from `since` on and before `until`. `source` with `source_id` finds what a source told of.
    """
    found = await known.posts(
        session,
        here,
        community=community,
        source=source,
        source_id=source_id,
        group_id=group_id,
        member_id=member_id,
        party_id=party_id,
        since=since,
        until=until,
        before=decode_cursor(cursor, tuple[datetime, UUID]) if cursor else None,
        limit=limit + 1,
    )
    return page(found, limit=limit, key=lambda post: [post.occurred_at, post.id])


@router.get("/{post_id}")
async def read_post(post_id: PostId, session: Session, here: Here, response: Response) -> Post:
    """A post as it stands, also one that was withdrawn."""
    return await _shown(session, post_id, here, response)


@router.get("/{post_id}/versions")
async def list_versions_of_post(
    post_id: PostId, session: Session, here: Here, limit: Limit = 50, cursor: Cursor = None
) -> Page[PostVersion]:
    """Every text that a post had, the latest first."""
    await known.post(session, post_id, here)
    [before] = decode_cursor(cursor, tuple[Whole]) if cursor else [LAST_VERSION]
    found = await known.versions(session, post_id, before=before, limit=limit + 1)
    return page(found, limit=limit, key=lambda version: [version.version])


@router.patch("/{post_id}")
async def change_post(
    post_id: PostId, body: PostChange, session: Session, here: Here, response: Response, seen: IfMatch
) -> Post:
    """Give a post another text. What it read before stays readable."""
    row = await known.post_to_change(session, post_id)
    check_seen(row.version, seen, body.version)
    known.change_post(session, row, body.text)
    return await _shown(session, post_id, here, response)


@router.post("/{post_id}/withdraw")
async def withdraw_post(
    post_id: PostId, session: Session, here: Here, response: Response, seen: IfMatch, body: Withdrawal | None = None
) -> Post:
    """Take a post back; it does not count any more. Twice is once."""
    row = await known.post_to_change(session, post_id)
    if row.withdrawn_at is None:
        check_seen(row.version, seen, body.version if body else None)
        known.withdraw_post(session, row)
    return await _shown(session, post_id, here, response)


@router.post("/{post_id}/replies", status_code=status.HTTP_201_CREATED)
async def record_reply(post_id: PostId, body: ReplyIn, session: Session, here: Here, response: Response) -> Post:
    """Record a reply to a post, in its group. The same again changes nothing (200)."""
    check_not_ahead(body.occurred_at, now())
    return await _recorded(session, body.reply(post_id), here, response)


@router.get("/{post_id}/replies")
async def list_replies(
    post_id: PostId, session: Session, here: Here, limit: Limit = 50, cursor: Cursor = None
) -> Page[Post]:
    """Replies to a post, the latest first, without those withdrawn."""
    await known.post(session, post_id, here)
    before = decode_cursor(cursor, tuple[datetime, UUID]) if cursor else None
    found = await known.posts(session, here, post_id=post_id, before=before, limit=limit + 1)
    return page(found, limit=limit, key=lambda reply: [reply.occurred_at, reply.id])


@router.post("/{post_id}/reactions", status_code=status.HTTP_201_CREATED)
async def give_reaction(
    post_id: PostId, body: ReactionIn, session: Session, here: Here, response: Response
) -> GivenReaction:
    """Record what a member says of a post. Of each kind a member gives one; the same again changes nothing (200)."""
    occurred_at = body.occurred_at or now()
    check_not_ahead(occurred_at, now())
    member = await member_named(session, body.ref(), occurred_at, here)
    post = await known.post_to_change(session, post_id)
    reaction_id, new = await given.give(session, post, member, body, occurred_at)
    made(response, f"/v1/posts/post_{post_id.hex}/reactions/reaction_{reaction_id.hex}", new=new)
    return await _given(session, post_id, reaction_id, here, response)


@router.get("/{post_id}/reactions")
async def list_reactions(
    post_id: PostId, session: Session, here: Here, limit: Limit = 50, cursor: Cursor = None
) -> Page[GivenReaction]:
    """Reactions to a post, the latest first, without those taken back."""
    await known.post(session, post_id, here)
    before = decode_cursor(cursor, tuple[datetime, UUID]) if cursor else None
    found = await given.reactions(session, here, post_id=post_id, before=before, limit=limit + 1)
    return page(found, limit=limit, key=lambda reaction: [reaction.occurred_at, reaction.id])


@router.get("/{post_id}/reactions/{reaction_id}")
async def read_reaction(
    post_id: PostId, reaction_id: ReactionId, session: Session, here: Here, response: Response
) -> GivenReaction:
    """A reaction as it stands, also one that was taken back."""
    return await _given(session, post_id, reaction_id, here, response)


@router.get("/{post_id}/reactions/{reaction_id}/versions")
async def list_versions_of_reaction(
    post_id: PostId, reaction_id: ReactionId, session: Session, here: Here, limit: Limit = 50, cursor: Cursor = None
) -> Page[ReactionVersion]:
    """Everything that a reaction said, the latest first."""
    await given.reaction(session, post_id, reaction_id, here)
    [before] = decode_cursor(cursor, tuple[Whole]) if cursor else [LAST_VERSION]
    found = await given.versions(session, reaction_id, before=before, limit=limit + 1)
    return page(found, limit=limit, key=lambda version: [version.version])


@router.post("/{post_id}/reactions/{reaction_id}/correct")
async def correct_reaction(
    post_id: PostId,
    reaction_id: ReactionId,
    body: ReactionCorrection,
    session: Session,
    here: Here,
    response: Response,
    seen: IfMatch,
) -> GivenReaction:
    """Have a member say something else of a post; what it said before does not count any more.

    Where the member said so already, that reaction stands and is answered with.
    """
    check_not_ahead(body.occurred_at, now())
    post = await known.post_to_change(session, post_id)
    row = await given.reaction_to_change(session, post_id, reaction_id)
    check_seen(row.version, seen, body.version)
    stands = await given.correct_reaction(session, post, row, body)
    return await _given(session, post_id, stands, here, response)


@router.post("/{post_id}/reactions/{reaction_id}/withdraw")
async def withdraw_reaction(
    post_id: PostId,
    reaction_id: ReactionId,
    session: Session,
    here: Here,
    response: Response,
    seen: IfMatch,
    body: Withdrawal | None = None,
) -> GivenReaction:
    """Take a reaction back; it does not count any more. Twice is once."""
    row = await given.reaction_to_change(session, post_id, reaction_id)
    if row.withdrawn_at is None:
        check_seen(row.version, seen, body.version if body else None)
        given.take_back(session, row)
    return await _given(session, post_id, reaction_id, here, response)


def _told(body: PostIn) -> NewPost:
    check_not_ahead(body.occurred_at, now())
    return body.post()


async def _recorded(session: Session, told: NewPost, here: Installation, response: Response) -> Post:
    [outcome] = await known.record_posts(session, [told], here)
    post_id, new = outcome.accepted()
    made(response, f"/v1/posts/post_{post_id.hex}", new=new)
    return await _shown(session, post_id, here, response)


async def _shown(session: Session, post_id: UUID, here: Installation, response: Response) -> Post:
    post = await known.post(session, post_id, here)
    response.headers["ETag"] = etag(post.version)
    return post


async def _given(
    session: Session, post_id: UUID, reaction_id: UUID, here: Installation, response: Response
) -> GivenReaction:
    reaction = await given.reaction(session, post_id, reaction_id, here)
    response.headers["ETag"] = etag(reaction.version)
    return reaction
