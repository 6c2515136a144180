"""Members: made known in sets, linked and parted one by one under their row lock."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from uuid import UUID

from asyncpg import Record
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import outbox
from chassis.assignments import HOLDER
from chassis.clock import now
from chassis.db import driver
from chassis.ids import uuid7
from contracts.community import CommunityFactWithdrawn, MemberJoined, MemberLinked
from contracts.identity import Installation
from services.community.domain.members import (
    MemberConflict,
    MemberKey,
    MemberNotFound,
    MemberRef,
    NewMember,
    WrongOrder,
    check_not_left,
    identity_of,
)
from services.community.models.members import Member, MemberRow
from services.community.queries.lists import Conditions, Place


async def record_member(session: AsyncSession, told: NewMember, here: Installation) -> tuple[UUID, bool]:
    """The member, and whether it was made known now. Raises `MemberConflict` where it is known with other content."""
    while True:
        for row in await _insert(session, [told], here):
            outbox.append(session, joined(row), event_ids=[row["fact_id"]])
            return row["id"], True
        # Not there any more: it was withdrawn between both statements, so it is tried again.
        for row in await _named(session, [told.key], []):
            if any(said is not None and row[name] != said for name, said in _content(told).items()):
                outer = f"member_{row['id'].hex}"
                detail = "The community told of this member before with other content; change that one."
                raise MemberConflict(detail, existing_id=outer, change=f"/v1/members/{outer}")
            return row["id"], False


def _content(told: NewMember) -> dict[str, object]:
    return {"joined_at": told.joined_at, "display_name": told.display_name, "bio": told.bio}


async def members_named(
    session: AsyncSession, keys: Mapping[MemberKey, NewMember], ids: Iterable[UUID], here: Installation
) -> tuple[dict[MemberRef, Record], dict[UUID, Record]]:
    """Members by what names them, kept from being withdrawn meanwhile; and by id those that are new.

    Who is named by a key and not known is made known, and not yet announced: `announce` or `forget_members` follows.
    """
    fresh: dict[UUID, Record] = {}
    while True:
        found: dict[MemberRef, Record] = {}
        for row in await _named(session, keys, ids):
            found[row["id"]] = found[MemberKey(row["community"], row["source_id"])] = row
        missing = [told for key, told in keys.items() if key not in found]
        if not missing:
            return found, fresh
        fresh |= {row["id"]: row for row in await _insert(session, missing, here)}


async def member_named(session: AsyncSession, ref: MemberRef, at: datetime, here: Installation) -> Record:
    """The member that something names, made known and announced where it was not; it must not have left by then.

    Raises `MemberNotFound`, `MemberLeft`.
    """
    keys = {ref: NewMember(key=ref, joined_at=at)} if isinstance(ref, MemberKey) else {}
    found, fresh = await members_named(session, keys, [ref] if isinstance(ref, UUID) else [], here)
    announce(session, fresh.values())
    if ref not in found:
        raise MemberNotFound("There is no such member.")
    check_not_left(found[ref]["left_at"], at)
    return found[ref]


def announce(session: AsyncSession, members: Iterable[Record]) -> None:
    """Publish that members joined."""
    rows = sorted(members, key=lambda row: row["id"])
    outbox.append(session, *map(joined, rows), event_ids=[row["fact_id"] for row in rows])


async def forget_members(session: AsyncSession, members: Iterable[UUID]) -> None:
    """Take back members of this transaction that nothing names after all."""
    await (await driver(session)).execute("DELETE FROM member WHERE id = ANY($1)", sorted(members))


async def _insert(session: AsyncSession, told: Iterable[NewMember], here: Installation) -> list[Record]:
    at = now()
    rows = [
        (
            uuid7(),
            identity_of(one.key, here).id,
            *one.key,
            one.display_name,
            one.bio,
            one.joined_at or at,
            one.import_id,
            uuid7(),
        )
        for one in sorted(told, key=lambda one: one.key)
    ]
    return await (await driver(session)).fetch(_INSERT, *map(list, zip(*rows, strict=True)), at)


async def _named(session: AsyncSession, keys: Iterable[MemberKey], ids: Iterable[UUID]) -> list[Record]:
    communities, source_ids = zip(*keys, strict=True) if (keys := list(keys)) else ((), ())
    return await (await driver(session)).fetch(_NAMED, list(communities), list(source_ids), list(ids))


def joined(row: Record | MemberRow) -> MemberJoined:
    """The event of a member's joining."""
    told = dict(row) if isinstance(row, Record) else row.model_dump()
    return MemberJoined(
        subject=told["identity_id"],
        occurred_at=told["joined_at"],
        member_id=told["id"],
        community=told["community"],
    )


async def member_to_change(session: AsyncSession, member_id: UUID) -> MemberRow:
    """The member, locked until the transaction ends, so that its events keep their order."""
    row = await session.get(MemberRow, member_id, with_for_update={"key_share": True}, populate_existing=True)
    if row is None or row.withdrawn_at is not None:
        raise MemberNotFound("There is no such member.")
    return row


def change_member(row: MemberRow, right: Mapping[str, str | None]) -> None:
    """Change what a locked member shows of itself."""
    if any(getattr(row, name) != value for name, value in right.items()):
        row.version += 1
        for name, value in right.items():
            setattr(row, name, value)


def link(session: AsyncSession, row: MemberRow, *, party_id: UUID | None, identity_id: UUID | None) -> None:
    """Say which party a locked member is; neither takes that back."""
    if (row.linked_party_id, row.linked_identity_id) == (party_id, identity_id):
        return
    row.linked_party_id, row.linked_identity_id = party_id, identity_id
    row.version += 1
    outbox.append(
        session,
        MemberLinked(
            subject=row.identity_id,
            occurred_at=now(),
            member_id=row.id,
            version=row.version,
            party_id=party_id,
            identity_id=identity_id,
        ),
    )


