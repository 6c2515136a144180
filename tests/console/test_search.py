import pytest
from playwright.sync_api import expect

from chassis.clock import now
from gateway.console.messages import say
from tests.console.conftest import LOOKS, Visit, findings
from tests.system.product import Product


@pytest.fixture(scope="package")
def ming(product: Product) -> str:
    identifiers = [{"scheme": "email", "value": "ming@example.org"}, {"scheme": "phone", "value": "+886912345678"}]
    identifiers.append({"scheme": "external", "system": "shop", "value": "KD-20417"})
    party: str = product.post("/v1/parties", json={"name": "王小明", "identifiers": identifiers})["id"]
    product.post("/v1/parties", json={"name": "Ming Wang", "identifiers": [{"scheme": "email", "value": "mw@a.org"}]})
    return party


@pytest.mark.parametrize("text", ["王小", "ming@example.org", "12345678", "kd-20417", "KD-2041"])
def test_one_hit_leads_straight_to_the_party(visit: Visit, ming: str, text: str) -> None:
    page = visit("/parties")
    page.keyboard.press("/")
    page.keyboard.type(text)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/parties/{ming}")
    assert page.get_by_role("heading", level=1).inner_text() == "王小明"


@pytest.mark.parametrize(("language", "width"), LOOKS)
@pytest.mark.parametrize("text", ["ming", "nobody of this name"])
def test_hits_and_their_absence_have_no_barriers(visit: Visit, ming: str, language: str, width: int, text: str) -> None:
    page = visit(f"/search?q={text}", language=language, width=width)
    assert findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_where_nothing_is_found_it_says_what_was_tried(visit: Visit) -> None:
    page = visit("/search?q=王大", language="zh-Hant")
    assert page.get_by_text(say("zh-Hant", "search.tried_name")).is_visible()


def test_every_hit_says_where_it_stands(visit: Visit, product: Product) -> None:
    for number in range(12):
        identifier = {"scheme": "email", "value": f"twelve{number}@example.org"}
        party = product.post("/v1/parties", json={"name": f"Tilda Twelfth {number}", "identifiers": [identifier]})["id"]
        bought = {"occurred_at": now().isoformat(), "currency": "USD", "amount_minor": 1_000}
        product.post("/v1/purchases", json={"party_id": party, **bought})
    product.settle()
    page = visit("/search?q=tilda twelfth")
    assert page.locator(".hits li").count() == 12
    assert page.locator(".hits .stage-customer").count() == 12


def test_whoever_has_the_name_of_many_is_reached(visit: Visit, product: Product) -> None:
    for number in range(52):
        identifier = {"scheme": "external", "system": "shop", "value": f"vilma-{number}"}
        product.post("/v1/parties", json={"name": "Rosa Samename", "identifiers": [identifier]})
    page = visit("/search?q=samename rosa")
    expect(page.locator(".hits li.card")).to_have_count(50)
    assert findings(page) == []
    more = page.locator(".hits .more a")
    behind = more.get_attribute("href")
    more.click()
    expect(page.locator(".hits li.card")).to_have_count(52)
    expect(more).to_have_count(0)
    assert len(set(page.locator(".hits a.title").evaluate_all("links => links.map(link => link.href)"))) == 52
    # As it goes without a script.
    page.goto(behind or "")
    expect(page.locator(".hits li.card")).to_have_count(2)
    page.get_by_role("link", name="From the start").click()
    expect(page.locator(".hits li.card")).to_have_count(50)
