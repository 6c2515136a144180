"""Sessions: begun, listed, ended."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select, update

from chassis.clock import now
from chassis.ids import uuid7
from gateway.domain.keys import RANDOM_BYTES, secret_hash
from gateway.domain.sessions import PREFIX, Means, SessionNotFound
from gateway.models.sessions import UserSession
from gateway.models.users import AppUser

AGENT_LONGEST = 300
FORGOTTEN = timedelta(days=90)
"""How long a session is kept after its end."""


@dataclass(frozen=True, slots=True)
class Whence:
    """From where somebody signs in."""

    address: str
    agent: str | None


def begin(
    session: AsyncSession, user: AppUser, means: Means, whence: Whence, longest: timedelta
) -> tuple[UserSession, str]:
    """A new session and its token, which nobody can read again."""
    token, present = PREFIX + secrets.token_urlsafe(RANDOM_BYTES), now()
    row = UserSession(
        id=uuid7(),
        token_hash=secret_hash(token),
        user_id=user.id,
        means=means,
        created_at=present,
        last_seen_at=present,
        expires_at=present + longest,
        address=whence.address,
        agent=whence.agent and whence.agent[:AGENT_LONGEST],
    )
    session.add(row)
    return row, token


async def open_sessions(session: AsyncSession, user_id: UUID, idle: timedelta) -> list[UserSession]:
    """The sessions of a person that are open, the latest first."""
    present = now()
    statement = (
        select(UserSession)
        .where(
            UserSession.user_id == user_id,
            col(UserSession.ended_at).is_(None),
            UserSession.expires_at > present,
            UserSession.last_seen_at > present - idle,
        )
        .order_by(col(UserSession.id).desc())
    )
    return list((await session.execute(statement)).scalars())


async def end_session(session: AsyncSession, user_id: UUID, session_id: UUID) -> UserSession:
    """End one session of a person; twice is once. Raises `SessionNotFound`, also for one of somebody else."""
    row = await session.get(UserSession, session_id, with_for_update=True)
    if row is None or row.user_id != user_id:
        raise SessionNotFound("You have no such session.")
    row.ended_at = row.ended_at or now()
    return row


async def end_sessions(session: AsyncSession, user_id: UUID, *, but: UUID | None = None) -> int:
    """End all sessions of a person, but perhaps one; return how many were open."""
    statement = update(UserSession).where(col(UserSession.user_id) == user_id, col(UserSession.ended_at).is_(None))
    if but is not None:
        statement = statement.where(col(UserSession.id) != but)
    ended = await session.execute(statement.values(ended_at=now()).returning(col(UserSession.id)))
    return len(ended.all())


async def forget(connection: "asyncpg.Connection[asyncpg.Record]", present: datetime) -> None:
    """Delete sessions and links that ended long ago."""
    before = present - FORGOTTEN
    await connection.execute("DELETE FROM session WHERE least(ended_at, expires_at) < $1", before)
    await connection.execute("DELETE FROM invitation WHERE expires_at < $1", before)
