"""Webhooks: made and changed, their deliveries planned, claimed, settled and listed."""

import secrets
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, func
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from gateway.domain.webhooks import TOLD_AFTER, WebhookNotFound, secret_text
from gateway.models.webhooks import Delivery, Webhook
from gateway.queries import feed
from gateway.queries.sealing import Seal

Connection = feed.Connection

PLANNED_AT_ONCE = 500
WAITING_MOST = 10_000
"""Deliveries of one webhook that may wait; what follows stays in the feed until some have gone."""
LEASE_S = 60
"""Seconds for which a delivery belongs to the process that claimed it; longer than a try takes."""


class Sealer(Seal):
    """Seals the secrets of webhooks."""

    def __init__(self, internal_secret: str) -> None:
        super().__init__(internal_secret, b"shuke webhook secrets")

    def new(self) -> tuple[str, str]:
        """A new secret, sealed and as a receiver configures it."""
        secret = secret_text(secrets.token_bytes(32))
        return self.seal(secret), secret


class Claimed(NamedTuple):
    """A delivery to be tried now."""

    id: int
    message_id: str
    body: str
    attempts: int
    first_at: datetime


async def webhook_with(session: AsyncSession, webhook_id: UUID, *, to_change: bool = False) -> Webhook:
    """The webhook, locked where it is to be changed. Raises `WebhookNotFound`."""
    row = await session.get(Webhook, webhook_id, with_for_update=to_change or None)
    if row is None:
        raise WebhookNotFound("There is no such webhook.")
    return row


async def webhooks_before(
    session: AsyncSession, before: UUID | None, *, at: datetime, failing: bool | None = None, limit: int
) -> list[Webhook]:
    """Up to `limit` webhooks, the latest first; `failing` for those whose receiver takes nothing."""
    statement = select(Webhook).order_by(col(Webhook.id).desc()).limit(limit)
    if failing is not None:
        statement = statement.where(_failing(at) if failing else ~_failing(at))
    if before is not None:
        statement = statement.where(col(Webhook.id) < before)
    return list((await session.execute(statement)).scalars())


async def active(session: AsyncSession) -> list[Webhook]:
    """The webhooks that deliver."""
    return list((await session.execute(select(Webhook).where(col(Webhook.state) == "active"))).scalars())


async def plan(session: AsyncSession, connection: Connection, webhook_id: UUID, at: datetime) -> bool:
    """Plan what a webhook is to be told next; whether there may be more. Nothing where another process is at it."""
    statement = select(Webhook).where(col(Webhook.id) == webhook_id, col(Webhook.state) == "active")
    row = (await session.execute(statement.with_for_update(skip_locked=True))).scalar_one_or_none()
    if row is None:
        return False
    reach = await feed.reach(connection)
    if row.position + 1 < reach.first_seq or row.position > reach.last_seq:
        row.notice = (
            f"What the feed told after {row.position} is kept no longer; it went on after {reach.first_seq - 1}."
        )
        row.position = reach.first_seq - 1
    if row.position == reach.last_seq or await connection.fetchval(_WAITING, webhook_id) >= WAITING_MOST:
        return False
    events = await feed.read(connection, row.position, reach.last_seq, row.wanted(), PLANNED_AT_ONCE)
    rows = []
    for event in events:
        known = msgspec.json.decode(event.body)
        merged = known["data"].get("merged_into")
        into = UUID(hex=merged.removeprefix("party_")) if merged else None
        rows.append((webhook_id, event.seq, known["id"], event.type, event.party_id, into, event.body, at))
    await connection.executemany(_ADD, rows)
    row.position = events[-1].seq if len(events) == PLANNED_AT_ONCE else reach.last_seq
    return row.position < reach.last_seq


async def add(
    connection: Connection,
    webhook_id: UUID,
    seq: int,
    message_id: str,
    type: str,
    party_id: UUID,
    merged_into: UUID | None,
    body: str,
    at: datetime,
) -> None:
    """Have a delivery wait behind all others of its party."""
    await connection.execute(_ADD, webhook_id, seq, message_id, type, party_id, merged_into, body, at)


async def claim(connection: Connection, webhook_id: UUID, at: datetime, limit: int) -> list[Claimed]:
    """Deliveries that are due and the first of their party, for this process alone until their lease is over."""
    rows = await connection.fetch(_CLAIM, webhook_id, at, at + timedelta(seconds=LEASE_S), limit)
    return [Claimed(*row) for row in rows]


async def settle(
    connection: Connection,
    claimed: Claimed,
    *,
    delivered: bool,
    at: datetime,
    next_at: datetime,
    code: int | None,
    duration_ms: int,
    error: str | None,
) -> None:
    """Keep how a try went, unless the lease was over and another process has tried since."""
    state = "delivered" if delivered else "waiting"
    await connection.execute(
        _SETTLE, claimed.id, claimed.attempts, state, at, next_at, code, duration_ms, error and error[:200]
    )


async def stop(connection: Connection, webhook_id: UUID, state: str, notice: str) -> None:
    """Have a webhook deliver no more, and say why."""
    await connection.execute(_STOP, webhook_id, state, notice)


