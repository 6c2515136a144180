"""HTTP in: each function loads, decides, records, returns."""

from fastapi import APIRouter

from services.scoring.routes import (
    activations,
    elsewhere,
    followups,
    internal,
    merging,
    models,
    moves,
    overrides,
    policies,
    programmes,
    proof,
    rebuilds,
    reports,
    rulings,
    standings,
    trials,
)

router = APIRouter()
for room in (
    standings.router,
    merging.router,
    moves.router,
    overrides.router,
    followups.router,
    programmes.beginning,
    programmes.router,
    proof.router,
    rulings.router,
    policies.router,
    elsewhere.router,
    activations.router,
    models.router,
    trials.router,
    trials.streams,
    reports.router,
    rebuilds.router,
    internal.router,
    internal.streams,
):
    router.include_router(room)
