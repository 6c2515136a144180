"""The model: fitted to what happened up to a day, judged, and activated."""

from uuid import UUID

from fastapi import APIRouter, Request, Response, status

from chassis.auth import Actor
from chassis.clock import now
from chassis.db import driver
from chassis.http import LATEST, Cursor, Limit, Page, Session, TransactionalRoute, decode_cursor, page
from chassis.ids import uuid7
from services.scoring.domain.lives import ActivationPassed
from services.scoring.models.fields import AnyHash, AnyInstant, FitId, ModelHash
from services.scoring.models.models import (
    Fit,
    ModelActivationAsked,
    ModelShown,
    ModelTold,
    NewModel,
    QualityShown,
)
from services.scoring.models.policies import Activation
from services.scoring.queries import fits
from services.scoring.queries import models as known
from services.scoring.queries.activations import plan, planned_for, refused_of
from services.scoring.queries.fitting import day_to_fit
from services.scoring.queries.recording import deciding_instant
from services.scoring.queries.rulings import Connection

router = APIRouter(prefix="/v1", tags=["models"], route_class=TransactionalRoute)

NEWEST = LATEST[0], ""
"""The place before the first page."""


@router.post("/models", status_code=status.HTTP_202_ACCEPTED)
async def fit_model(session: Session, actor: Actor, response: Response, body: NewModel | None = None) -> Fit:
    """Fit a model to everybody who has bought, by what happened up to a day, as it is known now.

    It is carried out in the background, one fit at a time; `GET /v1/fits/{fit_id}` tells how far it is, and at last the
    model, or `not_enough` with the way out; with `activate`, whether it was `activated` or why that is `refused`. The
    same facts give the same model.
    """
    connection, asked, at = await driver(session), body or NewModel(), now()
    as_of = await day_to_fit(connection, asked.as_of, at)
    fit_id = uuid7()
    row = await fits.ask_for_fit(
        connection, fit_id, as_of, activate=asked.activate, force=asked.force, at=at, by=actor.key_id
    )
    response.headers["Location"] = f"/v1/fits/fit_{fit_id.hex}"
    return Fit.stored(row)


@router.get("/fits")
async def list_fits(session: Session, limit: Limit = 50, cursor: Cursor = None) -> Page[Fit]:
    """Fits of models, the newest first."""
    before = decode_cursor(cursor, tuple[UUID])[0] if cursor else LATEST[1]
    rows = await fits.fits_before(await driver(session), before, limit=limit + 1)
    return page([Fit.stored(row) for row in rows], limit=limit, key=lambda fit: (fit.id,))


@router.get("/fits/{fit_id}")
async def read_fit(fit_id: FitId, session: Session) -> Fit:
    """How far a fit is, and what came out."""
    return Fit.stored(await fits.fit(await driver(session), fit_id))


@router.delete("/fits/{fit_id}")
async def cancel_fit(fit_id: FitId, session: Session) -> Fit:
    """Cancel a fit that has not come to its end. Its model stays where it has."""
    return Fit.stored(await fits.cancel(await driver(session), fit_id, now()))


@router.get("/models")
async def list_models(session: Session, limit: Limit = 50, cursor: Cursor = None) -> Page[ModelShown]:
    """Models, the one fitted last first."""
    before = decode_cursor(cursor, tuple[AnyInstant, AnyHash]) if cursor else NEWEST
    connection = await driver(session)
    rows = await known.models_before(connection, before, limit=limit + 1)
    refused = await refused_of(connection, rows)
    shown = [ModelShown.stored(row, refused.get(row["hash"])) for row in rows]
    return page(shown, limit=limit, key=lambda model: (model.fitted_at, model.hash))


@router.get("/models/{model_hash}")
async def read_model(model_hash: ModelHash, session: Session) -> ModelTold:
    """What a model says, who fitted it, and when it decides."""
    return await _told(await driver(session), model_hash)


@router.get("/models/{model_hash}/quality")
async def read_model_quality(model_hash: ModelHash, session: Session) -> QualityShown:
    """How good fits as of three earlier days were, each judged by what came after it."""
    row = await known.model(await driver(session), model_hash)
    return QualityShown.of(model_hash, known.quality_of(row))


@router.post("/models/{model_hash}/activate")
async def activate_model(
    model_hash: ModelHash, request: Request, session: Session, actor: Actor, body: ModelActivationAsked | None = None
) -> ModelTold:
    """Have a model decide, at once or from an instant to come, in the place of the one that does.

    Every standing is assessed again while events go on. What is worse than the active model by more than
    `SCORING_MODEL_MARGIN`, by AUC or by Brier score on the last closed period, takes `force`; it is refused when its
    instant comes, too, where a better one became active meanwhile.
    """
    connection, asked = await driver(session), body or ModelActivationAsked()
    margin = request.app.state.settings.model_margin
    at = await deciding_instant(connection, now())
    await known.check_activation(connection, model_hash, margin=margin, force=asked.force)
    if asked.active_from is None:
        await known.activate(connection, model_hash, at, actor.key_id)
    elif asked.active_from <= at:
        raise ActivationPassed("This instant has passed. Leave it out to activate at once.", now=at.isoformat())
    else:
        worst = None if asked.force else margin
        await plan(connection, uuid7(), asked.active_from, model=model_hash, margin=worst, at=at, by=actor.key_id)
    return await _told(connection, model_hash)


async def _told(connection: Connection, model_hash: str) -> ModelTold:
    row = await known.model(connection, model_hash)
    refused = await refused_of(connection, [row])
    planned = [Activation.stored(each) for each in await planned_for(connection, model=model_hash)]
    return ModelTold.stored(row, refused.get(model_hash), planned=planned)
