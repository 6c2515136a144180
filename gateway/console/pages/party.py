"""One party: who it is, where it stands and why, what would change that, and all that happened with it."""

from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.responses import Response

from gateway.console.api import Part, Refused
from gateway.console.begun import Shown, begun
from gateway.console.frame import Page, Somebody
from gateway.console.naming import label, names, shortened
from gateway.console.numbers import whole
from gateway.console.people import people
from gateway.console.standing import Worth, grounds, settable, why

router = APIRouter(include_in_schema=False)

ENTRIES = 25
MOST_ENTRIES = 500
"""That are told anew at once, however far somebody has leafed."""
SHOWN: Mapping[str, tuple[str, ...]] = {
    "purchases": ("purchase", "return"),
    "contacts": ("interaction", "observation"),
    "problems": ("problem_opened", "problem_solved", "problem_reopened"),
    "moves": ("moved", "overridden", "override_ended"),
    "leads": (
        "lead_captured", "lead_qualified", "lead_disqualified", "lead_won", "lead_lost", "lead_reopened",
        "lead_assigned",
    ),
    "community": (
        "member_joined", "member_left", "group_joined", "group_left", "post_published", "reply_published",
        "reaction_given", "referral_made", "person_referred", "referral_converted",
    ),
    "identity": ("identifier_added", "identifier_released", "merged", "unmerged", "owner_changed"),
}  # fmt: skip
"""Kinds of entries, as the timeline is filtered by them."""

DEPARTMENTS = (
    "marketing", "sales", "service", "ecommerce", "logistics", "finance", "quality", "management", "other",
)  # fmt: skip
DEPARTMENT = "shuke_department"
"""The cookie with the department for which somebody recorded a contact last: two clicks record the next one for it."""
LOSSES = (
    "unknown", "price", "product", "quality", "service", "competitor", "no_need", "no_budget", "timing", "no_response",
    "relationship", "moved",
)  # fmt: skip
"""Why a party buys no more, as far as that is said of one."""
NOTHING_WRONG: Mapping[str, Any] = {"refused": None, "wrong": None, "typed": {}}
"""What the forms of the page know of a mistake in one of them before anything was sent."""


@router.get("/parties/{party_id}")
async def read_party(party_id: str, page: Somebody) -> Response:
    """A party. The id of one that was merged leads to the one that it is part of now.

    Who it is comes before the frame: that names the page after it, and after a frame nothing can lead elsewhere.
    """
    who = (await page.api.part(f"/v1/parties/{party_id}")).data
    if who and who["id"] == party_id:
        title = _title(who, party_id)
        return await begun(
            page, "/v1/parties/x/360", "party/page.html", partial(_party, page, party_id, who), title=title
        )
    template, values = await _party(page, party_id, who)
    view = values["view"]
    known = view["resolves_to"] or (who or {}).get("id") or party_id
    return page.render(template, **values) if known == party_id else page.to(f"/parties/{known}")


async def show_mistake(page: Page, party_id: str, refused: Refused, form: str) -> Response:
    """The page of a party after a form that was refused: that one is open, with what is wrong and what was typed.

    Raises what was refused where that page cannot be had.
    """
    try:
        template, values = await _party(page, party_id, (await page.api.part(f"/v1/parties/{party_id}")).data)
    except Refused:
        raise refused from None
    typed = {name: said if isinstance(said, str) else said[0] for name, said in page.form.items()}
    mistake: dict[str, Any] = {"refused": refused, "wrong": form, "typed": typed}
    if form == "owner":
        mistake["found"] = await people(page, disabled=False)
    return page.render(template, status=refused.status, **{**values, **mistake})


def usual_department(page: Page) -> str:
    """For which department somebody records contacts."""
    last = page.request.cookies.get(DEPARTMENT)
    return last if last in DEPARTMENTS else "sales"


async def _party(page: Page, party_id: str, who: Mapping[str, Any] | None) -> Shown:
    path = f"/v1/standings/{party_id}"
    parts = await page.api.together(
        view=(f"/v1/parties/{party_id}/360", {"language": page.language}),
        moves=(f"{path}/moves", {"limit": 200}),
        values=f"{path}/values",
        overrides=(f"{path}/overrides", {"limit": 20}),
        merges=(f"/v1/parties/{party_id}/merges", {"limit": 50}),
        owner=f"/v1/parties/{party_id}/owner",
        timeline=(f"/v1/parties/{party_id}/timeline", _filtered(page)),
    )
    view = parts["view"].or_raise().data
    who = view["party"]["data"] or who
    owner = parts["owner"]
    merges = parts["merges"]["data"] if parts["merges"] else []
    called = await names(
        page.api,
        (id for merge in merges for id in (merge["party_id"], merge["other_id"])),
        [owner["owner_id"], owner["team_id"]] if owner else [],
    )
    return "party/page.html", {
        **NOTHING_WRONG,
        "party_id": party_id,
        "who": who,
        "view": view,
        "title": _title(who, party_id),
        "owner": owner,
        "overrides": parts["overrides"],
        "merges": merges,
        "names": called,
        "departments": DEPARTMENTS,
        "usual_department": usual_department(page),
        "losses": LOSSES,
        "in_reach": owner.refused is None or owner.refused.status != 404,
        **_stands(await _viewed(page, party_id, view["standing"]), parts),
        **_timeline(page, party_id, parts["timeline"]),
    }


