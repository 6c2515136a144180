"""Posts and replies: recorded in sets, changed and withdrawn one by one under their row lock."""

from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from asyncpg import Record
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import outbox
from chassis.clock import now
from chassis.db import driver
from chassis.ids import uuid7
from contracts.community import PostPublished, ReplyPublished
from contracts.identity import Installation
from contracts.problems import Problem
from contracts.telling import AlreadyWithdrawn, Outcome, Status
from services.community.domain.groups import Access, GroupClosed, GroupNotFound
from services.community.domain.members import (
    MemberKey,
    MemberNotFound,
    MemberRef,
    NewMember,
    OtherCommunity,
    check_not_left,
)
from services.community.domain.posts import NewPost, PostConflict, PostNotFound
from services.community.models.posts import Post, PostRow, PostVersion, PostVersionRow
from services.community.queries.facts import withdrawn
from services.community.queries.groups import groups_named, in_groups
from services.community.queries.lists import Conditions, Place, day_of, party_then
from services.community.queries.members import members_named, withdraw_members
from services.community.queries.memberships import settle

Name = tuple[str, str]
"""A source, and an id there."""


class _Placed(NamedTuple):
    """Who writes where, in answer to what, and why that may not be."""

    member: Record
    group_id: UUID | None
    answered: UUID | None
    refused: Problem | None


async def record_posts(session: AsyncSession, rows: Sequence[NewPost], here: Installation) -> list[Outcome]:
    """Record posts and replies and publish them; return what became of each, in the order of the rows.

    The first telling under an id in a source is accepted, every other one compared with it in all its versions. Who is
    named only by rows that were not accepted does not become known by them.
    """
    at = now()
    keys: dict[MemberKey, NewMember] = {}
    for row in sorted(rows, key=lambda row: row.occurred_at or at):
        if isinstance(row.member, MemberKey):
            told = NewMember(key=row.member, joined_at=row.occurred_at or at, import_id=row.import_id)
            keys.setdefault(row.member, told)
    members, strangers = await members_named(
        session, keys, [row.member for row in rows if isinstance(row.member, UUID)], here
    )
    reserved = await _reserved(session, [name for row in rows for name in (_name(row), _answered(row)) if name])
    placed: dict[int, _Placed] = {}
    outcomes: dict[int, Outcome] = {}
    for place, found in enumerate(await _places(session, rows, members, reserved, at)):
        if isinstance(found, Problem):
            outcomes[place] = Outcome(Status.REJECTED, problem=found)
        else:
            placed[place] = found
    facts = {place: uuid7() for place in placed}
    while waiting := [place for place in placed if place not in outcomes]:
        # Names told twice are inserted once; a row without an id in its source is like no other.
        first = {_name(rows[place]) or place: place for place in reversed(waiting) if not placed[place].refused}
        fresh = {place: reserved.get(_name(rows[place])) or uuid7() for place in sorted(first.values())}
        outcomes |= await _insert(session, rows, placed, facts, fresh, at)
        left = [place for place in waiting if place not in outcomes]
        present = await _present(session, [name for place in left if (name := _name(rows[place]))])
        otherwise = [
            known for place in left if (known := present.get(_name(rows[place]))) if known["text"] != rows[place].text
        ]
        texts = await _former_texts(session, {known["id"] for known in otherwise})
        for place in left:
            if row_present := present.get(_name(rows[place])):
                former = texts.get(row_present["id"], set())
                outcomes[place] = _compared(row_present, rows[place], placed[place], former)
            elif refused := placed[place].refused:
                outcomes[place] = Outcome(Status.REJECTED, problem=refused)
        # Not there any more: it was withdrawn between both statements, so it is tried again, as another post.
        reserved |= await _reserved(session, [name for place in left if (name := _name(rows[place])) not in present])
    accepted = [place for place in placed if outcomes[place].status is Status.ACCEPTED]
    wrote = sorted(((placed[place].member["id"], rows[place].occurred_at or at) for place in accepted), reverse=True)
    await settle(session, members, strangers, dict(wrote))
    await _publish(session, {place: outcomes[place].id for place in accepted}, placed, facts, rows, at)
    return [outcomes[place] for place in range(len(rows))]


def _name(row: NewPost) -> Name | None:
    return (row.source, row.source_id) if row.source_id is not None else None


def _answered(row: NewPost) -> Name | None:
    return (row.source, row.in_reply_to) if row.in_reply_to is not None else None


