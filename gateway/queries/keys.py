"""API keys: made, found, revoked."""

import secrets
import time
from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import any_, literal
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from chassis.auth import Caller, Unauthorized
from chassis.clock import now
from chassis.db import Database
from chassis.ids import uuid7
from gateway.domain.keys import PREFIX, RANDOM_BYTES, KeyNotFound, LastAdminKey, looks_like_key, secret_hash
from gateway.domain.rights import Role
from gateway.models import ApiKey, KeyId

KNOWN_S = 5.0
"""Seconds that a key is believed without asking again: how long a revoked one may still work elsewhere."""


class Keyring:
    """The keys that this process has seen lately."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[bytes, tuple[float, Caller]] = {}

    async def caller(self, key: str) -> Caller:
        """Whose key it is. Raises `Unauthorized`."""
        if not looks_like_key(key):
            raise Unauthorized("This is not an API key.")
        hashed = secret_hash(key)
        until, caller = self._known.get(hashed, (0.0, None))
        if caller is None or until < time.monotonic():
            self._known.pop(hashed, None)
            async with self._database.transaction() as session:
                row = await valid_key(session, hashed)
            caller = Caller(f"key_{row.id.hex}", frozenset(row.scopes))
            self._known[hashed] = time.monotonic() + KNOWN_S, caller
        return caller

    def forget(self) -> None:
        """Ask again for every key."""
        self._known.clear()


async def valid_key(session: AsyncSession, hashed: bytes) -> ApiKey:
    """The key with this hash that was not revoked. Raises `Unauthorized`."""
    statement = select(ApiKey).where(col(ApiKey.secret_hash) == hashed, col(ApiKey.revoked_at).is_(None))
    row = (await session.execute(statement)).scalar_one_or_none()
    if row is None:
        raise Unauthorized("There is no such API key.")
    return row


def make_key(session: AsyncSession, name: str, scopes: Iterable[Role]) -> tuple[ApiKey, str]:
    """A new key and its secret, which nobody can read again."""
    secret = PREFIX + secrets.token_urlsafe(RANDOM_BYTES)
    row = ApiKey(
        id=uuid7(),
        name=name,
        scopes=sorted({str(scope) for scope in scopes}),
        secret_hash=secret_hash(secret),
        created_at=now(),
    )
    session.add(row)
    return row, secret


async def keys_after(session: AsyncSession, after: UUID | None, limit: int) -> list[ApiKey]:
    """Up to `limit` + 1 keys, in the order in which they were made."""
    statement = select(ApiKey).order_by(col(ApiKey.id)).limit(limit + 1)
    if after is not None:
        statement = statement.where(col(ApiKey.id) > after)
    return list((await session.execute(statement)).scalars())


async def key_to_revoke(session: AsyncSession, key_id: KeyId) -> ApiKey:
    """The key, locked with all admin keys. Raises `KeyNotFound`, and `LastAdminKey` where no other admin is left."""
    row = await session.get(ApiKey, key_id)
    if row is None:
        raise KeyNotFound("There is no such key.")
    admin = literal(str(Role.ADMIN)) == any_(col(ApiKey.scopes))
    admins = select(ApiKey.id).where(admin, col(ApiKey.revoked_at).is_(None)).order_by(col(ApiKey.id))
    left = set((await session.execute(admins.with_for_update())).scalars()) - {key_id}
    if not left and Role.ADMIN in row.scopes:
        raise LastAdminKey("This is the only admin key; make another one first.")
    return row
