"""People and teams: found, listed, made, locked to be changed."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import any_, func, literal, or_, tuple_
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from chassis.clock import now
from chassis.db import driver
from gateway.domain.rights import Role
from gateway.domain.users import (
    EmailTaken,
    Language,
    TeamInUse,
    TeamNameTaken,
    TeamNotFound,
    UserNotFound,
    check_owner_left,
    email_key,
)
from gateway.models.users import AppUser, Team, team_text, user_text


async def user_with(session: AsyncSession, user_id: UUID) -> AppUser:
    """The person with this id. Raises `UserNotFound`."""
    row = await session.get(AppUser, user_id)
    if row is None:
        raise UserNotFound("There is no such person.")
    return row


async def user_to_change(session: AsyncSession, user_id: UUID) -> AppUser:
    """The person, locked, with all owners who can sign in, so that one of them stays. Raises `UserNotFound`."""
    locked = select(AppUser.id).where(_OWNER, _CAN_SIGN_IN).order_by(col(AppUser.id)).with_for_update()
    await session.execute(locked)
    row = await session.get(AppUser, user_id, with_for_update=True, populate_existing=True)
    if row is None:
        raise UserNotFound("There is no such person.")
    return row


async def keep_an_owner(session: AsyncSession, user_id: UUID) -> None:
    """Raise `LastOwner` where nobody but this person is an owner and can sign in."""
    others = select(func.count()).where(_OWNER, _CAN_SIGN_IN, col(AppUser.id) != user_id)
    check_owner_left((await session.execute(others)).scalar_one())


async def is_owned(session: AsyncSession) -> bool:
    """Whether there is an owner who can sign in."""
    return (await session.execute(select(AppUser.id).where(_OWNER, _CAN_SIGN_IN).limit(1))).first() is not None


async def user_by_email(session: AsyncSession, key: str) -> AppUser | None:
    """The person with an address."""
    return (await session.execute(select(AppUser).where(AppUser.email_key == key))).scalar_one_or_none()


async def user_of_subject(session: AsyncSession, issuer: str, subject: str) -> AppUser | None:
    """The person whom an outside issuer calls so."""
    statement = select(AppUser).where(AppUser.issuer == issuer, AppUser.subject == subject)
    return (await session.execute(statement)).scalar_one_or_none()


async def users_by_name(
    session: AsyncSession,
    after: tuple[str, UUID] | None,
    *,
    ids: Collection[UUID] | None,
    text: str | None,
    team_id: UUID | None,
    role: Role | None,
    disabled: bool | None,
    limit: int,
) -> list[AppUser]:
    """Up to `limit` people by name behind `after`, and of them those asked for; `text` is part of a name."""
    name = func.lower(AppUser.name)
    statement = select(AppUser).order_by(name, col(AppUser.id)).limit(limit)
    if after is not None:
        statement = statement.where(tuple_(name, col(AppUser.id)) > tuple_(func.lower(after[0]), literal(after[1])))
    if ids is not None:
        statement = statement.where(col(AppUser.id).in_(ids))
    if text is not None:
        statement = statement.where(name.contains(text.lower(), autoescape=True))
    if team_id is not None:
        statement = statement.where(AppUser.team_id == team_id)
    if role is not None:
        statement = statement.where(literal(str(role)) == any_(col(AppUser.roles)))
    if disabled is not None:
        there = col(AppUser.disabled_at)
        statement = statement.where(there.is_not(None) if disabled else there.is_(None))
    return list((await session.execute(statement)).scalars())


async def last_seen(session: AsyncSession, ids: Collection[UUID]) -> dict[UUID, datetime]:
    """When people were last seen, as far as a session tells."""
    found = await (await driver(session)).fetch(
        "SELECT user_id, max(last_seen_at) AS at FROM session WHERE user_id = ANY($1) GROUP BY user_id", list(ids)
    )
    return {each["user_id"]: each["at"] for each in found}


async def add_user(
    session: AsyncSession,
    user_id: UUID,
    *,
    name: str,
    email: str,
    roles: Sequence[str],
    team_id: UUID | None = None,
    language: Language = Language.ENGLISH,
) -> AppUser:
    """A new person. Raises `BadIdentifier`, `EmailTaken` or `TeamNotFound`."""
    row = AppUser(
        id=user_id,
        name=name,
        email=email.strip(),
        email_key=email_key(email),
        roles=sorted(set(map(str, roles))),
        team_id=team_id,
        language=language,
        created_at=now(),
    )
    if team_id is not None:
        await team_with(session, team_id)
    await write_down(session, row)
    return row


async def write_down(session: AsyncSession, row: AppUser) -> None:
    """Write a person down. Raises `EmailTaken` where somebody else has the address."""
    with session.no_autoflush:
        other = await user_by_email(session, row.email_key)
    if other is not None and other.id != row.id:
        raise EmailTaken("Somebody else has this address.", existing_id=user_text(other.id))
    session.add(row)
    try:
        await session.flush()
    except IntegrityError:
        raise EmailTaken("Somebody else has this address.") from None


async def team_with(session: AsyncSession, team_id: UUID, *, to_change: bool = False) -> Team:
    """The team with this id, locked where it is to be changed. Raises `TeamNotFound`."""
    row = await session.get(Team, team_id, with_for_update=to_change or None)
    if row is None:
        raise TeamNotFound("There is no such team.")
    return row


async def teams_by_name(
    session: AsyncSession,
    after: tuple[str, UUID] | None,
    *,
    ids: Collection[UUID] | None,
    text: str | None,
    limit: int,
) -> list[Team]:
    """Up to `limit` teams by name behind `after`, and of them those asked for; `text` is part of a name."""
    name = func.lower(Team.name)
    statement = select(Team).order_by(name, col(Team.id)).limit(limit)
    if after is not None:
        statement = statement.where(tuple_(name, col(Team.id)) > tuple_(func.lower(after[0]), literal(after[1])))
    if ids is not None:
        statement = statement.where(col(Team.id).in_(ids))
    if text is not None:
        statement = statement.where(name.contains(text.lower(), autoescape=True))
    return list((await session.execute(statement)).scalars())


async def members(session: AsyncSession, ids: Collection[UUID]) -> dict[UUID, int]:
    """How many people of each team may sign in."""
    found = await (await driver(session)).fetch(
        "SELECT team_id, count(*) AS people FROM app_user WHERE team_id = ANY($1) AND disabled_at IS NULL"
        " GROUP BY team_id",
        list(ids),
    )
    return {each["team_id"]: each["people"] for each in found}


async def named_once(session: AsyncSession, row: Team) -> None:
    """Write a team's name down. Raises `TeamNameTaken`."""
    with session.no_autoflush:
        same = select(Team).where(func.lower(Team.name) == row.name.lower(), col(Team.id) != row.id)
        other = (await session.execute(same)).scalar_one_or_none()
    if other is not None:
        raise TeamNameTaken("Another team has this name.", existing_id=team_text(other.id))
    session.add(row)
    try:
        await session.flush()
    except IntegrityError:
        raise TeamNameTaken("Another team has this name.") from None


async def remove_team(session: AsyncSession, row: Team) -> None:
    """Delete a team. Raises `TeamInUse` while anybody is in it, also somebody who may not sign in any more."""
    people = (await session.execute(select(func.count()).where(AppUser.team_id == row.id))).scalar_one()
    if people:
        raise TeamInUse("Put its people into another team first.", people=people)
    await session.delete(row)
    await session.flush()


_OWNER = literal(str(Role.OWNER)) == any_(col(AppUser.roles))
_CAN_SIGN_IN = col(AppUser.disabled_at).is_(None) & or_(
    col(AppUser.password_hash).is_not(None), col(AppUser.subject).is_not(None)
)
