"""How the installation runs: services, how far each reader is, what is paused or stopped, and the words for it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from gateway.console.api import Refused
from gateway.console.begun import Shown, begun
from gateway.console.frame import Page, Somebody
from gateway.console.numbers import whole
from gateway.console.pages import audit, keys, letters, webhooks

router = APIRouter(prefix="/operations", include_in_schema=False)
router.include_router(letters.router)
router.include_router(keys.router)
router.include_router(webhooks.router)
router.include_router(audit.router)


@router.get("")
async def read_operations(page: Somebody) -> Response:
    """Everything at a glance; the figures follow by themselves."""
    if page.by_script:
        return page.render("operations/figures.html", **await _figures(page))
    return await begun(page, "/v1/status", "operations/index.html", partial(_glance, page))


@router.get("/partitions")
async def read_partitions(page: Somebody) -> Response:
    """How far one reader is in each partition of a topic; without a script on the page with everything."""
    if not page.by_script:
        return page.to(f"/operations?{page.request.url.query}")
    asked = page.request.query_params.get("open")
    found = [each for each in _readers((await page.api.get("/v1/lag"))["data"]) if each["name"] == asked]
    return page.render("operations/partitions.html", partitions=found[0]["partitions"] if found else [])


@router.post("/consumers/{word}")
async def turn_reading(page: Somebody, word: str) -> Response:
    """Have a service read nothing more, or go on."""
    if word not in ("pause", "resume"):
        return page.to("/operations")
    service, _, topic = str(page.form.get("what", "")).partition("/")
    await page.api.post(f"/v1/consumers/{word}", {"service": service, "topic": topic or None})
    return page.to("/operations", notice=f"operations.{word}d_notice")


@router.post("/gaps/pass")
async def pass_gap(page: Somebody) -> Response:
    """Let a partition go on without what is missing."""
    form = {name: str(page.form.get(name, "")) for name in ("service", "consumer", "topic", "partition")}
    partition = whole(form["partition"])
    await page.api.post("/v1/gaps/pass", form if partition is None else {**form, "partition": partition})
    return page.to("/operations", notice="operations.passed_notice")


@router.post("/drain")
async def begin_drain(page: Somebody) -> Response:
    """Take nothing in."""
    await page.api.post("/v1/drain")
    return page.to("/operations")


@router.post("/drain/resume")
async def end_drain(page: Somebody) -> Response:
    """Take in again."""
    await page.api.post("/v1/drain/resume")
    return page.to("/operations", notice="operations.opened_notice")


@router.post("/replay")
async def replay(page: Somebody) -> Response:
    """Have a service read again what it has read; what came of it is said when it is through."""
    service, _, topic = str(page.form.get("what", "")).partition("/")
    body: dict[str, Any] = {"service": service} | ({"topic": topic} if topic else {})
    if since := page.instant("since"):
        body["since"] = since
    try:
        answer = await page.api.answer("POST", "/v1/replays", body=body)
    except Refused as refused:
        if not refused.returns_form and refused.status not in (400, 503):
            raise
        template, values = await _glance(page, refused=refused)
        return page.render(template, refused.status, **values)
    template, values = await _glance(page, replayed=answer.text.splitlines()[-12:])
    return page.render(template, **values)


async def _glance(page: Page, *, refused: Refused | None = None, replayed: list[str] | None = None) -> Shown:
    return "operations/index.html", {"refused": refused, "replayed": replayed, **await _figures(page)}


async def _figures(page: Page) -> dict[str, Any]:
    parts = await page.api.together(
        status="/v1/status", lag="/v1/lag", drain="/v1/drain", stopped=("/v1/webhooks", webhooks.FAILING)
    )
    status, lag = parts["status"], parts["lag"]
    return {
        "now": status,
        "drain": parts["drain"],
        "lag": lag,
        "stopped": parts["stopped"],
        "readers": _readers(lag["data"]) if lag else [],
        "opened": page.request.query_params.getlist("open"),
        "letters": sum(each["letters"] for each in status["dead_letters"]) if status else 0,
        "may": {
            "turn": page.may("POST", "/v1/consumers/pause"),
            "drain": page.may("POST", "/v1/drain"),
            "replay": page.may("POST", "/v1/replays"),
            "gaps": page.may("POST", "/v1/gaps/pass"),
        },
    }


def _readers(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each consumer with its topics, and each topic with its partitions."""
    found: defaultdict[tuple[str, str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        found[row["service"], row["consumer"], row["topic"]].append(row)
    return [
        {
            "name": f"{service}/{consumer}/{topic}",
            "service": service,
            "consumer": consumer,
            "topic": topic,
            "partitions": partitions,
            "known": all(each["events"] is not None for each in partitions),
            "events": sum(each["events"] or 0 for each in partitions),
            "oldest_s": max((each["oldest_s"] or 0 for each in partitions), default=0),
            "state": _state([each["state"] for each in partitions]),
        }
        for (service, consumer, topic), partitions in sorted(found.items())
    ]


def _state(states: list[str]) -> str:
    return next((each for each in ("stopped", "paused") if each in states), "reading")
