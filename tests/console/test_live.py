from collections.abc import Callable
from datetime import timedelta
from time import monotonic, sleep

import httpx
import pytest
from playwright.sync_api import Page, Request, Route, expect

from chassis.clock import now
from gateway.domain.feed import TYPES
from tests.console.conftest import STREAM_ALONE, Visit
from tests.system.product import Product

NO_WORKERS = "delete window.SharedWorker;"
SOON = 60_000


@pytest.fixture
def lee(product: Product) -> str:
    """Somebody new who bought for 123 dollars four months ago, and is assessed."""
    token = str(now().timestamp()).replace(".", "")
    body = {"name": "Lee Live", "identifiers": [{"scheme": "email", "value": f"lee{token}@example.org"}]}
    party: str = product.post("/v1/parties", json=body)["id"]
    buy(product, party, days=120)
    product.settle()
    return party


def buy(product: Product, party: str, *, days: float = 0) -> None:
    at = (now() - timedelta(days=days)).isoformat()
    product.post(
        "/v1/purchases", json={"party_id": party, "currency": "USD", "amount_minor": 12_300, "occurred_at": at}
    )


def opened(visit: Visit, party: str, script: str = "", **more: object) -> Page:
    """The page of a party once it hears the stream, which alone keeps it up."""
    seen = "document.addEventListener('live-state', (event) => { document.body.dataset.hears = event.detail; });"
    page = visit(f"/parties/{party}", script=STREAM_ALONE + seen + script, **more)
    page.evaluate("window.stayed = true")
    hears(page)
    return page


def hears(page: Page) -> None:
    expect(page.locator("body")).to_have_attribute("data-hears", "true", timeout=SOON)


def shows(page: Page, amount: str) -> None:
    expect(page.locator("#top .figure").first).to_contain_text(amount, timeout=SOON)
    assert page.evaluate("window.stayed")


@pytest.mark.parametrize("script", ["", NO_WORKERS], ids=["worker", "alone"])
def test_an_open_party_follows_what_the_stream_tells_without_being_loaded_again(
    visit: Visit, product: Product, lee: str, script: str
) -> None:
    page = opened(visit, lee, script)
    buy(product, lee)
    shows(page, "$246.00")


@pytest.mark.parametrize(("script", "streams"), [("", 1), (NO_WORKERS, 2)], ids=["worker", "alone"])
def test_the_tabs_of_a_browser_share_one_stream_where_it_has_such_workers(
    visit: Visit, product: Product, lee: str, script: str, streams: int
) -> None:
    awaited(lambda: streams_open(product) == 0)
    page = opened(visit, lee, script)
    second = page.context.new_page()
    second.goto(f"/parties/{lee}")
    hears(second)
    awaited(lambda: streams_open(product) == streams)
    buy(product, lee)
    for each in (page, second):
        expect(each.locator("#top .figure").first).to_contain_text("$246.00", timeout=SOON)
    assert streams_open(product) == streams


def streams_open(product: Product) -> float:
    told = httpx.get(f"{product.running.url}/metrics", trust_env=False).text
    return float(told.partition("\nshuke_streams_open ")[2].partition("\n")[0])


def awaited(true: Callable[[], bool]) -> None:
    until = monotonic() + SOON / 1_000
    while not true():
        assert monotonic() < until
        sleep(0.1)


def test_what_stands_beside_an_open_party_follows(visit: Visit, product: Product, lee: str) -> None:
    page = opened(visit, lee)
    side = page.locator("#side")
    told = {"party_id": lee, "occurred_at": now().isoformat(), "category": "delivery", "title": "It came late"}
    product.post("/v1/problems", json=told)
    expect(side).to_contain_text("It came late", timeout=SOON)
    team = product.post("/v1/teams", json={"name": f"Team of {lee[:12]}"})
    version = product.get(f"/v1/parties/{lee}/owner")["version"]
    changed = product.client.put(
        f"/v1/parties/{lee}/owner", json={"owner_id": None, "team_id": team["id"]}, headers={"If-Match": f'"{version}"'}
    )
    assert changed.is_success, changed.text
    expect(side.locator("dd").filter(has_text=team["name"])).to_be_visible(timeout=SOON)
    expect(page.locator("#owned")).to_contain_text(team["name"])
    assert page.evaluate("window.stayed")


def test_what_somebody_is_filling_in_is_left_to_them_until_they_are_done(
    visit: Visit, product: Product, lee: str
) -> None:
    page = opened(visit, lee)
    page.get_by_text("Change the name").click()
    page.get_by_label("Name", exact=True).fill("Lee Live-Long")
    told = {"party_id": lee, "occurred_at": now().isoformat(), "category": "delivery", "title": "It came late"}
    with page.expect_response(lambda answer: answer.url.endswith("/side")):
        product.post("/v1/problems", json=told)
    assert page.get_by_label("Name", exact=True).input_value() == "Lee Live-Long"
    page.get_by_label("Name", exact=True).fill("Lee Live")
    page.get_by_role("searchbox").focus()
    expect(page.locator("#side")).to_contain_text("It came late", timeout=SOON)


def test_a_gateway_that_starts_again_ends_no_stream_for_good(visit: Visit, product: Product, lee: str) -> None:
    page = opened(visit, lee, also=["ERR_"])
    page.evaluate("delete document.body.dataset.hears")
    product.kill_and_await("gateway")
    buy(product, lee)
    hears(page)
    shows(page, "$246.00")


def test_a_stream_that_was_refused_goes_on_behind_what_it_heard_last(visit: Visit, product: Product, lee: str) -> None:
    page = opened(visit, lee, NO_WORKERS, also=["ERR_", 503])
    buy(product, lee, days=60)
    shows(page, "$246.00")
    # What the page asks for by itself is not to be under way when the gateway goes: that would be told instead.
    product.settle()
    page.wait_for_timeout(1_000)
    expect(page.locator(".htmx-request")).to_have_count(0)

    refusals: list[str] = []

    def refuse(route: Route, request: Request) -> None:
        refusals.append(request.url)
        route.fulfill(status=503, body="The feed has not been reached yet.")

    page.route("**/stream*", refuse)
    page.evaluate("delete document.body.dataset.hears")
    product.kill_and_await("gateway")
    with page.expect_request("**/stream?after=*", timeout=SOON):
        buy(product, lee)
    assert refusals
    expect(page.locator("#said")).to_have_text(
        "What changes does not show by itself just now. The connection is being made again.", timeout=SOON
    )
    page.unroute("**/stream*")
    hears(page)
    shows(page, "$369.00")
    expect(page.locator("#said")).to_be_empty()


def test_a_page_listens_to_all_that_the_stream_tells(visit: Visit, lee: str) -> None:
    page = visit(f"/parties/{lee}")
    listened = page.locator("meta[name=live]").get_attribute("data-types")
    assert listened is not None
    assert set(listened.split()) == TYPES