async def _reserved(session: AsyncSession, names: Iterable[Name | None]) -> dict[Name | None, UUID]:
    """The ids of posts behind names, here or to come; a post that was withdrawn gives its name up."""
    if not (asked := sorted({name for name in names if name})):
        return {}
    connection = await driver(session)
    columns = [list(column) for column in zip(*asked, strict=True)]
    await connection.execute(_RESERVE, *columns, [uuid7() for _ in asked])
    found = await connection.fetch(_RESERVED, *columns)
    if any(row["withdrawn"] for row in found):
        await connection.execute(_RENAME, *columns, [uuid7() for _ in asked])
        found = await connection.fetch(_RESERVED, *columns)
    return {(row["source"], row["source_id"]): row["post_id"] for row in found}


async def _places(
    session: AsyncSession,
    rows: Sequence[NewPost],
    members: Mapping[MemberRef, Record],
    reserved: Mapping[Name | None, UUID],
    at: datetime,
) -> list[_Placed | Problem]:
    answered = await _posts(session, {row.post_id for row in rows if row.post_id})
    refs = [row.group or (answered[row.post_id]["group_id"] if row.post_id in answered else None) for row in rows]
    groups = await groups_named(session, [ref for ref in refs if ref is not None])
    pairs = [
        (groups[ref]["id"], members[row.member]["id"])
        for row, ref in zip(rows, refs, strict=True)
        if ref in groups and row.member in members and groups[ref]["access"] == Access.CLOSED
    ]
    inside = await in_groups(session, pairs)
    found: list[_Placed | Problem] = []
    for row, ref in zip(rows, refs, strict=True):
        member, group, post = members.get(row.member), groups.get(ref) if ref else None, answered.get(row.post_id)
        if member is None:
            found.append(MemberNotFound("There is no such member."))
        elif row.post_id is not None and post is None:
            found.append(PostNotFound("There is no such post."))
        elif ref is not None and group is None:
            found.append(GroupNotFound("There is no such group."))
        else:
            group_id: UUID | None = group["id"] if group else None
            in_group = group is None or group["access"] == Access.OPEN or (group_id, member["id"]) in inside
            refused = _refused(row.occurred_at or at, member, group, post, in_group=in_group)
            found.append(_Placed(member, group_id, row.post_id or reserved.get(_answered(row)), refused))
    return found


def _refused(
    occurred_at: datetime, member: Record, group: Record | None, post: Record | None, *, in_group: bool
) -> Problem | None:
    try:
        check_not_left(member["left_at"], occurred_at)
    except Problem as problem:
        return problem
    if post is not None and post["withdrawn_at"] is not None:
        return AlreadyWithdrawn("The post was withdrawn; nobody answers it.")
    if any(place is not None and place["community"] != member["community"] for place in (group, post)):
        return OtherCommunity("Member, group and post are not of one community.", community=member["community"])
    if not in_group:
        return GroupClosed("Only members of the group write in it; have the member join first.")
    return None


async def _insert(
    session: AsyncSession,
    rows: Sequence[NewPost],
    placed: Mapping[int, _Placed],
    facts: Mapping[int, UUID],
    fresh: Mapping[int, UUID],
    at: datetime,
) -> dict[int, Outcome]:
    values = [
        (
            id,
            placed[place].member["id"],
            placed[place].member["identity_id"],
            placed[place].member["community"],
            placed[place].group_id,
            placed[place].answered,
            rows[place].in_reply_to,
            rows[place].text,
            rows[place].source,
            rows[place].source_id,
            rows[place].occurred_at or at,
            rows[place].import_id,
            facts[place],
        )
        for place, id in fresh.items()
    ]
    if not values:
        return {}
    found = await (await driver(session)).fetch(_INSERT, *map(list, zip(*values, strict=True)), at)
    inserted = {row["id"] for row in found}
    return {place: Outcome(Status.ACCEPTED, id) for place, id in fresh.items() if id in inserted}


async def _present(session: AsyncSession, names: Sequence[Name]) -> dict[Name | None, Record]:
    if not names:
        return {}
    found = await (await driver(session)).fetch(_PRESENT, *map(list, zip(*sorted(set(names)), strict=True)))
    return {(row["source"], row["source_id"]): row for row in found}


async def _posts(session: AsyncSession, ids: Iterable[UUID]) -> dict[UUID | None, Record]:
    if not (asked := sorted(ids)):
        return {}
    rows = await (await driver(session)).fetch("SELECT * FROM post WHERE id = ANY($1)", asked)
    return {row["id"]: row for row in rows}


async def _former_texts(session: AsyncSession, ids: Set[UUID]) -> dict[UUID, set[str]]:
    found: dict[UUID, set[str]] = {}
    if ids:
        statement = "SELECT post_id, text FROM post_version WHERE post_id = ANY($1)"
        for row in await (await driver(session)).fetch(statement, sorted(ids)):
            found.setdefault(row["post_id"], set()).add(row["text"])
    return found


