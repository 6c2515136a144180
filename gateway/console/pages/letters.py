"""Dead letters: what could not be handled, why, and the word that has it tried again or given up."""

import json
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from gateway.console.api import Part
from gateway.console.frame import Page, Somebody

router = APIRouter(prefix="/dead-letters", include_in_schema=False)

STATES = ("open", "requeued", "discarded", "any")
FILTERS = ("service", "topic", "reason")
LISTED = 50


@router.get("")
async def read_letters(page: Somebody, status: str = "open", cursor: str = "") -> Response:
    """Those that are open, or any others, by filter."""
    said = {name: page.request.query_params.get(name, "").strip() for name in FILTERS}
    return await _listed(page, status if status in STATES else "open", said, cursor)


async def _listed(
    page: Page, status: str, said: dict[str, str], cursor: str = "", wrong: str | None = None
) -> Response:
    found = await page.api.part("/v1/dead-letters", status=status, **said, limit=LISTED, cursor=cursor)
    return page.render(
        "operations/letters.html",
        status=422 if wrong else 200,
        wrong=wrong,
        why=str(page.form.get("why", "")),
        found=found,
        state=status,
        states=STATES,
        said=said,
        first=not cursor,
        many=await _many(page, said, found) if found and found["data"] and status == "open" else None,
        may_decide=page.may("POST", "/v1/dead-letters/requeue"),
    )


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
        return await _listed(page, "open", said, wrong="operations.letters_none_ticked")
    if every and word == "discard" and not why:
        return await _listed(page, "open", said, wrong="operations.letters_why_needed")
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


async def _many(page: Page, said: dict[str, str], found: Part) -> tuple[int, bool]:
    """How many open ones the filter fits, and whether that is all: by reason they are counted on the page alone."""
    if said["reason"] or not (status := await page.api.part("/v1/status")):
        return len(found["data"]), not found["has_more"]
    fits = [each for each in status["dead_letters"] if all(said[by] in ("", each[by]) for by in ("service", "topic"))]
    return sum(each["letters"] for each in fits), True


def _readable(payload: str | None) -> str:
    try:
        return json.dumps(json.loads(payload or ""), indent=2, ensure_ascii=False)
    except ValueError:
        return payload or ""
