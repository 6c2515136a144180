"""What a supervisor and Prometheus ask of every app."""

import asyncio
from datetime import timedelta
from typing import Any

import prometheus_client
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from chassis.db import database_is_away
from chassis.observing import observe, oldest_outbox_s, oldest_unpublished_s
from chassis.telemetry import LOG_RETENTION, disconnected
from contracts.problems import Unavailable

OLDEST_OUTBOX_S = 60
"""A row that waits longer for its number makes the service unready."""

router = APIRouter(include_in_schema=False)


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process answers."""
    return {"status": "alive"}


@router.get("/readyz")
async def readyz(request: Request) -> JSONResponse:
    """It can do its work: the database answers, every background task lives, events get their numbers.

    Where they wait for theirs until a broker answers, commands are taken all the same.
    """
    app = request.app
    report: dict[str, Any] = {"status": "ready", "service": app.state.name}
    try:
        async with asyncio.timeout(2):
            report["oldest_outbox_s"] = age_s = await oldest_outbox_s(app.state.database)
            report["waits_at_gate"] = app.state.database.waits_at_gate
            report["oldest_unpublished_s"] = await oldest_unpublished_s(app.state.database, app.state.settings)
            if app.state.ready:
                report |= await app.state.ready(app)
        if app.state.failed.is_set():
            report["status"] = "a background task died"
        elif age_s > OLDEST_OUTBOX_S and app.state.observed and not report["waits_at_gate"]:
            report["status"] = "events wait for their numbers"
        elif not app.state.observed and (missing := disconnected()):
            report["status"] = f"not connected: {', '.join(missing)}"
    except Unavailable:
        raise
    except Exception as error:
        if not database_is_away(error):
            raise
        report["status"] = "the database does not answer"
    return JSONResponse(report, 200 if report["status"] == "ready" else 503)


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """For Prometheus."""
    state = request.app.state
    if state.observed:
        LOG_RETENTION.labels(state.name).set(timedelta(days=state.settings.log_retention_days).total_seconds())
        await observe(state.database, state.name, state.source_urls, state.settings)
    if state.ready:
        # What it finds missing is said by /readyz; here it only brings its own figures up to date.
        try:
            await state.ready(request.app)
        except Exception as error:
            if not database_is_away(error):
                raise
    return Response(prometheus_client.generate_latest(), media_type=prometheus_client.CONTENT_TYPE_LATEST)
