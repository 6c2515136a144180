"""API keys: made, listed, changed, rotated, revoked."""

import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import any_, literal
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from chassis.clock import now
from chassis.db import connect
from chassis.ids import uuid7
from gateway.domain.keys import (
    PREFIX,
    RANDOM_BYTES,
    KeyEnded,
    KeyNotFound,
    Standing,
    check_admin_left,
    last_four,
    secret_hash,
)
from gateway.domain.rights import Role
from gateway.models.keys import ApiKey


def new_secret() -> str:
    """A secret that nobody had before."""
    return PREFIX + secrets.token_urlsafe(RANDOM_BYTES)


def make_key(
    session: AsyncSession,
    name: str,
    scopes: Iterable[Role],
    *,
    expires_at: datetime | None = None,
    rate: tuple[int, int] | None = None,
) -> tuple[ApiKey, str]:
    """A new key and its secret, which nobody can read again."""
    secret = new_secret()
    per_s, burst = rate or (None, None)
    row = ApiKey(
        id=uuid7(),
        name=name,
        scopes=sorted({str(scope) for scope in scopes}),
        secret_hash=secret_hash(secret),
        last_four=last_four(secret),
        created_at=now(),
        expires_at=expires_at,
        rate_per_s=per_s,
        rate_burst=burst,
    )
    session.add(row)
    return row, secret


async def create_admin_key(database_url: str) -> str:
    """Make an admin key in the gateway's database and return its secret, for the first start."""
    database = connect(database_url, pool_size=1)
    try:
        async with database.transaction() as session:
            return make_key(session, "admin", [Role.ADMIN])[1]
    finally:
        await database.close()


def rotate(row: ApiKey, grace: timedelta) -> str:
    """A new secret for a key; the one before goes on for the grace, any older one ends."""
    secret, present = new_secret(), now()
    if row.life().standing(present) is not Standing.GOOD:
        raise KeyEnded("This key was revoked or has expired; make another one.")
    row.previous_hash, row.previous_until = (row.secret_hash, present + grace) if grace else (None, None)
    row.secret_hash, row.last_four, row.rotated_at = secret_hash(secret), last_four(secret), present
    return secret


async def keys_before(session: AsyncSession, before: UUID | None, *, limit: int) -> list[ApiKey]:
    """Up to `limit` keys, the latest first; `before` is the key that the last page ended with."""
    statement = select(ApiKey).order_by(col(ApiKey.id).desc()).limit(limit)
    if before is not None:
        statement = statement.where(col(ApiKey.id) < before)
    return list((await session.execute(statement)).scalars())


async def key_with(session: AsyncSession, key_id: UUID, *, to_change: bool = False) -> ApiKey:
    """The key with this id, locked where it is to be changed. Raises `KeyNotFound`."""
    row = await session.get(ApiKey, key_id, with_for_update=to_change or None)
    if row is None:
        raise KeyNotFound("There is no such key.")
    return row


async def key_to_change(session: AsyncSession, key_id: UUID) -> ApiKey:
    """The key, locked, to be changed. Raises `KeyNotFound`, and `KeyEnded` for one that was revoked."""
    row = await key_with(session, key_id, to_change=True)
    if row.revoked_at is not None:
        raise KeyEnded("This key was revoked; make another one.")
    return row


async def key_to_end(session: AsyncSession, key_id: UUID) -> ApiKey:
    """The key, locked with all lasting admin keys. Raises `KeyNotFound`, and `LastAdminKey` where no other is left."""
    admin = literal(str(Role.ADMIN)) == any_(col(ApiKey.scopes))
    lasting = select(ApiKey.id).where(admin, col(ApiKey.revoked_at).is_(None), col(ApiKey.expires_at).is_(None))
    locked = lasting.order_by(col(ApiKey.id)).with_for_update()
    left = set((await session.execute(locked)).scalars())
    row = await key_with(session, key_id, to_change=True)
    if row.id in left:
        check_admin_left(row.scopes, left - {row.id})
    return row
