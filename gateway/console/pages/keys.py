"""API keys: made, changed, given a new secret, revoked. A secret is shown once, in the answer that made it."""

from datetime import datetime
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from gateway.console.api import Refused
from gateway.console.frame import Page, Somebody
from gateway.console.numbers import whole
from gateway.domain.keys import ROLES

router = APIRouter(prefix="/keys", include_in_schema=False)

LISTED = 50
LIMIT = ("per_s", "burst")
GRACES = (0, 3_600, 86_400)
"""Seconds for which an old secret may go on beside the new one."""


@router.get("")
async def read_keys(page: Somebody, cursor: str = "") -> Response:
    """All keys, without their secrets."""
    return await _listed(page, cursor)


@router.post("")
async def make_key(page: Somebody) -> Response:
    """Make a key, and show its secret this once."""
    said = _said(page)
    body = {"scopes": page.chosen("scopes")} | {name: value for name, value in said.items() if value is not None}
    try:
        made = await page.api.post("/v1/keys", body)
    except Refused as refused:
        if not refused.returns_form:
            raise
        return await _listed(page, "", refused=refused, said=body)
    return await _listed(page, "", made=made)


@router.get("/{key_id}")
async def show_key(page: Somebody, key_id: str) -> Response:
    """What can be different about a key, as it is."""
    return _one(page, await page.api.get(f"/v1/keys/{key_id}"))


@router.post("/{key_id}")
async def change_key(page: Somebody, key_id: str) -> Response:
    """Give a key another name, end or rate; an end or a rate that is left empty is taken away."""
    said = _said(page)
    try:
        await page.api.patch(f"/v1/keys/{key_id}", said)
    except Refused as refused:
        if not refused.returns_form:
            raise
        return _one(page, await page.api.get(f"/v1/keys/{key_id}"), refused=refused, said=said)
    return page.to("/operations/keys", notice="operations.key_changed")


@router.post("/{key_id}/rotate")
async def rotate_key(page: Somebody, key_id: str) -> Response:
    """Give a key a new secret, and show it this once."""
    grace = whole(str(page.form.get("grace_s", "0"))) or 0
    made = await page.api.post(f"/v1/keys/{key_id}/rotate", {"grace_s": grace})
    return await _listed(page, "", made=made)


@router.post("/{key_id}/revoke")
async def revoke_key(page: Somebody, key_id: str) -> Response:
    """Have a key work no more."""
    await page.api.post(f"/v1/keys/{key_id}/revoke")
    return page.to("/operations/keys", notice="operations.key_revoked")


def _said(page: Page) -> dict[str, Any]:
    """What a form says of a key, by the fields of the API; None for what is left empty."""
    limit = {name: said for name in LIMIT if (said := str(page.form.get(name, "")).strip())}
    return {
        "name": str(page.form.get("name", "")).strip(),
        "expires_at": page.instant("expires_at"),
        # What is no number is refused by the API, which says so.
        "limit": {name: said if (number := whole(said)) is None else number for name, said in limit.items()} or None,
    }


def _one(page: Page, key: Any, *, refused: Refused | None = None, said: Any = None) -> Response:
    values = said or {**key, "limit": key["limit"] if key["own_limit"] else None}
    ends = values["expires_at"] and datetime.fromisoformat(values["expires_at"]).astimezone(page.zone)
    return page.render(
        "operations/key.html",
        status=200 if refused is None else refused.status,
        key=key,
        graces=GRACES,
        refused=refused,
        said={**values, "limit": values["limit"] or {}, "expires_at": f"{ends:%Y-%m-%dT%H:%M}" if ends else ""},
    )


async def _listed(
    page: Page, cursor: str, *, made: Any = None, refused: Refused | None = None, said: Any = None
) -> Response:
    found = await page.api.get("/v1/keys", limit=LISTED, cursor=cursor)
    return page.render(
        "operations/keys.html",
        status=200 if refused is None else refused.status,
        found=found,
        made=made,
        refused=refused,
        said={"name": "", "scopes": [], "limit": {}, "expires_at": ""} | (said or {}),
        roles=[str(role) for role in ROLES],
        first=not cursor,
        may_make=page.may("POST", "/v1/keys"),
    )
