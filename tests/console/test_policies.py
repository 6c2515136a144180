import signal

import pytest
from playwright.sync_api import expect

from gateway.console.messages import say
from gateway.console.policy_form import FIELDS, groups_of, limits, rest_of, shown, value_at, written
from services.scoring.domain.policy import Policy
from services.scoring.domain.presets import DAYS_1, DEFAULT_1
from tests.console.conftest import LANGUAGES, LOOKS, WIDTHS, Visit, findings
from tests.system.product import Product


@pytest.mark.parametrize("policy", [DEFAULT_1, DAYS_1])
def test_a_form_that_nobody_changed_says_the_same_policy(policy: Policy):
    document = policy.model_dump(mode="json")
    form = {
        field.name: shown(field, value_at(document, field.path), "TWD")
        for fields in groups_of(document).values()
        for field in fields
    }
    by = value_at(document, "persons/customers/by")
    said = written({**form, "rest": rest_of(document), "by": by, "was_by": by}, "TWD")
    assert Policy.model_validate(said).content_hash == policy.content_hash


def test_every_field_of_the_form_is_explained_by_the_schema():
    schema = Policy.model_json_schema()
    assert all(limits(schema, path).get("description") for path in FIELDS)


def test_a_change_is_drafted_tried_approved_and_planned(visit: Visit, product: Product):
    page = visit("/policies")
    page.get_by_role("link", name="Change the policy").click()
    page.locator("#name").fill("sooner")
    page.locator("#persons__customers__without_model__dormant_after_days").fill("60")
    page.get_by_role("button", name="Keep as draft").click()
    expect(page.locator(".differences")).to_contain_text("90 days 60 days")
    page.get_by_role("button", name="Try it").click()
    expect(page.get_by_role("heading", name="Moves month by month")).to_be_visible(timeout=60_000)
    with page.expect_download() as download:
        page.get_by_role("link", name="All moves as CSV").click()
    assert download.value.path().read_text().startswith("party_id,")
    page.get_by_role("table").first.get_by_role("link").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Who would stand elsewhere")
    expect(page.get_by_role("row").nth(1)).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="As CSV").click()
    assert "party_" in download.value.path().read_text()
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("link", name="sooner").click()
    page.get_by_role("button", name="Approve").click()
    page.locator("#active_from").fill("2199-01-01T08:00")
    page.get_by_role("button", name="Activate").click()
    expect(page.locator("main")).to_contain_text("Becomes active")
    page.get_by_role("button", name="Do not activate it").click()
    expect(page.locator(".notice")).to_have_text("It does not become active then.")
    page.get_by_role("button", name="Put away").click()
    expect(page.locator(".life [aria-current]")).to_contain_text("Retired")


@pytest.mark.parametrize(("language", "said"), [("en", "less than or equal to 1"), ("zh-Hant", "必須是 1 或以下。")])
def test_what_no_policy_can_be_is_said_at_its_field_and_kept(visit: Visit, language: str, said: str):
    page = visit("/policies/new", language=language)
    page.locator("#persons__customers__dormant_below").fill("2")
    page.locator("#cuts__top").fill("much")
    with page.expect_response(lambda answer: answer.request.method == "POST") as answered:
        page.get_by_role("button", name=say(language, "policies.draft")).click()
    assert answered.value.status == 422
    expect(page.locator("#persons__customers__dormant_below-wrong")).to_contain_text(said)
    expect(page.locator("#cuts__top-wrong")).to_be_visible()
    assert page.locator("#cuts__top").input_value() == "much"
    assert findings(page) == []


@pytest.mark.parametrize(("language", "width"), LOOKS)
def test_policies_have_no_barriers(visit: Visit, product: Product, language: str, width: int):
    active = product.get("/v1/policies", state="active")["data"][0]["hash"]
    for path in ("/policies", f"/policies/{active}", "/policies/new", f"/policies/{active}/elsewhere"):
        page = visit(path, language=language, width=width)
        if path.endswith("elsewhere"):
            expect(page.locator(".empty")).to_have_text(say(language, "policies.nobody_here"))
        assert findings(page) == [], path
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path
    assert page.get_by_role("heading", level=1).inner_text() == say(language, "policies.elsewhere_title")


def test_who_would_stand_elsewhere_is_shown_without_a_script_too(visit: Visit, product: Product):
    active = product.get("/v1/policies", state="active")["data"][0]["hash"]
    request = visit("/policies").request
    first, shown = (request.get(f"/policies/{active}/elsewhere{query}").text() for query in ("", "?shown=1"))
    nobody = say("en", "policies.nobody_here")
    assert "shown=1" in first
    assert nobody not in first
    assert nobody in shown


def test_a_trial_has_no_barriers_while_it_goes_on_and_when_it_is_through(visit: Visit, product: Product):
    active = product.get("/v1/policies", state="active")["data"][0]["hash"]
    document = product.get(f"/v1/policies/{active}")["document"]
    document["persons"]["customers"]["without_model"]["dormant_after_days"] = 61
    draft = product.post("/v1/policies", json={"document": document, "base": active})["hash"]
    product.kill("scoring-worker", signal.SIGSTOP)
    try:
        path = f"/policies/trials/{product.post(f'/v1/policies/{draft}/trials', json={})['id']}"
        for language in LANGUAGES:
            page = visit(path, language=language)
            expect(page.locator("#progress progress")).to_be_visible()
            assert findings(page) == []
    finally:
        product.kill("scoring-worker", signal.SIGCONT)
    expect(page.locator(".figures")).to_be_visible(timeout=60_000)
    for language in LANGUAGES:
        for width in WIDTHS.values():
            page = visit(path, language=language, width=width)
            assert findings(page) == [], (language, width)
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
