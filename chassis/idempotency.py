"""Idempotency-Key: the same POST again gives the stored response, once, however often it is sent."""

import hashlib
import json
import re
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

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


async def once(
    session: AsyncSession, request: Request, key: str, handle: Callable[[Request], Awaitable[Response]]
) -> Response:
    """Carry a request out and keep its response in the same transaction, or give the kept one.

    Only what committed is kept: after a failure the same key runs again. The body of a form is not compared, since
    every client draws another boundary for it.
    """
    if not re.fullmatch(r"[\x21-\x7e]{1,255}", key):
        raise BadIdempotencyKey("An Idempotency-Key has 1 to 255 visible ASCII characters.")
    actor = (await request.app.state.guard(request)).key_id
    asked = f"{request.method} {request.url.path}?{request.url.query}"
    body = b"" if request.headers.get("content-type", "").startswith("multipart/") else await request.body()
    digest = hashlib.sha256(body).digest()
    connection = await driver(session)
    held_since = now() - timedelta(hours=request.app.state.settings.idempotency_retention_hours)
    row = await connection.fetchrow(_TAKE, actor, key, held_since)
    if row is None or not row["locked"]:
        raise RequestInProgress("A request with this Idempotency-Key is under way.", retry_after_s=1)
    if row["status"] is not None:
        if (row["request"], row["body_hash"]) != (asked, digest):
            raise IdempotencyKeyReused("This Idempotency-Key came before with another request.")
        replayed = {**json.loads(row["headers"]), "Idempotency-Replayed": "true"}
        return Response(row["body"], status_code=row["status"], headers=replayed)
    response = await handle(request)
    headers = json.dumps({name: value for name, value in response.headers.items() if name != "content-length"})
    stored = await connection.fetchval(
        _KEEP, actor, key, asked, digest, response.status_code, headers, bytes(response.body), now(), held_since
    )
    if stored is None:
        # The other one committed between our look and our lock: all of this is rolled back.
        raise RequestInProgress("A request with this Idempotency-Key was under way.", retry_after_s=1)
    return response


async def forget(connection: "asyncpg.Connection[asyncpg.Record]", before: datetime) -> None:
    """Delete the answers kept before a time."""
    await connection.execute("DELETE FROM idempotency_key WHERE created_at < $1", before)


_TAKE = """
SELECT attempt.locked, kept.request, kept.body_hash, kept.status, kept.headers::text, kept.body
FROM (SELECT pg_try_advisory_xact_lock(hashtextextended($1 || ' ' || $2, 0)) AS locked OFFSET 0) AS attempt
LEFT JOIN idempotency_key AS kept ON kept.actor = $1 AND kept.key = $2 AND kept.created_at >= $3
"""

_KEEP = """
INSERT INTO idempotency_key AS kept (actor, key, request, body_hash, status, headers, body, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (actor, key) DO UPDATE
SET request = $3, body_hash = $4, status = $5, headers = $6, body = $7, created_at = $8
WHERE kept.created_at < $9
RETURNING status
"""