def _title(who: Mapping[str, Any] | None, party_id: str) -> str:
    return (label(who) if who else None) or shortened(party_id)


async def _viewed(page: Page, party_id: str, seen: Mapping[str, Any]) -> Part:
    """The standing as the view has it; where it could not be had in time it is asked for once more, by itself."""
    if seen["status"] == "ok":
        return Part(seen["data"], None)
    if seen["status"] in ("not_found", "not_installed"):
        return Part(None, None)
    return _standing(await page.api.part(f"/v1/standings/{party_id}", language=page.language))


def _standing(part: Part) -> Part:
    """That somebody stands nowhere yet is no failure."""
    if part.refused is not None and part.refused.code == "no_standing":
        return Part(None, None)
    return part


@router.get("/parties/{party_id}/owner")
async def choose_owner(party_id: str, page: Somebody) -> Response:
    """The form that gives the party to somebody; without a script on a page of its own."""
    owner = await page.api.get(f"/v1/parties/{party_id}/owner")
    # Who has left owns what they owned until it is given to somebody else, but is given nothing more.
    found = await people(page, disabled=False)
    called = await names(page.api, [party_id], [owner["owner_id"], owner["team_id"]])
    template = "party/owner.html" if page.by_script else "party/owner_page.html"
    return page.render(template, **NOTHING_WRONG, party_id=party_id, owner=owner, found=found, names=called)


@router.get("/parties/{party_id}/timeline")
async def read_timeline(party_id: str, page: Somebody) -> Response:
    """What happened with the party; without a script a page of its own."""
    if not page.by_script:
        query = page.request.url.query
        return page.to(f"/parties/{party_id}" + (f"?{query}" if query else "") + "#timeline")
    part = await page.api.part(f"/v1/parties/{party_id}/timeline", **_filtered(page))
    template = "party/entries.html" if page.request.query_params.get("cursor") else "party/timeline.html"
    return page.render(template, party_id=party_id, departments=DEPARTMENTS, **_timeline(page, party_id, part))


@router.get("/parties/{party_id}/top")
async def read_top(party_id: str, page: Somebody) -> Response:
    """Where it stands and why, for whoever looks at it while it changes."""
    parts = await page.api.together(
        standing=(f"/v1/standings/{party_id}", {"language": page.language}),
        moves=(f"/v1/standings/{party_id}/moves", {"limit": 200}),
        values=f"/v1/standings/{party_id}/values",
    )
    standing = _standing(parts["standing"])
    if not standing.data:
        # Whoever reaches the party by a lead alone sees how it stands in the view.
        view = await page.api.part(f"/v1/parties/{party_id}/360", language=page.language)
        standing = Part(view["standing"]["data"], None) if view and view["standing"]["data"] else standing
    return page.render("party/live.html", party_id=party_id, **_stands(standing, parts))


def _stands(standing: Part, parts: Mapping[str, Part]) -> dict[str, Any]:
    """Where the party stands, why, and what it is worth, from its values and moves."""
    return {
        "standing": standing,
        "grounds": grounds(standing.data["reasons"]) if standing and standing.data else None,
        "why": why(standing.data["reasons"]) if standing and standing.data else None,
        "settable": settable(standing.data) if standing and standing.data else {},
        "worth": Worth.of(parts["values"].data, parts["moves"].data["data"] if parts["moves"] else []),
    }


def _filtered(page: Page) -> dict[str, Any]:
    query = page.request.query_params
    kinds = SHOWN.get(query.get("show", ""), ())
    department = query.get("department", "")
    return {
        "limit": min(max(ENTRIES, whole(query.get("shown", "")) or 0), MOST_ENTRIES),
        "kinds": kinds,
        "departments": (department,) if department in DEPARTMENTS else (),
        "cursor": query.get("cursor"),
    }


def _timeline(page: Page, party_id: str, part: Part) -> dict[str, Any]:
    query = page.request.query_params
    kept = [(name, query[name]) for name in ("show", "department") if query.get(name)]
    more = None
    if part and part["has_more"]:
        more = f"/parties/{party_id}/timeline?" + urlencode([*kept, ("cursor", part["next_cursor"])])
    return {
        "timeline": part,
        "entries": part["data"] if part else [],
        "more": more,
        "shown": tuple(SHOWN),
        "show": query.get("show", "") if query.get("show") in SHOWN else "",
        "department": query.get("department", ""),
    }
