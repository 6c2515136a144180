"""Files of posts and replies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.imports.fields import OCCURRED_AT, PARTY, Field, at_most, mostly
from chassis.imports.headers import weighted
from chassis.imports.kinds import ImportKind, Origin
from chassis.imports.plans import Cells, Plan, Survey, id_of, line_of_text, slug
from chassis.imports.plans import Row as FileRow
from chassis.imports.reasons import Reason, Unreadable
from contracts.telling import Outcome
from services.community.domain.groups import GroupKey, spelled
from services.community.domain.members import MemberKey
from services.community.domain.posts import LONGEST_TEXT, NewPost
from services.community.queries.posts import record_posts, withdraw_posts

LONGEST_GROUP = 200

POST_ID = Field(
    "post_id",
    weighted({4: "post", 3: "message comment", 2: "postid messageid commentid"}),
    mostly(lambda text: len(text) <= 200 and " " not in text),
)
"""The id of the post in the source."""

FIELDS = (
    POST_ID,
    Field("community", weighted({4: "community forum", 2: "board site"}), at_most(200)),
    replace(PARTY, name="member", needed=True).called({4: "member author poster", 2: "username writer"}),
    OCCURRED_AT.must_be().called({2: "posted published written"}),
    Field(
        "text",
        weighted({4: "text body content", 3: "message comment post"}),
        mostly(lambda text: len(text) <= LONGEST_TEXT),
        needed=True,
    ),
    Field("in_reply_to", weighted({4: "reply parent", 3: "answers inreplyto", 0: "in to post"}), at_most(200)),
    Field("group", weighted({4: "group", 3: "subforum topic", 0: "name"}), at_most(LONGEST_GROUP)),
)


@dataclass(frozen=True, slots=True)
class PostRead:
    """A post as a row tells it; its import is known only when it is recorded."""

    row: int
    post: NewPost
    occurred_at: datetime


def read(plan: Plan, cells: Cells) -> PostRead:
    """The post that a row tells of. Raises `Unreadable`."""
    post_id, community, member, when, text, in_reply_to, group = cells.texts
    if not post_id and POST_ID.name in plan.positions:
        raise Unreadable(Reason.BAD_ID, "The id of the post is missing.")
    if not member:
        raise Unreadable(Reason.NO_PARTY)
    if not text or len(text) > LONGEST_TEXT or "\x00" in text:
        raise Unreadable(Reason.BAD_VALUE, f"A text has 1 to {LONGEST_TEXT:,} characters, none of which is NUL.")
    place = slug(community, "community") if community else plan.source
    name = spelled(line_of_text(group, LONGEST_GROUP) or "")
    occurred_at = plan.instant(when)
    post = NewPost(
        member=MemberKey(place, id_of(member, Reason.BAD_PARTY)),
        source=plan.source,
        source_id=id_of(post_id) if post_id else None,
        occurred_at=occurred_at,
        text=text,
        group=GroupKey(place, name) if name else None,
        in_reply_to=id_of(in_reply_to) if in_reply_to else None,
    )
    return PostRead(cells.row, post, occurred_at)


def shown(told: PostRead) -> Mapping[str, object]:
    """How a post is shown before anything is recorded."""
    post = told.post
    assert isinstance(post.member, MemberKey)
    return {
        "post_id": post.source_id,
        "community": post.member.community,
        "member": post.member.source_id,
        "occurred_at": told.occurred_at.isoformat(),
        "text": post.text[:200],
        "in_reply_to": post.in_reply_to,
        "group": post.group.name if isinstance(post.group, GroupKey) else None,
    }


def notes(plan: Plan, survey: Survey, first: Sequence[FileRow]) -> Mapping[str, bool]:
    """What was decided about a file of posts and might surprise."""
    return {
        "No column is the id of the post: a row is known by the content of its file and its number. The same file "
        "again changes nothing, but the same rows in another file count again.": POST_ID.name not in plan.positions,
        f"No column is the community: the members are those of {plan.source}.": not plan.says("community"),
        "No column says what a post answers: every row begins a conversation.": not plan.says("in_reply_to"),
    }


async def _record(session: AsyncSession, origin: Origin, told: Sequence[PostRead]) -> list[Outcome]:
    posts = [
        replace(each.post, source_id=each.post.source_id or origin.row_id(each.row), import_id=origin.import_id)
        for each in told
    ]
    return await record_posts(session, posts, origin.installation)


POSTS = ImportKind(
    name="posts",
    prefix="post",
    fields=FIELDS,
    read=read,
    shown=shown,
    record=_record,
    withdraw=withdraw_posts,
    notes=notes,
)
