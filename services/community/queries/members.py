"""Members: made known in sets, changed and linked one by one under their row lock."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from uuid import UUID

from asyncpg import Record
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from chassis import outbox
from chassis.assignments import HOLDER
from chassis.clock import now
from chassis.db import driver
from chassis.ids import uuid7
from contracts.community import MemberLinked
from contracts.identity import Installation
from contracts.telling import AlreadyWithdrawn
from services.community.domain.members import (
    MemberConflict,
    MemberKey,
    MemberNotFound,
    MemberRef,
    NewMember,
    check_not_left,
    identity_of,
)
from services.community.models.members import Member, MemberRow, MemberVersion
from services.community.queries.facts import withdrawn
from services.community.queries.lists import Conditions, Place
from services.community.queries.memberships import announce, keep_version, settle, tell_joining


async def record_member(session: AsyncSession, told: NewMember, here: Installation) -> tuple[UUID, bool]:
    """The member, and whether it was made known now.

    What something only named before is filled in by the first telling. Raises `MemberConflict` where other content is
    known, `WrongOrder` where the member left before it joined.
    """
    while True:
        for row in await _insert(session, [told], here, joining_told_at=now() if told.joined_at else None):
            announce(session, [row])
            return row["id"], True
        # Not there any more: it was withdrawn between both statements, so it is tried again.
        if known := await _known(session, told.key):
            await _tell(session, known, told)
            return known.id, False


async def _known(session: AsyncSession, key: MemberKey) -> MemberRow | None:
    wanted = select(MemberRow).where(
        col(MemberRow.community) == key.community,
        col(MemberRow.source_id) == key.source_id,
        col(MemberRow.withdrawn_at).is_(None),
    )
    return (await session.scalars(wanted.with_for_update(key_share=True))).one_or_none()


async def _tell(session: AsyncSession, row: MemberRow, told: NewMember) -> None:
    row.import_id = None
    said = {"joined_at": told.joined_at, "display_name": told.display_name, "bio": told.bio}
    said = {name: value for name, value in said.items() if value is not None}
    if all(getattr(row, name) == value for name, value in said.items()):
        row.joining_told_at = row.joining_told_at or (now() if told.joined_at else None)
        return
    profile = {name: value for name, value in said.items() if name != "joined_at"}
    if row.joining_told_at is None and all(getattr(row, name) in (None, value) for name, value in profile.items()):
        keep_version(session, row)
        for name, value in profile.items():
            setattr(row, name, value)
        if told.joined_at is not None:
            await tell_joining(session, row, told.joined_at)
    elif not await (await driver(session)).fetchval(_TOLD_BEFORE, row.id, told.joined_at, told.display_name, told.bio):
        detail = "The community told of this member before with other content; change or correct that one."
        outer = f"member_{row.id.hex}"
        raise MemberConflict(
            detail, existing_id=outer, change=f"/v1/members/{outer}", correct=f"/v1/members/{outer}/correct"
        )


async def members_named(
    session: AsyncSession, keys: Mapping[MemberKey, NewMember], ids: Iterable[UUID], here: Installation
) -> tuple[dict[MemberRef, Record], dict[UUID, Record]]:
    """Members by what names them, kept from being withdrawn meanwhile; and by id those that are new.

    Who is named by a key and not known is made known, and not yet announced: `announce` or `settle` follows.
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
    """The member that something names, made known and announced where it was not. Raises `MemberNotFound`."""
    keys = {ref: NewMember(key=ref, joined_at=at)} if isinstance(ref, MemberKey) else {}
    found, fresh = await members_named(session, keys, [ref] if isinstance(ref, UUID) else [], here)
    announce(session, fresh.values())
    if ref not in found:
        raise MemberNotFound("There is no such member.")
    return found[ref]


async def did_something(session: AsyncSession, member: Record, at: datetime) -> None:
    """A member did something that is new; it must not have left by then. Raises `MemberLeft`."""
    check_not_left(member["left_at"], at)
    await settle(session, {member["id"]: member}, {}, {member["id"]: at})


async def _insert(
    session: AsyncSession, told: Iterable[NewMember], here: Installation, *, joining_told_at: datetime | None = None
) -> list[Record]:
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
    return await (await driver(session)).fetch(_INSERT, *map(list, zip(*rows, strict=True)), at, joining_told_at)


