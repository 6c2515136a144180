"""Whatever somebody types: one hit leads straight to the party."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from gateway.console.frame import Somebody
from gateway.console.naming import label, shortened

router = APIRouter(include_in_schema=False)

LONGEST = 200
"""Characters of what is looked for."""
HITS = 50
"""That are shown at once."""


@router.get("/search")
async def read_search(page: Somebody, q: Annotated[str, Query(max_length=2_000)] = "", cursor: str = "") -> Response:
    """Parties that a text leads to, a page of them; what was tried where there are none."""
    text = q.replace("\x00", "").strip()[:LONGEST]
    if not text:
        return page.render("search/page.html", find="", found=None, hits=[])
    found = await page.api.get("/v1/parties/search", q=text, limit=HITS, cursor=cursor)
    ids = [hit["party"]["id"] for hit in found["data"]]
    if len(ids) == 1 and not found["has_more"] and not cursor:
        return page.to(f"/parties/{ids[0]}")
    part = await page.api.part("/v1/standings", ids=ids, sort="party", limit=HITS) if ids else None
    standings = {row["party_id"]: row for row in part["data"]} if part else {}
    hits = [
        {
            **hit,
            "label": label(hit["party"]) or shortened(id),
            "standing": standings.get(id),
        }
        for id, hit in zip(ids, found["data"], strict=True)
    ]
    template = "search/hits.html" if cursor and page.by_script else "search/page.html"
    return page.render(template, find=text, found=found, hits=hits, cursor=cursor)
