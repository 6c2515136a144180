"""One-time links: made, looked at, used."""

import secrets
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select, update

from chassis.clock import now
from chassis.db import connect
from chassis.ids import uuid7
from contracts.identity import BadIdentifier
from gateway.domain.invitations import (
    LASTS,
    PREFIX,
    InvitationNotFound,
    Kind,
    NobodyToInvite,
    looks_like_invitation,
    path,
    works,
)
from gateway.domain.keys import RANDOM_BYTES, secret_hash
from gateway.domain.rights import Role
from gateway.domain.users import email_key
from gateway.models.sessions import Invitation
from gateway.models.users import Link
from gateway.queries.users import is_owned, user_by_email


async def invite(session: AsyncSession, kind: Kind, user_id: UUID | None, *, by: str) -> Link:
    """A new link, which nobody can read again; those before it for the same person work no more."""
    await withdraw(session, user_id)
    token, present = PREFIX + secrets.token_urlsafe(RANDOM_BYTES), now()
    row = Invitation(
        id=uuid7(),
        token_hash=secret_hash(token),
        kind=kind,
        user_id=user_id,
        made_by=by,
        created_at=present,
        expires_at=present + LASTS,
    )
    session.add(row)
    return Link(token=token, path=path(token), expires_at=row.expires_at)


async def withdraw(session: AsyncSession, user_id: UUID | None) -> None:
    """Have the links of a person work no more; None: those for the first person."""
    whose = col(Invitation.user_id).is_(None) if user_id is None else col(Invitation.user_id) == user_id
    open_ones = update(Invitation).where(
        whose, col(Invitation.used_at).is_(None), col(Invitation.withdrawn_at).is_(None)
    )
    await session.execute(open_ones.values(withdrawn_at=now()))


async def invitation_of(session: AsyncSession, token: str, *, to_use: bool = False) -> Invitation:
    """The link that still works, locked where it is to be used. Raises `InvitationNotFound`."""
    statement = select(Invitation).where(Invitation.token_hash == secret_hash(token))
    if to_use:
        statement = statement.with_for_update()
    row = None
    if looks_like_invitation(token):
        row = (await session.execute(statement)).scalar_one_or_none()
    if row is None or not works(now(), expires_at=row.expires_at, used_at=row.used_at, withdrawn_at=row.withdrawn_at):
        raise InvitationNotFound("This link works no more: it was used, replaced, or is too old. Ask for another.")
    return row


async def create_owner_link(database_url: str, email: str | None = None) -> str:
    """Make a one-time link in the gateway's database and return its path in the console.

    It is for the first person, or for an owner to set another password. Raises `NobodyToInvite`.
    """
    database = connect(database_url, pool_size=1)
    try:
        async with database.transaction() as session:
            if email is None:
                if await is_owned(session):
                    raise NobodyToInvite("There is an owner already; name one by e-mail address.")
                return (await invite(session, Kind.FIRST, None, by="this machine")).path
            row = await user_by_email(session, email_key(email))
            if row is None or Role.OWNER not in row.roles:
                raise NobodyToInvite(f"No owner has the address {email}.")
            row.disabled_at = None
            return (await invite(session, Kind.RESET, row.id, by="this machine")).path
    except BadIdentifier as problem:
        raise NobodyToInvite(problem.detail) from None
    finally:
        await database.close()
