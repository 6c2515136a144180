"""What a page says while a part of the product, or all of it, is away; and that it comes back by itself."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from playwright.sync_api import expect

from chassis.clock import now
from gateway.console.messages import say
from tests.console.conftest import LANGUAGES, WIDTHS, Visit, findings
from tests.console.test_live import opened
from tests.system.product import Product

SOON, LATER = 60_000, 120_000
ANSWERS = {"scoring": "/v1/standings", "customers": "/v1/parties", "gateway": "/v1/me"}
"""What is asked to see whether somebody is there again."""


@contextmanager
def away(product: Product, name: str) -> Iterator[None]:
    """Kill a process, and have nobody start it again for as long as the block lasts."""
    supervisor = product.running.process
    supervisor.send_signal(signal.SIGSTOP)
    try:
        product.kill(name)
        yield
    finally:
        supervisor.send_signal(signal.SIGCONT)
        product.get(ANSWERS[name], limit=1)


@pytest.fixture
def lou(product: Product) -> str:
    """Somebody new who bought for 123 dollars, has a problem, and is assessed."""
    token = str(now().timestamp()).replace(".", "")
    body = {"name": "Lou Low", "identifiers": [{"scheme": "email", "value": f"lou{token}@example.org"}]}
    party: str = product.post("/v1/parties", json=body)["id"]
    bought = {"party_id": party, "currency": "USD", "amount_minor": 12_300}
    product.post("/v1/purchases", json=bought | {"occurred_at": (now() - timedelta(days=120)).isoformat()})
    told = {"party_id": party, "occurred_at": now().isoformat(), "category": "delivery", "title": "It came late"}
    product.post("/v1/problems", json=told)
    product.settle()
    return party


def test_a_party_is_shown_without_what_a_service_that_is_away_knows_and_with_it_again_later(
    visit: Visit, product: Product, lou: str
) -> None:
    with away(product, "scoring"):
        page = visit(f"/parties/{lou}")
        page.evaluate("window.stayed = true")
        expect(page.get_by_role("heading", level=1)).to_have_text("Lou Low")
        expect(page.locator("#side")).to_contain_text("It came late")
        expect(page.locator("#h-why ~ .refused")).to_contain_text(say("en", "frame.refused_away"))
        expect(page.locator("#timeline")).to_contain_text("Not everything is here: Scoring")
        assert findings(page) == []
    expect(page.locator("#top .sentence")).to_be_visible(timeout=LATER)
    assert page.evaluate("window.stayed")


def test_a_list_that_is_away_is_said_to_be_with_the_way_out_in_every_language(visit: Visit, product: Product) -> None:
    with away(product, "scoring"):
        for language in LANGUAGES:
            for width in WIDTHS.values():
                page = visit("/parties", language=language, width=width, status=None)
                expect(page.get_by_role("alert")).to_contain_text(say(language, "frame.refused_away"))
                expect(page.get_by_role("alert")).to_contain_text(say(language, "frame.refused_away_hint"))
                expect(page.get_by_role("navigation").first).to_be_visible()
                assert findings(page) == []
                assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.get_by_role("link", name=say(language, "frame.try_again")).click()
    expect(page.locator("table.list")).to_be_visible()


def test_the_frame_of_a_page_is_there_before_what_it_shows_and_says_when_that_does_not_come(
    visit: Visit, product: Product
) -> None:
    page = visit("/account", also=["ERR_"])
    table, refused = page.locator("table.list"), page.get_by_role("alert")
    product.kill("scoring", signal.SIGSTOP)
    page.goto("/parties", wait_until="commit")
    expect(page.get_by_role("navigation").first).to_be_visible()
    assert table.count() == 0
    product.kill("scoring", signal.SIGCONT)
    expect(table).to_be_visible()

    product.kill("scoring", signal.SIGSTOP)
    page.goto("/parties", wait_until="commit")
    expect(page.get_by_role("navigation").first).to_be_visible()
    assert refused.count() == 0
    with away(product, "scoring"):
        expect(refused).to_contain_text(say("en", "frame.refused_away"))
    assert page.title() == f"{say('en', 'parties.title')} · {say('en', 'frame.product')}"


def test_somebody_is_still_judged_while_nobody_knows_their_name(visit: Visit, product: Product, lou: str) -> None:
    with away(product, "customers"):
        page = visit(f"/parties/{lou}", also=[503])
        expect(page.locator("#top .sentence")).to_be_visible()
        expect(page.locator("#side")).to_contain_text(say("en", "party.part_away"))
        expect(page.locator("#timeline")).not_to_contain_text(say("en", "party.timeline_none"))
        assert findings(page) == []


def test_a_gateway_that_is_away_is_said_to_be_aloud_and_in_sight_until_it_is_there_again(
    visit: Visit, product: Product
) -> None:
    page = visit("/operations", also=["ERR_", "htmx:"])
    said = page.locator("#said")
    expect(said).to_be_empty()
    with away(product, "gateway"):
        expect(said).to_have_text(say("en", "frame.said_away"), timeout=SOON)
        expect(page.get_by_role("status").filter(has_text=say("en", "frame.said_away"))).to_be_visible()
        box = said.bounding_box()
        assert box is not None
        assert box["height"] > 0
        assert findings(page) == []
    expect(said).to_be_empty(timeout=LATER)


def test_an_open_party_says_that_it_hears_nothing_more(visit: Visit, product: Product, lou: str) -> None:
    page = opened(visit, lou, language="zh-Hant", also=["ERR_", "htmx:"])
    with away(product, "gateway"):
        expect(page.locator("#said")).to_have_text(say("zh-Hant", "frame.said_deaf"), timeout=SOON)
    expect(page.locator("#said")).to_be_empty(timeout=LATER)


def test_a_part_that_fails_is_said_to_have_and_taken_back_when_it_works(visit: Visit) -> None:
    page = visit("/operations", also=[500, "Status Error Code 500"])
    page.route("**/operations", lambda route: route.fulfill(status=500, body="broken"))
    expect(page.locator("#said")).to_have_text(say("en", "frame.said_failed"), timeout=SOON)
    page.unroute("**/operations")
    expect(page.locator("#said")).to_be_empty(timeout=SOON)
