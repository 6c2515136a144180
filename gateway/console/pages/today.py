"""What moved and what will move: one's own, one's team's, or everybody's."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.responses import Response

from chassis.clock import now
from gateway.console.begun import Shown, begun
from gateway.console.frame import Page, Somebody
from gateway.console.lists import SEVERAL, SLIPPED
from gateway.console.naming import names

router = APIRouter(include_in_schema=False)

SCOPES = ("mine", "team", "all")
FEW = 8
"""Rows of each part; the list has the rest."""
SLIPPED_DAYS, SLIPPING_DAYS, CHANGING_DAYS = 14, 14, 7
ANSWER_DAYS, ASKED_DAYS = 2, 60
"""After so many days without an answer it is late; what was asked longer ago is past answering."""
PROBLEM_DAYS = 3
OVERDUE: Mapping[str, str | int] = {"status": "open", "open_days": PROBLEM_DAYS}
Asking = tuple[str, Mapping[str, str | int | bool | Sequence[str] | None]]
ROWS = 50
"""Of a whole list."""


@router.get("/")
async def read_today(page: Somebody) -> Response:
    """What calls for somebody today."""
    if not page.may("GET", "/v1/standings/summary"):
        # Who only brings files in has that to do.
        return page.to("/import")
    return await begun(page, "/v1/standings/summary", "today/page.html", partial(_today, page))


async def _today(page: Page) -> Shown:
    scope, whose = _scope(page)
    present = now()
    today = present.astimezone(page.zone).date()
    since = str(today - timedelta(days=SLIPPED_DAYS))
    asked = _parts(whose, present, since)
    # What somebody may not ask for is no part of their page.
    theirs = {name: asking for name, asking in asked.items() if page.may("GET", asking[0])}
    parts: dict[str, Any] = dict.fromkeys(asked) | await page.api.together(**theirs)
    summary = parts["summary"]
    if summary and summary["count"] == 0:
        begins = page.reaches_all and page.may("POST", "/v1/imports")
        return "today/first.html" if begins else "today/nobody.html", {}
    shown = [name for name in ("slipping", "slipped", "changing", "unanswered", "problems") if parts[name]]
    rows = [row for name in shown for row in parts[name]["data"]]
    return "today/page.html", {
        **parts,
        "scope": scope,
        "scopes": _scopes(page),
        "owner": _owner(page),
        "whose": _as_list(whose),
        "today": today,
        "since": since,
        "names": await names(page.api, (row["party_id"] for row in rows if row.get("party_id"))),
        "slipped_days": SLIPPED_DAYS,
        "slipping_days": SLIPPING_DAYS,
        "changing_days": CHANGING_DAYS,
        "problem_days": PROBLEM_DAYS,
        "answer_days": ANSWER_DAYS,
        "news": _news(parts, present - timedelta(days=14)),
        "stopped": parts["webhooks"]["data"] if parts["webhooks"] else [],
    }


def _parts(whose: Mapping[str, str], present: datetime, since: str) -> dict[str, Asking]:
    """What the page is made of, by the names of its parts; who has slipped has done so `since` that day."""
    slipped: dict[str, str | int] = {"in_stage_since": since, "limit": FEW, **whose}
    soon: dict[str, str | int] = {"sort": "next_change_at", "changes_within_days": CHANGING_DAYS, "limit": FEW, **whose}
    return {
        "summary": ("/v1/standings/summary", {}),
        "slipping": ("/v1/at-risk", {"within_days": SLIPPING_DAYS, "limit": FEW, **whose}),
        "slipped": ("/v1/standings", {"stage": SEVERAL[SLIPPED], **slipped}),
        "changing": ("/v1/standings", soon),
        "unanswered": ("/v1/interactions", {**_late(present), "limit": FEW, **whose}),
        "problems": ("/v1/problems", {**OVERDUE, "limit": FEW, **whose}),
        "imports": ("/v1/imports", {"limit": 8}),
        "activations": ("/v1/activations", {"open": True, "limit": 3}),
        "policies": ("/v1/policies", {"state": "active"}),
        "duplicates": ("/v1/duplicates", {"limit": 1}),
        "webhooks": ("/v1/webhooks", {"failing": True, "limit": FEW}),
    }


@router.get("/unanswered")
async def read_unanswered(page: Somebody) -> Response:
    """All who wait for an answer for too long."""
    return await _whole(page, "unanswered", "/v1/interactions", _late(now()), ANSWER_DAYS)


@router.get("/problems")
async def read_problems(page: Somebody) -> Response:
    """All problems that are open for too long."""
    return await _whole(page, "problems", "/v1/problems", OVERDUE, PROBLEM_DAYS)


async def _whole(page: Page, what: str, path: str, asked: Mapping[str, Any], days: int) -> Response:
    """A whole list; to htmx only its next rows."""
    scope, whose = _scope(page)
    cursor = page.request.query_params.get("cursor")
    found = await page.api.get(path, **asked, **whose, limit=ROWS, cursor=cursor)
    more = f"/{what}?" + urlencode({"scope": scope, "cursor": found["next_cursor"]}) if found["has_more"] else None
    return page.render(
        "today/rows.html" if page.by_script and cursor else "today/whole.html",
        what=what,
        days=days,
        scope=scope,
        scopes=_scopes(page),
        rows=found["data"],
        more=more,
        names=await names(page.api, (row["party_id"] for row in found["data"])),
    )


def _late(present: datetime) -> dict[str, str | int | bool]:
    """What asks for contacts that wait for an answer for too long."""
    since, until = (present - timedelta(days=days) for days in (ASKED_DAYS, ANSWER_DAYS))
    return {"unanswered": True, "since": since.isoformat(), "until": until.isoformat()}


@router.get("/figures")
async def read_figures(page: Somebody) -> Response:
    """The figures alone, for whoever looks at them while they change."""
    return page.render("today/figures.html", summary=await page.api.part("/v1/standings/summary"))


def _owner(page: Page) -> str | None:
    """Under which id parties are this person's; None for a key, which owns none."""
    id = str((page.me or {}).get("id", ""))
    return id if id.startswith("user_") else None


