"""Webhooks: made, changed, tried, paused, told again, and what became of each message. A secret is shown once."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from contracts.scoring import Stage, Tier
from gateway.console.api import Refused
from gateway.console.frame import Page, Somebody
from gateway.console.numbers import whole
from gateway.domain.feed import TYPES

router = APIRouter(prefix="/webhooks", include_in_schema=False)

LISTED = 50
GRACES = (86_400, 604_800, 3_600, 0)
"""Seconds for which messages may carry a signature with the old secret too, the usual one first."""
FAILING: Mapping[str, Any] = {"failing": True, "limit": 20}
"""What asks for those that deliver nothing because of their receivers."""
STATES = ("waiting", "delivered")
FILTERS = ("types", "stages", "tiers")
NOTHING: Mapping[str, Any] = {"url": "", "name": "", "types": [], "stages": [], "tiers": [], "historic": False}


@router.get("")
async def read_webhooks(page: Somebody, cursor: str = "") -> Response:
    """All webhooks, without their secrets."""
    return await _listed(page, cursor)


@router.post("")
async def make_webhook(page: Somebody) -> Response:
    """Make a webhook, and show its secret this once."""
    body = _said(page)
    try:
        made = await page.api.post("/v1/webhooks", body)
    except Refused as refused:
        if not refused.returns_form:
            raise
        return await _listed(page, "", refused=refused, said=body)
    return await _listed(page, "", made=made)


@router.get("/{webhook_id}")
async def read_webhook(page: Somebody, webhook_id: str, state: str = "", cursor: str = "") -> Response:
    """One with its messages; how they fare follows by itself."""
    return await _shown(page, webhook_id, state, cursor)


@router.post("/{webhook_id}/change")
async def change_webhook(page: Somebody, webhook_id: str) -> Response:
    """Have a webhook that is as it was seen go elsewhere, or be told something else."""
    body = _said(page)
    try:
        seen = f'"{page.form.get("version", "")}"'
        await page.api.patch(f"/v1/webhooks/{webhook_id}", body, if_match=seen)
    except Refused as refused:
        if not refused.returns_form:
            raise
        return await _shown(page, webhook_id, refused=refused, said=body)
    return page.to(f"/operations/webhooks/{webhook_id}", notice="webhooks.change_notice")


@router.post("/{webhook_id}/rotate")
async def rotate_secret(page: Somebody, webhook_id: str) -> Response:
    """Give a webhook a new secret, and show it this once."""
    grace = whole(str(page.form.get("grace_s", "")))
    body = None if grace is None else {"grace_s": grace}
    made = await page.api.post(f"/v1/webhooks/{webhook_id}/rotate", body)
    return await _shown(page, webhook_id, made=made)


@router.post("/{webhook_id}/replay")
async def replay(page: Somebody, webhook_id: str) -> Response:
    """Tell again from a time or a place on."""
    after = str(page.form.get("after", "")).strip()
    place = whole(after)
    try:
        body = {"after": after if place is None else place} if after else {"since": page.instant("since")}
        await page.api.post(f"/v1/webhooks/{webhook_id}/replay", body)
    except Refused as refused:
        if not refused.returns_form:
            raise
        return await _shown(page, webhook_id, refused=refused)
    return page.to(f"/operations/webhooks/{webhook_id}", notice="webhooks.replay_notice")


@router.post("/{webhook_id}/delete")
async def delete_webhook(page: Somebody, webhook_id: str) -> Response:
    """Delete a webhook that is as it was seen."""
    await page.api.delete(f"/v1/webhooks/{webhook_id}", if_match=f'"{page.form.get("version", "")}"')
    return page.to("/operations/webhooks", notice="webhooks.delete_notice")


@router.post("/{webhook_id}/{word}")
async def act(page: Somebody, webhook_id: str, word: str) -> Response:
    """Send a test, pause the webhook, or let it go on."""
    there = f"/operations/webhooks/{webhook_id}"
    if word not in ("test", "pause", "resume"):
        return page.to(there)
    await page.api.post(f"/v1/webhooks/{webhook_id}/{word}")
    return page.to(there, notice=f"webhooks.{word}_notice")


def _said(page: Page) -> dict[str, Any]:
    """What the form says; a filter of which nothing is chosen is none."""
    words = {name: str(page.form.get(name, "")).strip() for name in ("url", "name")}
    chosen = {name: page.chosen(name) or None for name in FILTERS}
    return {**words, **chosen, "historic": page.form.get("historic") == "true"}


def _choices() -> dict[str, list[str]]:
    return {"types": sorted(TYPES), "stages": [str(stage) for stage in Stage], "tiers": [str(tier) for tier in Tier]}


async def _listed(
    page: Page, cursor: str, *, made: Any = None, refused: Refused | None = None, said: Mapping[str, Any] | None = None
) -> Response:
    found = await page.api.get("/v1/webhooks", limit=LISTED, cursor=cursor)
    return page.render(
        "webhooks/list.html",
        status=200 if refused is None else refused.status,
        found=found,
        made=made,
        refused=refused,
        said={**NOTHING, **(said or {})},
        **_choices(),
        first=not cursor,
        may_make=page.may("POST", "/v1/webhooks"),
    )


async def _shown(
    page: Page,
    webhook_id: str,
    state: str = "",
    cursor: str = "",
    *,
    made: Any = None,
    refused: Refused | None = None,
    said: Mapping[str, Any] | None = None,
) -> Response:
    state = state if state in STATES else ""
    path = f"/v1/webhooks/{webhook_id}"
    parts = await page.api.together(
        webhook=path, deliveries=(f"{path}/deliveries", {"state": state, "limit": LISTED, "cursor": cursor})
    )
    values = {"webhook": parts["webhook"].or_raise().data, "deliveries": parts["deliveries"]}
    values |= {"state": state, "states": STATES, "first": not cursor}
    if page.by_script:
        return page.render("webhooks/fares.html", **values)
    return page.render(
        "webhooks/one.html",
        status=200 if refused is None else refused.status,
        made=made,
        refused=refused,
        said={**NOTHING, **{name: each for name, each in (said or values["webhook"]).items() if each is not None}},
        wrong_form=said is not None,
        **_choices(),
        graces=GRACES,
        may_change=page.may("POST", f"{path}/pause"),
        **values,
    )
