"""Replay: a service is handed once more what it has read, from a time or a place on."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse

from gateway.domain.services import ServiceNotFound
from gateway.models.operating import Replay
from gateway.queries.services import Services
from gateway.routes.door import Asking
from gateway.routes.proxy import refused

router = APIRouter(prefix="/v1/replays", tags=["status"])


@router.post("", response_class=StreamingResponse)
async def replay(body: Replay, request: Request, asking: Asking) -> Response:
    """Have a service read again, up to where it is; each line of the answer tells how far that has come.

    What is known changes nothing, so it may be cut off and asked for again. What a gap made it give up, or what is
    missing in a database from an older backup, takes effect, if the log of the publishing service has it.
    """
    services: Services = request.app.state.services
    if body.service not in services.addresses:
        raise ServiceNotFound(services.addresses)
    asked = body.model_dump(mode="json", exclude={"service"}, exclude_none=True)
    async with AsyncExitStack() as stack:
        answer = await stack.enter_async_context(
            services.ask(
                body.service,
                "POST",
                "/internal/replays",
                caller=asking,
                headers=[(b"content-type", b"application/json")],
                body=msgspec.json.encode(asked),
                patient=True,
            )
        )
        if answer.status != 200:
            return await refused(answer)
        return StreamingResponse(_lines(answer.pieces(), stack.pop_all()), media_type="application/x-ndjson")


async def _lines(pieces: AsyncIterator[bytes], stack: AsyncExitStack) -> AsyncIterator[bytes]:
    async with stack:
        async for piece in pieces:
            yield piece
