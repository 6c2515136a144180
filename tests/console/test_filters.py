"""Each filter of the list shows those whom it names, and nobody else."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI, Request
from playwright.sync_api import Page

from chassis.clock import now
from gateway.console.api import Api
from gateway.console.frame import Page as Somebody
from gateway.console.lists import Asked
from gateway.console.pages.parties import ROWS
from tests.console.conftest import Visit
from tests.system.product import Product

Standing = Mapping[str, Any]


def ago(days: int) -> str:
    return str(now().date() - timedelta(days=days))


def ahead(days: int) -> str:
    return ago(-days)


def seen(one: Standing) -> str:
    return max(one["last_purchase_day"] or "", one["last_sign_day"] or "")


def day(value: str | None) -> str:
    return (value or "")[:10]


FILTERS: Mapping[str, tuple[Mapping[str, str], Callable[[Standing], bool]]] = {
    "stage": ({"stage": "lost_customer"}, lambda one: one["stage"] == "lost_customer"),
    "both stages that one falls to": (
        {"stage": "slipped_customer"},
        lambda one: one["stage"] in ("dormant_customer", "lost_customer"),
    ),
    "tier": ({"tier": "mid"}, lambda one: one["tier"] == "mid"),
    "silent for": ({"silent_days": "180"}, lambda one: seen(one) <= ago(180)),
    "seen within": ({"seen_days": "90"}, lambda one: seen(one) >= ago(90)),
    "value from": ({"min_value": "1,000.50"}, lambda one: one["value_minor"] >= 100_050),
    "value up to": ({"max_value": "20"}, lambda one: one["value_minor"] <= 2_000),
    "value between": ({"min_value": "20", "max_value": "30"}, lambda one: 2_000 <= one["value_minor"] <= 3_000),
    "chance from": ({"min_p": "60"}, lambda one: one["p"] is not None and one["p"] >= 0.6),
    "chance up to": ({"max_p": "12.5%"}, lambda one: one["p"] is not None and one["p"] <= 0.125),
    "change due": (
        {"changes_within_days": "14"},
        lambda one: one["next_change_at"] is not None and day(one["next_change_at"]) <= ahead(14),
    ),
    "fall due": (
        {"falls_within_days": "90"},
        lambda one: one["next_stage_at"] is not None and day(one["next_stage_at"]) <= ahead(90),
    ),
    "satisfaction": ({"satisfaction": "unknown"}, lambda one: one["satisfaction_band"] == "unknown"),
    "loyalty": ({"loyalty": "high"}, lambda one: one["loyalty_band"] == "high"),
    "potential": ({"potential": "C"}, lambda one: one["potential"] == "C"),
    "in the stage from": ({"in_stage_since": ago(200)}, lambda one: day(one["since"]) >= ago(200)),
    "in the stage up to": ({"in_stage_until": ago(200)}, lambda one: day(one["since"]) <= ago(200)),
    "VIPs": ({"vip": "true"}, lambda one: one["vip"] is True),
}
"""What is filled in by the names of the form, and who is then to be shown, as the API tells of everybody."""


@pytest.fixture(scope="module")
def everybody(product: Product) -> list[Standing]:
    """All standings, most value first; among them somebody who never bought, whose lead was graded."""
    product.post("/v1/leads", json={"system": "fair", "email": "dora@example.org", "source": "fair"})
    product.settle()
    found: list[Standing] = []
    more: dict[str, Any] = {"has_more": True, "next_cursor": None}
    while more["has_more"]:
        more = product.get("/v1/standings", limit=1_000, **({"cursor": more["next_cursor"]} if found else {}))
        found += more["data"]
    return found


@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_shows_those_whom_it_names_and_nobody_else(visit: Visit, everybody: list[Standing], name: str) -> None:
    filled, holds = FILTERS[name]
    named = [one["party_id"] for one in everybody if holds(one)]
    # Without a model nobody has a chance, so that nobody is shown.
    assert bool(named) is not name.startswith("chance")
    assert len(named) < len(everybody)
    page = visit("/parties")
    page.locator("details.more > summary").click()
    for field, value in filled.items():
        fill(page, field, value)
    page.get_by_role("button", name="Apply").click()
    page.locator(".chips .chip").nth(len(filled) - 1).wait_for()
    shown = [each.get_attribute("href") for each in page.locator("table.list [data-row]").all()]
    assert shown == [f"/parties/{party}" for party in named[:ROWS]]
    assert page.get_by_role("link", name="Show more").count() == (len(named) > ROWS)


def fill(page: Page, field: str, value: str) -> None:
    place = page.locator(f".fold [name={field}]")
    if place.evaluate("place => place.tagName") == "SELECT":
        place.select_option(value)
    elif place.get_attribute("type") == "checkbox":
        place.check()
    else:
        place.fill(value)


def test_a_chance_is_asked_for_as_the_share_that_it_is() -> None:
    query = b"min_p=60&max_p=87.5%25&min_value=1%2C000.50"
    scope = {"type": "http", "method": "GET", "path": "/parties", "query_string": query, "headers": []}
    request = Request(scope | {"app": FastAPI()})
    asked = Asked.of(Somebody(request, Api(request, None), "en", None, ""), "USD")
    assert asked.sent == {"min_p": "0.6", "max_p": "0.875", "min_value": 100_050}
