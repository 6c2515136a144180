from datetime import timedelta

import pytest

from chassis.clock import now
from gateway.console.messages import say
from tests.console.conftest import LANGUAGES, WIDTHS, Visit, findings
from tests.system.product import Product


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("width", WIDTHS.values())
def test_today_has_no_barriers_and_fits(visit: Visit, language: str, width: int) -> None:
    page = visit("/", language=language, width=width)
    assert page.get_by_role("heading", name=say(language, "today.slipping"), exact=True).is_visible()
    assert findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_today_leads_to_whoever_is_about_to_slip(visit: Visit) -> None:
    page = visit("/")
    assert page.get_by_text("signed in with a key").is_visible()
    card = page.locator("#slipping")
    name = card.locator("[data-row]").first
    called = name.inner_text()
    name.click()
    assert page.get_by_role("heading", level=1).inner_text() == called


def test_what_nobody_answered_stands_there_until_somebody_turns_to_them(visit: Visit, product: Product) -> None:
    body = {"name": "Wanda Waits", "identifiers": [{"scheme": "email", "value": "wanda@example.org"}]}
    party = product.post("/v1/parties", json=body)["id"]
    told = {"party_id": party, "department": "service", "channel": "email", "kind": "complaint"}
    asked, answered = ((now() - timedelta(days=days)).isoformat() for days in (6, 5))
    product.post("/v1/interactions", json=told | {"occurred_at": asked, "direction": "inbound"})
    assert visit("/").locator("#unanswered").get_by_role("link", name="Wanda Waits").is_visible()
    product.post("/v1/interactions", json=told | {"occurred_at": answered, "kind": "contact", "direction": "outbound"})
    assert visit("/").locator("#unanswered").get_by_role("link", name="Wanda Waits").count() == 0
