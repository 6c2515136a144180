"""People: their names for everybody, all else for who administers them."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response, status

from chassis.acts import administrative
from chassis.auth import Caller
from chassis.clock import now
from chassis.fields import TeamId, UserId
from chassis.http import (
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
from chassis.ids import uuid7
from gateway.domain.invitations import Kind
from gateway.domain.rights import ADMIN, Role
from gateway.domain.users import check_may_administer, email_key
from gateway.models.sessions import Ended
from gateway.models.users import AppUser, Link, MadeUser, NewUser, User, UserChange, user_text
from gateway.queries import users
from gateway.queries.invitations import invite, withdraw
from gateway.queries.sessions import end_sessions
from gateway.routes.door import Asking
from gateway.routes.keys import SecretRoute

router = APIRouter(prefix="/v1/users", tags=["users"], route_class=TransactionalRoute)
links = APIRouter(prefix="/v1/users", tags=["users"], route_class=SecretRoute)

Ids = Annotated[list[UserId] | None, Query(max_length=200)]
PartOfName = Annotated[str | None, Query(min_length=1, max_length=100)]


@router.get("")
async def list_users(
    session: Session,
    asking: Asking,
    ids: Ids = None,
    q: PartOfName = None,
    team_id: TeamId | None = None,
    role: Role | None = None,
    disabled: bool | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[User]:
    """People by name: those with some ids, of a team, with a role, with a part of a name (`q`), or all.

    Everybody sees names and teams; `account` only who administers people, who alone asks by `role`.
    """
    whole = _administers(asking)
    after = decode_cursor(cursor, tuple[str, UUID]) if cursor else None
    rows = await users.users_by_name(
        session,
        after,
        ids=ids,
        text=q,
        team_id=team_id,
        role=role if whole else None,
        disabled=disabled,
        limit=limit + 1,
    )
    found = page(rows, limit=limit, key=lambda row: (row.name, row.id))
    seen = await users.last_seen(session, [row.id for row in found.data]) if whole else {}
    return found.shown(lambda row: User.shown(row, last_seen_at=seen.get(row.id), whole=whole))


@router.get("/{user_id}")
async def read_user(user_id: UserId, session: Session, response: Response, asking: Asking) -> User:
    """A person."""
    return await _shown(session, await users.user_with(session, user_id), response, asking)


@links.post("", status_code=status.HTTP_201_CREATED)
async def create_user(wanted: NewUser, session: Session, response: Response, asking: Asking) -> MadeUser:
    """Make a person, and a one-time link by which they set a password. It is shown now, and sent by nobody: give it.

    Asked twice, the second is refused (`email_taken`); a new link is made by `POST /v1/users/{user_id}/invite`.
    """
    check_may_administer(asking.scopes, wanted.roles)
    row = await users.add_user(
        session,
        uuid7(),
        name=wanted.name,
        email=wanted.email,
        roles=wanted.roles,
        team_id=wanted.team_id,
        language=wanted.language,
    )
    link = await invite(session, Kind.NEW, row.id, by=asking.key_id)
    administrative("user made", asking.key_id, user=user_text(row.id), roles=row.roles)
    made(response, f"/v1/users/{user_text(row.id)}", new=True)
    return MadeUser.model_validate({**User.shown(row, whole=True).model_dump(), "invitation": link.model_dump()})


@router.patch("/{user_id}")
async def change_user(
    user_id: UserId, change: UserChange, session: Session, response: Response, asking: Asking, seen: IfMatch
) -> User:
    """Give a person another name, address, team or other roles; what is left out stays. Rights change at once."""
    row = await users.user_to_change(session, user_id)
    check_may_administer(asking.scopes, row.roles, change.roles or [])
    check_seen(row.version, seen, change.version)
    said = {name: getattr(change, name) for name in change.model_fields_set - {"version"}}
    if "roles" in said:
        said["roles"] = sorted({str(role) for role in said["roles"]})
        if Role.OWNER in row.roles and Role.OWNER not in said["roles"]:
            await users.keep_an_owner(session, row.id)
    if said.get("team_id") is not None:
        await users.team_with(session, said["team_id"])
    if "email" in said:
        said |= {"email": said["email"].strip(), "email_key": email_key(said["email"])}
    if any(getattr(row, name) != value for name, value in said.items()):
        for name, value in said.items():
            setattr(row, name, value)
        row.version += 1
        await users.write_down(session, row)
        administrative("user changed", asking.key_id, user=user_text(row.id), changed=sorted(said))
    return await _shown(session, row, response, asking)


@router.post("/{user_id}/disable")
async def disable_user(user_id: UserId, session: Session, response: Response, asking: Asking, seen: IfMatch) -> User:
    """Have a person sign in no more, and end all their sessions, at once and everywhere. Twice is once."""
    row = await _to_administer(session, user_id, asking, seen)
    if row.disabled_at is None:
        if Role.OWNER in row.roles:
            await users.keep_an_owner(session, row.id)
        row.disabled_at = now()
        row.version += 1
        await end_sessions(session, row.id)
        await withdraw(session, row.id)
        administrative("user disabled", asking.key_id, user=user_text(row.id))
    return await _shown(session, row, response, asking)


@router.post("/{user_id}/enable")
async def enable_user(user_id: UserId, session: Session, response: Response, asking: Asking, seen: IfMatch) -> User:
    """Have a person sign in again, with the password they had. Twice is once."""
    row = await _to_administer(session, user_id, asking, seen)
    if row.disabled_at is not None:
        row.disabled_at = None
        row.version += 1
        administrative("user enabled", asking.key_id, user=user_text(row.id))
    return await _shown(session, row, response, asking)


@router.post("/{user_id}/reset-second-step")
async def reset_second_step(
    user_id: UserId, session: Session, response: Response, asking: Asking, seen: IfMatch
) -> User:
    """Have a person who lost the authenticator app sign in by the password alone; all sessions end. Twice is once."""
    row = await _to_administer(session, user_id, asking, seen)
    if row.totp_secret is not None:
        row.totp_secret, row.totp_pending, row.recovery_hashes = None, None, []
        row.version += 1
        await end_sessions(session, row.id)
        administrative("second step reset", asking.key_id, user=user_text(row.id))
    return await _shown(session, row, response, asking)


@router.post("/{user_id}/end-sessions")
async def end_sessions_of_user(user_id: UserId, session: Session, asking: Asking) -> Ended:
    """End all sessions of a person."""
    row = await _to_administer(session, user_id, asking, None)
    administrative("sessions ended", asking.key_id, user=user_text(row.id))
    return Ended(ended=await end_sessions(session, row.id))


@links.post("/{user_id}/invite", status_code=status.HTTP_201_CREATED)
async def invite_user(user_id: UserId, session: Session, asking: Asking) -> Link:
    """A one-time link by which a person sets a password, the first or another one; links before it work no more.

    It is shown now, and sent by nobody: give it. The password that there is goes on until the link is used.
    """
    row = await _to_administer(session, user_id, asking, None)
    kind = Kind.NEW if row.password_hash is None else Kind.RESET
    administrative("user invited", asking.key_id, user=user_text(row.id))
    return await invite(session, kind, row.id, by=asking.key_id)


async def _to_administer(session: Session, user_id: UUID, asking: Caller, seen: int | None) -> AppUser:
    row = await users.user_to_change(session, user_id)
    check_may_administer(asking.scopes, row.roles)
    check_seen(row.version, seen, None)
    return row


async def _shown(session: Session, row: AppUser, response: Response, asking: Caller) -> User:
    whole = _administers(asking)
    seen = await users.last_seen(session, [row.id]) if whole else {}
    response.headers["ETag"] = etag(row.version)
    return User.shown(row, last_seen_at=seen.get(row.id), whole=whole)


def _administers(asking: Caller) -> bool:
    return not ADMIN.keys().isdisjoint(asking.scopes)
