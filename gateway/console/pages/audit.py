"""The audit trail: who did what, who read what may hold contact data, and how it ended."""

from collections.abc import Mapping
from functools import partial

from fastapi import APIRouter
from starlette.responses import Response

from gateway.console.begun import Shown, begun
from gateway.console.frame import Page, Somebody
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
    # What is asked for may be nothing that there is: that has a status of its own.
    if not any(said.values()) and not cursor:
        return await begun(page, "/v1/audit", "audit/list.html", partial(_trail, page, said, cursor))
    template, values = await _trail(page, said, cursor)
    refused = values["found"].refused
    return page.render(template, 200 if refused is None else refused.status, **values)


async def _trail(page: Page, said: Mapping[str, str], cursor: str) -> Shown:
    sent = {**said, "since": page.instant("since"), "until": page.instant("until")}
    found = await page.api.part("/v1/audit", **sent, limit=LISTED, cursor=cursor)
    if not found and found.refused is not None and found.refused.status == 403:
        raise found.refused
    people = await names(page.api, (), [row["who"] for row in found["data"]] if found else ())
    return "audit/list.html", {
        "found": found,
        "said": said,
        "asked": [(name, value) for name, value in said.items() if value],
        "kinds": KINDS,
        "people": people,
        "first": not cursor,
    }
