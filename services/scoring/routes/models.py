"""The model: fitted to what happened up to a day, judged, and activated."""

from collections.abc import AsyncIterator

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from chassis.auth import Actor
from chassis.clock import now
from chassis.db import Database, driver
from chassis.http import LATEST, Cursor, Limit, Page, Session, TransactionalRoute, decode_cursor, page
from chassis.ids import uuid7
from contracts.problems import Problem
from services.scoring.domain.bgnbd import NotEnough
from services.scoring.domain.fitting import Fitted
from services.scoring.domain.lives import ActivationPassed
from services.scoring.models.fields import AnyHash, AnyInstant, ModelHash
from services.scoring.models.models import (
    FitStep,
    ModelActivationAsked,
    ModelShown,
    ModelTold,
    NewModel,
    QualityShown,
    Shortage,
)
from services.scoring.models.policies import Activation
from services.scoring.queries import models as known
from services.scoring.queries.activations import plan, planned_for, refused_of
from services.scoring.queries.fitting import day_to_fit, fit_as_of
from services.scoring.queries.recording import deciding_instant
from services.scoring.queries.rulings import Connection

router = APIRouter(prefix="/v1/models", tags=["models"], route_class=TransactionalRoute)
streams = APIRouter(prefix="/v1/models", tags=["models"])

NEWEST = LATEST[0], ""
"""The place before the first page."""


@streams.post("", response_class=StreamingResponse)
async def fit_model(request: Request, actor: Actor, body: NewModel | None = None) -> StreamingResponse:
    """Fit a model to everybody who has bought, by what happened up to a day, as it is known now.

    Lines of JSON: how many of all `parties` are `read`. The last one has `done`, and the `model` with its `quality`, or
    `not_enough` with the way out; with `activate`, whether it was `activated` or why that is `refused`. The same facts
    give the same model.
    """
    asked, at = body or NewModel(), now()
    database: Database = request.app.state.database
    margin = request.app.state.settings.model_margin
    as_of = await day_to_fit(database, asked.as_of, at)

    async def told() -> AsyncIterator[bytes]:
        async for step in fit_as_of(database, as_of, at, actor.key_id):
            match step:
                case Fitted():
                    yield _line(await _ended(database, step, asked, actor.key_id, margin))
                case NotEnough():
                    yield _line(FitStep(done=True, not_enough=Shortage.of(step)))
                case _:
                    yield _line(FitStep(read=step.read, parties=step.parties))

    return StreamingResponse(told(), media_type="application/x-ndjson")


@router.get("")
async def list_models(session: Session, limit: Limit = 50, cursor: Cursor = None) -> Page[ModelShown]:
    """Models, the one fitted last first."""
    before = decode_cursor(cursor, tuple[AnyInstant, AnyHash]) if cursor else NEWEST
    connection = await driver(session)
    rows = await known.models_before(connection, before, limit=limit + 1)
    refused = await refused_of(connection, rows)
    shown = [ModelShown.stored(row, refused.get(row["hash"])) for row in rows]
    return page(shown, limit=limit, key=lambda model: (model.fitted_at, model.hash))


@router.get("/{model_hash}")
async def read_model(model_hash: ModelHash, session: Session) -> ModelTold:
    """What a model says, who fitted it, and when it decides."""
    return await _told(await driver(session), model_hash)


@router.get("/{model_hash}/quality")
async def read_model_quality(model_hash: ModelHash, session: Session) -> QualityShown:
    """How good fits as of three earlier days were, each judged by what came after it."""
    row = await known.model(await driver(session), model_hash)
    return QualityShown.of(model_hash, known.quality_of(row))


@router.post("/{model_hash}/activate")
async def activate_model(
    model_hash: ModelHash, request: Request, session: Session, actor: Actor, body: ModelActivationAsked | None = None
) -> ModelTold:
    """Have a model decide, at once or from an instant to come, in the place of the one that does.

    Every standing is assessed again while events go on. What is worse than the active model by more than
    `SCORING_MODEL_MARGIN`, by AUC or by Brier score on the last closed period, takes `force`.
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
        await plan(connection, uuid7(), asked.active_from, model=model_hash, at=at, by=actor.key_id)
    return await _told(connection, model_hash)


async def _ended(database: Database, fitted: Fitted, asked: NewModel, by: str, margin: float) -> FitStep:
    hash, refused = fitted.model.content_hash, None
    if asked.activate:
        try:
            async with database.transaction() as session:
                connection = await driver(session)
                at = await deciding_instant(connection, now())
                await known.check_activation(connection, hash, margin=margin, force=asked.force)
                await known.activate(connection, hash, at, by)
        except Problem as problem:
            refused = {**problem.extensions, "code": problem.code(), "detail": problem.detail}
    async with database.transaction() as session:
        told = await _told(await driver(session), hash)
    return FitStep(
        done=True,
        model=told,
        quality=QualityShown.of(hash, fitted.quality),
        activated=asked.activate and refused is None,
        refused=refused,
    )


async def _told(connection: Connection, model_hash: str) -> ModelTold:
    row = await known.model(connection, model_hash)
    refused = await refused_of(connection, [row])
    planned = [Activation.stored(each) for each in await planned_for(connection, model=model_hash)]
    return ModelTold.stored(row, refused.get(model_hash), planned=planned)


def _line(step: FitStep) -> bytes:
    return step.model_dump_json(exclude_unset=True).encode() + b"\n"
