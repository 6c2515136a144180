import httpx
import pytest
from playwright.sync_api import Dialog, Page, expect

from gateway.console.messages import say
from gateway.domain.keys import ROLES
from tests.console.conftest import LANGUAGES, LOOKS, WIDTHS, Visit, findings
from tests.system.product import Product

LETTER = """
INSERT INTO dead_letter (consumer, topic, partition, "offset", value, error_class, error, attempts, first_failed_at)
VALUES ('scoring', 'customers.purchase.events.v1', 0, 1, 'no event', 'Unreadable', 'This is no event.', 3, now())
"""


def test_reading_is_paused_and_goes_on(visit: Visit, product: Product):
    page = visit("/operations")
    page.locator("#pause").select_option("community/customers.party.events.v1")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator(".resting")).to_contain_text("community")
    assert product.get("/v1/status")["paused"]
    page.get_by_role("button", name="Go on community").click()
    expect(page.locator(".notice")).to_contain_text("reads again")
    assert not product.get("/v1/status")["paused"]


def test_a_dead_letter_is_looked_at_tried_again_and_given_up(visit: Visit, product: Product):
    product.sql("scoring", LETTER)
    page = visit("/operations")
    expect(page.locator(".verdict")).to_contain_text("look at the dead letters")
    page.goto("/operations/dead-letters?reason=Unreadable")
    page.get_by_role("table").get_by_role("link").first.click()
    expect(page.locator("pre")).to_have_text("no event")
    assert findings(page) == []
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("main")).to_contain_text("1 of 1 failed again")
    page.get_by_role("link", name="scoring-").click()
    page.get_by_label("Why given up").fill("A test of the pipes")
    asked = agreed(page)
    page.get_by_role("button", name="Give up").click()
    expect(page.locator(".notice")).to_have_text("They were given up.")
    assert asked == ["Events to be given up: 1. They cannot come back."]
    page.locator("#status").select_option("discarded")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("table")).to_contain_text("given up")


def test_letters_are_given_up_together_only_where_all_are_meant_and_why_is_said(visit: Visit, product: Product):
    for _ in range(2):
        product.sql("scoring", LETTER.replace("Unreadable", "Pipes"))
    page = visit("/operations/dead-letters?reason=Pipes")
    asked = agreed(page)
    page.get_by_label("Why given up").first.fill("A test of the pipes")
    page.get_by_role("button", name="Give up", exact=True).click()
    expect(page.get_by_role("alert")).to_have_text(say("en", "operations.letters_none_ticked"))
    assert page.get_by_label("Why given up").first.input_value() == "A test of the pipes"
    page.get_by_text("All 2 open ones that the filter fits").click()
    why = page.locator("#why-all")
    why.evaluate("field => (field.required = false)")
    page.get_by_role("button", name="Give all up").click()
    expect(page.get_by_role("alert")).to_have_text(say("en", "operations.letters_why_needed"))
    assert len(product.get("/v1/dead-letters", reason="Pipes")["data"]) == 2
    why.fill("A test of the pipes")
    why.press("Enter")
    expect(page.locator(".notice")).to_have_text("They were given up.")
    assert asked[1:] == ["Give up all 2 that fit? They cannot come back."] * 2
    assert product.get("/v1/dead-letters", reason="Pipes")["data"] == []


def test_how_far_a_reader_is_in_each_partition_is_told_in_words_and_stays_open(visit: Visit, product: Product):
    page = visit("/operations")
    reader = page.locator("[data-told='scoring/scoring/customers.purchase.events.v1']")
    told = [each for each in product.get("/v1/lag")["data"] if each["topic"] == "customers.purchase.events.v1"]
    places = {f"{each['seq']:,}" for each in told if each["service"] == "scoring"}
    reader.locator("summary").press("Enter")
    rows = reader.locator("tbody tr")
    expect(rows).to_have_count(len([each for each in told if each["service"] == "scoring"]))
    assert set(rows.locator("td:last-child").all_inner_texts()) == places
    rows.first.evaluate("row => (row.dataset.before = '')")
    expect(reader.locator("tbody tr:not([data-before])").first).to_be_visible()
    expect(reader.locator("summary")).to_be_focused()
    assert findings(page) == []
    name = reader.get_attribute("data-told")
    shown = page.request.get("/operations/partitions", params={"open": str(name)}).text()
    assert f'data-told="{name}" open' in shown


def agreed(page: Page) -> list[str]:
    """What the page asks before it does something; the answer is always yes."""
    asked: list[str] = []

    def agree(dialog: Dialog) -> None:
        asked.append(dialog.message)
        dialog.accept()

    page.on("dialog", agree)
    return asked


def test_the_figures_follow_by_themselves(visit: Visit, product: Product):
    page = visit("/operations")
    with page.expect_response(lambda answer: "hx-request" in answer.request.headers, timeout=60_000) as told:
        expect(page.locator("#figures")).to_contain_text("services answer")
    assert told.value.status == 200
    assert findings(page) == []


