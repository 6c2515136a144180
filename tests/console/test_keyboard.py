"""Lists are walked with the arrows, wherever there is one."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from playwright.sync_api import Page, expect

from bench.console.catalogue import pages
from bench.console.furnished import LETTER, TILL
from chassis.clock import now
from tests.console.conftest import Visit
from tests.system.product import Product

READ = {"party", "party-dormant", "duplicate", "model"}
"""Pages whose tables are read with all the rest: there the arrows move the page."""
WALKED = {
    "today", "unanswered", "problems", "population", "flows", "list", "list-filtered", "search-hits", "import",
    "import-one", "policies", "operations", "dead-letters", "keys", "webhooks", "webhook", "audit", "users", "teams",
    "duplicates",
}  # fmt: skip
"""Pages that have a list by what the test makes."""


@pytest.fixture(scope="module")
def walked(product: Product) -> Iterator[dict[str, str]]:
    """Pages by name, with something on every list; what others would stumble over goes again."""
    at = (now() - timedelta(days=6)).isoformat()
    for address in ("meg.twice@alike.example", "megtwice@alike.example"):
        identifier = {"scheme": "email", "value": address}
        party = product.post("/v1/parties", json={"name": "Meg Twice", "identifiers": [identifier]})["id"]
        told = {"party_id": party, "occurred_at": at}
        contact = {"department": "service", "channel": "email", "kind": "inquiry", "direction": "inbound"}
        product.post("/v1/interactions", json=told | contact)
        product.post("/v1/problems", json=told | {"category": "delivery"})
    team = product.post("/v1/teams", json={"name": "Walkers"})["id"]
    person = {"name": "Will Walker", "email": "will@walkers.example", "roles": ["agent"], "team_id": team}
    product.client.post("/v1/users", json=person).raise_for_status()
    mapping = '{"party": "customer", "occurred_at": "day", "amount": "amount"}'
    form = {"kind": "purchases", "source": "walked", "currency": "USD", "mapping": mapping, "dry_run": "true"}
    product.client.post("/v1/imports", data=form, files={"file": ("till.csv", TILL)}).raise_for_status()
    hook = {"url": "http://127.0.0.1:9/hook", "types": ["community.referral_converted.v1"]}
    webhook = product.client.post("/v1/webhooks", json=hook).raise_for_status().json()["id"]
    for _ in range(2):
        product.client.post(f"/v1/webhooks/{webhook}/test").raise_for_status()
    product.settle()
    product.sql("scoring", LETTER)
    yield pages(product.client)
    product.client.delete(f"/v1/webhooks/{webhook}").raise_for_status()
    letters = [each["id"] for each in product.get("/v1/dead-letters", reason="Unreadable")["data"]]
    product.post("/v1/dead-letters/discard", json={"ids": letters, "reason": "A test of the arrows"})


def test_every_list_is_walked_with_the_arrows(visit: Visit, walked: dict[str, str]) -> None:
    page = visit("/account")
    found = set()
    for name, path in walked.items():
        if name in READ | {"missing"}:
            continue
        page.goto(path)
        expect(page.locator("[hx-trigger=load], .htmx-request")).to_have_count(0)
        rows, passed_by = page.evaluate(ROWS, LISTED)
        assert passed_by == [], name
        if not rows:
            continue
        found.add(name)
        page.keyboard.press("ArrowUp")
        assert at(page) == rows - 1, name
        for _ in range(min(rows, 3)):
            page.keyboard.press("ArrowUp")
        assert at(page) == max(rows - 4, 0), name
        page.keyboard.press("ArrowDown")
        assert at(page) == min(max(rows - 4, 0) + 1, rows - 1), name
    assert found >= WALKED


def test_a_row_keeps_the_focus_while_its_figures_follow(visit: Visit) -> None:
    page = visit("/operations")
    for _ in range(2):
        page.keyboard.press("ArrowDown")
    row = page.evaluate("(document.activeElement.dataset.before = document.activeElement.id)")
    expect(page.locator(f"[id='{row}']:not([data-before])")).to_be_focused()
    page.keyboard.press("ArrowDown")
    assert at(page) == 2


def test_whatever_has_the_focus_keeps_it_while_a_page_follows_and_nothing_is_said_twice(visit: Visit) -> None:
    page = visit("/operations")
    assert page.locator("#figures [role=status]").count() == 0
    page.evaluate(HEARD)
    for place in ("a.figure", ".table[aria-labelledby=lag]", "#partitions-1 > summary"):
        page.locator(f"#figures {place}").focus()
        page.evaluate("document.activeElement.dataset.before = ''")
        expect(page.locator(f"#figures {place}:not([data-before])")).to_be_focused()
    assert page.evaluate("window.heard") == []


def at(page: Page) -> int:
    """At which of the rows the focus is."""
    row: int = page.evaluate("[...document.querySelectorAll('[data-row]')].indexOf(document.activeElement)")
    return row


HEARD = """() => {
  window.heard = [];
  const said = document.getElementById("heard");
  new MutationObserver(() => window.heard.push(said.textContent)).observe(said, { childList: true });
}"""
LISTED = "main .table tbody tr:not(.more), .due li:not(.news), .hits li, .pairs li, .funnel li, .flows li"
ROWS = """(listed) => {
  const shown = [...document.querySelectorAll(listed)].filter((row) => row.checkVisibility());
  const walked = (row) => row.matches("[data-row]") || row.querySelector("[data-row]");
  const by = shown.filter((row) => !walked(row) && !row.closest("table.matrix"));
  return [document.querySelectorAll("[data-row]").length, by.map((row) => row.innerText)];
}"""
"""How many rows there are to walk, and what rows of lists are passed by."""
