"""Whose secret it is, remembered for a moment; a change of any key, person or session makes every process ask anew."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol
from uuid import UUID

from sqlalchemy import or_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from chassis.auth import Caller, Unauthorized
from chassis.clock import now
from chassis.db import Database, driver
from gateway.domain.keys import REFUSALS, Standing, looks_like_key, same_hash, secret_hash
from gateway.domain.rates import Rate
from gateway.domain.rights import powers
from gateway.domain.sessions import IDLE_HOURS, Course, looks_like_session
from gateway.models.keys import ApiKey, key_text
from gateway.models.sessions import UserSession
from gateway.models.users import AppUser, user_text

KNOWN_S = 1.0
"""Seconds that a key is believed without asking again: how long a revoked one may work where the word of it is lost."""
AHEAD_S = 0.3
"""Seconds before the end of that time in which it is asked again, where it comes then."""
KEPT = 20_000
"""Secrets that are remembered at most."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose secret it is."""

    caller: Caller
    """Its scopes are roles."""
    rate: Rate | None
    """The key's own; None for that of its roles."""
    refusal: Callable[[datetime], str | None]
    """Why the secret opens nothing at an instant; None where it does."""
    until: float
    """On the monotonic clock."""
    key_id: UUID | None = None
    session_id: UUID | None = None


class Outside(Protocol):
    """Reads the tokens of somebody else."""

    def looks_like_token(self, secret: str) -> bool:
        """Whether a secret has the form of one."""

    async def holder(self, database: Database, token: str) -> Holder:
        """Whose token it is. Raises `Unauthorized`."""


