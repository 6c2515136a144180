"""Groups of communities, and who is in them."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from asyncpg import Record
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.clock import now
from chassis.db import driver
from chassis.ids import uuid7
from contracts.identity import Installation
from services.community.domain.groups import Access, GroupKey, GroupNotFound, GroupRef, GroupTaken, NotInGroup, folded
from services.community.domain.members import OtherCommunity, WrongOrder
from services.community.models.groups import Group, GroupMember, GroupRow, GroupVersion, GroupVersionRow
from services.community.queries.lists import Conditions, Place
from services.community.queries.members import did_something


async def record_group(session: AsyncSession, key: GroupKey, access: Access) -> tuple[UUID, bool]:
    """The group, and whether it was made now. Raises `GroupTaken` where it never had this name and access at once."""
    while True:
        for row in await _insert(session, [key], access):
            return row["id"], True
        # Not there any more: it was renamed between both statements, so it is tried again.
        for row in await _named(session, [key], []):
            if row["access"] != access and not await _had(session, row["id"], row["folded"], access):
                raise _taken(row["id"])
            return row["id"], False


async def groups_named(session: AsyncSession, refs: Iterable[GroupRef]) -> dict[GroupRef, Record]:
    """Groups by what names them; those of names that are not known are made, open to all."""
    asked = set(refs)
    keys = [ref for ref in asked if isinstance(ref, GroupKey)]
    if not asked:
        return {}
    while True:
        rows = await _named(session, keys, [ref for ref in asked if isinstance(ref, UUID)])
        found: dict[GroupRef, Record] = {row["id"]: row for row in rows}
        by_name = {(row["community"], row["folded"]): row for row in rows}
        found |= {key: row for key in keys if (row := by_name.get((key.community, folded(key.name))))}
        if not (missing := [key for key in keys if key not in found]):
            return found
        await _insert(session, missing, Access.OPEN)


async def _insert(session: AsyncSession, keys: Iterable[GroupKey], access: Access) -> list[Record]:
    rows = [(uuid7(), *key, folded(key.name)) for key in sorted(keys)]
    if not rows:
        return []
    return await (await driver(session)).fetch(_INSERT, *map(list, zip(*rows, strict=True)), access, now())


async def _named(session: AsyncSession, keys: Iterable[GroupKey], ids: Iterable[UUID]) -> list[Record]:
    asked = list(keys)
    columns = [key.community for key in asked], [folded(key.name) for key in asked]
    return await (await driver(session)).fetch(_NAMED, *columns, list(ids))


async def _had(session: AsyncSession, group_id: UUID, name: str, access: Access) -> bool:
    rows = await (await driver(session)).fetch(_HAD, group_id, access)
    return any(folded(row["name"]) == name for row in rows)


def _taken(*group_id: UUID) -> GroupTaken:
    way_out = [{"existing_id": f"group_{id.hex}", "change": f"/v1/groups/group_{id.hex}"} for id in group_id]
    return GroupTaken("The community has another group of this name.", **(way_out[0] if way_out else {}))


async def group_to_change(session: AsyncSession, group_id: UUID) -> GroupRow:
    """The group, locked until the transaction ends. Raises `GroupNotFound`."""
    row = await session.get(GroupRow, group_id, with_for_update={"key_share": True}, populate_existing=True)
    if row is None:
        raise GroupNotFound("There is no such group.")
    return row


async def change_group(session: AsyncSession, row: GroupRow, *, name: str | None, access: Access | None) -> None:
    """Give a locked group another name or access. Raises `GroupTaken`."""
    before = row.name, row.access
    right = name or row.name, str(access or row.access)
    if right == before:
        return
    key = GroupKey(row.community, right[0])
    try:
        async with session.begin_nested():
            session.add(
                GroupVersionRow(group_id=row.id, **row.model_dump(include={"version", "name", "access", "changed_at"}))
            )
            row.name, row.access = right
            row.folded = folded(row.name)
            row.version += 1
            row.changed_at = now()
    except IntegrityError:
        raise _taken(*[other["id"] for other in await _named(session, [key], [])]) from None


async def join_group(session: AsyncSession, row: GroupRow, member: Record, joined_at: datetime | None) -> bool:
    """A member joins a locked group, now where no time is said; false where that is known.

    The same joining told again changes nothing, whether or not the member left since. Raises `OtherCommunity`,
    `MemberLeft`, `WrongOrder`.
    """
    if row.community != member["community"]:
        raise OtherCommunity("The group is of another community than the member.", community=row.community)
    connection = await driver(session)
    if await connection.fetchval(_JOINED_BEFORE, row.id, member["id"], joined_at):
        return False
    at = joined_at or now()
    left_at = await connection.fetchval(_LEFT, row.id, member["id"])
    if left_at is not None and at < left_at:
        raise WrongOrder("The member left the group later than this.", left_at=left_at)
    await did_something(session, member, at)
    await connection.execute(_JOIN, uuid7(), row.id, member["id"], at, now())
    return True


async def leave_group(session: AsyncSession, group_id: UUID, member_id: UUID, left_at: datetime) -> None:
    """A member leaves a group. Twice is once. Raises `NotInGroup`, `WrongOrder`."""
    connection = await driver(session)
    joined_at = await connection.fetchval(_JOINED, group_id, member_id)
    if joined_at is None:
        if not await connection.fetchval(_WAS_IN, group_id, member_id):
            raise NotInGroup("The member was never in the group.")
        return
    if left_at < joined_at:
        raise WrongOrder("The member joined later than this.", joined_at=joined_at)
    await connection.execute(_LEAVE, group_id, member_id, left_at, now())


async def in_groups(session: AsyncSession, pairs: Iterable[tuple[UUID, UUID]]) -> set[tuple[UUID, UUID]]:
    """Those pairs of group and member that hold now."""
    if not (asked := sorted(set(pairs))):
        return set()
    rows = await (await driver(session)).fetch(_IN_GROUPS, *map(list, zip(*asked, strict=True)))
    return {(row["group_id"], row["member_id"]) for row in rows}


async def group(session: AsyncSession, group_id: UUID, here: Installation) -> Group:
    """The group as it is shown. Raises `GroupNotFound`."""
    await session.flush()
    found = await groups(session, here, group_id=group_id, limit=1)
    if not found:
        raise GroupNotFound("There is no such group.")
    return found[0]


async def groups(
    session: AsyncSession,
    here: Installation,
    *,
    group_id: UUID | None = None,
    community: str | None = None,
    member_id: UUID | None = None,
    party_id: UUID | None = None,
    before: Place | None = None,
    limit: int,
) -> list[Group]:
    """Groups, the newest first: all, or those that a member or a party is in."""
    wanted = Conditions()
    wanted.add("community_group.id = {}", group_id)
    wanted.add("community = {}", community)
    wanted.add(_WITH_MEMBER.format("member.id = {}"), member_id)
    wanted.add("(recorded_at, community_group.id) < ({}, {})", *(before or (None, None)))
    today = f"date '{here.day(now())}'"
    await wanted.held_by(session, party_id, "member.identity_id", today, within=_WITH_MEMBER)
    rows = await wanted.fetch(session, _SHOWN, "recorded_at DESC, community_group.id DESC", limit)
    return [Group.model_validate(dict(row)) for row in rows]


async def group_members(
    session: AsyncSession, group_id: UUID, *, before: Place | None, limit: int
) -> list[GroupMember]:
    """Who is or was in a group, the latest to join first."""
    wanted = Conditions()
    wanted.add("group_id = {}", group_id)
    wanted.add("(joined_at, id) < ({}, {})", *(before or (None, None)))
    rows = await wanted.fetch(session, _IN_GROUP, "joined_at DESC, id DESC", limit)
    return [GroupMember.model_validate(dict(row)) for row in rows]


async def group_member(session: AsyncSession, group_id: UUID, member_id: UUID) -> GroupMember:
    """The latest that is known of a member in a group. Raises `NotInGroup` where it never was in it."""
    wanted = Conditions()
    wanted.add("group_id = {}", group_id)
    wanted.add("member_id = {}", member_id)
    for row in await wanted.fetch(session, _IN_GROUP, "left_at IS NULL DESC, joined_at DESC, id DESC", 1):
        return GroupMember.model_validate(dict(row))
    raise NotInGroup("The member was never in the group.")


async def versions(session: AsyncSession, group_id: UUID, *, before: int, limit: int) -> list[GroupVersion]:
    """Names and access that a group had in versions before one, the latest first."""
    rows = await (await driver(session)).fetch(_VERSIONS, group_id, before, limit)
    return [GroupVersion.model_validate(dict(row)) for row in rows]


_INSERT = """
INSERT INTO community_group (id, community, name, folded, access, recorded_at, changed_at)
SELECT new.*, $5, $6, $6 FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) AS new(id, community, name, folded)
ORDER BY community, folded
ON CONFLICT (community, folded) DO NOTHING RETURNING *
"""

_NAMED = """
SELECT * FROM community_group WHERE id = ANY($3 || ARRAY(
    SELECT known.id FROM unnest($1::text[], $2::text[]) AS asked(community, folded)
    JOIN community_group AS known USING (community, folded)
))
"""

_HAD = "SELECT name FROM group_version WHERE group_id = $1 AND access = $2"

_VERSIONS = """
SELECT * FROM (
    SELECT version, name, access, changed_at FROM group_version WHERE group_id = $1
    UNION ALL
    SELECT version, name, access, changed_at FROM community_group WHERE id = $1
) AS known
WHERE version < $2 ORDER BY version DESC LIMIT $3
"""

_JOINED_BEFORE = """
SELECT EXISTS (
    SELECT FROM group_member WHERE group_id = $1 AND member_id = $2 AND (left_at IS NULL OR joined_at = $3)
)
"""

_LEFT = "SELECT max(left_at) FROM group_member WHERE group_id = $1 AND member_id = $2"

_JOIN = "INSERT INTO group_member (id, group_id, member_id, joined_at, recorded_at) VALUES ($1, $2, $3, $4, $5)"

_JOINED = "SELECT joined_at FROM group_member WHERE group_id = $1 AND member_id = $2 AND left_at IS NULL FOR UPDATE"

_WAS_IN = "SELECT EXISTS (SELECT FROM group_member WHERE group_id = $1 AND member_id = $2)"

_LEAVE = """
UPDATE group_member SET left_at = $3, left_recorded_at = $4
WHERE group_id = $1 AND member_id = $2 AND left_at IS NULL
"""

_IN_GROUPS = """
SELECT group_id, member_id FROM unnest($1::uuid[], $2::uuid[]) AS asked(group_id, member_id)
JOIN group_member USING (group_id, member_id) WHERE left_at IS NULL
"""

_WITH_MEMBER = """EXISTS (
    SELECT FROM group_member JOIN member ON member.id = group_member.member_id
    WHERE group_id = community_group.id AND group_member.left_at IS NULL AND {}
)"""

_SHOWN = """
SELECT community_group.*, (
    SELECT count(*) FROM group_member WHERE group_id = community_group.id AND left_at IS NULL
) AS members
FROM community_group
"""

_IN_GROUP = "SELECT id, group_id, member_id, joined_at, left_at FROM group_member"