def _compared(row: Record, told: NewPost, placed: _Placed, former: Set[str]) -> Outcome:
    answers = row["in_reply_to"] == told.in_reply_to if told.in_reply_to else row["post_id"] == placed.answered
    same = (
        answers
        and (row["text"] == told.text or told.text in former)
        and row["member_id"] == placed.member["id"]
        and row["group_id"] == placed.group_id
        and told.occurred_at in (None, row["occurred_at"])
    )
    if same:
        return Outcome(Status.DUPLICATE, row["id"])
    detail = "This id of the source was recorded before with other content; change that one."
    outer = f"post_{row['id'].hex}"
    return Outcome(Status.CONFLICT, row["id"], PostConflict(detail, existing_id=outer, change=f"/v1/posts/{outer}"))


async def _publish(
    session: AsyncSession,
    accepted: Mapping[int, UUID | None],
    placed: Mapping[int, _Placed],
    facts: Mapping[int, UUID],
    rows: Sequence[NewPost],
    at: datetime,
) -> None:
    known = await _posts(session, {answered for place in accepted if (answered := placed[place].answered)})
    for place, post_id in accepted.items():
        assert post_id is not None
        member, group_id, answered, _ = placed[place]
        occurred_at = rows[place].occurred_at or at
        subject: UUID = member["identity_id"]
        if answered is None:
            event: PostPublished | ReplyPublished = PostPublished(
                subject=subject, occurred_at=occurred_at, post_id=post_id, group_id=group_id
            )
        else:
            event = ReplyPublished(
                subject=subject,
                occurred_at=occurred_at,
                reply_id=post_id,
                post_id=answered,
                author_id=known[answered]["identity_id"] if answered in known else None,
                group_id=group_id,
            )
        outbox.append(session, event, event_ids=[facts[place]])


async def post_to_change(session: AsyncSession, post_id: UUID) -> PostRow:
    """The post, locked until the transaction ends, so that its versions keep their order."""
    row = await session.get(PostRow, post_id, with_for_update={"key_share": True}, populate_existing=True)
    if row is None:
        raise PostNotFound("There is no such post.")
    return row


def change_post(session: AsyncSession, row: PostRow, text: str) -> None:
    """Give a locked post another text; what it read before stays readable. Raises `AlreadyWithdrawn`."""
    if row.withdrawn_at is not None:
        raise AlreadyWithdrawn("The post was withdrawn; nobody changes it.")
    if text != row.text:
        changed_at = row.edited_at or row.recorded_at
        session.add(PostVersionRow(post_id=row.id, version=row.version, text=row.text, changed_at=changed_at))
        row.text, row.edited_at = text, now()
        row.version += 1


def withdraw_post(session: AsyncSession, row: PostRow) -> None:
    """Take a locked post back; its id in the source is free again. Twice is once."""
    if row.withdrawn_at is None:
        row.withdrawn_at = now()
        row.version += 1
        outbox.append(session, withdrawn(row.identity_id, row.fact_id))


async def withdraw_posts(session: AsyncSession, import_id: UUID, limit: int) -> int:
    """Withdraw up to `limit` posts of an import, then members that nothing names any more; 0 when none is left."""
    rows = await (await driver(session)).fetch(_WITHDRAW, import_id, limit, now())
    rows.sort(key=lambda row: row["id"])
    outbox.append(session, *(withdrawn(row["identity_id"], row["fact_id"]) for row in rows))
    return len(rows) or await withdraw_members(session, import_id, limit)


async def versions(session: AsyncSession, post_id: UUID, *, before: int, limit: int) -> list[PostVersion]:
    """The texts that a post had in versions before one, the latest first."""
    rows = await (await driver(session)).fetch(_VERSIONS, post_id, before, limit)
    return [PostVersion.model_validate(dict(row)) for row in rows]


async def post(session: AsyncSession, post_id: UUID, here: Installation) -> Post:
    """The post as it is shown, also one that was withdrawn. Raises `PostNotFound`."""
    await session.flush()
    found = await posts(session, here, id=post_id, limit=1)
    if not found:
        raise PostNotFound("There is no such post.")
    return found[0]


