"""Parties that may be one: side by side, what speaks for it, what would become of both, and the word that decides."""

import asyncio
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from gateway.console.api import Api, Part, Refused
from gateway.console.frame import Page, Somebody
from gateway.console.numbers import whole

router = APIRouter(prefix="/duplicates", include_in_schema=False)

STATES = ("open", "accepted", "dismissed")
LISTED = 25
SCHEMES = ("email", "phone", "external")


@router.get("")
async def read_queue(page: Somebody, status: str = "open", cursor: str = "") -> Response:
    """The queue, the likeliest first, and what was decided before."""
    status = status if status in STATES else "open"
    parts = await page.api.together(
        found=("/v1/duplicates", {"status": status, "limit": LISTED, "cursor": cursor}), rules="/v1/duplicates/rules"
    )
    return page.render(
        "duplicates/index.html",
        found=parts["found"],
        rules=parts["rules"],
        state=status,
        states=STATES,
        first=not cursor,
    )


@router.get("/rules")
async def read_rules(page: Somebody) -> Response:
    """What makes two parties one without a person."""
    answer = await page.api.answer("GET", "/v1/duplicates/rules")
    return await _rules(page, answer.json(), answer.headers["etag"], {}, None)


@router.post("/rules")
async def change_rules(page: Somebody) -> Response:
    """Have other rules from now on."""
    form = page.form
    strong, claims = form.get("strong", []), str(form.get("most_claims", ""))
    most = whole(claims)
    body: dict[str, Any] = {
        "strong": [strong] if isinstance(strong, str) else strong,
        "most_claims": claims if most is None else most,
        "role_addresses": str(form.get("role_addresses", "")).split(),
    }
    try:
        await page.api.put("/v1/duplicates/rules", body, if_match=str(form.get("version", "")))
    except Refused as refused:
        if not refused.returns_form and refused.status != 400:
            raise
        now = await page.api.get("/v1/duplicates/rules")
        return await _rules(page, now, str(form.get("version", "")), body, refused)
    return page.to("/duplicates/rules", notice="duplicates.rules_saved")


@router.get("/{candidate_id}")
async def read_candidate(page: Somebody, candidate_id: str) -> Response:
    """Both parties beside each other, and what would become of them."""
    return await _shown(page, await page.api.get(f"/v1/duplicates/{candidate_id}"), None)


@router.post("/{candidate_id}/accept")
async def accept(page: Somebody, candidate_id: str) -> Response:
    """Say that both are one."""
    note = str(page.form.get("note", "")).strip()
    await page.api.post(f"/v1/duplicates/{candidate_id}/accept", {"note": note} if note else {})
    return page.to(f"/duplicates/{candidate_id}", notice="duplicates.merged")


@router.post("/{candidate_id}/dismiss")
async def dismiss(page: Somebody, candidate_id: str) -> Response:
    """Say that they are two, and why."""
    note = str(page.form.get("note", "")).strip()
    try:
        await page.api.post(f"/v1/duplicates/{candidate_id}/dismiss", {"note": note})
    except Refused as refused:
        if not refused.returns_form:
            raise
        return await _shown(page, await page.api.get(f"/v1/duplicates/{candidate_id}"), refused, note)
    return page.to("/duplicates", notice="duplicates.dismissed_notice")


@router.post("/{candidate_id}/undo")
async def undo(page: Somebody, candidate_id: str) -> Response:
    """Take the merge back that accepting made."""
    found = await page.api.get(f"/v1/duplicates/{candidate_id}")
    merge = await _merge_of(page, found)
    if merge is not None:
        await page.api.post(f"/v1/parties/{found['party_id']}/unmerge", {"merge_id": merge["id"]})
    return page.to(f"/duplicates/{candidate_id}", notice="duplicates.unmerged")


async def _shown(page: Page, found: Mapping[str, Any], refused: Refused | None, note: str = "") -> Response:
    one, other = found["party_id"], found["other_id"]
    together = len(found["sides"]) == 1
    # A reader may look at both sides, and be told what would come of it by whichever service answers.
    asked = page.api, {"party_id": other}
    preview, standing, merge = await asyncio.gather(
        _posted(*asked, f"/v1/parties/{one}/merge-preview"),
        _posted(*asked, f"/v1/standings/{one}/merge-preview"),
        _merge_of(page, found) if together else _nothing(),
    )
    stands = standing.data or {}
    names = ("together",) if together else _order(found, stands)
    sides = [{**side, "standing": stands.get(name)} for side, name in zip(found["sides"], names, strict=False)]
    return page.render(
        "duplicates/one.html",
        status=200 if refused is None else refused.status,
        found=found,
        sides=sides,
        together=together,
        preview=preview,
        standing=standing,
        after=stands.get("together"),
        merge=merge,
        refused=refused,
        note=note,
        may_decide=page.may("POST", f"/v1/duplicates/{found['id']}/accept"),
        may_unmerge=page.may("POST", f"/v1/parties/{one}/unmerge"),
    )


def _order(found: Mapping[str, Any], stands: Mapping[str, Any]) -> tuple[str, str]:
    """Whose standing is that of the first side: the parties may be merged with others, and come by other ids."""
    first = found["sides"][0]["party"]
    one = stands.get("one") or {}
    return ("one", "other") if one.get("party_id", first["id"]) == first["id"] else ("other", "one")


async def _posted(api: Api, body: Any, path: str) -> Part:
    try:
        return Part(await api.post(path, body), None)
    except Refused as refused:
        if refused.status == 401:
            raise
        return Part(None, refused)


async def _merge_of(page: Page, found: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The merge of both that holds, if a person or the rules made one of just these two."""
    merges = await page.api.part(f"/v1/parties/{found['party_id']}/merges", limit=100)
    both = {found["party_id"], found["other_id"]}
    return next(
        (
            merge
            for merge in (merges["data"] if merges else ())
            if {merge["party_id"], merge["other_id"]} == both and not merge.get("unmerged_at")
        ),
        None,
    )


async def _nothing() -> None:
    return None


async def _rules(
    page: Page, now: Mapping[str, Any], version: str, said: Mapping[str, Any], refused: Refused | None
) -> Response:
    return page.render(
        "duplicates/rules.html",
        status=200 if refused is None else refused.status,
        now=now,
        rules={**now["rules"], **said},
        version=version,
        schemes=SCHEMES,
        refused=refused,
        may_change=page.may("PUT", "/v1/duplicates/rules"),
    )
