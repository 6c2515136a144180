"""Models as they are stored, and how one comes to decide."""

from datetime import datetime

import asyncpg

from contracts.moments import ModelNotFound
from services.scoring.domain.fitting import ModelActive, ModelWorse, worse
from services.scoring.domain.model import Model
from services.scoring.domain.quality import Quality
from services.scoring.queries.activations import refuse_planned
from services.scoring.queries.rulings import BARRIER, Connection, check_currency, new_ruling, present


async def model(connection: Connection, hash: str) -> asyncpg.Record:
    """A model by its content hash. Raises `ModelNotFound`."""
    row = await connection.fetchrow(f"{_MODELS} WHERE hash = $1", hash)
    if row is None:
        raise ModelNotFound
    return row


async def models_before(connection: Connection, before: tuple[datetime, str], *, limit: int) -> list[asyncpg.Record]:
    """Models fitted before a place, the newest first."""
    return await connection.fetch(_LISTED, *before, limit)


async def add_model(connection: Connection, model: Model, quality: Quality, at: datetime, by: str | None) -> None:
    """Store a model with how good it would have been. The same one fitted again is there already; it is judged anew."""
    said = model.model_dump_json(), quality.model_dump_json()
    await connection.execute(_ADD, model.content_hash, *said, model.as_of, at, by)


async def check_activation(connection: Connection, hash: str, *, margin: float, force: bool) -> None:
    """Raise what keeps a model from being activated.

    That is `ModelNotFound`, `ModelActive`, `ModelCurrency`, `ActivationPlanned`, or unless it is forced `ModelWorse`.
    """
    row = await model(connection, hash)
    here = await present(connection)
    active = here.ruling.model
    if active is not None and active.content_hash == hash:
        raise ModelActive("It decides already.")
    check_currency(row["currency"], here.currency, _ANEW)
    await refuse_planned(connection, model=hash)
    if not force:
        await refuse_worse(connection, hash, margin)


async def refuse_worse(connection: Connection, hash: str, margin: float) -> None:
    """Raise `ModelWorse` where a model is worse than the active one by more than a margin. Raises `ModelNotFound`."""
    row, active = await model(connection, hash), (await present(connection)).ruling.model
    if active is None:
        return
    beside = quality_of(await model(connection, active.content_hash))
    if loss := worse(quality_of(row), active.content_hash, beside, margin):
        raise ModelWorse(
            f"It is worse than the active model by more than {margin:g}. Activate it with `force` if it is meant so.",
            worse_by=loss,
            margin=margin,
            active=active.content_hash,
        )


async def activate(connection: Connection, hash: str, at: datetime, by: str | None) -> int:
    """Have a model decide from an instant on; return the ruling, which the sweeper applies to everybody.

    Raises `ModelNotFound`, `ModelActive` or `ModelCurrency`.
    """
    await connection.execute("SELECT pg_advisory_xact_lock($1)", BARRIER)
    row, here = await model(connection, hash), await present(connection)
    if row["active"]:
        raise ModelActive("It decides already.")
    check_currency(row["currency"], here.currency, _ANEW)
    await connection.execute("UPDATE model SET activated_at = $2, activated_by = $3 WHERE hash = $1", hash, at, by)
    return await new_ruling(connection, "model", at, model=hash)


def quality_of(row: asyncpg.Record) -> Quality:
    """How good the model in a row would have been."""
    return Quality.model_validate_json(row["quality"])


_ANEW = "Fit a model anew: `POST /v1/models`."

_MODELS = """
SELECT hash, document::text AS document, quality::text AS quality, as_of, fitted_at, fitted_by, activated_at,
       activated_by, document ->> 'currency' AS currency,
       hash IS NOT DISTINCT FROM (SELECT model FROM ruling ORDER BY id DESC LIMIT 1) AS active
FROM model
"""

_LISTED = f"{_MODELS} WHERE (fitted_at, hash) < ($1, $2) ORDER BY fitted_at DESC, hash DESC LIMIT $3"

_ADD = """
INSERT INTO model (hash, document, quality, as_of, fitted_at, fitted_by)
VALUES ($1, $2::text::jsonb, $3::text::jsonb, $4, $5, $6)
ON CONFLICT (hash) DO UPDATE SET quality = excluded.quality
"""
