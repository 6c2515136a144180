"""What happens, as it happens, to an open page: the feed of the API, for whoever has this session."""

from fastapi import APIRouter
from starlette.responses import Response

from gateway.console.api import STREAM
from gateway.console.frame import Somebody

router = APIRouter(include_in_schema=False)


@router.get(STREAM)
async def read_stream(page: Somebody, after: str = "") -> Response:
    """The stream of the API, from the event on that the browser saw last.

    A browser says so by itself where a connection broke; where one was refused, its page does by `after`. Either way
    it is told what it missed by a `reset`, as it would hear nothing of a status. What was long past is told, too: a
    page shows how somebody stands, whatever that rests on.
    """
    anew = after and "last-event-id" not in page.request.headers
    return page.api.handed_on("/v1/stream", query="historic=true", **({"last_event_id": after} if anew else {}))
