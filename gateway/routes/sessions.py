"""Signing in, and the sessions that one has."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response, status

from chassis.http import Session, TransactionalRoute
from gateway.models.sessions import Ended, SecondStepSignIn, SessionId, SessionList, SessionShown, SignedIn, SignIn
from gateway.models.users import Me
from gateway.queries import keyring
from gateway.queries.sessions import Whence, end_session, end_sessions, open_sessions
from gateway.queries.signing_in import Entrance, Opened
from gateway.queries.users import team_with
from gateway.routes.door import ANYBODY, PersonAsking, SessionAsking, signed_as_person

router = APIRouter(prefix="/v1/sessions", tags=["sessions"])
"""Not in one transaction: none is open while a password is hashed."""
own = APIRouter(prefix="/v1/sessions", tags=["sessions"], route_class=TransactionalRoute)


async def whence_of(request: Request) -> Whence:
    """From where a request comes."""
    return Whence(request.client.host if request.client else "nowhere", request.headers.get("user-agent"))


async def entrance_of(request: Request) -> Entrance:
    """Where people come in."""
    entrance: Entrance = request.app.state.entrance
    return entrance


From = Annotated[Whence, Depends(whence_of)]
ComeIn = Annotated[Entrance, Depends(entrance_of)]


@router.post("", status_code=status.HTTP_201_CREATED, openapi_extra=ANYBODY)
async def sign_in(wanted: SignIn, entrance: ComeIn, whence: From, request: Request) -> SignedIn:
    """Begin a session by address and password, and by a code where the account asks for one (`code_needed`).

    Its token is sent as `Authorization: Bearer shukes_…`, and shown now and never again.
    """
    password = wanted.password.get_secret_value()
    opened = await entrance.by_password(wanted.email, password, code=wanted.code, device=wanted.device, whence=whence)
    return await signed_in(request, entrance, opened)


@router.post("/second-step", status_code=status.HTTP_201_CREATED, openapi_extra=ANYBODY)
async def sign_in_by_code(wanted: SecondStepSignIn, entrance: ComeIn, whence: From, request: Request) -> SignedIn:
    """Begin a session by a code, for whoever just sent the right password and was told `code_needed`."""
    opened = await entrance.by_ticket(wanted.ticket, code=wanted.code, device=wanted.device, whence=whence)
    return await signed_in(request, entrance, opened)


async def signed_in(request: Request, entrance: Entrance, opened: Opened) -> SignedIn:
    """A session that has begun, as it is shown this once. Whose it is stands in the audit trail."""
    user = opened.user
    request.state.caller = keyring.person(user)
    async with entrance.database.transaction() as session:
        team = await team_with(session, user.team_id) if user.team_id else None
    me = Me.of_person(user, team, signed_as_person(user))
    return SignedIn(token=opened.token, expires_at=opened.session.expires_at, device=opened.device, user=me)


@own.get("")
async def list_sessions(
    session: Session, entrance: ComeIn, person: PersonAsking, current: SessionAsking
) -> SessionList:
    """The sessions of whoever asks that are open, the latest first."""
    rows = await open_sessions(session, person, entrance.idle)
    return SessionList(data=[SessionShown.shown(row, current=current) for row in rows])


@own.post("/end-others")
async def end_other_sessions(session: Session, person: PersonAsking, current: SessionAsking) -> Ended:
    """End all sessions of whoever asks but this one."""
    return Ended(ended=await end_sessions(session, person, but=current))


@own.delete("/current", status_code=status.HTTP_204_NO_CONTENT)
async def sign_out(session: Session, person: PersonAsking, current: SessionAsking) -> Response:
    """End the session that this request came with."""
    if current is not None:
        await end_session(session, person, current)
    return Response(status_code=status.HTTP_204_NO_CONTENT)


@own.delete("/{session_id}", status_code=status.HTTP_204_NO_CONTENT)
async def end_one_session(session_id: SessionId, session: Session, person: PersonAsking) -> Response:
    """End a session of one's own; twice is once."""
    await end_session(session, person, session_id)
    return Response(status_code=status.HTTP_204_NO_CONTENT)
