from datetime import timedelta

import pytest

from chassis.clock import now
from tests.console.conftest import LANGUAGES, WIDTHS, Visit, findings
from tests.system.product import Product


@pytest.fixture
def ann(product: Product) -> str:
    """Somebody new who bought twice, has a problem, and is called by her name."""
    token = str(now().timestamp()).replace(".", "")
    body = {"name": "Ann Smith", "identifiers": [{"scheme": "email", "value": f"ann{token}@example.org"}]}
    party: str = product.post("/v1/parties", json=body)["id"]
    for days in (200, 100):
        at = (now() - timedelta(days=days)).isoformat()
        product.post(
            "/v1/purchases", json={"party_id": party, "occurred_at": at, "currency": "USD", "amount_minor": 9_900}
        )
    problem = {"party_id": party, "occurred_at": now().isoformat(), "category": "delivery", "title": "It came late"}
    product.post("/v1/problems", json=problem)
    product.shuke("status")
    return party


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("width", WIDTHS.values())
def test_a_party_has_no_barriers_and_fits(visit: Visit, product: Product, language: str, width: int) -> None:
    party = product.get("/v1/standings", limit=1)["data"][0]["party_id"]
    page = visit(f"/parties/{party}", language=language, width=width)
    assert page.locator(".sentence").is_visible()
    assert findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_a_contact_is_recorded_in_two_clicks_and_stands_in_the_timeline(visit: Visit, ann: str) -> None:
    page = visit(f"/parties/{ann}")
    page.get_by_text("Record a contact").click()
    page.get_by_role("button", name="We called").click()
    assert page.get_by_text("The contact is recorded.").is_visible()
    assert page.locator(".timeline .entry").first.get_by_text("Contact", exact=True).is_visible()


def test_a_problem_is_solved_and_a_name_is_changed(visit: Visit, ann: str) -> None:
    page = visit(f"/parties/{ann}")
    page.get_by_role("button", name="It is solved").click()
    assert page.get_by_text("No open problem.").is_visible()
    page.get_by_text("Change the name").click()
    page.get_by_label("Name", exact=True).fill("Ann Smith-Jones")
    page.locator("form[action$='/name'] button").click()
    assert page.get_by_role("heading", level=1).inner_text() == "Ann Smith-Jones"


def test_something_is_set_by_hand_and_ended(visit: Visit, product: Product) -> None:
    party = product.get("/v1/standings", stage="dormant_customer", limit=1)["data"][0]["party_id"]
    page = visit(f"/parties/{party}")
    page.get_by_text("Set something by hand").click()
    page.get_by_label("Set to").select_option("tier:top")
    page.get_by_role("textbox", name="Why").fill("A key account elsewhere")
    page.locator("form[action$='/overrides'] button").click()
    assert page.get_by_text("It is set.").is_visible()
    page.get_by_role("button", name="End it").click()
    assert page.get_by_text("It is left to the facts again.").is_visible()


def test_the_timeline_shows_what_is_asked_for(visit: Visit, product: Product) -> None:
    party = product.get("/v1/standings", limit=1)["data"][0]["party_id"]
    page = visit(f"/parties/{party}?show=purchases")
    assert set(page.locator(".timeline .entry strong").all_inner_texts()) == {"Purchase"}
