import time

import pytest
from playwright.sync_api import expect

from gateway.console.api import SESSION
from gateway.console.messages import say
from gateway.console.pages.audit import LISTED
from tests.console.conftest import LOOKS, Visit, findings
from tests.system.product import Product, party_of

MORE_THAN_A_PAGE = LISTED + 3
WRITTEN_S = 20
"""Within which readings are in the trail."""


def test_the_trail_is_followed_by_what_who_and_when(visit: Visit, product: Product):
    made = product.client.post("/v1/keys", json={"name": "Trail", "scopes": ["reader"]}).json()
    page = visit("/operations")
    page.get_by_role("navigation", name="Operations").get_by_role("link", name="Audit trail").click()
    page.get_by_label("What").fill("act")
    page.get_by_role("button", name="Show").click()
    row = page.locator("tbody tr", has_text=made["id"])
    expect(row).to_contain_text("POST /v1/keys")
    expect(row).to_contain_text("201")
    assert page.locator("tbody tr", has_text="reading").count() == 0
    row.locator("td a code").first.click()
    page.wait_for_load_state()
    assert set(page.locator("tbody td:nth-child(5)").all_inner_texts()) == {"create_key\nPOST /v1/keys"}
    page.goto(f"/operations/audit?who={made['id']}")
    expect(page.get_by_role("heading", level=2)).to_have_text("Nothing fits")
    page.get_by_label("Who", exact=True).fill("")
    page.get_by_label("What").fill("act")
    page.get_by_label("Before then").fill("2020-01-01T00:00")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("heading", level=2)).to_have_text("Nothing fits")
    page.get_by_label("Before then").fill("")
    page.get_by_label("From then on").fill("2020-01-01T00:00")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("tbody tr", has_text=made["id"])).to_have_count(1)
    page.get_by_role("link", name="Without filters").click()
    assert page.url.endswith("/operations/audit")


def test_who_read_about_a_party_is_found_by_its_id_and_what_is_no_id_is_told(visit: Visit, product: Product):
    party = f"party_{party_of('audited').hex}"
    assert product.client.get(f"/v1/parties/{party}").status_code == 404
    page = visit(f"/operations/audit?party={party}")
    row = page.locator("tbody tr").last
    until = time.monotonic() + WRITTEN_S
    while not row.count() and time.monotonic() < until:
        page.reload()
    expect(row).to_contain_text("reading")
    expect(row).to_contain_text("GET /v1/parties/{party_id}")
    expect(row).to_contain_text("404")
    page.get_by_label("About party").fill("nobody at all")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("alert")).to_contain_text("party")
    assert findings(page) == []


def test_the_trail_is_leafed_through_with_its_filters(visit: Visit, product: Product):
    for _ in range(MORE_THAN_A_PAGE):
        assert product.client.post("/v1/gaps/pass", json={}).status_code == 422
    page = visit("/operations/audit?what=act")
    newest = page.locator("tbody tr").count()
    page.get_by_role("link", name="Older ones").click()
    assert newest == LISTED
    expect(page.get_by_label("What")).to_have_value("act")
    page.wait_for_load_state()
    assert page.locator("tbody tr").count() >= MORE_THAN_A_PAGE - newest
    page.get_by_role("link", name="The newest").click()
    expect(page.locator("tbody tr")).to_have_count(LISTED)


def test_the_trail_is_for_administrators(visit: Visit, product: Product):
    made = product.client.post("/v1/keys", json={"name": "Operator", "scopes": ["operator"]}).json()
    page = visit("/operations")
    page.context.add_cookies([{"name": SESSION, "value": made["secret"], "url": product.running.url}])
    page.goto("/operations")
    tabs = page.get_by_role("navigation", name="Operations").get_by_role("link")
    assert tabs.all_inner_texts() == ["Overview", "Dead letters", "Webhooks"]
    assert page.request.get("/operations/audit").status == 403


@pytest.mark.parametrize(("language", "width"), LOOKS)
def test_the_trail_has_no_barriers(visit: Visit, language: str, width: int):
    for path in ("/operations/audit", "/operations/audit?who=user_0"):
        page = visit(path, language=language, width=width)
        assert findings(page) == [], path
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path
        assert page.evaluate(WIDER_THAN_ITS_PLACE) == [], path
        assert not [id for id in page.locator("td .id").all_inner_texts() if id.isdecimal()], path
    assert page.get_by_role("heading", level=1).inner_text() == say(language, "audit.title")


WIDER_THAN_ITS_PLACE = """() => [...document.querySelectorAll("td .path")]
  .filter((path) => path.scrollWidth > path.clientWidth).map((path) => path.innerText)"""
"""Paths that lie over what stands beside them."""
