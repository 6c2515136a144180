"""The list of parties: filtered, ordered, kept under names, and as a file."""

import csv
import io
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlencode

from fastapi import APIRouter
from starlette.responses import Response

from chassis.clock import now
from chassis.http import Streamed
from contracts.money import MINOR_DIGITS
from gateway.console.api import Api, Query, Refused
from gateway.console.begun import Shown, begun
from gateway.console.frame import Page, Somebody
from gateway.console.lists import MONEY, SORTS, Asked
from gateway.console.naming import names
from gateway.console.people import people

router = APIRouter(include_in_schema=False)

ROWS = 25
FILE_ROWS = 1_000
COLUMNS = (
    "party_id", "name", "stage", "tier", "value", "currency", "last_purchase", "last_interest", "probability",
    "satisfaction", "loyalty", "next_change", "owner_id", "team_id", "last_contact", "potential",
)  # fmt: skip
"""Of the file, whose head is for machines and in one language. New ones are added behind."""


@router.get("/parties")
async def read_parties(page: Somebody) -> Response:
    """A page of the list; to htmx only its rows, and where the next ones are."""
    cursor = page.request.query_params.get("cursor")
    if page.by_script and cursor:
        currency = page.request.query_params.get("currency")
        asked = Asked.of(page, currency)
        found = await page.api.get("/v1/standings", limit=ROWS, cursor=cursor, **asked.sent)
        return page.render("parties/rows.html", **await _rows(page, found, asked))
    if cursor:
        # It may be none: that has a status of its own.
        template, values = await _list(page, cursor)
        return page.render(template, **values)
    return await begun(page, "/v1/standings", "parties/page.html", partial(_list, page, None))


async def _list(page: Page, cursor: str | None) -> Shown:
    currency, known = None, None
    if not page.request.query_params.keys().isdisjoint(MONEY):
        # Amounts are read in the reporting currency.
        known = await page.api.part("/v1/standings/summary")
        currency = known["currency"] if known else None
    asked = Asked.of(page, currency)
    paths: dict[str, str | tuple[str, Query]] = {
        "found": ("/v1/standings", {"limit": ROWS, "cursor": cursor, **asked.sent}),
        "views": ("/v1/views", {"list": "parties", "limit": 100}),
    }
    parts = await page.api.together(**paths, **({} if known else {"summary": "/v1/standings/summary"}))
    summary = known or parts["summary"]
    currency = summary["currency"] if summary else None
    asked = replace(asked, currency=currency or asked.currency)
    found = parts["found"].or_raise()
    return "parties/page.html", {
        "views": parts["views"],
        "sorts": SORTS,
        "currency": currency,
        "everybody": summary["count"] if summary else None,
        "total": asked.count_in(summary.data) if summary else None,
        **await _rows(page, found.data, asked),
    }


async def _rows(page: Page, found: Mapping[str, Any], asked: Asked) -> dict[str, Any]:
    rows = found["data"]
    owners = (id for row in rows for id in (row["owner_id"], row["team_id"]))
    called = await names(page.api, (row["party_id"] for row in rows), (*owners, *asked.whose))
    more = None
    if found["has_more"]:
        more = "/parties?" + urlencode([*asked.pairs, ("cursor", found["next_cursor"]), ("currency", asked.currency)])
    return {"rows": rows, "names": called, "more": more, "asked": asked}


@router.get("/parties/people")
async def choose_people(page: Somebody) -> Response:
    """Of whom else the list can be, as links to it; without a script on a page of its own."""
    asked = Asked.of(page, page.request.query_params.get("currency"))
    template = "parties/people.html" if page.by_script else "parties/people_page.html"
    return page.render(template, asked=asked, found=await people(page))


@router.get("/parties.csv")
async def read_parties_as_file(page: Somebody) -> Response:
    """The whole list, as it is filtered and ordered, piece by piece."""
    summary = await page.api.part("/v1/standings/summary")
    asked = Asked.of(page, summary["currency"] if summary else None)
    first = await page.api.get("/v1/standings", limit=FILE_ROWS, **asked.sent)
    day = now().astimezone(page.zone).date().isoformat()
    head = {"Content-Disposition": f'attachment; filename="parties-{day}.csv"'}
    return page.sealed(Streamed(_file(page.api, asked, first), media_type="text/csv; charset=utf-8", headers=head))


async def _file(api: Api, asked: Asked, found: Mapping[str, Any]) -> AsyncIterator[bytes]:
    # Excel takes a file for UTF-8 by this mark alone.
    yield "\ufeff".encode() + _written([COLUMNS])
    while True:
        called = await names(api, (row["party_id"] for row in found["data"]))
        yield _written([_line(row, called.party(row["party_id"])) for row in found["data"]])
        if not found["has_more"]:
            return
        found = await api.get("/v1/standings", limit=FILE_ROWS, cursor=found["next_cursor"], **asked.sent)


def _line(row: Mapping[str, Any], name: str) -> tuple[Any, ...]:
    digits = MINOR_DIGITS.get(row["currency"], 2)
    value = f"{row['value_minor'] / 10**digits:.{digits}f}"
    graded = row["p"], row["satisfaction"], row["loyalty"], (row["next_change_at"] or "")[:10]
    days = row["last_purchase_day"], row["last_sign_day"]
    # A sheet would carry out what begins like a formula.
    safe = f"'{name}" if name[:1] in "=+-@\t\r" and not name[1:].replace(" ", "").isdigit() else name
    where = row["stage"], row["tier"], value, row["currency"]
    care = row["owner_id"], row["team_id"], row["last_contact_day"]
    return (row["party_id"], safe, *where, *days, *graded, *care, row.get("potential"))


def _written(rows: list[tuple[Any, ...]] | list[tuple[str, ...]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


@router.post("/parties/views")
async def keep_view(page: Somebody) -> Response:
    """Keep what the list is asked for under a name."""
    query = urlencode(parse_qsl(str(page.form.get("query", "")))[:40])
    back = f"/parties?{query}" if query else "/parties"
    name = str(page.form.get("name", "")).strip()
    if not name:
        return page.to(back, notice="parties.view_needs_name")
    try:
        await page.api.post("/v1/views", {"list": "parties", "name": name[:60], "query": query})
    except Refused as refused:
        if refused.code != "too_many_views":
            raise
        return page.to(back, notice="parties.too_many_views")
    return page.to(back, notice="parties.view_kept")


@router.post("/parties/views/{view_id}/forget")
async def forget_view(view_id: str, page: Somebody) -> Response:
    """Keep a view no more. Gone is gone."""
    try:
        await page.api.delete(f"/v1/views/{view_id}")
    except Refused as refused:
        if refused.status != 404:
            raise
    return page.to("/parties", notice="parties.view_forgotten")
