"""What a supervisor and Prometheus ask of every app."""

import asyncio
from typing import Any

import prometheus_client
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from chassis.clock import now
from chassis.db import Database, database_is_away, driver
from chassis.telemetry import OUTBOX_AGE, UNPUBLISHED_AGE

OLDEST_OUTBOX_S = 60
"""A row that waits longer for its number makes the service unready."""

router = APIRouter(include_in_schema=False)


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process answers."""
    return {"status": "alive"}


@router.get("/readyz")
async def readyz(request: Request) -> JSONResponse:
    """It can do its work: the database answers, every background task lives, events get their numbers."""
    app = request.app
    report: dict[str, Any] = {"status": "ready", "service": app.state.name}
    try:
        async with asyncio.timeout(2):
            report["oldest_outbox_s"] = age_s = await oldest_outbox_s(app.state.database)
            report["oldest_unpublished_s"] = unpublished_s = await oldest_unpublished_s(app.state.database)
            OUTBOX_AGE.labels(app.state.name).set(age_s)
            UNPUBLISHED_AGE.labels(app.state.name).set(unpublished_s)
            if app.state.ready:
                report |= await app.state.ready(app)
        if app.state.failed.is_set():
            report["status"] = "a background task died"
        elif age_s > OLDEST_OUTBOX_S:
            report["status"] = "events wait for their numbers"
    except Exception as error:
        if not database_is_away(error):
            raise
        report["status"] = "the database does not answer"
    return JSONResponse(report, 200 if report["status"] == "ready" else 503)


async def oldest_outbox_s(database: Database) -> float:
    """Seconds that the oldest event has waited for its number; 0 only without any. Its id tells when it was made."""
    async with database.transaction() as session:
        age_s = await (await driver(session)).fetchval(_OLDEST_OUTBOX)
    return 0.0 if age_s is None else max(0.001, round(float(age_s), 3))


async def oldest_unpublished_s(database: Database) -> float:
    """Seconds that the oldest numbered event has waited for Kafka; 0 without any, and where no broker took one yet.

    A producer retries in silence: nothing else tells an operator that the brokers take nothing.
    """
    async with database.transaction() as session:
        oldest = await (await driver(session)).fetchval(_OLDEST_UNPUBLISHED)
    return 0.0 if oldest is None else max(0.001, round((now() - oldest).total_seconds(), 3))


_OLDEST_OUTBOX = """
SELECT extract(epoch FROM clock_timestamp() - uuid_extract_timestamp(event_id)) FROM outbox ORDER BY id LIMIT 1
"""

_OLDEST_UNPUBLISHED = """
SELECT min(next.recorded_at) FROM event_stream AS stream
CROSS JOIN LATERAL (
    SELECT recorded_at FROM event_log
    WHERE topic = stream.topic AND partition = stream.partition AND epoch = stream.epoch AND seq > stream.published_seq
    ORDER BY seq LIMIT 1
) AS next
WHERE stream.published_seq < stream.last_seq AND EXISTS (SELECT FROM event_stream WHERE published_offset >= 0)
"""


@router.get("/metrics")
async def metrics() -> Response:
    """For Prometheus."""
    return Response(prometheus_client.generate_latest(), media_type=prometheus_client.CONTENT_TYPE_LATEST)