async def _named(session: AsyncSession, keys: Iterable[MemberKey], ids: Iterable[UUID]) -> list[Record]:
    communities, source_ids = zip(*keys, strict=True) if (keys := list(keys)) else ((), ())
    return await (await driver(session)).fetch(_NAMED, list(communities), list(source_ids), list(ids))


async def member_to_change(session: AsyncSession, member_id: UUID, *, parted: bool = False) -> MemberRow:
    """The member, locked until the transaction ends, so that its events keep their order.

    `parted` keeps it from doing anything meanwhile. Raises `MemberNotFound`, `AlreadyWithdrawn`.
    """
    locked = {"key_share": not parted}
    row = await session.get(MemberRow, member_id, with_for_update=locked, populate_existing=True)
    if row is None:
        raise MemberNotFound("There is no such member.")
    if row.withdrawn_at is not None:
        raise AlreadyWithdrawn("The member was withdrawn; record it anew.")
    return row


def change_member(session: AsyncSession, row: MemberRow, right: Mapping[str, str | None]) -> None:
    """Change what a locked member shows of itself; what it was before stays readable."""
    if any(getattr(row, name) != value for name, value in right.items()):
        keep_version(session, row)
        for name, value in right.items():
            setattr(row, name, value)


def link(session: AsyncSession, row: MemberRow, *, party_id: UUID | None, identity_id: UUID | None) -> None:
    """Say which party a locked member is; neither takes that back."""
    if (row.linked_party_id, row.linked_identity_id) == (party_id, identity_id):
        return
    keep_version(session, row)
    row.linked_party_id, row.linked_identity_id = party_id, identity_id
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


async def withdraw_members(session: AsyncSession, import_id: UUID, limit: int) -> int:
    """Withdraw up to `limit` members that only imports made known, that this one named and nothing names any more.

    Whichever import made them known: they go with the last one that is undone. Returns how many, 0 when none is left.
    """
    connection = await driver(session)
    while idle := [row["id"] for row in await connection.fetch(_LOCK_IDLE, import_id, limit)]:
        # Asked again: whoever held the lock before may have had the member do something.
        rows = await connection.fetch(_WITHDRAW_IDLE, import_id, idle, now())
        if rows:
            rows.sort(key=lambda row: row["id"])
            outbox.append(session, *(withdrawn(row["identity_id"], row["fact_id"]) for row in rows))
            return len(rows)
    return 0


async def versions(session: AsyncSession, member_id: UUID, *, before: int, limit: int) -> list[MemberVersion]:
    """What a member was in versions before one, the latest first."""
    rows = await (await driver(session)).fetch(_VERSIONS, member_id, before, limit)
    return [MemberVersion.model_validate(dict(row)) for row in rows]


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
    (id, identity_id, community, source_id, display_name, bio, joined_at, import_id, fact_id,
    recorded_at, joining_recorded_at, changed_at, joining_told_at)
SELECT id, identity_id, community, source_id, display_name, bio, joined_at, import_id, fact_id, $10, $10, $10, $11
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

_TOLD_BEFORE = """
SELECT EXISTS (
    SELECT FROM (
        SELECT joined_at, display_name, bio FROM member_version WHERE member_id = $1
        UNION ALL SELECT joined_at, display_name, bio FROM member WHERE id = $1
    ) AS known
    WHERE ($3::text IS NULL OR display_name = $3) AND ($4::text IS NULL OR bio = $4) AND (
        $2::timestamptz IS NULL OR known.joined_at = $2
        OR EXISTS (SELECT FROM membership WHERE member_id = $1 AND joined_at = $2)
    )
)
"""

_VERSIONED = "display_name, bio, joined_at, left_at, linked_party_id, linked_identity_id, changed_at"

_VERSIONS = f"""
SELECT * FROM (
    SELECT version, {_VERSIONED} FROM member_version WHERE member_id = $1
    UNION ALL
    SELECT version - (withdrawn_at IS NOT NULL)::int, {_VERSIONED} FROM member WHERE id = $1
) AS known
WHERE version < $2 ORDER BY version DESC LIMIT $3
"""

_IDLE = """
import_id IS NOT NULL AND withdrawn_at IS NULL AND version = 1
AND EXISTS (SELECT FROM post WHERE member_id = member.id AND import_id = $1)
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
