"""Reactions: given, corrected and taken back."""

from datetime import datetime
from uuid import UUID

from asyncpg import Record
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import outbox
from chassis.clock import now
from chassis.db import driver
from chassis.ids import uuid7
from contracts.community import Reaction, ReactionGiven
from contracts.identity import Installation
from contracts.telling import AlreadyWithdrawn
from services.community.domain.members import OtherCommunity
from services.community.domain.posts import ReactionConflict, ReactionNotFound
from services.community.models.posts import (
    GivenReaction,
    PostRow,
    ReactionCorrection,
    ReactionIn,
    ReactionRow,
    ReactionVersion,
    ReactionVersionRow,
)
from services.community.queries.facts import withdrawn
from services.community.queries.lists import Conditions, Place, party_then
from services.community.queries.members import did_something


async def give(
    session: AsyncSession, post: PostRow, member: Record, told: ReactionIn, occurred_at: datetime
) -> tuple[UUID, bool]:
    """A reaction of a member to a locked post, and whether it was given now: of each kind there is one.

    Raises `AlreadyWithdrawn`, `OtherCommunity`, `MemberLeft`, and `ReactionConflict` where its id in the source is
    that of another.
    """
    fact_id, reaction_id = uuid7(), uuid7()
    values = (post.id, member["id"], member["identity_id"], told.reaction, told.source, told.source_id, occurred_at)
    connection = await driver(session)
    while not await connection.fetchval(_GIVE, reaction_id, fact_id, *values, now()):
        found = await connection.fetch(_PRESENT, post.id, member["id"], told.reaction, told.source, told.source_id)
        for row in found:
            said = (post.id, member["id"], told.reaction, told.occurred_at)
            if not await connection.fetchval(_SAID, row["id"], *said):
                detail = "This was recorded before with other content; correct that one or withdraw it."
                outer = f"/v1/posts/post_{row['post_id'].hex}/reactions/reaction_{row['id'].hex}"
                raise ReactionConflict(
                    detail,
                    existing_id=f"reaction_{row['id'].hex}",
                    correct=f"{outer}/correct",
                    withdraw=f"{outer}/withdraw",
                )
            return row["id"], False
    # Asked of what is new only: what was given before may be told again, whatever became of who and what it names.
    if post.withdrawn_at is not None:
        raise AlreadyWithdrawn("The post was withdrawn; nobody reacts to it.")
    if post.community != member["community"]:
        raise OtherCommunity("The post is of another community than the member.", community=post.community)
    await did_something(session, member, occurred_at)
    event = _given(post, member["identity_id"], told.reaction, occurred_at)
    outbox.append(session, event, event_ids=[fact_id])
    return reaction_id, True


def _given(post: PostRow, subject: UUID, reaction: Reaction, occurred_at: datetime) -> ReactionGiven:
    return ReactionGiven(
        subject=subject, occurred_at=occurred_at, post_id=post.id, reaction=reaction, author_id=post.identity_id
    )


async def reaction_to_change(session: AsyncSession, post_id: UUID, reaction_id: UUID) -> ReactionRow:
    """The reaction to a post, locked until the transaction ends. Raises `ReactionNotFound`."""
    row = await session.get(ReactionRow, reaction_id, with_for_update={"key_share": True}, populate_existing=True)
    if row is None or row.post_id != post_id:
        raise ReactionNotFound("There is no such reaction to this post.")
    return row


async def correct_reaction(session: AsyncSession, post: PostRow, row: ReactionRow, told: ReactionCorrection) -> UUID:
    """Have a locked reaction to a locked post say something else; return the one that stands now.

    What it said before stays readable and does not count any more. Raises `AlreadyWithdrawn`.
    """
    if row.withdrawn_at is not None:
        raise AlreadyWithdrawn("The reaction was taken back; give one anew.")
    right = told.reaction, told.occurred_at or row.occurred_at
    if (row.reaction, row.occurred_at) == right:
        return row.id
    if post.withdrawn_at is not None:
        raise AlreadyWithdrawn("The post was withdrawn; nobody reacts to it.")
    connection = await driver(session)
    other: UUID | None = await connection.fetchval(_OTHER, row.post_id, row.member_id, told.reaction, row.id)
    if other is not None:
        take_back(session, row)
        return other
    changed_at = row.corrected_at or row.recorded_at
    kept = row.model_dump(include={"version", "reaction", "occurred_at"})
    session.add(ReactionVersionRow(reaction_id=row.id, changed_at=changed_at, **kept))
    outbox.append(session, withdrawn(row.identity_id, row.fact_id))
    (row.reaction, row.occurred_at), row.fact_id = right, uuid7()
    row.corrected_at = now()
    row.version += 1
    outbox.append(session, _given(post, row.identity_id, told.reaction, row.occurred_at), event_ids=[row.fact_id])
    return row.id


