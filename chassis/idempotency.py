"""Idempotency-Key: the same POST again gives the stored response, once, however often it is sent."""

import hashlib
import json
import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import asyncpg
from fastapi import Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.clock import now
from chassis.db import driver
from contracts.problems import Conflict, Invalid, Problem


class BadIdempotencyKey(Problem):
    """A key has 1 to 255 visible ASCII characters."""


class RequestInProgress(Conflict):
    """The same request is being carried out at this moment."""


class IdempotencyKeyReused(Invalid):
    """The key came before with another request."""


class Asked(NamedTuple):
    """A request under a key of its caller."""

    actor: str
    key: str
    request: str
    """Method, path and query."""
    digest: bytes
    """Of its body."""

    @property
    def name(self) -> tuple[str, str]:
        """What is carried out once."""
        return self.actor, self.key


async def asked(request: Request, key: str) -> Asked:
    """What is asked under a key. Raises `BadIdempotencyKey`, and what the guard raises.

    The body of a form is not compared, since every client draws another boundary for it.
    """
    if not re.fullmatch(r"[\x21-\x7e]{1,255}", key):
        raise BadIdempotencyKey("An Idempotency-Key has 1 to 255 visible ASCII characters.")
    actor = (await request.app.state.guard(request)).key_id
    path = f"{request.method} {request.url.path}?{request.url.query}"
    body = b"" if request.headers.get("content-type", "").startswith("multipart/") else await request.body()
    return Asked(actor, key, path, hashlib.sha256(body).digest())


async def once(
    session: AsyncSession, request: Request, key: str, handle: Callable[[Request], Awaitable[Response]]
) -> Response:
    """Carry a request out and keep its response in the same transaction, or give the kept one.

    Only what committed is kept: after a failure the same key runs again.
    """
    named = await asked(request, key)
    connection = await driver(session)
    held_since = kept_since(request.app.state.settings.idempotency_retention_hours)
    [known] = await answered(connection, [named], held_since)
    if isinstance(known, Problem):
        raise known
    if known is not None:
        return known
    response = await handle(request)
    await keep(connection, [(named, response)], held_since)
    return response


def kept_since(hours: int) -> datetime:
    """The time before which nothing is kept any more."""
    return now() - timedelta(hours=hours)


async def answered(
    connection: "asyncpg.Connection[asyncpg.Record]", asked: Sequence[Asked], held_since: datetime
) -> list[Response | Problem | None]:
    """Of each request the answer kept, or why it is not carried out; None where that is to be done now.

    Its key is then this transaction's until the end. No key may be asked for twice at once.
    """
    actors, keys = [each.actor for each in asked], [each.key for each in asked]
    rows = await connection.fetch(_TAKE, actors, keys, held_since)
    return [_answer(row, each) for row, each in zip(rows, asked, strict=True)]


def _answer(row: asyncpg.Record, asked: Asked) -> Response | Problem | None:
    if not row["locked"]:
        return RequestInProgress("A request with this Idempotency-Key is under way.", retry_after_s=1)
    if row["status"] is None:
        return None
    if (row["request"], row["body_hash"]) != (asked.request, asked.digest):
        return IdempotencyKeyReused("This Idempotency-Key came before with another request.")
    replayed = {**json.loads(row["headers"]), "Idempotency-Replayed": "true"}
    return Response(row["body"], status_code=row["status"], headers=replayed)


async def keep(
    connection: "asyncpg.Connection[asyncpg.Record]", answers: Sequence[tuple[Asked, Response]], held_since: datetime
) -> None:
    """Keep answers with the transaction that gave them. Raises `RequestInProgress`."""
    rows = [
        (*asked, response.status_code, _headers(response), bytes(response.body), now()) for asked, response in answers
    ]
    stored = await connection.fetch(_KEEP, *zip(*rows, strict=True), held_since)
    if len(stored) < len(rows):
        # Another one committed between our look and our lock: all of this is rolled back.
        raise RequestInProgress("A request with this Idempotency-Key was under way.", retry_after_s=1)


def _headers(response: Response) -> str:
    return json.dumps({name: value for name, value in response.headers.items() if name != "content-length"})


async def forget(connection: "asyncpg.Connection[asyncpg.Record]", before: datetime) -> None:
    """Delete the answers kept before a time."""
    await connection.execute("DELETE FROM idempotency_key WHERE created_at < $1", before)


_TAKE = """
SELECT attempt.locked, kept.request, kept.body_hash, kept.status, kept.headers::text, kept.body
FROM (
    SELECT actor, key, place, pg_try_advisory_xact_lock(hashtextextended(actor || ' ' || key, 0)) AS locked
    FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS asked(actor, key, place) OFFSET 0
) AS attempt
LEFT JOIN idempotency_key AS kept ON kept.actor = attempt.actor AND kept.key = attempt.key AND kept.created_at >= $3
ORDER BY place
"""

_KEEP = """
INSERT INTO idempotency_key AS kept (actor, key, request, body_hash, status, headers, body, created_at)
SELECT actor, key, request, body_hash, status, headers::jsonb, body, created_at
FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[], $5::int[], $6::text[], $7::bytea[], $8::timestamptz[])
    AS answer(actor, key, request, body_hash, status, headers, body, created_at)
ORDER BY actor, key
ON CONFLICT (actor, key) DO UPDATE
SET request = excluded.request, body_hash = excluded.body_hash, status = excluded.status, headers = excluded.headers,
    body = excluded.body, created_at = excluded.created_at
WHERE kept.created_at < $9
RETURNING status
"""
