import time

import pytest
from playwright.sync_api import expect

from gateway.console.messages import say
from tests.console.conftest import LOOKS, Visit, findings
from tests.system.product import Product


def candidate(product: Product, name: str) -> str:
    """Two parties whose addresses differ in a dot alone, and that bought; the id of their being one."""
    for customer in (f"{name}.twice@alike.example", f"{name}twice@alike.example"):
        product.buy(customer, "2026-03-02T10:00:00Z", 4_000, id=customer)
    until = time.monotonic() + 60
    while time.monotonic() < until:
        for each in product.get("/v1/duplicates", limit=200)["data"]:
            if name in each["one"][0]["value"]:
                return str(each["id"])
        time.sleep(0.2)
    raise AssertionError("the two were not found to be alike")


def test_two_are_compared_merged_and_parted_again(visit: Visit, product: Product):
    path = f"/duplicates/{candidate(product, 'meg')}"
    page = visit("/duplicates")
    expect(page.locator("body")).to_contain_text("meg.twice@alike.example")
    page.goto(path)
    table = page.get_by_role("table")
    expect(table).to_contain_text("meg.twice@alike.example")
    expect(table.get_by_role("row", name="Kind").get_by_role("cell").last).to_have_text("Person")
    expect(table.get_by_role("row", name="Purchases").get_by_role("cell").last).to_have_text("2")
    expect(table.get_by_role("row", name="Spent, less returns").get_by_role("cell").last).to_have_text("$80.00")
    page.get_by_role("button", name="They are one: merge").click()
    expect(page.locator(".notice")).to_have_text("Both are one party now.")
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Take the merge back").click()
    expect(page.locator(".notice")).to_have_text("They are two parties again.")
    expect(page.get_by_role("link", name="Party 2")).to_be_visible()


def test_two_are_told_apart_with_the_reason(visit: Visit, product: Product):
    page = visit(f"/duplicates/{candidate(product, 'ned')}")
    page.get_by_label("Why they are two").fill("Father and son")
    page.get_by_role("button", name="They are two: tell apart").click()
    expect(page.locator(".notice")).to_have_text("They are told apart.")
    page.get_by_role("link", name="Told apart").click()
    expect(page.locator("main")).to_contain_text("Father and son")


def test_who_was_slower_is_told_that_they_are_one_already(visit: Visit, product: Product):
    found = candidate(product, "kim")
    page = visit(f"/duplicates/{found}", also=(409,))
    product.client.post(f"/v1/duplicates/{found}/accept", json={}).raise_for_status()
    page.get_by_label("Why they are two").fill("Mother and daughter")
    page.get_by_role("button", name="They are two: tell apart").click()
    expect(page.get_by_role("alert")).to_be_focused()
    expect(page.get_by_role("button", name="Take the merge back")).to_be_visible()


def test_rules_that_cannot_be_are_refused_at_the_form(visit: Visit):
    page = visit("/duplicates/rules")
    page.locator("#role_addresses").fill("info a@b")
    with page.expect_response(lambda answer: answer.request.method == "POST") as answered:
        page.get_by_role("button", name="Have these rules").click()
    assert answered.value.status == 422
    expect(page.get_by_role("alert")).to_contain_text("role_addresses")
    assert page.locator("#role_addresses").input_value() == "info a@b"


@pytest.mark.parametrize(("language", "width"), LOOKS)
def test_duplicates_have_no_barriers(visit: Visit, product: Product, language: str, width: int):
    one = f"/duplicates/{candidate(product, 'pat')}"
    for path in ("/duplicates", one, "/duplicates/rules"):
        page = visit(path, language=language, width=width)
        assert findings(page) == [], path
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path
    assert page.get_by_role("heading", level=1).inner_text() == say(language, "duplicates.rules_title")
