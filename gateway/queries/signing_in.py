"""Signing in: what is counted, compared and written down, in this order.

No transaction is open while a password is hashed: whoever tries many would else hold the connections of all.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.clock import now
from chassis.db import Database, driver
from contracts.identity import BadIdentifier
from gateway.domain import totp
from gateway.domain.attempts import code_place, device_of, device_token, places
from gateway.domain.sessions import (
    CodeNeeded,
    CodeRefused,
    Means,
    PasswordRefused,
    SignInFailed,
    UserDisabled,
    ticket,
    ticket_holds,
    ticket_of,
)
from gateway.domain.users import NoPassword, email_key
from gateway.models.sessions import UserSession
from gateway.models.users import AppUser
from gateway.queries import attempts
from gateway.queries.passwords import Passwords
from gateway.queries.sealing import SecondSteps
from gateway.queries.sessions import Whence, begin
from gateway.queries.users import user_by_email, user_with


@dataclass(frozen=True, slots=True)
class Opened:
    """A session that has just begun."""

    session: UserSession
    token: str
    device: str
    user: AppUser


class Entrance:
    """Where people come in. `secret` is that of the installation; `longest` is how long a session lasts at most."""

    def __init__(self, database: Database, secret: str, *, idle: timedelta, longest: timedelta) -> None:
        self.database = database
        self.passwords = Passwords()
        self.idle = idle
        self.longest = longest
        self.steps = SecondSteps(secret)
        self._device_key, self._ticket_key = (
            hmac.digest(secret.encode(), name, hashlib.sha256) for name in (b"shuke devices", b"shuke tickets")
        )

    async def by_password(
        self, email: str, password: str, *, code: str | None, device: str | None, whence: Whence
    ) -> Opened:
        """A session for address and password. Raises `TooManyAttempts`, `SignInFailed`, `CodeNeeded`, `CodeRefused` or
        `UserDisabled`; nobody learns whether there is an account of which they do not know the password.
        """
        key = _key(email)
        async with self.database.transaction() as session:
            row = await user_by_email(session, key)
        known = device_of(self._device_key, row.id, device) if row else None
        counted = places(key, whence.address, known)
        await attempts.take(self.database, counted)
        kept = row.password_hash if row else None
        if not await self.passwords.fits(kept, password) or row is None or kept is None:
            raise SignInFailed("Address and password do not fit together.")
        fresh = await self.passwords.hashed(password) if self.passwords.is_outdated(kept) else kept
        if row.totp_secret is not None and code is not None and row.disabled_at is None:
            step = code_place(row.id, known)
            await attempts.take(self.database, [step])
            counted.append(step)
        async with self.database.transaction() as session:
            row = await self.locked(session, row.id, kept)
            if row.totp_secret is not None and code is None:
                raise CodeNeeded(
                    "Send the code of the authenticator app, or a recovery code, as `code`, too.",
                    ticket=ticket(self._ticket_key, row.id, kept, now()),
                )
            self.check_code(row, code)
            row.password_hash = fresh
            await attempts.give_back(await driver(session), counted)
            return self.opened(session, row, Means.PASSWORD, whence, device if known else None)

    async def by_ticket(self, given: str, *, code: str, device: str | None, whence: Whence) -> Opened:
        """A session for the ticket of a right password and a code.

        Raises `SignInFailed`, `TooManyAttempts`, `CodeRefused` or `UserDisabled`.
        """
        found = ticket_of(given)
        async with self.database.transaction() as session:
            row = await session.get(AppUser, found[0]) if found else None
        kept = row.password_hash if row else None
        if row is None or found is None or kept is None or not ticket_holds(self._ticket_key, found[1], kept, now()):
            raise SignInFailed("This took too long. Begin again with address and password.")
        known = device_of(self._device_key, row.id, device)
        step = code_place(row.id, known)
        await attempts.take(self.database, [step])
        async with self.database.transaction() as session:
            row = await self.locked(session, row.id, kept)
            self.check_code(row, code)
            await attempts.give_back(await driver(session), [step])
            return self.opened(session, row, Means.PASSWORD, whence, device if known else None)

    async def check_own_password(self, user_id: UUID, password: str, whence: Whence) -> str:
        """Whether somebody who is signed in knows their password; return what is kept of it.

        Raises `NoPassword`, `TooManyAttempts` or `PasswordRefused`.
        """
        async with self.database.transaction() as session:
            row = await user_with(session, user_id)
        if row.password_hash is None:
            raise NoPassword("You have no password here. Ask who administers people for a link to set one.")
        counted = places(row.email_key, whence.address, f"signed in {user_id.hex}")
        await attempts.take(self.database, counted)
        if not await self.passwords.fits(row.password_hash, password):
            raise PasswordRefused("This is not your password.")
        async with self.database.transaction() as session:
            await attempts.give_back(await driver(session), counted)
        return row.password_hash

    async def locked(self, session: AsyncSession, user_id: UUID, kept: str) -> AppUser:
        """The person, locked, if the password that was compared is still theirs and they may sign in."""
        row = await session.get(AppUser, user_id, with_for_update=True, populate_existing=True)
        if row is None or row.password_hash != kept:
            raise SignInFailed("The password was changed at this moment. Use the new one.")
        if row.disabled_at is not None:
            raise UserDisabled("You may not sign in any more. Ask who administers people.")
        return row

    def opened(
        self, session: AsyncSession, user: AppUser, means: Means, whence: Whence, device: str | None = None
    ) -> Opened:
        """A session for somebody who has shown who they are; `device` is a token that is known for them."""
        row, token = begin(session, user, means, whence, self.longest)
        return Opened(row, token, device or device_token(self._device_key, user.id, secrets.token_bytes(16)), user)

    def check_code(self, row: AppUser, code: str | None) -> None:
        """Use a code of the second step up, where there is one. Raises `CodeRefused`."""
        if row.totp_secret is None:
            return
        given, secret = code or "", self.steps.opened(row.id, row.totp_secret)
        step = None if secret is None else totp.step_of(secret, given, now().timestamp(), after=row.totp_step)
        left = totp.without(row.recovery_hashes, given) if step is None else row.recovery_hashes
        if left is None:
            raise CodeRefused("This code is wrong, too old, or was used before. Wait for the next one.")
        row.totp_step = row.totp_step if step is None else step
        row.recovery_hashes = left

    def known_device(self, user_id: UUID, device: str | None) -> str | None:
        """The token if it was given out for this person."""
        return device if device_of(self._device_key, user_id, device) else None


def _key(email: str) -> str:
    try:
        return email_key(email)
    except BadIdentifier:
        # Counted as what it is, and nobody has it: no address has a space in front.
        return f" {email}"
