"""Reads that span services, put together here because no service asks another."""

from collections.abc import AsyncIterable, AsyncIterator
from contextlib import AsyncExitStack
from datetime import date
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import AwareDatetime

from chassis.http import Streamed
from contracts.event import Digest
from contracts.moments import ModelCurrency, ModelNotFound, NotReadYet, PolicyNotFound
from gateway.domain import export, status
from gateway.queries.external_ids import ExternalIds
from gateway.queries.services import OWN, Services
from gateway.queries.streams import blocks
from gateway.routes.door import Asking
from gateway.routes.proxy import refused

router = APIRouter(prefix="/v1")

JOINED = 4_000
"""Standings whose external ids are asked for at once."""


@router.get("/status", tags=["status"])
async def read_status(request: Request) -> dict[str, Any]:
    """How far the chain is: lag, gaps, dead letters, the oldest event that waits for its number."""
    services: Services = request.app.state.services
    zone = request.app.state.settings.time_zone
    told = status.composed(await services.reports())
    own = {OWN: await services.json(OWN, "GET", "/internal/status")}
    composed = status.composed(own)
    for part in ("gaps", "paused", "dead_letters", "processes"):
        told[part] += composed[part]
    return {"time_zone": zone, **told}


@router.get("/standings/export", tags=["standings"], response_class=Streamed)
async def export_standings(
    request: Request,
    asking: Asking,
    as_of: date | None = None,
    known_at: AwareDatetime | None = None,
    policy: Digest | None = None,
    model: Digest | None = None,
    horizon_days: int | None = None,
) -> Response:
    """All standings as CSV, streamed; with `as_of`, as they were after that whole local day.

    With `known_at`, by what was recorded up to that instant; with `policy` or `model`, under the one with that content
    hash; with `horizon_days`, H in the place of the policy's.
    """
    services: Services = request.app.state.services
    asked = {
        "as_of": as_of,
        "known_at": known_at and known_at.isoformat(),
        "policy": policy,
        "model": model,
        "horizon_days": horizon_days,
    }
    query = urlencode({name: value for name, value in asked.items() if value is not None})
    target = "/internal/standings/export" + (f"?{query}" if query else "")
    async with AsyncExitStack() as stack:
        answer = await stack.enter_async_context(services.ask("scoring", "GET", target, caller=asking, patient=True))
        if answer.status != 200:
            return await refused(answer, NotReadYet, PolicyNotFound, ModelNotFound, ModelCurrency)
        return Streamed(
            _csv(ExternalIds(services, contact=asking.contact), answer.pieces(), stack.pop_all()),
            media_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": 'attachment; filename="standings.csv"'},
        )


async def _csv(ids: ExternalIds, pieces: AsyncIterable[bytes], stack: AsyncExitStack) -> AsyncIterator[str]:
    async with stack:
        async for lines in blocks(pieces, "scoring", JOINED):
            party_ids = export.party_ids(lines)
            external_ids = await ids.of(party_id for party_id in party_ids if party_id != export.PARTY)
            yield export.joined(lines, party_ids, external_ids)
