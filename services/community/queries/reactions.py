"""Reactions: given, changed and taken back."""

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
from services.community.models.posts import GivenReaction, PostRow, ReactionIn, ReactionRow
from services.community.queries.lists import Conditions, Place, party_then
from services.community.queries.members import withdrawn


async def give(
    session: AsyncSession, post: PostRow, member: Record, told: ReactionIn, occurred_at: datetime
) -> tuple[UUID, bool]:
    """A reaction of a member to a locked post, and whether it was given now: of each kind there is one.

    Raises `AlreadyWithdrawn`, `OtherCommunity`, and `ReactionConflict` where its id in the source is that of another.
    """
    if post.withdrawn_at is not None:
        raise AlreadyWithdrawn("The post was withdrawn; nobody reacts to it.")
    if post.community != member["community"]:
        raise OtherCommunity("The post is of another community than the member.", community=post.community)
    fact_id, reaction_id = uuid7(), uuid7()
    values = (post.id, member["id"], member["identity_id"], told.reaction, told.source, told.source_id, occurred_at)
    connection = await driver(session)
    while not await connection.fetchval(_GIVE, reaction_id, fact_id, *values, now()):
        found = await connection.fetch(_PRESENT, post.id, member["id"], told.reaction, told.source, told.source_id)
        for row in found:
            same = (row["post_id"], row["member_id"], row["reaction"]) == (post.id, member["id"], told.reaction)
            if not same or len(found) > 1 or told.occurred_at not in (None, row["occurred_at"]):
                detail = "This was recorded before with other content; change that one or withdraw it."
                raise ReactionConflict(detail, existing_id=f"reaction_{row['id'].hex}")
            return row["id"], False
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


async def change_reaction(
    session: AsyncSession, post: PostRow, row: ReactionRow, reaction: Reaction, occurred_at: datetime
) -> UUID:
    """Have a locked reaction to a locked post say something else; return the one that stands now.

    The former one does not count any more. Raises `ReactionNotFound` for one that was taken back.
    """
    if row.withdrawn_at is not None:
        raise ReactionNotFound("The reaction was taken back; give one anew.")
    if row.reaction == reaction:
        return row.id
    if post.withdrawn_at is not None:
        raise AlreadyWithdrawn("The post was withdrawn; nobody reacts to it.")
    outbox.append(session, withdrawn(row.identity_id, row.fact_id))
    connection = await driver(session)
    other: UUID | None = await connection.fetchval(_OTHER, row.post_id, row.member_id, reaction)
    if other is not None:
        row.withdrawn_at = now()
        return other
    row.reaction, row.occurred_at, row.fact_id = reaction, occurred_at, uuid7()
    outbox.append(session, _given(post, row.identity_id, reaction, occurred_at), event_ids=[row.fact_id])
    return row.id


def take_back(session: AsyncSession, row: ReactionRow) -> None:
    """Take a locked reaction back. Twice is once."""
    if row.withdrawn_at is None:
        row.withdrawn_at = now()
        outbox.append(session, withdrawn(row.identity_id, row.fact_id))


async def reaction(session: AsyncSession, reaction_id: UUID, here: Installation) -> GivenReaction:
    """The reaction as it is shown, also one that was taken back."""
    await session.flush()
    [found] = await reactions(session, here, reaction_id=reaction_id, limit=1)
    return found


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
"""

_OTHER = "SELECT id FROM reaction WHERE post_id = $1 AND member_id = $2 AND reaction = $3 AND withdrawn_at IS NULL"

_SHOWN = f"SELECT reaction.*, {party_then('reaction.identity_id', 'reaction.occurred_at')} AS party_id FROM reaction"
