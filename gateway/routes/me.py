"""Who is asking, and what people change about themselves."""

import secrets
from uuid import UUID
from zoneinfo import available_timezones

from fastapi import APIRouter, Request, Response, status

from chassis.clock import now
from chassis.http import IfMatch, Session, TransactionalRoute, check_seen, etag
from gateway.domain import totp
from gateway.domain.passwords import check_password
from gateway.domain.sessions import CodeRefused, Means
from gateway.domain.users import NoSuchTimeZone
from gateway.models.keys import ApiKey
from gateway.models.sessions import SignedIn
from gateway.models.users import (
    AppUser,
    Me,
    MyChange,
    NewPassword,
    OwnPassword,
    RecoveryCodes,
    SecondStep,
    SecondStepCode,
)
from gateway.queries.invitations import withdraw
from gateway.queries.sessions import end_sessions
from gateway.queries.users import team_with, user_with
from gateway.routes.door import Asking, KeyAsking, PersonAsking, RolesAsking
from gateway.routes.sessions import ComeIn, From, signed_in

router = APIRouter(prefix="/v1/me", tags=["me"], route_class=TransactionalRoute)
secret = APIRouter(prefix="/v1/me", tags=["me"])
"""What takes a password or shows a secret: no transaction is open while a password is hashed, and no answer is kept."""

PRODUCT = "Shuke"
"""Under which an authenticator app lists the account."""


@router.get("")
async def read_me(session: Session, response: Response, asking: Asking, roles: RolesAsking, key_id: KeyAsking) -> Me:
    """Who is asking: a person, or an API key."""
    if key_id is not None:
        key = await session.get_one(ApiKey, key_id)
        return Me.of_other(asking, name=key.name, roles=roles)
    row = await session.get(AppUser, asking.user_id)
    if row is None:
        return Me.of_other(asking, name=asking.key_id, roles=roles)
    return await _shown(session, row, response, asking)


@router.patch("")
async def change_me(
    change: MyChange, session: Session, response: Response, asking: Asking, person: PersonAsking, seen: IfMatch
) -> Me:
    """Change one's own name, language, time zone or the key of the search; what is left out stays."""
    if change.time_zone is not None and change.time_zone not in available_timezones():
        raise NoSuchTimeZone("Write an IANA name such as Asia/Taipei.")
    row = await _locked(session, person)
    check_seen(row.version, seen, change.version)
    said = {name: getattr(change, name) for name in change.model_fields_set - {"version"}}
    if any(getattr(row, name) != value for name, value in said.items()):
        for name, value in said.items():
            setattr(row, name, value)
        row.version += 1
    return await _shown(session, row, response, asking)


@secret.post("/password")
async def change_my_password(
    wanted: NewPassword, entrance: ComeIn, whence: From, person: PersonAsking, request: Request
) -> SignedIn:
    """Set another password. All sessions end, this one too; the answer has a new one."""
    kept = await entrance.check_own_password(person, wanted.current.get_secret_value(), whence)
    async with entrance.database.transaction() as session:
        row = await user_with(session, person)
    new = wanted.new.get_secret_value()
    check_password(new, email=row.email, name=row.name)
    hashed = await entrance.passwords.hashed(new)
    async with entrance.database.transaction() as session:
        row = await entrance.locked(session, person, kept)
        row.password_hash, row.password_set_at = hashed, now()
        await end_sessions(session, person)
        await withdraw(session, person)
        device = entrance.known_device(person, wanted.device)
        opened = entrance.opened(session, row, Means.PASSWORD, whence, device)
    return await signed_in(request, entrance, opened)


@secret.post("/second-step", status_code=status.HTTP_201_CREATED)
async def begin_second_step(wanted: OwnPassword, entrance: ComeIn, whence: From, person: PersonAsking) -> SecondStep:
    """Begin to set up an authenticator app: its secret, shown now and never again. It counts once it is confirmed."""
    kept = await entrance.check_own_password(person, wanted.password.get_secret_value(), whence)
    async with entrance.database.transaction() as session:
        row = await entrance.locked(session, person, kept)
        if row.totp_secret is not None:
            raise totp.SecondStepOn("Remove the one there is first.")
        pending = secrets.token_bytes(totp.SECRET_BYTES)
        row.totp_pending = entrance.steps.sealed(row.id, pending)
        return SecondStep(secret=totp.spelled(pending), uri=totp.uri(pending, account=row.email, issuer=PRODUCT))


@secret.post("/second-step/confirm")
async def confirm_second_step(wanted: SecondStepCode, entrance: ComeIn, person: PersonAsking) -> RecoveryCodes:
    """Show by a code that the app has the secret. From now on signing in asks for one; keep the recovery codes."""
    async with entrance.database.transaction() as session:
        row = await _locked(session, person)
        pending = row.totp_pending and entrance.steps.opened(row.id, row.totp_pending)
        if pending is None:
            raise totp.SecondStepOff("Begin by POST /v1/me/second-step.")
        step = totp.step_of(pending, wanted.code, now().timestamp(), after=0)
        if step is None:
            raise CodeRefused("This code does not fit. Does the clock of the device tell the right time?")
        row.totp_secret, row.totp_pending, row.totp_step = row.totp_pending, None, step
        row.version += 1
        return _new_codes(row)


@secret.post("/second-step/recovery-codes")
async def renew_recovery_codes(
    wanted: OwnPassword, entrance: ComeIn, whence: From, person: PersonAsking
) -> RecoveryCodes:
    """New recovery codes; those before work no more."""
    kept = await entrance.check_own_password(person, wanted.password.get_secret_value(), whence)
    async with entrance.database.transaction() as session:
        row = await entrance.locked(session, person, kept)
        if row.totp_secret is None:
            raise totp.SecondStepOff("There is no second step to recover.")
        return _new_codes(row)


@secret.post("/second-step/remove", status_code=status.HTTP_204_NO_CONTENT)
async def remove_second_step(wanted: OwnPassword, entrance: ComeIn, whence: From, person: PersonAsking) -> Response:
    """Have signing in ask for the password alone again. Twice is once."""
    kept = await entrance.check_own_password(person, wanted.password.get_secret_value(), whence)
    async with entrance.database.transaction() as session:
        row = await entrance.locked(session, person, kept)
        row.version += row.totp_secret is not None
        row.totp_secret, row.totp_pending, row.recovery_hashes = None, None, []
    return Response(status_code=status.HTTP_204_NO_CONTENT)


def _new_codes(row: AppUser) -> RecoveryCodes:
    codes = [totp.recovery_code(secrets.token_bytes(totp.RECOVERY_BYTES)) for _ in range(totp.RECOVERY_CODES)]
    row.recovery_hashes = [totp.recovery_hash(code) for code in codes]
    return RecoveryCodes(recovery_codes=codes)


async def _locked(session: Session, person: UUID) -> AppUser:
    await user_with(session, person)
    return await session.get_one(AppUser, person, with_for_update=True, populate_existing=True)


async def _shown(session: Session, row: AppUser, response: Response, asking: Asking) -> Me:
    team = await team_with(session, row.team_id) if row.team_id else None
    response.headers["ETag"] = etag(row.version)
    return Me.of_person(row, team, asking)
