from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from gateway.console.messages import say
from tests.console.conftest import LOOKS, Visit, findings
from tests.listening import Receiver, listening
from tests.system.product import Product

FOLLOWED_MS = 30_000
"""For what a page shows by itself, when a message has been tried."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with listening(Receiver()) as made:
        yield made


@pytest.fixture
def webhook(product: Product, receiver: Receiver) -> Iterator[str]:
    """The id of one that is told nothing but tests."""
    wanted = {"url": receiver.url, "types": ["community.referral_converted.v1"], "tiers": ["top"]}
    made = product.client.post("/v1/webhooks", json=wanted)
    assert made.status_code == 201, made.text
    yield made.json()["id"]
    product.client.delete(f"/v1/webhooks/{made.json()['id']}")


def tried(page: Page) -> None:
    page.get_by_role("button", name="Send a test").click()
    expect(page.locator(".notice")).to_contain_text("A test is on its way")


def test_a_webhook_is_made_with_filters_and_its_secret_is_shown_once(
    visit: Visit, product: Product, receiver: Receiver
):
    page = visit("/operations")
    page.get_by_role("navigation", name="Operations").get_by_role("link", name="Webhooks").click()
    page.get_by_label("Where it goes").fill("http://10.1.2.3/hooks")
    page.locator("input[name=tiers][value=top]").check()
    page.get_by_role("button", name="Make a webhook").click()
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.locator("input[name=tiers][value=top]")).to_be_checked()
    assert findings(page) == []
    page.get_by_label("Where it goes").fill(receiver.url)
    page.get_by_text("Only some types of events").click()
    page.get_by_label("scoring.standing_changed.v1").check()
    page.get_by_label("Dormant customer").check()
    page.get_by_label("Also what was long past").check()
    page.get_by_role("button", name="Make a webhook").click()
    assert page.locator("#secret").input_value().startswith("whsec_")
    assert findings(page) == []
    page.goto("/operations/webhooks")
    assert page.locator("#secret").count() == 0
    page.get_by_role("link", name=receiver.url).click()
    made = product.get(f"/v1/webhooks/{page.url.rpartition('/')[2]}")
    assert (made["types"], made["stages"]) == (["scoring.standing_changed.v1"], ["dormant_customer"])
    assert (made["tiers"], made["historic"]) == (["top"], True)
    expect(page.locator("#fares .facts")).to_contain_text("Stage: Dormant customer")
    expect(page.locator("#fares .facts")).to_contain_text("Tier: Top")
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete").click()
    expect(page.locator(".notice")).to_have_text("The webhook is gone.")
    assert made["id"] not in [each["id"] for each in product.get("/v1/webhooks")["data"]]


def test_the_messages_of_a_webhook_follow_with_their_attempts_and_a_receiver_that_is_gone_is_told(
    visit: Visit, product: Product, receiver: Receiver, webhook: str
):
    page = visit(f"/operations/webhooks/{webhook}")
    rows = page.locator("#fares tbody tr")
    tried(page)
    expect(rows.first).to_contain_text("delivered", timeout=FOLLOWED_MS)
    expect(rows.first).to_contain_text("204")
    receiver.answers = [503]
    tried(page)
    expect(rows.first).to_contain_text("503", timeout=FOLLOWED_MS)
    expect(rows.first.locator("td.number").first).to_have_text("1")
    receiver.answers = [410]
    # By nobody on this page, which is what hears of it.
    product.client.post(f"/v1/webhooks/{webhook}/test").raise_for_status()
    expect(page.locator(".verdict")).to_contain_text("410", timeout=FOLLOWED_MS)
    expect(page.locator("#heard[role=status]")).to_contain_text("410")
    assert page.locator("#fares [role=status]").count() == 0
    expect(page.locator("#fares .facts")).to_contain_text("disabled")
    page.locator("#only").get_by_role("combobox").select_option("delivered")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("#fares tbody")).not_to_contain_text("waiting")
    assert findings(page) == []
    page.goto("/operations")
    expect(page.locator(".verdict")).to_contain_text("A receiver takes nothing of its webhook")
    page.goto("/?scope=all")
    page.get_by_role("link", name="delivers nothing: look why").click()
    page.get_by_role("button", name="Go on").click()
    expect(page.locator(".notice")).to_have_text("It delivers again.")
    assert page.locator(".verdict").count() == 0


def test_a_webhook_is_given_a_name_another_address_and_other_filters(
    visit: Visit, product: Product, receiver: Receiver, webhook: str
):
    page = visit(f"/operations/webhooks/{webhook}")
    page.get_by_text("Name, address and what it is told").click()
    expect(page.locator("input[name=tiers][value=top]")).to_be_checked()
    page.get_by_label("Where it goes").fill("http://10.1.2.3/hooks")
    page.get_by_role("button", name="Change it").click()
    expect(page.get_by_role("alert")).to_be_visible()
    assert findings(page) == []
    page.get_by_label("Where it goes").fill(f"{receiver.url}?new")
    page.get_by_label("Name", exact=True).fill("Newsletter")
    page.locator("input[name=tiers][value=top]").uncheck()
    page.get_by_label("Prospect", exact=True).check()
    page.get_by_role("button", name="Change it").click()
    expect(page.locator(".notice")).to_have_text("It is changed.")
    expect(page.locator("h1")).to_contain_text("Newsletter")
    shown = product.get(f"/v1/webhooks/{webhook}")
    assert (shown["url"], shown["name"]) == (f"{receiver.url}?new", "Newsletter")
    assert (shown["tiers"], shown["stages"]) == (None, ["prospect"])
    page.goto("/operations/webhooks")
    page.get_by_role("link", name="Newsletter").click()
    expect(page.locator("h1")).to_contain_text("Newsletter")


def test_a_webhook_is_paused_told_again_and_given_a_new_secret(
    visit: Visit, product: Product, receiver: Receiver, webhook: str
):
    page = visit(f"/operations/webhooks/{webhook}")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#fares .facts")).to_contain_text("paused")
    assert page.get_by_role("button", name="Send a test").count() == 0
    page.get_by_role("button", name="Go on").click()
    page.get_by_label("After this sequence").fill("0")
    page.get_by_role("button", name="Tell again after it").click()
    expect(page.locator(".notice")).to_have_text("It is told again from there.")
    page.get_by_label("From then on").fill("2026-01-01T00:00")
    page.get_by_role("button", name="Tell again from then").click()
    expect(page.locator(".notice")).to_have_text("It is told again from there.")
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_label("Sign with the old one too").select_option("3600")
    page.get_by_role("button", name="New secret").click()
    assert page.locator("#secret").input_value().startswith("whsec_")
    assert findings(page) == []
    page.goto(f"/operations/webhooks/{webhook}")
    assert page.locator("#secret").count() == 0
    tried(page)
    expect(page.locator("#fares tbody tr").first).to_contain_text("delivered", timeout=FOLLOWED_MS)
    assert receiver.signatures == [2]
    assert product.get(f"/v1/webhooks/{webhook}")["previous_until"]


@pytest.mark.parametrize(("language", "width"), LOOKS)
def test_webhooks_have_no_barriers(visit: Visit, product: Product, webhook: str, language: str, width: int):
    product.client.post(f"/v1/webhooks/{webhook}/test")
    page = visit(f"/operations/webhooks/{webhook}", language=language, width=width)
    assert findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page = visit("/operations/webhooks", language=language, width=width)
    page.locator("summary", has_text=say(language, "webhooks.only_types")).click()
    assert findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.get_by_role("heading", level=1).inner_text() == say(language, "webhooks.title")