def test_a_key_is_made_shown_once_changed_rotated_and_revoked(visit: Visit, product: Product):
    page = visit("/operations/keys")
    page.get_by_label("Whose key it is").fill("Till")
    offered = page.locator("input[name=scopes]").evaluate_all("boxes => boxes.map(box => box.value)")
    assert offered == [str(role) for role in ROLES]
    page.locator("input[name=scopes][value=ingest]").check()
    page.get_by_label("Works until").fill("2020-01-01T08:00")
    page.get_by_label("Per second").fill("7")
    page.get_by_label("At once").fill("9")
    page.get_by_role("button", name="Make a key").click()
    expect(page.get_by_role("alert")).to_contain_text("has passed")
    expect(page.get_by_label("Works until")).to_have_value("2020-01-01T08:00")
    page.get_by_label("Works until").fill("")
    page.get_by_role("button", name="Make a key").click()
    secret = page.locator("#secret").input_value()
    assert asked(product, secret) == 200
    page.goto("/operations/keys")
    assert page.locator("#secret").count() == 0
    expect(page.get_by_role("row", name="Till")).to_contain_text(say("en", "users.role_ingest"))
    expect(page.get_by_role("row", name="Till")).to_contain_text("7 per second, 9 at once")
    page.get_by_role("link", name="Till").click()
    assert findings(page) == []
    page.get_by_label("Whose key it is").fill("Till at the door")
    page.get_by_label("Works until").fill("2020-01-01T08:00")
    page.get_by_label("At once").fill("")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_label("Whose key it is")).to_have_value("Till at the door")
    page.get_by_label("Works until").fill("2999-01-01T08:00")
    page.get_by_label("At once").fill("11")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".notice")).to_have_text("The key is saved.")
    expect(page.get_by_role("row", name="Till at the door")).to_contain_text("7 per second, 11 at once")
    page.get_by_role("link", name="Till at the door").click()
    expect(page.get_by_label("Works until")).to_have_value("2999-01-01T08:00")
    page.get_by_label("Per second").fill("")
    page.get_by_label("At once").fill("")
    page.get_by_label("Works until").fill("")
    page.get_by_label("Whose key it is").fill("Till")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("row", name="Till")).to_contain_text(say("en", "operations.rate_by_roles"))
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("link", name="Till").click()
    page.get_by_role("button", name="New secret").click()
    rotated = page.locator("#secret").input_value()
    assert rotated != secret
    page.get_by_role("link", name="Till").click()
    page.get_by_role("button", name="Revoke").click()
    expect(page.locator(".notice")).to_have_text("The key works no more.")
    assert asked(product, rotated) == 401


def test_what_somebody_else_changed_about_a_key_stays_and_of_a_revoked_one_it_is_said(visit: Visit, product: Product):
    key = product.client.post("/v1/keys", json={"name": "Shelf", "scopes": ["reader"]}).json()["id"]
    page = visit(f"/operations/keys/{key}", also=(409,))
    limit, ends = {"per_s": 3, "burst": 5}, "2999-01-01T08:00:30Z"
    product.client.patch(f"/v1/keys/{key}", json={"limit": limit, "expires_at": ends}).raise_for_status()
    page.get_by_label("Whose key it is").fill("Shelf two")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".notice")).to_have_text("The key is saved.")
    now = product.get(f"/v1/keys/{key}")
    assert (now["name"], now["limit"], now["own_limit"], now["expires_at"]) == ("Shelf two", limit, True, ends)

    page.goto(f"/operations/keys/{key}")
    product.client.post(f"/v1/keys/{key}/revoke").raise_for_status()
    page.get_by_label("Whose key it is").fill("Shelf three")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_be_focused()
    expect(page.get_by_text(say("en", "operations.key_ended_hint"))).to_be_visible()
    assert page.locator("main form").count() == 0
    assert findings(page) == []


def asked(product: Product, secret: str) -> int:
    """What the API says to a key that may read imports."""
    headers = {"Authorization": f"Bearer {secret}"}
    return httpx.get(f"{product.running.url}/v1/imports", headers=headers, trust_env=False).status_code


@pytest.mark.parametrize(("language", "width"), LOOKS)
def test_operations_have_no_barriers(visit: Visit, product: Product, language: str, width: int):
    key = product.client.post("/v1/keys", json={"name": "Seen", "scopes": ["reader"]}).json()["id"]
    for path in ("/operations", "/operations/dead-letters", f"/operations/keys/{key}", "/operations/keys"):
        page = visit(path, language=language, width=width)
        assert findings(page) == [], path
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path
    assert page.get_by_role("heading", level=1).inner_text() == say(language, "operations.keys")


def test_a_dead_letter_has_no_barriers(visit: Visit, product: Product):
    product.sql("scoring", LETTER.replace("scoring', 'customers.purchase", "scoring', 'customers.interaction"))
    letter = product.get("/v1/dead-letters", limit=1)["data"][0]["id"]
    for language in LANGUAGES:
        for width in WIDTHS.values():
            page = visit(f"/operations/dead-letters/{letter}", language=language, width=width)
            expect(page.locator("pre")).to_have_text("no event")
            assert findings(page) == [], (language, width)
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    product.post("/v1/dead-letters/discard", json={"ids": [letter], "reason": "A test of the pipes"})
