"""What stands where there is no page."""

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.responses import Response

from gateway.console.frame import Anybody

router = APIRouter(include_in_schema=False)


@router.get("/{path:path}")
async def read_missing(path: str, page: Anybody) -> Response:
    """Say so to a person, with the way back; a program is told as everywhere."""
    if path.startswith("v1/") or "text/html" not in page.request.headers.get("accept", ""):
        raise HTTPException(404)
    return page.render("frame/missing.html", status=404)
