"""API keys: made, changed, given a new secret, revoked. A secret is shown once, in the answer that made it."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from chassis.clock import now
from gateway.console.api import Refused
from gateway.console.frame import Page, Somebody
from gateway.console.numbers import whole
from gateway.domain.keys import ROLES

router = APIRouter(prefix="/keys", include_in_schema=False)

LISTED = 50
LIMIT = ("per_s", "burst")
FIELDS = ("name", "expires_at", *LIMIT)
GRACES = (0, 3_600, 86_400)
"""Seconds for which an old secret may go on beside the new one."""


@router.get("")
async def read_keys(page: Somebody, cursor: str = "") -> Response:
    """All keys, without their secrets."""
    return await _listed(page, cursor)


@router.post("")
async def make_key(page: Somebody) -> Response:
    """Make a key, and show its secret this once."""
    typed = {**_typed(page), "scopes": page.chosen("scopes")}
    try:
        said = {name: value for name, value in _said(page).items() if value is not None}
        made = await page.api.post("/v1/keys", {**said, "scopes": typed["scopes"]})
    except Refused as refused:
        if not refused.returns_form:
            raise
        return await _listed(page, "", refused=refused, typed=typed)
    return await _listed(page, "", made=made)


@router.get("/{key_id}")
async def read_key(page: Somebody, key_id: str) -> Response:
    """One key, what can be different about it, and how it ends."""
    return await _shown(page, key_id)


@router.post("/{key_id}")
async def change_key(page: Somebody, key_id: str) -> Response:
    """Give a key another name, end or rate; an end or a rate that is taken out goes.

    What is as it was shown stays as it is now: somebody else may have changed it since.
    """
    typed = _typed(page)
    other = {name for name in FIELDS if typed[name] != page.form.get(f"was_{name}")}
    other |= {"limit"} if other & {*LIMIT} else set()
    try:
        said = {name: value for name, value in _said(page).items() if name in other}
        await page.api.patch(f"/v1/keys/{key_id}", said)
    except Refused as refused:
        if not refused.returns_form:
            raise
        return await _shown(page, key_id, refused=refused, typed=typed)
    return page.to("/operations/keys", notice="operations.key_changed")


@router.post("/{key_id}/rotate")
async def rotate_key(page: Somebody, key_id: str) -> Response:
    """Give a key a new secret, and show it this once."""
    grace = whole(str(page.form.get("grace_s", "0"))) or 0
    try:
        made = await page.api.post(f"/v1/keys/{key_id}/rotate", {"grace_s": grace})
    except Refused as refused:
        if not refused.returns_form:
            raise
        return await _shown(page, key_id, refused=refused)
    return await _listed(page, "", made=made)


@router.post("/{key_id}/revoke")
async def revoke_key(page: Somebody, key_id: str) -> Response:
    """Have a key work no more."""
    try:
        await page.api.post(f"/v1/keys/{key_id}/revoke")
    except Refused as refused:
        if not refused.returns_form:
            raise
        return await _shown(page, key_id, refused=refused)
    return page.to("/operations/keys", notice="operations.key_revoked")


def _typed(page: Page) -> dict[str, Any]:
    return {name: str(page.form.get(name, "")).strip() for name in FIELDS}


def _said(page: Page) -> dict[str, Any]:
    """What a form says of a key, by the fields of the API; None for what is left empty. Raises `Refused`."""
    typed = _typed(page)
    limit = {name: _number(typed[name]) for name in LIMIT if typed[name]}
    return {"name": typed["name"], "expires_at": page.instant("expires_at"), "limit": limit or None}


def _expired(key: Mapping[str, Any]) -> bool:
    return key["expires_at"] is not None and datetime.fromisoformat(key["expires_at"]) <= now()


def _number(typed: str) -> int | str:
    """What is no number is refused by the API, which says so."""
    number = whole(typed)
    return typed if number is None else number


async def _shown(
    page: Page, key_id: str, *, refused: Refused | None = None, typed: Mapping[str, Any] | None = None
) -> Response:
    key = await page.api.get(f"/v1/keys/{key_id}")
    ends = datetime.fromisoformat(key["expires_at"]) if key["expires_at"] else None
    local = ""
    # The last hours of year 9999 are in no year in the east.
    with suppress(OverflowError):
        local = ends.astimezone(page.zone).replace(tzinfo=None).isoformat(timespec="minutes") if ends else ""
    limit = key["limit"] if key["own_limit"] else dict.fromkeys(LIMIT, "")
    was = {"name": key["name"], "expires_at": local, **{name: str(limit[name]) for name in LIMIT}}
    return page.render(
        "operations/key.html",
        status=200 if refused is None else refused.status,
        key=key,
        expired=_expired(key),
        graces=GRACES,
        refused=refused,
        was=was,
        typed=was if typed is None else typed,
    )


async def _listed(
    page: Page,
    cursor: str,
    *,
    made: Any = None,
    refused: Refused | None = None,
    typed: Mapping[str, Any] | None = None,
) -> Response:
    found = await page.api.get("/v1/keys", limit=LISTED, cursor=cursor)
    return page.render(
        "operations/keys.html",
        status=200 if refused is None else refused.status,
        found=found,
        made=made,
        refused=refused,
        typed=typed or {**dict.fromkeys(FIELDS, ""), "scopes": []},
        roles=[str(role) for role in ROLES],
        expired={key["id"] for key in found["data"] if _expired(key)},
        first=not cursor,
    )
