"""From when until when somebody is a member: joining, leaving and coming back, each an event of its own."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from uuid import UUID

from asyncpg import Record
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, func, select

from chassis import outbox
from chassis.clock import now
from chassis.db import driver
from chassis.ids import uuid7
from contracts.community import MemberJoined
from services.community.domain.members import MemberRef, WrongOrder
from services.community.models.members import MemberRow, Membership, MembershipRow, MemberVersionRow
from services.community.queries.facts import withdrawn
from services.community.queries.lists import Place

_VERSIONED = set(MemberVersionRow.model_fields) - {"member_id"}


def keep_version(session: AsyncSession, row: MemberRow) -> None:
    """Keep what a locked member is, which changes now."""
    session.add(MemberVersionRow(member_id=row.id, **row.model_dump(include=_VERSIONED)))
    row.version += 1
    row.changed_at = now()


def announce(session: AsyncSession, members: Iterable[Record]) -> None:
    """Publish that members joined."""
    rows = sorted(members, key=lambda row: row["id"])
    events = [_joined(row["identity_id"], row["id"], row["community"], row["joined_at"]) for row in rows]
    outbox.append(session, *events, event_ids=[row["fact_id"] for row in rows])


def _joined(identity_id: UUID, member_id: UUID, community: str, at: datetime) -> MemberJoined:
    return MemberJoined(subject=identity_id, occurred_at=at, member_id=member_id, community=community)


async def settle(
    session: AsyncSession,
    members: Mapping[MemberRef, Record],
    strangers: Mapping[UUID, Record],
    did: Mapping[UUID, datetime],
) -> None:
    """Announce those strangers who did something, and forget the others; `did` says when each did its first thing.

    A member whose community did not say when it joined did so no later than that.
    """
    connection = await driver(session)
    if idle := sorted(strangers.keys() - did.keys()):
        await connection.execute("DELETE FROM member WHERE id = ANY($1)", idle)
    joinings = [(id, at) for id, at in did.items() if _moves(members[id], at, is_stranger=id in strangers)]
    moved = await _moved(session, joinings, strangers)
    announce(session, [moved.get(id, row) for id, row in strangers.items() if id in did])
    for id in sorted(moved.keys() - strangers.keys()):
        outbox.append(session, withdrawn(moved[id]["identity_id"], moved[id]["former_fact_id"]))
        announce(session, [moved[id]])


def _moves(member: Record, at: datetime, *, is_stranger: bool) -> bool:
    # A stranger was made for all that named it; what was refused of that does not count.
    joined_at = member["joined_at"]
    return member["joining_told_at"] is None and (at != joined_at if is_stranger else at < joined_at)


async def _moved(
    session: AsyncSession, joinings: Iterable[tuple[UUID, datetime]], strangers: Iterable[UUID]
) -> dict[UUID, Record]:
    if not (asked := sorted(joinings)):
        return {}
    connection = await driver(session)
    ids, instants = map(list, zip(*asked, strict=True))
    # The last locks of a transaction, and in order: nobody who holds one of them waits for another lock.
    await connection.execute(_LOCK, ids)
    rows = await connection.fetch(_MOVE, ids, instants, [uuid7() for _ in ids], now(), list(strangers))
    return {row["id"]: row for row in rows}


async def tell_joining(session: AsyncSession, row: MemberRow, joined_at: datetime) -> None:
    """Its community says when a locked member joined first. Raises `WrongOrder`."""
    former = select(MembershipRow).where(col(MembershipRow.member_id) == row.id)
    first = (await session.scalars(former.order_by(col(MembershipRow.joined_at)).limit(1))).one_or_none()
    _move(session, row, first or row, joined_at)
    row.joining_told_at = now()


async def correct_joining(session: AsyncSession, row: MemberRow, joined_at: datetime) -> None:
    """Say when a locked member joined in truth, for the last time; its event is replaced. Raises `WrongOrder`."""
    former = select(func.max(MembershipRow.left_at)).where(col(MembershipRow.member_id) == row.id)
    left_at = await session.scalar(former)
    if left_at is not None and joined_at < left_at:
        raise WrongOrder("The member left later than this.", left_at=left_at)
    row.joining_told_at = now()
    if row.joined_at != joined_at:
        keep_version(session, row)
        _move(session, row, row, joined_at)


def _move(session: AsyncSession, row: MemberRow, spell: MemberRow | MembershipRow, joined_at: datetime) -> None:
    if spell.joined_at == joined_at:
        return
    if spell.left_at is not None and joined_at > spell.left_at:
        raise WrongOrder("The member left before this.", left_at=spell.left_at)
    outbox.append(session, withdrawn(row.identity_id, spell.fact_id))
    spell.joined_at, spell.joining_recorded_at, spell.fact_id = joined_at, now(), uuid7()
    outbox.append(session, _joined(row.identity_id, row.id, row.community, joined_at), event_ids=[spell.fact_id])


async def leave(session: AsyncSession, row: MemberRow, left_at: datetime) -> None:
    """A member leaves, its groups too; nobody has it do anything meanwhile. Twice is once. Raises `WrongOrder`."""
    if row.left_at is not None:
        return
    if left_at < row.joined_at:
        raise WrongOrder("The member joined later than this.", joined_at=row.joined_at)
    connection = await driver(session)
    active_at = await connection.fetchval(_ACTIVE, row.id)
    if active_at is not None and active_at >= left_at:
        detail = "The member did something then or later: it left after that, or did not do it, which is withdrawn."
        raise WrongOrder(detail, active_at=active_at)
    keep_version(session, row)
    row.left_at, row.left_recorded_at = left_at, now()
    await connection.execute(_LEAVE_GROUPS, row.id, left_at, row.left_recorded_at)


def join_again(session: AsyncSession, row: MemberRow, joined_at: datetime) -> None:
    """A locked member that left is back; the time before stays. Twice is once. Raises `WrongOrder`."""
    if row.left_at is None or row.left_recorded_at is None:
        return
    if joined_at < row.left_at:
        raise WrongOrder("The member left later than this.", left_at=row.left_at)
    keep_version(session, row)
    session.add(
        MembershipRow(
            fact_id=row.fact_id,
            member_id=row.id,
            joined_at=row.joined_at,
            joining_recorded_at=row.joining_recorded_at,
            left_at=row.left_at,
            left_recorded_at=row.left_recorded_at,
        )
    )
    row.joined_at, row.left_at, row.left_recorded_at = joined_at, None, None
    row.fact_id, row.joining_recorded_at = uuid7(), now()
    outbox.append(session, _joined(row.identity_id, row.id, row.community, joined_at), event_ids=[row.fact_id])


async def memberships(session: AsyncSession, member_id: UUID, *, before: Place | None, limit: int) -> list[Membership]:
    """From when until when a member was and is in its community, the latest first."""
    rows = await (await driver(session)).fetch(_SHOWN, member_id, *(before or (None, None)), limit)
    return [Membership.model_validate(dict(row)) for row in rows]


_LOCK = "SELECT FROM member WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE"

_MOVE = """
UPDATE member SET joined_at = new.at, fact_id = new.fact_id, joining_recorded_at = $4
FROM unnest($1::uuid[], $2::timestamptz[], $3::uuid[]) AS new(id, at, fact_id)
JOIN member AS former ON former.id = new.id
WHERE member.id = new.id AND former.joining_told_at IS NULL AND (new.at < former.joined_at OR new.id = ANY($5::uuid[]))
AND NOT EXISTS (SELECT FROM membership WHERE member_id = new.id)
RETURNING member.*, former.fact_id AS former_fact_id
"""

_ACTIVE = """
SELECT max(at) FROM (
    SELECT max(occurred_at) AS at FROM post WHERE member_id = $1 AND withdrawn_at IS NULL
    UNION ALL SELECT max(occurred_at) FROM reaction WHERE member_id = $1 AND withdrawn_at IS NULL
    UNION ALL SELECT max(occurred_at) FROM referral WHERE member_id = $1 AND withdrawn_at IS NULL
    UNION ALL SELECT max(joined_at) FROM group_member WHERE member_id = $1
) AS did
"""

_LEAVE_GROUPS = """
UPDATE group_member SET left_at = $2, left_recorded_at = $3 WHERE member_id = $1 AND left_at IS NULL
"""

_SHOWN = """
SELECT * FROM (
    SELECT fact_id, joined_at, left_at, joining_recorded_at AS recorded_at FROM member WHERE id = $1
    UNION ALL
    SELECT fact_id, joined_at, left_at, joining_recorded_at FROM membership WHERE member_id = $1
) AS known
WHERE $2::timestamptz IS NULL OR (joined_at, fact_id) < ($2, $3::uuid) ORDER BY joined_at DESC, fact_id DESC LIMIT $4
"""
