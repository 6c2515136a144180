"""The model: fits on their way, versions with how good they are, and the word that has one decide."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from gateway.console.api import Refused
from gateway.console.frame import Page, Somebody

router = APIRouter(prefix="/models", include_in_schema=False)

LISTED = 20
MOVING = ("waiting", "running")
PARAMETERS = ("r", "alpha", "a", "b", "p", "q", "v")


@router.get("")
async def read_models(page: Somebody, cursor: str = "") -> Response:
    """What decides, what was fitted, and the fit that is on its way."""
    parts = await page.api.together(
        models=("/v1/models", {"limit": LISTED, "cursor": cursor}), fits=("/v1/fits", {"limit": 5})
    )
    fits = parts["fits"]["data"] if parts["fits"] else []
    fit, moving = fits[0] if fits else None, any(each["state"] in MOVING for each in fits)
    shown: dict[str, Any] = {"fit": fit, "moving": moving, "may_cancel": page.may("DELETE", "/v1/fits/x")}
    if page.by_script:
        part = page.render("models/fit.html", **shown)
        if not moving:
            part.headers["HX-Refresh"] = "true"
        return part
    return page.render(
        "models/index.html",
        models=parts["models"],
        fits=parts["fits"],
        first=not cursor,
        may_fit=page.may("POST", "/v1/models"),
        **shown,
    )


@router.post("")
async def fit_model(page: Somebody) -> Response:
    """Have a model fitted to what happened up to a day."""
    day = str(page.form.get("as_of", ""))
    await page.api.post(
        "/v1/models", {**({"as_of": day} if day else {}), "activate": "activate" in page.form, "force": False}
    )
    return page.to("/models")


@router.post("/fits/{fit_id}/cancel")
async def cancel_fit(page: Somebody, fit_id: str) -> Response:
    """End a fit before its end."""
    await page.api.delete(f"/v1/fits/{fit_id}")
    return page.to("/models")


@router.get("/{model_hash}")
async def read_model(page: Somebody, model_hash: str) -> Response:
    """What it says, and how far what it said came true."""
    return await _shown(page, model_hash, None)


@router.post("/{model_hash}/activate")
async def activate(page: Somebody, model_hash: str) -> Response:
    """Have it decide, now or from a time to come."""
    at = page.instant("active_from")
    body: dict[str, Any] = {"force": "force" in page.form} | ({"active_from": at} if at else {})
    try:
        await page.api.post(f"/v1/models/{model_hash}/activate", body)
    except Refused as refused:
        if not refused.returns_form:
            raise
        return await _shown(page, model_hash, refused)
    return page.to(f"/models/{model_hash}", notice="models.planned_notice" if at else "models.active_notice")


@router.post("/{model_hash}/planned/{activation_id}/cancel")
async def cancel_activation(page: Somebody, model_hash: str, activation_id: str) -> Response:
    """Have a planned activation not take place."""
    await page.api.delete(f"/v1/activations/{activation_id}")
    return page.to(f"/models/{model_hash}", notice="policies.cancelled_notice")


async def _shown(page: Page, model_hash: str, refused: Refused | None) -> Response:
    model = await page.api.get(f"/v1/models/{model_hash}")
    quality = await page.api.part(f"/v1/models/{model_hash}/quality")
    last: Mapping[str, Any] | None = quality["periods"][-1] if quality and quality["periods"] else None
    return page.render(
        "models/one.html",
        status=200 if refused is None else refused.status,
        model=model,
        document=model["document"],
        parameters=PARAMETERS,
        quality=quality,
        last=last,
        refused=refused,
        may_cancel=page.may("DELETE", "/v1/activations/x"),
        may_activate=page.may("POST", f"/v1/models/{model_hash}/activate"),
    )
