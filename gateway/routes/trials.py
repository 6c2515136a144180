"""The moves that a trial kept, with the ids by which others know the parties."""

from collections.abc import AsyncIterable, AsyncIterator, Mapping
from contextlib import AsyncExitStack
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path, Request
from fastapi.responses import Response, StreamingResponse

from contracts.trials import MovesNotKept, TrialNotDone, TrialNotFound
from gateway.domain.export import written
from gateway.domain.trials import COLUMNS, Format, joined, lines
from gateway.queries.external_ids import ExternalIds
from gateway.queries.services import Services
from gateway.queries.streams import pages
from gateway.routes.door import Asking
from gateway.routes.proxy import refused

router = APIRouter(prefix="/v1/trials")

JOINED = 2_000
"""Moves whose external ids are asked for at once."""
MEDIA_TYPES: Mapping[Format, str] = {
    Format.CSV: "text/csv; charset=utf-8",
    Format.NDJSON: "application/x-ndjson",
}


@router.get("/{trial_id}/moves", tags=["policies"], response_class=StreamingResponse)
async def read_moves_of_trial(
    request: Request,
    asking: Asking,
    trial_id: Annotated[str, Path(pattern="^trial_[0-9a-f]{32}$")],
    format: Format = Format.CSV,
) -> Response:
    """Every move under the draft that a trial kept, party by party and each in order, streamed as CSV or as NDJSON.

    The lines of NDJSON have the tiers too.
    """
    services: Services = request.app.state.services
    target = f"/internal/trials/{trial_id}/moves"
    async with AsyncExitStack() as stack:
        answer = await stack.enter_async_context(services.ask("scoring", "GET", target, caller=asking, patient=True))
        if answer.status != 200:
            return await refused(answer, TrialNotFound, TrialNotDone, MovesNotKept)
        moves = _joined(ExternalIds(services, contact=asking.contact), answer.lines(), stack.pop_all())
        return StreamingResponse(
            _csv(moves) if format is Format.CSV else _ndjson(moves),
            media_type=MEDIA_TYPES[format],
            headers={"Content-Disposition": f'attachment; filename="moves.{format}"'},
        )


async def _joined(
    ids: ExternalIds, ndjson: AsyncIterable[bytes], stack: AsyncExitStack
) -> AsyncIterator[list[dict[str, Any]]]:
    async with stack:
        async for moves in pages(ndjson, "scoring", JOINED):
            yield joined(moves, await ids.of(move["party_id"] for move in moves))


async def _csv(pages: AsyncIterable[list[dict[str, Any]]]) -> AsyncIterator[str]:
    yield written([COLUMNS])
    async for moves in pages:
        yield written(lines(moves))


async def _ndjson(pages: AsyncIterable[list[dict[str, Any]]]) -> AsyncIterator[bytes]:
    async for moves in pages:
        yield b"".join(msgspec.json.encode(move) + b"\n" for move in moves)
