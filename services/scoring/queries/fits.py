"""Fits of models as they are asked for, carried out and shown: one at a time, whoever asks."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from services.scoring.domain.fitting import FitNotFound, FitUnderWay
from services.scoring.queries.rulings import Connection

FITTING = 7_003
"""Advisory lock: held by the one process that fits a model."""


async def ask_for_fit(
    connection: Connection, fit_id: UUID, as_of: date, *, activate: bool, force: bool, at: datetime, by: str | None
) -> asyncpg.Record:
    """A fit that waits to be carried out. Raises `FitUnderWay`."""
    if await connection.fetchval(_ASK, fit_id, as_of, activate, force, at, by) is None:
        open_one = await open_fit(connection)
        there = {"fit_id": f"fit_{open_one.hex}"} if open_one else {"retry_after_s": 1}
        raise FitUnderWay(
            "A fit is under way. Ask again after its end, which `GET /v1/fits/{fit_id}` tells, or end it by `DELETE`.",
            **there,
        )
    return await fit(connection, fit_id)


async def fit(connection: Connection, fit_id: UUID) -> asyncpg.Record:
    """A fit and how far it is. Raises `FitNotFound`."""
    row = await connection.fetchrow(f"{_FITS} WHERE id = $1", fit_id)
    if row is None:
        raise FitNotFound("There is no such fit. `GET /v1/fits` lists them.")
    return row


async def fits_before(connection: Connection, before: UUID, *, limit: int) -> list[asyncpg.Record]:
    """Fits before one, the newest first."""
    return await connection.fetch(f"{_FITS} WHERE id < $1 ORDER BY id DESC LIMIT $2", before, limit)


async def cancel(connection: Connection, fit_id: UUID, at: datetime) -> asyncpg.Record:
    """Cancel a fit that has not come to its end. Raises `FitNotFound`."""
    await connection.execute(_CANCEL, fit_id, at)
    return await fit(connection, fit_id)


async def open_fit(connection: Connection) -> UUID | None:
    """The fit to be carried out, also one whose process was killed."""
    found: UUID | None = await connection.fetchval("SELECT id FROM fit WHERE state IN ('waiting', 'running')")
    return found


async def alone(connection: Connection) -> bool:
    """Whether no other process carries a fit out; none does until the transaction ends."""
    free: bool = await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", FITTING)
    return free


async def begin(connection: Connection, fit_id: UUID, at: datetime) -> asyncpg.Record | None:
    """Begin a fit, from the beginning also where a killed process had begun it; None where it has ended since."""
    if await connection.fetchval(_BEGIN, fit_id, at) is None:
        return None
    return await fit(connection, fit_id)


async def go_on(connection: Connection, fit_id: UUID, done: int) -> bool:
    """Write down how many parties a fit has read; whether it is to go on. It is locked until the transaction ends."""
    return await connection.fetchval(_GO_ON, fit_id, done) is not None


async def finish(
    connection: Connection,
    fit_id: UUID,
    at: datetime,
    *,
    model: str | None = None,
    activated: bool = False,
    refused: dict[str, Any] | None = None,
    not_enough: dict[str, Any] | None = None,
) -> None:
    """The fit has come to its end: a model, and what became of its activation, or too little to fit one to."""
    await connection.execute(_FINISH, fit_id, at, model, activated, _json(refused), _json(not_enough))


async def fail(connection: Connection, fit_id: UUID, at: datetime, error: str) -> None:
    """End a fit without a result, and say why."""
    await connection.execute(_FAIL, fit_id, at, error)


async def last_fitting(connection: Connection) -> tuple[datetime, bool] | None:
    """When a model was sought by itself last, and whether there was enough to fit one; None before the first time."""
    row = await connection.fetchrow("SELECT tried_at, enough FROM fitting")
    return (row["tried_at"], row["enough"]) if row else None


async def note_fitting(connection: Connection, at: datetime, *, enough: bool) -> None:
    """A model is sought, or there was not enough."""
    await connection.execute(_NOTE, at, enough)


def _json(value: dict[str, Any] | None) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()


_ASK = """
INSERT INTO fit (id, as_of, activate, force, state, asked_at, asked_by) VALUES ($1, $2, $3, $4, 'waiting', $5, $6)
ON CONFLICT DO NOTHING RETURNING id
"""

_FITS = """
SELECT id, as_of, activate, force, state, parties, done, tries, model, activated, refused::text AS refused,
       not_enough::text AS not_enough, asked_at, asked_by, started_at, finished_at, error
FROM fit
"""

_CANCEL = "UPDATE fit SET state = 'cancelled', finished_at = $2 WHERE id = $1 AND state IN ('waiting', 'running')"

_BEGIN = """
UPDATE fit
SET state = 'running', started_at = $2, done = 0, tries = tries + 1,
    parties = (SELECT count(*) FROM party WHERE first_identity IS NOT NULL)
WHERE id = $1 AND state IN ('waiting', 'running') RETURNING id
"""

_GO_ON = """
UPDATE fit SET done = $2, parties = greatest(parties, $2) WHERE id = $1 AND state = 'running' RETURNING id
"""

_FINISH = """
UPDATE fit
SET state = 'done', finished_at = $2, model = $3, activated = $4, refused = $5::text::jsonb,
    not_enough = $6::text::jsonb
WHERE id = $1
"""

_FAIL = """
UPDATE fit SET state = 'failed', finished_at = $2, error = $3 WHERE id = $1 AND state IN ('waiting', 'running')
"""

_NOTE = """
INSERT INTO fitting (tried_at, enough) VALUES ($1, $2)
ON CONFLICT (sole) DO UPDATE SET tried_at = excluded.tried_at, enough = excluded.enough
"""
