"""Where everybody stands, what that is worth, who moves from where to where, and whether it is getting better."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.responses import Response

from chassis.clock import now
from gateway.console.frame import Page, Somebody
from gateway.console.lists import STAGES, TIERS
from gateway.console.naming import names
from gateway.console.numbers import whole
from gateway.console.standing import forecast

router = APIRouter(include_in_schema=False)

PERIODS = (30, 90, 365)
ROWS = 50
RANK = {stage: place for place, stage in enumerate(
    ("lost_prospect", "dormant_prospect", "prospect", "lost_customer", "dormant_customer", "customer")
)}  # fmt: skip
"""How well somebody stands: a flow to a higher place is a gain."""
HEAT = 5
"""Shades of a cell."""


@router.get("/population")
async def read_population(page: Somebody) -> Response:
    """Stage by tier, and a place for what takes longer."""
    return await _population(page, flows=None, **_period(page))


@router.get("/population/matrix")
async def read_matrix(page: Somebody) -> Response:
    """Stage by tier alone, for whoever looks at it while it changes."""
    summary = forecast(await page.api.get("/v1/standings/summary"))
    return page.render("population/live.html", summary=summary, **_matrix(summary))


@router.get("/population/flows")
async def read_flows(page: Somebody) -> Response:
    """Who moved in a period, and how many stood where on the way.

    Each party that is looked at is computed, so that the page comes first and asks for them; without a script they come
    with `?shown=1`.
    """
    shown: dict[str, Any] = {**_period(page), "flows": None}
    if page.computes:
        flows = await page.api.part("/v1/reports/flows", **_days(shown))
        shown |= {"flows": flows, **(_flows(flows.data) if flows else {})}
    return page.render("population/flows.html", **shown) if page.by_script else await _population(page, **shown)


@router.get("/population/moves")
async def read_moves(page: Somebody) -> Response:
    """The moves that a flow counts, asked for likewise; to htmx only rows."""
    query, period = page.request.query_params, _period(page)
    stages = {name: query.get(name) if query.get(name) in STAGES else "none" for name in ("from_stage", "to_stage")}
    asked = {**stages, "since": period["since"], "until": period["until"]}
    cursor = query.get("cursor")
    shown: dict[str, Any] = {**asked, "query": urlencode(asked), "rows": None}
    if page.computes:
        parts = await page.api.together(
            found=("/v1/reports/flows/moves", {**stages, **_days(period), "limit": ROWS, "cursor": cursor}),
            summary="/v1/standings/summary",
        )
        found, summary = parts["found"].or_raise(), parts["summary"]
        shown |= {
            "rows": found["data"],
            "more": urlencode({**asked, "cursor": found["next_cursor"]}) if found["has_more"] else None,
            "currency": summary["currency"] if summary else None,
            "names": await names(page.api, (row["party_id"] for row in found["data"])),
        }
    if page.by_script:
        return page.render("population/move_rows.html" if cursor else "population/move_list.html", **shown)
    return page.render("population/moves.html", **shown)


async def _population(page: Page, **values: Any) -> Response:
    summary = forecast(await page.api.get("/v1/standings/summary"))
    return page.render("population/page.html", summary=summary, **_matrix(summary), **values)


def _matrix(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Rows of stages that there are, each with its cells by tier and its sums."""
    cells = {(cell["stage"], cell["tier"]): cell for cell in summary["data"]}
    tiers = [tier for tier in TIERS if any(tier == cell["tier"] for cell in summary["data"])]
    most = max((cell["value_minor"] for cell in summary["data"]), default=0)
    crowd = max((cell["count"] for cell in summary["data"]), default=0)
    rows = []
    for stage in STAGES:
        of = [cells.get((stage, tier)) for tier in tiers]
        count = sum(cell["count"] for cell in of if cell)
        shaded = [(tier, cell, _heat(cell, most, crowd)) for tier, cell in zip(tiers, of, strict=True)]
        worth = sum(cell["value_minor"] for cell in of if cell)
        rows.append({"stage": stage, "cells": shaded, "count": count, "value_minor": worth})
    widest = max((row["count"] for row in rows), default=0) or 1
    sums = {
        tier: (
            sum(cell["count"] for cell in summary["data"] if cell["tier"] == tier),
            sum(cell["value_minor"] for cell in summary["data"] if cell["tier"] == tier),
        )
        for tier in tiers
    }
    return {"rows": rows, "tiers": tiers, "sums": sums, "widest": widest}


def _heat(cell: Mapping[str, Any] | None, most: int, crowd: int) -> int:
    if cell is None or not cell["count"]:
        return 0
    share = cell["value_minor"] / most if most > 0 else cell["count"] / crowd
    return min(HEAT, 1 + int(max(share, 0) ** 0.5 * HEAT))


def _period(page: Page) -> dict[str, Any]:
    """The days that are asked for: so many up to today, or from one day to another."""
    query = page.request.query_params
    today = now().astimezone(page.zone).date()
    since, until = _day(query.get("since")), _day(query.get("until"))
    days = whole(query.get("days", "")) or 90
    days = days if days <= 3_650 else 90
    if since and until and since <= until <= today and (until - since).days < 3_650:
        return {"since": str(since), "until": str(until), "days": None, "periods": PERIODS, "today": str(today)}
    since, until = today - timedelta(days=days - 1), today
    return {"since": str(since), "until": str(until), "days": days, "periods": PERIODS, "today": str(today)}


def _days(period: Mapping[str, Any]) -> dict[str, str | None]:
    """How the days of a period are asked for. Up to today is up to what is known: there it may be another day."""
    return {"since": period["since"], "until": None if period["until"] == period["today"] else period["until"]}


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text or "")
    except ValueError:
        return None


def _flows(found: Mapping[str, Any]) -> dict[str, Any]:
    """Each flow with its share of the largest and whether it is a gain, and a line for each stage."""
    data = found["data"]
    most = max((flow["count"] for flow in data), default=0) or 1
    flows = [{**flow, "share": flow["count"] / most, "tone": _tone(flow)} for flow in data if flow["count"]]
    return {
        "gains": [each for each in flows if each["tone"] != "bad"],
        "falls": [each for each in flows if each["tone"] == "bad"],
        "trend": _trend(found["trend"]),
    }


def _tone(flow: Mapping[str, Any]) -> str:
    before, after = flow["from_stage"], flow["to_stage"]
    if before is None or before == "stranger":
        return "new" if after in ("prospect", "customer") else "bad"
    return "good" if RANK.get(after, -1) > RANK.get(before, -1) else "bad"


def _trend(points: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    days = sorted({point["day"] for point in points})
    if len(days) < 2:
        return []
    first, last = (date.fromisoformat(day).toordinal() for day in (days[0], days[-1]))
    counted = {(point["stage"], point["day"]): point["count"] for point in points}
    lines = []
    for stage in STAGES:
        counts = [counted.get((stage, day), 0) for day in days]
        if not any(counts):
            continue
        most = max(counts)
        xs = [(date.fromisoformat(day).toordinal() - first) / (last - first) for day in days]
        lines.append(
            {
                "stage": stage,
                "before": counts[0],
                "after": counts[-1],
                "points": [(x, count / most) for x, count in zip(xs, counts, strict=True)],
                "rows": list(zip(days, counts, strict=True)),
            }
        )
    return lines
