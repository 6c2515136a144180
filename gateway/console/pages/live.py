"""What happens, as it happens, to an open page: the feed of the API, for whoever has this session."""

from fastapi import APIRouter
from starlette.responses import Response

from gateway.console.frame import Somebody

router = APIRouter(include_in_schema=False)


@router.get("/stream")
async def read_stream(page: Somebody) -> Response:
    """The stream of the API, from the event on that the browser saw last."""
    return page.api.handed_on("/v1/stream", page.request.url.query)