def _scopes(page: Page) -> list[str]:
    team = (page.me or {}).get("team")
    return [scope for scope in SCOPES if scope == "all" or (_owner(page) and (scope == "mine" or team))]


def _scope(page: Page) -> tuple[str, dict[str, str]]:
    """Whose parties the page is about: what was asked for, else one's own, else everybody's."""
    possible = _scopes(page)
    asked = page.request.query_params.get("scope", "")
    scope = asked if asked in possible else possible[0]
    me = page.me or {}
    if scope == "mine":
        return scope, {"owner_id": str(me["id"])}
    return scope, {"team_id": str(me["team"]["id"])} if scope == "team" else {}


def _as_list(whose: Mapping[str, str]) -> str:
    """The same in the address of the list."""
    return "".join(f"&{name}={'me' if name == 'owner_id' else id}" for name, id in whose.items())


def _news(parts: Mapping[str, Any], since: Any) -> list[dict[str, Any]]:
    """What happened to the installation lately, the latest first."""
    news: list[dict[str, Any]] = []
    for each in parts["imports"]["data"] if parts["imports"] else []:
        # What was only looked at is no news.
        if each["dry_run"]:
            continue
        news.append({"what": f"import_{each['state']}", "at": each["finished_at"] or each["created_at"], "of": each})
    for each in parts["policies"]["data"] if parts["policies"] else []:
        if each["activated_at"] and each["state"] == "active":
            news.append({"what": "policy", "at": each["activated_at"], "of": each})
    for each in parts["activations"]["data"] if parts["activations"] else []:
        news.append({"what": "planned" if each["policy"] else "planned_model", "at": each["active_from"], "of": each})
    recent = [each for each in news if str(each["at"]) >= since.isoformat()[:19]]
    return sorted(recent, key=lambda each: str(each["at"]), reverse=True)
