"""One-time links: what anybody with one may do, and a new one for the first person."""

from fastapi import APIRouter, Request, status

from chassis.clock import now
from chassis.db import driver
from chassis.http import Session, TransactionalRoute
from chassis.ids import uuid7
from gateway.domain.attempts import code_place
from gateway.domain.invitations import FirstPersonThere, Kind
from gateway.domain.passwords import SHORTEST, check_password
from gateway.domain.rights import Role
from gateway.domain.sessions import CodeNeeded, Means, UserDisabled
from gateway.domain.users import WhoIsFirst, email_key
from gateway.models.sessions import Accepted, InvitationShown, LinkToken, SignedIn
from gateway.models.users import AppUser, Link
from gateway.queries import attempts
from gateway.queries.invitations import invitation_of, invite
from gateway.queries.sessions import end_sessions
from gateway.queries.users import add_user, is_owned, user_with
from gateway.routes.door import ANYBODY, Asking
from gateway.routes.keys import SecretRoute
from gateway.routes.sessions import ComeIn, From, signed_in

router = APIRouter(prefix="/v1/invitations", tags=["sessions"])
"""Not in one transaction: none is open while a password is hashed."""
reading = APIRouter(prefix="/v1/invitations", tags=["sessions"], route_class=TransactionalRoute)
making = APIRouter(prefix="/v1/invitations", tags=["users"], route_class=SecretRoute)


@reading.post("/read", openapi_extra=ANYBODY)
async def read_invitation(link: LinkToken, session: Session) -> InvitationShown:
    """What a one-time link is for. It goes on working."""
    row = await invitation_of(session, link.token)
    user = await user_with(session, row.user_id) if row.user_id else None
    return InvitationShown(
        kind=Kind(row.kind),
        name=user.name if user else None,
        email=user.email if user else None,
        expires_at=row.expires_at,
        second_step=user is not None and user.totp_secret is not None,
        shortest=SHORTEST,
    )


@router.post("/accept", status_code=status.HTTP_201_CREATED, openapi_extra=ANYBODY)
async def accept_invitation(wanted: Accepted, entrance: ComeIn, whence: From, request: Request) -> SignedIn:
    """Set a password by a one-time link, and be signed in. All sessions before it end, and so does the link.

    The first person says `name` and `email`, too, and becomes the owner. Who has a second step sends its `code`.
    """
    password = wanted.password.get_secret_value()
    async with entrance.database.transaction() as session:
        row = await invitation_of(session, wanted.token)
        user = await user_with(session, row.user_id) if row.user_id else None
    name, email = (user.name, user.email) if user else _first(wanted)
    check_password(password, email=email, name=name)
    counted = []
    if user is not None and user.totp_secret is not None:
        if wanted.code is None:
            raise CodeNeeded("Send the code of the authenticator app, or a recovery code, as `code`, too.")
        counted = [code_place(user.id, entrance.known_device(user.id, wanted.device))]
        await attempts.take(entrance.database, counted)
    hashed = await entrance.passwords.hashed(password)
    async with entrance.database.transaction() as session:
        row = await invitation_of(session, wanted.token, to_use=True)
        if row.user_id is None:
            user = await add_user(session, uuid7(), name=name, email=email, roles=[Role.OWNER])
        else:
            user = await session.get_one(AppUser, row.user_id, with_for_update=True)
            if user.disabled_at is not None:
                raise UserDisabled("You may not sign in any more. Ask who administers people.")
            entrance.check_code(user, wanted.code)
            await end_sessions(session, user.id)
        row.used_at = user.password_set_at = now()
        user.password_hash = hashed
        await attempts.give_back(await driver(session), counted)
        opened = entrance.opened(session, user, Means.INVITATION, whence, entrance.known_device(user.id, wanted.device))
    return await signed_in(request, entrance, opened)


def _first(wanted: Accepted) -> tuple[str, str]:
    if wanted.name is None or wanted.email is None:
        raise WhoIsFirst("The first person says who they are.", needed=["name", "email"])
    email_key(wanted.email)
    return wanted.name, wanted.email


@making.post("/first", status_code=status.HTTP_201_CREATED)
async def invite_first_person(session: Session, asking: Asking) -> Link:
    """A new one-time link for the first person; the one before works no more. Refused once there is an owner."""
    if await is_owned(session):
        raise FirstPersonThere("There is an owner already. People are invited by POST /v1/users.")
    return await invite(session, Kind.FIRST, None, by=asking.key_id)
