"""API keys: made, given a new secret, revoked. A secret is shown once, in the answer that made it."""

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
    body: dict[str, Any] = {
        "name": str(page.form.get("name", "")).strip(),
        "scopes": page.chosen("scopes"),
    }
    if ends := page.instant("expires_at"):
        body["expires_at"] = ends
    if limit := {name: said for name in LIMIT if (said := str(page.form.get(name, "")).strip())}:
        # What is no number is refused by the API, which says so.
        body["limit"] = {name: said if (number := whole(said)) is None else number for name, said in limit.items()}
    try:
        made = await page.api.post("/v1/keys", body)
    except Refused as refused:
        if refused.status != 422:
            raise
        return await _listed(page, "", refused=refused, said=body)
    return await _listed(page, "", made=made)


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
        said={"name": "", "scopes": [], "limit": {}} | (said or {}),
        roles=[str(role) for role in ROLES],
        graces=GRACES,
        first=not cursor,
        may_make=page.may("POST", "/v1/keys"),
    )
