"""What would be if a policy decided: trials over the whole history, and who would stand elsewhere."""

import csv
import io
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from chassis.http import Streamed
from contracts.scoring import Stage, Tier
from gateway.console.frame import Page, Somebody
from gateway.console.naming import names

router = APIRouter(prefix="/policies", include_in_schema=False)

MOVING = ("waiting", "running")
LISTED = 50
PAGE = 1_000
CELLS = ("stage_active", "tier_active", "stage_draft", "tier_draft")
COLUMNS = ("party_id", *CELLS[:2], "value_active_minor", *CELLS[2:], "value_draft_minor", "currency")
STAGES = tuple(map(str, Stage))
TIERS = tuple(map(str, Tier))
SHOWN_MONTHS = 24


@router.post("/{policy_hash}/trials")
async def try_policy(page: Somebody, policy_hash: str) -> Response:
    """Have it tried; nothing changes by that."""
    body: dict[str, Any] = {name: page.form[name] for name in ("from", "until") if page.form.get(name)}
    asked = await page.api.post(f"/v1/policies/{policy_hash}/trials", body | {"keep_moves": "keep" in page.form})
    return page.to(f"/policies/trials/{asked['id']}")


@router.get("/trials/{trial_id}")
async def read_trial(page: Somebody, trial_id: str) -> Response:
    """How far it is, and what came out."""
    trial = await page.api.get(f"/v1/trials/{trial_id}")
    moving = trial["state"] in MOVING
    may_cancel = _may_cancel(page, trial)
    if page.by_script:
        shown = page.render("policies/trial_progress.html", trial=trial, moving=moving, may_cancel=may_cancel)
        if not moving:
            shown.headers["HX-Refresh"] = "true"
        return shown
    result = trial["result"]
    return page.render(
        "policies/trial.html",
        trial=trial,
        moving=moving,
        policy=await page.api.get(f"/v1/policies/{trial['policy']}"),
        result=result,
        stands=result and _stands(result),
        months=result and _months(result),
        cells=result and sorted(result["differ"]["cells"], key=lambda cell: -cell["parties"])[:20],
        stages=STAGES,
        may_cancel=may_cancel,
        may_approve=page.may("POST", f"/v1/policies/{trial['policy']}/approve"),
    )


@router.post("/trials/{trial_id}/cancel")
async def cancel_trial(page: Somebody, trial_id: str) -> Response:
    """End it before its end."""
    await page.api.delete(f"/v1/trials/{trial_id}")
    return page.to(f"/policies/trials/{trial_id}")


@router.get("/trials/{trial_id}/moves.csv")
async def read_moves(page: Somebody, trial_id: str) -> Response:
    """Every move that it kept, as a file."""
    return page.api.handed_on(f"/v1/trials/{trial_id}/moves")


@router.get("/{policy_hash}/elsewhere")
async def read_elsewhere(page: Somebody, policy_hash: str, cursor: str = "") -> Response:
    """Who would stand elsewhere at this moment, each with where.

    Each is computed, so that the page comes first and asks for them; without a script they come with `?shown=1`.
    """
    wanted = _cells(page)
    shown: dict[str, Any] = {"policy_hash": policy_hash, "wanted": wanted, "cursor": cursor, "found": None}
    if page.computes:
        here = {**wanted, "limit": LISTED, **({"cursor": cursor} if cursor else {})}
        found = await page.api.get(f"/v1/policies/{policy_hash}/elsewhere", **here)
        shown |= {"found": found, "names": await names(page.api, (row["party_id"] for row in found["data"]))}
    if page.by_script:
        return page.render("policies/elsewhere_rows.html", **shown)
    policy = await page.api.get(f"/v1/policies/{policy_hash}")
    return page.render("policies/elsewhere.html", policy=policy, stages=STAGES, tiers=TIERS, **shown)


@router.get("/{policy_hash}/elsewhere.csv")
async def read_elsewhere_as_file(page: Somebody, policy_hash: str) -> Response:
    """All of them, as a file."""
    path, wanted = f"/v1/policies/{policy_hash}/elsewhere", _cells(page)
    # The first part is asked for before anything is sent, so that what is refused is still said as a page.
    first = await page.api.get(path, **wanted, limit=PAGE)
    head = {"Content-Disposition": 'attachment; filename="elsewhere.csv"'}
    lines = _lines(page, path, wanted, first)
    return page.sealed(Streamed(lines, media_type="text/csv; charset=utf-8", headers=head))


async def _lines(page: Page, path: str, wanted: Mapping[str, str], found: Mapping[str, Any]) -> AsyncIterator[str]:
    yield _csv([COLUMNS])
    while True:
        yield _csv([["" if row[name] is None else row[name] for name in COLUMNS] for row in found["data"]])
        if not found["has_more"]:
            return
        found = await page.api.get(path, **wanted, limit=PAGE, cursor=found["next_cursor"])


def _csv(rows: Any) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _cells(page: Page) -> dict[str, str]:
    query = page.request.query_params
    return {name: query[name] for name in CELLS if query.get(name) in (*STAGES, *TIERS)}


def _may_cancel(page: Page, trial: Mapping[str, Any]) -> bool:
    if not page.may("DELETE", "/v1/trials/x"):
        return False
    return page.reaches_all or trial["asked_by"] == (page.me or {}).get("id")


def _stands(result: Mapping[str, Any]) -> list[tuple[str, int, int]]:
    """Parties by stage: under the policy that decides, and under the draft."""
    sides = [Counter[str](), Counter[str]()]
    for counted, side in zip(sides, ("active", "draft"), strict=True):
        for cell in result[side]["stands"]:
            counted[cell["stage"]] += cell["parties"]
    return [(stage, *(side[stage] for side in sides)) for stage in STAGES if any(side[stage] for side in sides)]  # type: ignore[misc]


def _months(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The last months: moves and work under both."""
    found: dict[str, dict[str, Any]] = {}
    for side in ("active", "draft"):
        work = {each["month"]: each for each in result[side]["workload"]}
        for each in result[side]["months"]:
            row = found.setdefault(each["month"], {"month": each["month"]})
            row[side] = sum(each["moves"].values())
            row[f"{side}_work"] = work.get(each["month"])
    rows = [found[month] for month in sorted(found)][-SHOWN_MONTHS:]
    return [{"active": 0, "draft": 0, "active_work": None, "draft_work": None, **row} for row in rows]
