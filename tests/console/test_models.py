import pytest
from playwright.sync_api import expect

from gateway.console.messages import say
from tests.console.conftest import LOOKS, Visit, findings
from tests.system.product import Product


def test_a_model_is_fitted_and_looked_at_and_takes_a_word_to_decide(visit: Visit):
    page = visit("/models")
    page.locator("#as_of").fill("2026-01-31")
    page.get_by_role("button", name="Fit", exact=True).click()
    page.wait_for_url("**/models")
    page.locator("#fit").get_by_role("link", name="Look at the model").click(timeout=60_000)
    expect(page.get_by_role("heading", level=1)).to_contain_text("Model of")
    assert page.locator("svg.plot circle").count() > 3
    assert page.locator(".plot").get_attribute("aria-label")
    page.locator("#active_from").fill("2199-01-01T08:00")
    page.once("dialog", lambda dialog: dialog.accept())
    page.locator("input[name=force]").check()
    page.get_by_role("button", name="Activate").click()
    expect(page.locator(".notice")).to_have_text("It becomes active at that time.")
    page.get_by_role("button", name="Do not activate it").click()
    expect(page.locator(".notice")).to_have_text("It does not become active then.")


@pytest.mark.parametrize(("language", "width"), LOOKS)
def test_models_have_no_barriers(visit: Visit, product: Product, language: str, width: int):
    model = product.get("/v1/models")["data"][0]["hash"]
    for path in ("/models", f"/models/{model}"):
        page = visit(path, language=language, width=width)
        assert findings(page) == [], path
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path
    page.goto("/models")
    assert page.get_by_role("heading", level=1).inner_text() == say(language, "models.title")
