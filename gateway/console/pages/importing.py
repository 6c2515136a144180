"""Files on their way in: sent, looked at, understood otherwise, imported, undone."""

import csv
import io
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from gateway.console.api import Part, Query, Refused
from gateway.console.frame import Page, Somebody
from gateway.console.messages import messages
from gateway.domain.imports import Kind

router = APIRouter(prefix="/import", include_in_schema=False)

OPEN = ("waiting", "running", "undoing")
"""States of an import that still moves."""
REASONS = frozenset(key.removeprefix("importing.reason_") for key in messages("en") if "importing.reason_" in key)
"""What can be wrong with a row and is told in the reader's language; any other reason is told by its code."""
SHOWN_REJECTS = 20
LISTED = 20
COUNTED = 200
"""Webhooks that are looked at, to tell how many hear what is long past."""


@router.get("")
async def read_imports(page: Somebody, cursor: str = "") -> Response:
    """What was imported, and the place to drop a file."""
    return await _listed(page, cursor)


@router.post("")
async def send_file(page: Somebody) -> Response:
    """Have a file looked at: the API reads it and records nothing."""
    sent = page.api.upload("/v1/imports", page.request.stream(), page.request.headers.get("content-type", ""))
    try:
        started = await sent
    except Refused as refused:
        if refused.status in (401, 403, 404) or refused.status >= 500:
            raise
        return await _listed(page, "", refused)
    return page.to(f"/import/{started['id']}")


@router.get("/{import_id}")
async def read_import(page: Somebody, import_id: str) -> Response:
    """How a file is understood, how far it is, and what became of its rows."""
    job = await page.api.get(f"/v1/imports/{import_id}")
    if page.by_script:
        # What a person is filling in stays untouched; only the end of a run changes the rest of the page.
        moving = job["state"] in OPEN
        shown = page.render("importing/progress.html", job=job, moving=moving)
        if not moving:
            shown.headers["HX-Refresh"] = "true"
        return shown
    return await _shown(page, job)


@router.post("/{import_id}/again")
async def import_again(page: Somebody, import_id: str) -> Response:
    """Read the rows as the form says: once more without effect, or for good."""
    body = _asked(page.form)
    try:
        started = await page.api.post(f"/v1/imports/{import_id}/again", body)
    except Refused as refused:
        if not refused.returns_form and refused.status != 400:
            raise
        job = await page.api.get(f"/v1/imports/{import_id}")
        said = {name: value for name, value in body.items() if name in ("source", "currency", "timezone", "dates")}
        return await _shown(page, {**job, **said, "mapping": body["mapping"], "constants": body["constants"]}, refused)
    return page.to(f"/import/{started['id']}")


@router.post("/{import_id}/undo")
async def undo_import(page: Somebody, import_id: str) -> Response:
    """Take everything back that an import brought."""
    await page.api.post(f"/v1/imports/{import_id}/undo")
    return page.to(f"/import/{import_id}")


@router.get("/{import_id}/rejects.csv")
async def read_rejects(page: Somebody, import_id: str) -> Response:
    """The rows that were not taken, as a file."""
    return page.api.handed_on(f"/v1/imports/{import_id}/rejects")


async def _listed(page: Page, cursor: str, refused: Refused | None = None) -> Response:
    parts = await page.api.together(
        imports=("/v1/imports", {"limit": LISTED, "cursor": cursor}), kinds="/v1/imports/kinds"
    )
    return page.render(
        "importing/index.html",
        status=200 if refused is None else refused.status,
        imports=parts["imports"],
        kinds=[kind["kind"] for kind in parts["kinds"]["data"]] if parts["kinds"] else list(Kind),
        first=not cursor,
        refused=refused,
        may_send=page.may("POST", "/v1/imports"),
    )


async def _shown(page: Page, job: Mapping[str, Any], refused: Refused | None = None) -> Response:
    parts = await page.api.together(kinds="/v1/imports/kinds", **_webhooks(page))
    kinds, webhooks = parts["kinds"], parts.get("webhooks")
    found = [each for each in kinds["data"] if each["kind"] == job["kind"]] if kinds else []
    kind = found[0] if found else None
    return page.render(
        "importing/one.html",
        status=200 if refused is None else refused.status,
        job=job,
        moving=job["state"] in OPEN,
        kind=kind,
        missing=_missing(kind, job) if kind else [],
        rejects=await _rejects(page, job),
        refused=refused,
        reasons=REASONS,
        money=kind is not None and kind["money"],
        hearing=sum(_hears(each) for each in webhooks["data"]) if webhooks else None,
        hearing_more=bool(webhooks and webhooks["has_more"]),
        may_import=page.may("POST", f"/v1/imports/{job['id']}/again"),
    )


def _webhooks(page: Page) -> dict[str, tuple[str, Query]]:
    """For whoever may see them: how many hear what is long past."""
    return {"webhooks": ("/v1/webhooks", {"limit": COUNTED})} if page.may("GET", "/v1/webhooks") else {}


def _hears(webhook: Mapping[str, Any]) -> bool:
    return bool(webhook["historic"]) and webhook["state"] == "active"


async def _rejects(page: Page, job: Mapping[str, Any]) -> Part | None:
    """The first rows that were not taken: header, then number, reason, detail and cells."""
    if not job["rejected"] and not job["conflict"] and not job["noted"]:
        return None
    try:
        answer = await page.api.answer("GET", f"/v1/imports/{job['id']}/rejects", query={"limit": SHOWN_REJECTS})
    except Refused as refused:
        return Part(None, refused)
    return Part(list(csv.reader(io.StringIO(answer.text))), None)


def _missing(kind: Mapping[str, Any], job: Mapping[str, Any]) -> list[str]:
    """Fields without which nothing can be recorded; of those of which any will do, the first."""
    said = {**job["mapping"], **job["constants"]}
    if job["date"]:
        said["occurred_at"] = job["date"]
    found = [field["name"] for field in kind["fields"] if field["needed"] and not said.get(field["name"])]
    if kind["any_of"] and not any(said.get(name) for name in kind["any_of"]):
        found.append(kind["any_of"][0])
    return found


def _asked(form: Mapping[str, str | list[str]]) -> dict[str, Any]:
    """The body of the wish that a form is: what is empty is not said, but a column that is none."""
    said = {name: str(value).strip() for name, value in form.items()}
    body: dict[str, Any] = {
        "mapping": {name.removeprefix("map_"): value for name, value in said.items() if name.startswith("map_")},
        "constants": {
            name.removeprefix("all_"): value for name, value in said.items() if name.startswith("all_") and value
        },
        "dry_run": said.get("do") != "import",
        "unfinished": said.get("do") != "import",
    }
    return body | {name: said[name] for name in SAID if said.get(name)}


SAID = ("source", "currency", "timezone", "dates", "date")