def take_back(session: AsyncSession, row: ReactionRow) -> None:
    """Take a locked reaction back. Twice is once."""
    if row.withdrawn_at is None:
        row.withdrawn_at = now()
        row.version += 1
        outbox.append(session, withdrawn(row.identity_id, row.fact_id))


async def versions(session: AsyncSession, reaction_id: UUID, *, before: int, limit: int) -> list[ReactionVersion]:
    """What a reaction said in versions before one, the latest first."""
    rows = await (await driver(session)).fetch(_VERSIONS, reaction_id, before, limit)
    return [ReactionVersion.model_validate(dict(row)) for row in rows]


async def reaction(session: AsyncSession, post_id: UUID, reaction_id: UUID, here: Installation) -> GivenReaction:
    """The reaction to a post as it is shown, also one that was taken back. Raises `ReactionNotFound`."""
    await session.flush()
    found = await reactions(session, here, post_id=post_id, reaction_id=reaction_id, limit=1)
    if not found:
        raise ReactionNotFound("There is no such reaction to this post.")
    return found[0]


async def reactions(
    session: AsyncSession,
    here: Installation,
    *,
    reaction_id: UUID | None = None,
    post_id: UUID | None = None,
    before: Place | None = None,
    limit: int,
) -> list[GivenReaction]:
    """Reactions to a post, the latest first, without those taken back unless one is asked for by its id."""
    wanted = Conditions(here.zone.key)
    wanted.add("reaction.id = {}", reaction_id)
    wanted.add("post_id = {}", post_id)
    wanted.add("(occurred_at, reaction.id) < ({}, {})", *(before or (None, None)))
    if reaction_id is None:
        wanted.add("withdrawn_at IS NULL")
    rows = await wanted.fetch(session, _SHOWN, "occurred_at DESC, reaction.id DESC", limit)
    return [GivenReaction.model_validate(dict(row)) for row in rows]


_GIVE = """
INSERT INTO reaction (
    id, fact_id, post_id, member_id, identity_id, reaction, source, source_id, occurred_at, recorded_at
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT DO NOTHING RETURNING true
"""

_PRESENT = """
SELECT * FROM reaction
WHERE withdrawn_at IS NULL AND (
    (post_id = $1 AND member_id = $2 AND reaction = $3) OR (source = $4 AND source_id = $5)
)
ORDER BY source = $4 AND source_id = $5 DESC NULLS LAST
"""

_SAID = """
SELECT EXISTS (
    SELECT FROM (
        SELECT reaction, occurred_at FROM reaction WHERE id = $1
        UNION ALL SELECT reaction, occurred_at FROM reaction_version WHERE reaction_id = $1
    ) AS known
    JOIN reaction AS given ON given.id = $1
    WHERE given.post_id = $2 AND given.member_id = $3 AND known.reaction = $4
    AND ($5::timestamptz IS NULL OR known.occurred_at = $5)
)
"""

_OTHER = """
SELECT id FROM reaction WHERE post_id = $1 AND member_id = $2 AND reaction = $3 AND id <> $4 AND withdrawn_at IS NULL
"""

_VERSIONS = """
SELECT * FROM (
    SELECT version, reaction, occurred_at, changed_at FROM reaction_version WHERE reaction_id = $1
    UNION ALL
    SELECT version - (withdrawn_at IS NOT NULL)::int, reaction, occurred_at, coalesce(corrected_at, recorded_at)
    FROM reaction WHERE id = $1
) AS known
WHERE version < $2 ORDER BY version DESC LIMIT $3
"""

_SHOWN = f"SELECT reaction.*, {party_then('reaction.identity_id', 'reaction.occurred_at')} AS party_id FROM reaction"