class Keyring:
    """The secrets that this process has seen, by their hash."""

    def __init__(self, *, idle: timedelta = timedelta(hours=IDLE_HOURS), outside: Outside | None = None) -> None:
        self._known: dict[bytes, Holder] = {}
        self._asking: dict[tuple[bytes, int], asyncio.Task[Holder]] = {}
        """Who is asked for just now, after how many changes."""
        self._changes = 0
        self._idle = idle
        self._outside = outside
        self.used: dict[UUID, datetime] = {}
        """When keys were last used, as far as it was not written down yet."""
        self.seen_at: dict[UUID, datetime] = {}
        """The same of sessions."""

    def seen(self, secret: str) -> bool:
        """Whether the secret was good here when it came last."""
        return secret_hash(secret) in self._known

    async def holder(self, database: Database, secret: str, *, used: bool = True) -> Holder:
        """Whose secret it is; `used` where that is by whoever has it. Raises `Unauthorized`."""
        hashed = secret_hash(secret)
        known = self._known.get(hashed)
        if known is None or known.until < time.monotonic():
            known = await self._asked_once(database, secret, hashed)
        present = now()
        if refusal := known.refusal(present):
            self._known.pop(hashed, None)
            raise Unauthorized(refusal)
        if used:
            self._note(known, present)
        return known

    def remembered(self, database: Database, secret: str) -> Holder | None:
        """Whose secret it is, where nobody need be asked and it opens the door; else None.

        Of one that comes all the time the database is asked ahead, so that nobody waits for its answer.
        """
        hashed = secret_hash(secret)
        known = self._known.get(hashed)
        if known is None:
            return None
        left_s = known.until - time.monotonic()
        if left_s < AHEAD_S:
            if left_s < 0:
                return None
            self._ask(database, secret, hashed)
        present = now()
        if known.refusal(present):
            return None
        self._note(known, present)
        return known

    def _note(self, known: Holder, present: datetime) -> None:
        if known.key_id is not None:
            self.used[known.key_id] = present
        if known.session_id is not None:
            self.seen_at[known.session_id] = present

    def written(self, seen_at: dict[UUID, datetime]) -> None:
        """Forget what was written down of when sessions were seen, unless they were seen since."""
        self.seen_at = {id: at for id, at in self.seen_at.items() if seen_at.get(id) != at}

    def doubt(self) -> None:
        """Ask again for every secret: something has changed, or a change may have been missed."""
        self._changes += 1
        self._known = {hashed: _stale(holder) for hashed, holder in self._known.items()}

    async def _asked_once(self, database: Database, secret: str, hashed: bytes) -> Holder:
        return await asyncio.shield(self._ask(database, secret, hashed))

    def _ask(self, database: Database, secret: str, hashed: bytes) -> "asyncio.Task[Holder]":
        # Of many that come at once with one secret, one asks. What was asked before a change is no answer after it.
        place = hashed, self._changes
        asking = self._asking.get(place)
        if asking is None:
            asking = self._asking[place] = asyncio.create_task(self._asked(database, secret, hashed))
            asking.add_done_callback(partial(self._asked_for, place))
        return asking

    def _asked_for(self, place: tuple[bytes, int], asking: "asyncio.Task[Holder]") -> None:
        del self._asking[place]
        if not asking.cancelled():
            # Whoever waited may have left: then nobody else takes note of what went wrong.
            asking.exception()

    async def _asked(self, database: Database, secret: str, hashed: bytes) -> Holder:
        changes = self._changes
        try:
            found = await self._found(database, secret, hashed)
        except Unauthorized:
            self._known.pop(hashed, None)
            raise
        if len(self._known) >= KEPT and hashed not in self._known:
            # Those that were asked for longest ago make room: a dict keeps the order in which they came.
            self._known = dict(list(self._known.items())[KEPT // 2 :])
        # What was read before a change that is known by now may be what it was before the change.
        self._known[hashed] = found if changes == self._changes else _stale(found)
        return found

    async def _found(self, database: Database, secret: str, hashed: bytes) -> Holder:
        if looks_like_key(secret):
            async with database.transaction() as session:
                row = await key_of(session, hashed)
            if row is None or not (same_hash(hashed, row.secret_hash) or same_hash(hashed, row.previous_hash)):
                raise Unauthorized("There is no such API key.")
            return of_key(row, hashed)
        if looks_like_session(secret):
            async with database.transaction() as session:
                found = await session_of(session, hashed)
            if found is None or not same_hash(hashed, found[0].token_hash):
                raise Unauthorized("There is no such session. Sign in again.")
            return self._of_session(*found)
        if self._outside is not None and self._outside.looks_like_token(secret):
            return await self._outside.holder(database, secret)
        raise Unauthorized("This is neither an API key nor a session.")

    def _of_session(self, row: UserSession, user: AppUser) -> Holder:
        def refusal(at: datetime) -> str | None:
            seen = max(row.last_seen_at, self.seen_at.get(row.id, row.last_seen_at))
            return Course(seen, row.expires_at, row.ended_at, user.disabled_at).refusal(at, self._idle)

        return Holder(person(user), None, refusal, time.monotonic() + KNOWN_S, session_id=row.id)


def of_key(row: ApiKey, hashed: bytes) -> Holder:
    """Who comes with a secret of a key: the present one, or the one before."""
    life, previous = row.life(), row.secret_hash != hashed

    def refusal(at: datetime) -> str | None:
        stands = life.standing(at, previous=previous)
        return None if stands is Standing.GOOD else REFUSALS[stands]

    return Holder(caller_of(row), row.rate(), refusal, time.monotonic() + KNOWN_S, key_id=row.id)


def caller_of(row: ApiKey) -> Caller:
    """Who comes with a key; its scopes are the roles."""
    roles = frozenset(row.scopes)
    may = powers(roles)
    return Caller(key_text(row.id), roles, reach=may.reach, contact=may.contact)


def person(row: AppUser) -> Caller:
    """A person as a caller, whose scopes are the roles."""
    return person_with(row.id, row.team_id, frozenset(row.roles))


def person_with(user_id: UUID, team_id: UUID | None, roles: frozenset[str]) -> Caller:
    """The caller who has an id, a team and roles."""
    may = powers(roles)
    return Caller(user_text(user_id), roles, user_id, team_id, may.reach, may.contact)


def _stale(holder: Holder) -> Holder:
    return replace(holder, until=0.0)


async def key_of(session: AsyncSession, hashed: bytes) -> ApiKey | None:
    """The key of which this is the present secret or the one before."""
    statement = select(ApiKey).where(or_(col(ApiKey.secret_hash) == hashed, col(ApiKey.previous_hash) == hashed))
    return (await session.execute(statement)).scalar_one_or_none()


async def session_of(session: AsyncSession, hashed: bytes) -> tuple[UserSession, AppUser] | None:
    """The session of this token, and the person."""
    statement = (
        select(UserSession, AppUser)
        .join(AppUser, col(AppUser.id) == UserSession.user_id)
        .where(UserSession.token_hash == hashed)
    )
    found = (await session.execute(statement)).one_or_none()
    return None if found is None else (found[0], found[1])


async def note_uses(session: AsyncSession, used: dict[UUID, datetime], seen_at: dict[UUID, datetime]) -> None:
    """Write down when keys were last used, and sessions last seen."""
    connection = await driver(session)
    await connection.execute(_USED, list(used), list(used.values()))
    await connection.execute(_SEEN, list(seen_at), list(seen_at.values()))


_USED = """
UPDATE api_key SET last_used_at = greatest(last_used_at, new.at)
FROM (SELECT * FROM unnest($1::uuid[], $2::timestamptz[]) AS new(id, at) ORDER BY id) AS new
WHERE api_key.id = new.id
"""

_SEEN = """
UPDATE session SET last_seen_at = greatest(last_seen_at, new.at)
FROM (SELECT * FROM unnest($1::uuid[], $2::timestamptz[]) AS new(id, at) ORDER BY id) AS new
WHERE session.id = new.id
"""
