"""Whose secret it is, remembered for a moment; a change of any key makes every process ask anew."""

import time
from dataclasses import dataclass
from datetime import datetime
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
from gateway.models.keys import ApiKey, key_text

KNOWN_S = 1.0
"""Seconds that a key is believed without asking again: how long a revoked one may work where the word of it is lost."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose secret it is."""

    caller: Caller
    rate: Rate | None
    """The key's own; None for that of its roles."""
    row: ApiKey
    until: float
    """On the monotonic clock."""


class Keyring:
    """The keys that this process has seen, by the hash of their secret."""

    def __init__(self) -> None:
        self._known: dict[bytes, Holder] = {}
        self._changes = 0
        self.used: dict[UUID, datetime] = {}
        """When keys were last used, as far as it was not written down yet."""

    def seen(self, secret: str) -> bool:
        """Whether the secret was good here when it came last."""
        return secret_hash(secret) in self._known

    async def holder(self, database: Database, secret: str) -> Holder:
        """Whose secret it is. Raises `Unauthorized`."""
        if not looks_like_key(secret):
            raise Unauthorized("This is not an API key.")
        hashed = secret_hash(secret)
        known = self._known.get(hashed)
        if known is None or known.until < time.monotonic():
            known = await self._asked(database, hashed)
        self._refuse(known.row, hashed)
        self.used[known.row.id] = now()
        return known

    def doubt(self) -> None:
        """Ask again for every key: one has changed, or a change may have been missed."""
        self._changes += 1
        self._known = {hashed: _stale(holder) for hashed, holder in self._known.items()}

    async def _asked(self, database: Database, hashed: bytes) -> Holder:
        changes = self._changes
        async with database.transaction() as session:
            row = await key_of(session, hashed)
        if row is None or not (same_hash(hashed, row.secret_hash) or same_hash(hashed, row.previous_hash)):
            self._known.pop(hashed, None)
            raise Unauthorized("There is no such API key.")
        caller = caller_of(row)
        found = Holder(caller, row.rate(), row, time.monotonic() + KNOWN_S)
        # What was read before a change that is known by now may be what it was before the change.
        self._known[hashed] = found if changes == self._changes else _stale(found)
        return found

    def _refuse(self, row: ApiKey, hashed: bytes) -> None:
        stands = row.life().standing(now(), previous=row.secret_hash != hashed)
        if stands is not Standing.GOOD:
            self._known.pop(hashed, None)
            raise Unauthorized(REFUSALS[stands])


def caller_of(row: ApiKey) -> Caller:
    """Who comes with a key; its scopes are the roles."""
    roles = frozenset(row.scopes)
    may = powers(roles)
    return Caller(key_text(row.id), roles, reach=may.reach, contact=may.contact)


def _stale(holder: Holder) -> Holder:
    return Holder(holder.caller, holder.rate, holder.row, 0.0)


async def key_of(session: AsyncSession, hashed: bytes) -> ApiKey | None:
    """The key of which this is the present secret or the one before."""
    statement = select(ApiKey).where(or_(col(ApiKey.secret_hash) == hashed, col(ApiKey.previous_hash) == hashed))
    return (await session.execute(statement)).scalar_one_or_none()


async def note_uses(session: AsyncSession, used: dict[UUID, datetime]) -> None:
    """Write down when keys were last used."""
    await (await driver(session)).execute(_USED, list(used), list(used.values()))


_USED = """
UPDATE api_key SET last_used_at = greatest(last_used_at, new.at)
FROM (SELECT * FROM unnest($1::uuid[], $2::timestamptz[]) AS new(id, at) ORDER BY id) AS new
WHERE api_key.id = new.id
"""
