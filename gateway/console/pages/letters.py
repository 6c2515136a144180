"""Dead letters: what could not be handled, why, and the word that has it tried again or given up."""

import json
from functools import partial
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from gateway.console.api import Part, Query
from gateway.console.begun import Shown, begun
from gateway.console.frame import Page, Somebody

router = APIRouter(prefix="/dead-letters", include_in_schema=False)

STATES = ("open", "requeued", "discarded", "any")
FILTERS = ("service", "topic", "reason")
LISTED = 50


@router.get("")
async def read_letters(page: Somebody, status: str = "open", cursor: str = "") -> Response:
    """Those that are open, or any others, by filter."""
    said = {name: page.request.query_params.get(name, "").strip() for name in FILTERS}
    state = status if status in STATES else "open"
    listed = partial(_listed, page, state, said, cursor)
    return await begun(page, "/v1/dead-letters", "operations/letters.html", listed)


async def _listed(page: Page, state: str, said: dict[str, str], cursor: str = "", wrong: str | None = None) -> Shown:
    # Both go over all services: each waits for the slowest of them.
    counted = {"status": "/v1/status"} if state == "open" and not said["reason"] else {}
    asked: Query = {"status": state, **said, "limit": LISTED, "cursor": cursor}
    parts = await page.api.together(found=("/v1/dead-letters", asked), **counted)
    found, status = parts["found"], parts.get("status")
    return "operations/letters.html", {
        "wrong": wrong,
        "why": str(page.form.get("why", "")),
        "found": found,
        "state": state,
        "states": STATES,
        "said": said,
        "first": not cursor,
        "many": _many(said, found, status) if found and found["data"] and state == "open" else None,
        "may_decide": page.may("POST", "/v1/dead-letters/requeue"),
    }


async def _refused(page: Page, said: dict[str, str], wrong: str) -> Response:
    template, values = await _listed(page, "open", said, wrong=wrong)
    return page.render(template, status=422, **values)


@router.get("/{letter_id}")
async def read_letter(page: Somebody, letter_id: str) -> Response:
    """One with its payload."""
    letter = await page.api.get(f"/v1/dead-letters/{letter_id}")
    return page.render(
        "operations/letter.html",
        letter=letter,
        payload=_readable(letter["payload"]),
        may_decide=page.may("POST", "/v1/dead-letters/requeue"),
    )


@router.post("")
async def decide(page: Somebody) -> Response:
    """Try the ticked ones again, or give them up; all open ones that the filter fits where that is asked for.

    So many are given up with a reason alone.
    """
    said = {name: str(page.form.get(name, "")).strip() for name in FILTERS}
    ids, word = page.chosen("id"), "discard" if page.form.get("do") == "discard" else "requeue"
    every, why = page.form.get("all") == "true", str(page.form.get("why", "")).strip()
    if not every and not ids:
        return await _refused(page, said, "operations.letters_none_ticked")
    if every and word == "discard" and not why:
        return await _refused(page, said, "operations.letters_why_needed")
    fits: dict[str, Any] = {name: value for name, value in said.items() if value} | {"limit": 1_000}
    body: dict[str, Any] = fits if every else {"ids": ids}
    if word == "discard" and why:
        body["why"] = why
    outcomes: list[Any] = []
    while True:
        told = await page.api.post(f"/v1/dead-letters/{word}", body)
        outcomes += told["data"]
        if not told["has_more"]:
            break
        body["cursor"] = told["next_cursor"]
    failed = [each for each in outcomes if each["became"] == "failed"]
    if failed or not outcomes:
        return page.render("operations/outcomes.html", outcomes=outcomes, failed=failed)
    return page.to("/operations/dead-letters", notice=f"operations.letters_{word}{'d' if word == 'requeue' else 'ed'}")


def _many(said: dict[str, str], found: Part, status: Part | None) -> tuple[int, bool]:
    """How many open ones the filter fits, and whether that is all: by reason they are counted on the page alone."""
    if not status:
        return len(found["data"]), not found["has_more"]
    fits = [each for each in status["dead_letters"] if all(said[by] in ("", each[by]) for by in ("service", "topic"))]
    return sum(each["letters"] for each in fits), True


def _readable(payload: str | None) -> str:
    try:
        return json.dumps(json.loads(payload or ""), indent=2, ensure_ascii=False)
    except ValueError:
        return payload or ""
