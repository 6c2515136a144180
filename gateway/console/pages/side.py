"""What stands beside a party: its problems, who looks after it, what it is known by, what was set by hand."""

from fastapi import APIRouter
from starlette.responses import Response

from gateway.console.api import Part
from gateway.console.frame import Somebody
from gateway.console.naming import names
from gateway.console.pages.party import NOTHING_WRONG
from gateway.console.standing import settable

router = APIRouter(include_in_schema=False)


@router.get("/parties/{party_id}/side")
async def read_side(party_id: str, page: Somebody) -> Response:
    """The same anew, for whoever looks at it while it changes; without a script the page of the party."""
    if not page.by_script:
        return page.to(f"/parties/{party_id}")
    parts = await page.api.together(
        view=(f"/v1/parties/{party_id}/360", {"language": page.language}),
        overrides=(f"/v1/standings/{party_id}/overrides", {"limit": 20}),
        merges=(f"/v1/parties/{party_id}/merges", {"limit": 50}),
        owner=f"/v1/parties/{party_id}/owner",
    )
    view = parts["view"].or_raise().data
    owner = parts["owner"]
    merges = parts["merges"]["data"] if parts["merges"] else []
    return page.render(
        "party/side_live.html",
        **NOTHING_WRONG,
        party_id=party_id,
        who=view["party"]["data"],
        view=view,
        standing=Part(view["standing"]["data"], None),
        settable=settable(view["standing"]["data"]) if view["standing"]["data"] else {},
        owner=owner,
        overrides=parts["overrides"],
        merges=merges,
        names=await names(
            page.api,
            [id for merge in merges for id in (merge["party_id"], merge["other_id"])],
            [owner["owner_id"], owner["team_id"]] if owner else [],
        ),
        in_reach=owner.refused is None or owner.refused.status != 404,
    )