async def leave(session: AsyncSession, row: MemberRow, left_at: datetime) -> None:
    """A locked member leaves, its groups too. Twice is once."""
    if row.left_at is not None:
        return
    if left_at < row.joined_at:
        raise WrongOrder("The member joined later than this.", joined_at=row.joined_at)
    row.left_at, row.left_recorded_at = left_at, now()
    row.version += 1
    await (await driver(session)).execute(_LEAVE_GROUPS, row.id, left_at, row.left_recorded_at)


def join_again(session: AsyncSession, row: MemberRow, joined_at: datetime) -> None:
    """A locked member that left is back. Twice is once."""
    if row.left_at is None:
        return
    if joined_at < row.left_at:
        raise WrongOrder("The member left later than this.", left_at=row.left_at)
    row.joined_at, row.left_at, row.left_recorded_at, row.fact_id = joined_at, None, None, uuid7()
    row.version += 1
    outbox.append(session, joined(row), event_ids=[row.fact_id])


async def withdraw_members(session: AsyncSession, import_id: UUID, limit: int) -> int:
    """Withdraw members that an import made known and that did nothing else; return how many, 0 when none is left."""
    connection = await driver(session)
    while idle := [row["id"] for row in await connection.fetch(_LOCK_IDLE, import_id, limit)]:
        # Asked again: whoever held the lock before may have had the member do something.
        rows = await connection.fetch(_WITHDRAW_IDLE, import_id, idle, now())
        if rows:
            rows.sort(key=lambda row: row["id"])
            outbox.append(session, *(withdrawn(row["identity_id"], row["fact_id"]) for row in rows))
            return len(rows)
    return 0


def withdrawn(subject: UUID, fact_id: UUID) -> CommunityFactWithdrawn:
    """The event that takes a fact back."""
    return CommunityFactWithdrawn(subject=subject, occurred_at=now(), fact_id=fact_id)


async def member(session: AsyncSession, member_id: UUID, here: Installation) -> Member:
    """The member as it is shown, also one that was withdrawn. Raises `MemberNotFound`."""
    await session.flush()
    rows = await members(session, here, member_id=member_id, limit=1)
    if not rows:
        raise MemberNotFound("There is no such member.")
    return rows[0]


async def members(
    session: AsyncSession,
    here: Installation,
    *,
    member_id: UUID | None = None,
    community: str | None = None,
    source_id: str | None = None,
    group_id: UUID | None = None,
    party_id: UUID | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    before: Place | None = None,
    limit: int,
) -> list[Member]:
    """Members, the latest to join first, without those withdrawn unless one is asked for by its id."""
    wanted = Conditions(here.day(now()))
    wanted.add("member.id = {}", member_id)
    wanted.add("community = {}", community)
    wanted.add("source_id = {}", source_id)
    in_group = "EXISTS (SELECT FROM group_member WHERE member_id = member.id AND group_id = {} AND left_at IS NULL)"
    wanted.add(in_group, group_id)
    wanted.add("joined_at >= {}", since)
    wanted.add("joined_at < {}", until)
    wanted.add("(joined_at, member.id) < ({}, {})", *(before or (None, None)))
    if member_id is None:
        wanted.add("withdrawn_at IS NULL")
    await wanted.held_by(session, party_id, "member.identity_id", "$1::date")
    rows = await wanted.fetch(session, _SHOWN, "joined_at DESC, member.id DESC", limit)
    return [Member.model_validate(dict(row)) for row in rows]


_INSERT = """
INSERT INTO member
    (id, identity_id, community, source_id, display_name, bio, joined_at, import_id, fact_id, recorded_at)
SELECT id, identity_id, community, source_id, display_name, bio, joined_at, import_id, fact_id, $10
FROM unnest(
    $1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::uuid[], $9::uuid[]
) AS new(id, identity_id, community, source_id, display_name, bio, joined_at, import_id, fact_id)
ORDER BY community, source_id
ON CONFLICT (community, source_id) WHERE withdrawn_at IS NULL DO NOTHING RETURNING *
"""

_NAMED = """
SELECT member.* FROM member
WHERE withdrawn_at IS NULL AND id = ANY($3 || ARRAY(
    SELECT known.id FROM unnest($1::text[], $2::text[]) AS asked(community, source_id)
    JOIN member AS known ON known.community = asked.community AND known.source_id = asked.source_id
    WHERE known.withdrawn_at IS NULL
))
ORDER BY id FOR KEY SHARE
"""

_LEAVE_GROUPS = """
UPDATE group_member SET left_at = greatest(joined_at, $2), left_recorded_at = $3
WHERE member_id = $1 AND left_at IS NULL
"""

_IDLE = """
import_id = $1 AND withdrawn_at IS NULL AND version = 1
AND NOT EXISTS (SELECT FROM post WHERE member_id = member.id AND withdrawn_at IS NULL)
AND NOT EXISTS (SELECT FROM reaction WHERE member_id = member.id AND withdrawn_at IS NULL)
AND NOT EXISTS (SELECT FROM referral WHERE member_id = member.id AND withdrawn_at IS NULL)
AND NOT EXISTS (SELECT FROM group_member WHERE member_id = member.id)
"""

_LOCK_IDLE = f"SELECT id FROM member WHERE {_IDLE} ORDER BY id LIMIT $2 FOR UPDATE"

_WITHDRAW_IDLE = f"""
UPDATE member SET withdrawn_at = $3, version = version + 1 WHERE id = ANY($2) AND {_IDLE}
RETURNING id, identity_id, fact_id
"""

_SHOWN = f"SELECT member.*, {HOLDER.format(identity='member.identity_id', day='$1::date')} AS party_id FROM member"
