"""The audit trail: who did what, who read what may hold contact data, and how it ended."""

from fastapi import APIRouter
from starlette.responses import Response

from gateway.console.frame import Somebody
from gateway.console.naming import names

router = APIRouter(prefix="/audit", include_in_schema=False)

LISTED = 25
FILTERS = ("who", "what", "party", "since", "until")
KINDS = ("act", "read")
"""What may be asked for beside the id of an operation."""


@router.get("")
async def read_trail(page: Somebody, cursor: str = "") -> Response:
    """The latest rows, or those that fit."""
    said = {name: page.request.query_params.get(name, "").strip() for name in FILTERS}
    sent = {**said, "since": page.instant("since"), "until": page.instant("until")}
    found = await page.api.part("/v1/audit", **sent, limit=LISTED, cursor=cursor)
    if not found and found.refused is not None and found.refused.status == 403:
        raise found.refused
    people = await names(page.api, (), [row["who"] for row in found["data"]] if found else ())
    return page.render(
        "audit/list.html",
        status=200 if found.refused is None else found.refused.status,
        found=found,
        said=said,
        asked=[(name, value) for name, value in said.items() if value],
        kinds=KINDS,
        people=people,
        first=not cursor,
    )
