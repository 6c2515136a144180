"""Dead letters: what could not be handled, why, and the word that has it tried again or given up."""

import json
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from gateway.console.frame import Page, Somebody

router = APIRouter(prefix="/dead-letters", include_in_schema=False)

STATES = ("open", "requeued", "discarded", "any")
FILTERS = ("service", "topic", "reason")
LISTED = 50


@router.get("")
async def read_letters(page: Somebody, status: str = "open", cursor: str = "") -> Response:
    """Those that are open, or any others, by filter."""
    status = status if status in STATES else "open"
    said = {name: page.request.query_params.get(name, "").strip() for name in FILTERS}
    found = await page.api.part("/v1/dead-letters", status=status, **said, limit=LISTED, cursor=cursor)
    return page.render(
        "operations/letters.html",
        found=found,
        state=status,
        states=STATES,
        said=said,
        first=not cursor,
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
    """Try the chosen ones again, or give them up; without any chosen, all open ones that the filter fits."""
    body = _asked(page)
    word = "discard" if page.form.get("do") == "discard" else "requeue"
    if word == "discard" and (why := str(page.form.get("why", "")).strip()):
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


def _asked(page: Page) -> dict[str, Any]:
    if ids := page.chosen("id"):
        return {"ids": ids}
    said = {name: str(page.form.get(name, "")).strip() for name in FILTERS}
    return {name: value for name, value in said.items() if value} | {"limit": 1_000}


def _readable(payload: str | None) -> str:
    try:
        return json.dumps(json.loads(payload or ""), indent=2, ensure_ascii=False)
    except ValueError:
        return payload or ""