async def posts(
    session: AsyncSession,
    here: Installation,
    *,
    id: UUID | None = None,
    community: str | None = None,
    source: str | None = None,
    source_id: str | None = None,
    group_id: UUID | None = None,
    member_id: UUID | None = None,
    post_id: UUID | None = None,
    party_id: UUID | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    before: Place | None = None,
    limit: int,
) -> list[Post]:
    """Posts and replies, the latest first, without those withdrawn unless one is asked for by its id.

    `post_id` asks for the replies to a post.
    """
    wanted = Conditions(here.zone.key)
    wanted.add("post.id = {}", id)
    wanted.add("community = {}", community)
    wanted.add("source = {}", source)
    wanted.add("source_id = {}", source_id)
    wanted.add("group_id = {}", group_id)
    wanted.add("member_id = {}", member_id)
    wanted.add("post_id = {}", post_id)
    wanted.add("occurred_at >= {}", since)
    wanted.add("occurred_at < {}", until)
    wanted.add("(occurred_at, post.id) < ({}, {})", *(before or (None, None)))
    if id is None:
        wanted.add("withdrawn_at IS NULL")
    await wanted.held_by(session, party_id, "post.identity_id", day_of("post.occurred_at"))
    rows = await wanted.fetch(session, _SHOWN, "occurred_at DESC, post.id DESC", limit)
    return [Post.model_validate(dict(row)) for row in rows]


_RESERVE = """
INSERT INTO post_name (source, source_id, post_id)
SELECT * FROM unnest($1::text[], $2::text[], $3::uuid[]) AS new(source, source_id, post_id)
ORDER BY source, source_id ON CONFLICT DO NOTHING
"""

_RESERVED = """
SELECT name.source, name.source_id, name.post_id, post.withdrawn_at IS NOT NULL AS withdrawn
FROM unnest($1::text[], $2::text[]) AS asked(source, source_id)
JOIN post_name AS name USING (source, source_id) LEFT JOIN post ON post.id = name.post_id
"""

_RENAME = """
WITH gone AS (
    SELECT name.source, name.source_id, asked.post_id
    FROM unnest($1::text[], $2::text[], $3::uuid[]) AS asked(source, source_id, post_id)
    JOIN post_name AS name USING (source, source_id) JOIN post ON post.id = name.post_id
    WHERE post.withdrawn_at IS NOT NULL
    ORDER BY name.source, name.source_id FOR UPDATE OF name
)
UPDATE post_name SET post_id = gone.post_id FROM gone
WHERE post_name.source = gone.source AND post_name.source_id = gone.source_id
"""

# Any conflict: two tellings of a post that a reply named before it came have the same id, too.
_INSERT = """
INSERT INTO post (
    id, member_id, identity_id, community, group_id, post_id, in_reply_to, text, source, source_id, occurred_at,
    import_id, fact_id, recorded_at
)
SELECT new.*, $14 FROM unnest(
    $1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::uuid[], $6::uuid[], $7::text[], $8::text[], $9::text[],
    $10::text[], $11::timestamptz[], $12::uuid[], $13::uuid[]
) AS new(
    id, member_id, identity_id, community, group_id, post_id, in_reply_to, text, source, source_id, occurred_at,
    import_id, fact_id
)
ORDER BY source, source_id
ON CONFLICT DO NOTHING RETURNING id
"""

_PRESENT = """
SELECT post.* FROM unnest($1::text[], $2::text[]) AS asked(source, source_id)
JOIN post USING (source, source_id) WHERE withdrawn_at IS NULL
"""

_WITHDRAW = """
WITH chosen AS (
    SELECT id FROM post WHERE import_id = $1 AND withdrawn_at IS NULL ORDER BY id LIMIT $2 FOR NO KEY UPDATE
)
UPDATE post SET withdrawn_at = $3, version = version + 1 FROM chosen WHERE post.id = chosen.id
RETURNING post.id, identity_id, fact_id
"""

_VERSIONS = """
SELECT * FROM (
    SELECT version, text, changed_at FROM post_version WHERE post_id = $1
    UNION ALL
    SELECT version - (withdrawn_at IS NOT NULL)::int, text, coalesce(edited_at, recorded_at) FROM post WHERE id = $1
) AS known
WHERE version < $2 ORDER BY version DESC LIMIT $3
"""

_SHOWN = f"""
SELECT post.*, {party_then("post.identity_id", "post.occurred_at")} AS party_id,
    (SELECT count(*) FROM post AS reply WHERE reply.post_id = post.id AND reply.withdrawn_at IS NULL) AS replies,
    (
        SELECT coalesce(jsonb_object_agg(reaction, given), '{{}}') FROM (
            SELECT reaction, count(*) AS given FROM reaction
            WHERE reaction.post_id = post.id AND reaction.withdrawn_at IS NULL GROUP BY reaction
        ) AS counted
    ) AS reactions
FROM post
"""