async def failed(connection: Connection, webhook_id: UUID, at: datetime) -> tuple[int, datetime] | None:
    """Count a try that failed: how many have in a row, and since when. None where the webhook is gone."""
    row = await connection.fetchrow(_FAILED, webhook_id, at)
    return None if row is None else (row["failures"], row["failing_since"])


async def taken(connection: Connection, webhook_id: UUID) -> None:
    """Let the tries that failed before one that did not count no more."""
    await connection.execute(_TAKEN, webhook_id)


async def sequence_before(connection: Connection, since: datetime) -> int:
    """The number of the last event that was told before an instant."""
    found: int | None = await connection.fetchval("SELECT max(seq) FROM feed WHERE told_at < $1", since)
    return (await feed.reach(connection)).first_seq - 1 if found is None else found


async def drop_waiting(connection: Connection, webhook_id: UUID, after: int) -> None:
    """Let go of what waits and will be planned again."""
    await connection.execute(_DROP, webhook_id, after)


async def due_now(connection: Connection, webhook_id: UUID, at: datetime) -> None:
    """Try all that waits at once, with three more days before it."""
    await connection.execute(_DUE, webhook_id, at)


async def deliveries_before(
    connection: Connection, webhook_id: UUID, before: int, *, state: str | None, limit: int
) -> list[Delivery]:
    """Up to `limit` deliveries of a webhook, the latest first."""
    rows = await connection.fetch(_LIST, webhook_id, before, state, limit)
    return [Delivery(**dict(row)) for row in rows]


async def forget(connection: Connection, at: datetime, *, days: int) -> None:
    """Let go of what was delivered so long ago."""
    await connection.execute(_FORGET, at - timedelta(days=days))


async def failing(session: AsyncSession, at: datetime) -> int:
    """How many webhooks have a receiver that takes nothing."""
    statement = select(func.count()).select_from(Webhook).where(_failing(at))
    return (await session.execute(statement)).scalar_one()


def _failing(at: datetime) -> ColumnElement[bool]:
    """Whether the receiver of a webhook takes nothing: it was stopped for it, or has failed for so long."""
    ended = (col(Webhook.state) != "active") & col(Webhook.notice).is_not(None)
    warned = (col(Webhook.state) == "active") & (col(Webhook.failing_since) <= at - TOLD_AFTER)
    return ended | func.coalesce(warned, False)


_WAITING = "SELECT count(*) FROM webhook_delivery WHERE webhook_id = $1 AND state = 'waiting'"

_ADD = """
INSERT INTO webhook_delivery (webhook_id, seq, message_id, type, party_id, merged_into, body, planned_at, next_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)
"""

# The first of its party only, and not before the last change of a party that was merged into it: what waits holds back
# what comes after it, whoever has claimed it. Not NOT EXISTS, which is a join to the planner: before it knows of 10,000
# that wait it compares each with each, for a minute.
_CLAIM = """
UPDATE webhook_delivery SET attempts = attempts + 1, next_at = $3, first_at = coalesce(first_at, $2)
WHERE id = ANY(ARRAY(
    SELECT id FROM webhook_delivery AS due
    WHERE webhook_id = $1 AND state = 'waiting' AND next_at <= $2
        AND id = (
            SELECT min(first.id) FROM webhook_delivery AS first
            WHERE first.webhook_id = $1 AND first.state = 'waiting' AND first.party_id = due.party_id
        )
        AND coalesce(id < (
            SELECT min(merged.id) FROM webhook_delivery AS merged
            WHERE merged.webhook_id = $1 AND merged.state = 'waiting' AND merged.merged_into = due.party_id
        ), true)
    ORDER BY id LIMIT $4 FOR UPDATE SKIP LOCKED
))
RETURNING id, message_id, body, attempts, first_at
"""

_SETTLE = """
UPDATE webhook_delivery SET state = $3, last_at = $4, next_at = $5, response_code = $6, duration_ms = $7, error = $8
WHERE id = $1 AND attempts = $2 AND state = 'waiting'
"""

_STOP = """
UPDATE webhook SET state = $2, notice = $3, version = version + 1 WHERE id = $1 AND state = 'active'
"""

_FAILED = """
UPDATE webhook SET failures = failures + 1, failing_since = coalesce(failing_since, $2) WHERE id = $1
RETURNING failures, failing_since
"""

_TAKEN = "UPDATE webhook SET failures = 0, failing_since = NULL WHERE id = $1 AND failures > 0"

_DROP = "DELETE FROM webhook_delivery WHERE webhook_id = $1 AND state = 'waiting' AND seq > $2"

_DUE = """
UPDATE webhook_delivery SET next_at = $2, first_at = NULL WHERE webhook_id = $1 AND state = 'waiting'
"""

_LIST = """
SELECT id, seq AS sequence, message_id, type, state, attempts, planned_at,
       CASE WHEN state = 'waiting' THEN next_at END AS next_at, last_at, response_code, duration_ms, error
FROM webhook_delivery WHERE webhook_id = $1 AND id < $2 AND ($3::text IS NULL OR state = $3) ORDER BY id DESC LIMIT $4
"""

_FORGET = "DELETE FROM webhook_delivery WHERE state = 'delivered' AND last_at < $1"
