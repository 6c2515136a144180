import re
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from playwright.sync_api import expect

from chassis.clock import now
from gateway.console.messages import say
from gateway.console.pages.parties import ROWS
from gateway.console.pages.today import FEW, SLIPPED_DAYS
from tests.console.conftest import LOOKS, Visit, findings
from tests.console.people import PASSWORD
from tests.system.product import Product


@pytest.fixture(scope="module")
def late(product: Product) -> None:
    """More who wait for an answer, and for a problem to be solved, than today shows."""
    at = (now() - timedelta(days=6)).isoformat()
    told = {"department": "service", "channel": "email", "kind": "inquiry", "direction": "inbound", "occurred_at": at}
    for number in range(FEW + 1):
        identifier = {"identifier": {"scheme": "email", "value": f"late{number}@example.org"}}
        product.post("/v1/interactions", json=told | identifier)
        product.post("/v1/problems", json=identifier | {"occurred_at": at, "category": "delivery"})


@pytest.mark.parametrize(("language", "width"), LOOKS)
def test_today_has_no_barriers_and_fits(visit: Visit, language: str, width: int) -> None:
    page = visit("/", language=language, width=width)
    assert page.get_by_role("heading", name=say(language, "today.slipping"), exact=True).is_visible()
    assert page.evaluate(LINES) == [1, 1, 1, 1]
    assert findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


LINES = """() => [...document.querySelectorAll(".figure strong")].map((figure) => {
  const range = document.createRange();
  range.selectNodeContents(figure);
  return new Set([...range.getClientRects()].map((line) => line.top)).size;
})"""
"""Over how many lines each figure goes."""


def test_today_leads_to_whoever_is_about_to_slip(visit: Visit) -> None:
    page = visit("/")
    assert page.get_by_text("signed in with a key").is_visible()
    card = page.locator("#slipping")
    expect(card.locator(".why").first).to_have_text(re.compile(r"ustomer\s*→\s*\w+ customer"))
    name = card.locator("[data-row]").first
    called = name.inner_text()
    name.click()
    expect(page.get_by_role("heading", level=1)).to_have_text(called)


def test_what_nobody_answered_stands_there_until_somebody_turns_to_them(visit: Visit, product: Product) -> None:
    body = {"name": "Wanda Waits", "identifiers": [{"scheme": "email", "value": "wanda@example.org"}]}
    party = product.post("/v1/parties", json=body)["id"]
    told = {"party_id": party, "department": "service", "channel": "email", "kind": "complaint"}
    asked, answered = ((now() - timedelta(days=days)).isoformat() for days in (6, 5))
    product.post("/v1/interactions", json=told | {"occurred_at": asked, "direction": "inbound"})
    assert visit("/").locator("#unanswered").get_by_role("link", name="Wanda Waits").is_visible()
    product.post("/v1/interactions", json=told | {"occurred_at": answered, "kind": "contact", "direction": "outbound"})
    assert visit("/").locator("#unanswered").get_by_role("link", name="Wanda Waits").count() == 0


@pytest.mark.parametrize(("language", "width"), LOOKS)
@pytest.mark.parametrize("what", ["unanswered", "problems"])
def test_whole_lists_of_what_is_late_have_no_barriers_and_fit(
    visit: Visit, late: None, what: str, language: str, width: int
) -> None:
    page = visit(f"/{what}?scope=all", language=language, width=width)
    assert page.get_by_role("heading", level=1).inner_text() == say(language, f"today.{what}")
    assert page.locator(".due [data-row]").count() > FEW
    assert findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize("what", ["unanswered", "problems"])
def test_today_leads_to_all_that_is_late_where_it_shows_the_first_only(visit: Visit, late: None, what: str) -> None:
    page = visit("/")
    assert page.locator(f"#{what} [data-row]").count() == FEW
    page.locator(f"#{what}").get_by_role("link", name="Show all").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(say("en", f"today.{what}"))
    expect(page.locator(".due [data-row]").nth(FEW)).to_be_visible()


def test_all_who_slipped_are_those_of_the_list_that_it_leads_to(visit: Visit, product: Product) -> None:
    since = str((now() - timedelta(days=SLIPPED_DAYS)).date())
    stages = {"stage": ["dormant_customer", "lost_customer"]}
    slipped = product.get("/v1/standings", **stages, in_stage_since=since, limit=1_000)["data"]
    page = visit("/")
    assert page.locator("#slipped [data-row]").count() == min(len(slipped), FEW)
    if len(slipped) > FEW:
        page.locator("#slipped").get_by_role("link", name="Show all").click()
    else:
        page.goto(f"/parties?stage=slipped_customer&in_stage_since={since}")
    expect(page.locator("table.list [data-row]")).to_have_count(min(len(slipped), ROWS))
    cells = product.get("/v1/standings/summary")["data"]
    page.goto("/parties?stage=slipped_customer")
    there = sum(cell["count"] for cell in cells if cell["stage"] in stages["stage"])
    assert page.locator("h1 .count").inner_text() == f"{there:,}"


def test_a_policy_that_decides_or_will_is_news(visit: Visit, product: Product) -> None:
    active = product.get("/v1/policies", state="active")["data"][0]
    document = product.get(f"/v1/policies/{active['hash']}")["document"]
    document["name"] = "later"
    document["persons"]["customers"]["without_model"]["dormant_after_days"] = 62
    later = product.post("/v1/policies", json={"document": document, "base": active["hash"]})["hash"]
    trial = product.post(f"/v1/policies/{later}/trials", json={})["id"]
    until = time.monotonic() + 240
    while product.get(f"/v1/trials/{trial}")["state"] in ("waiting", "running"):
        assert time.monotonic() < until
        time.sleep(0.2)
    product.post(f"/v1/policies/{later}/approve")
    product.post(f"/v1/policies/{later}/activate", json={"active_from": "2199-01-01T00:00:00Z"})
    [planned] = [each["id"] for each in product.get("/v1/activations", open=True)["data"] if each["policy"] == later]
    news = visit("/").locator(".news")
    expect(news.filter(has_text=say("en", "today.planned"))).to_be_visible()
    expect(news.filter(has_text=say("en", "today.policy", name=active["name"])).first).to_be_visible()
    news.filter(has_text=say("en", "today.planned")).get_by_role("link").click()
    expect(news.page.get_by_role("heading", level=1)).to_have_text(say("en", "policies.title"))
    product.client.delete(f"/v1/activations/{planned}").raise_for_status()
    expect(visit("/").locator(".news").filter(has_text=say("en", "today.planned"))).to_have_count(0)


@pytest.fixture(scope="module")
def shore(product: Product) -> Iterator[dict[str, str]]:
    """The token of somebody with a team, who looks after one who fell dormant and waits, as a colleague does."""
    team = product.post("/v1/teams", json={"name": "South Shore"})["id"]
    bought, asked = (str(now() - timedelta(days=days)) for days in (95, 6))
    tokens, parties = {}, []
    for name in ("Sue", "Sam"):
        wanted = {"name": name, "email": f"{name.lower()}@shore.example", "roles": ["manager"], "team_id": team}
        person = product.client.post("/v1/users", json=wanted).raise_for_status().json()
        link = person["invitation"]["path"].partition("token=")[2]
        tokens[name] = product.post("/v1/invitations/accept", json={"token": link, "password": PASSWORD})["token"]
        identifier = {"scheme": "email", "value": f"of-{name.lower()}@shore.example"}
        party = product.post("/v1/parties", json={"name": f"Late of {name}", "identifiers": [identifier]})["id"]
        purchase = {"party_id": party, "occurred_at": bought, "currency": "USD", "amount_minor": 7_000}
        product.post("/v1/purchases", json=purchase)
        told = {"party_id": party, "occurred_at": asked, "department": "service", "channel": "email"}
        product.post("/v1/interactions", json=told | {"kind": "inquiry", "direction": "inbound"})
        product.post("/v1/problems", json={"party_id": party, "occurred_at": asked, "category": "delivery"})
        product.put(f"/v1/parties/{party}/owner", json={"owner_id": person["id"], "team_id": team})
        parties.append(party)
    product.settle()
    yield tokens
    for party in parties:
        product.client.put(f"/v1/parties/{party}/owner", json={"owner_id": None, "team_id": None})


def test_today_is_of_ones_own_parties_or_those_of_the_team(visit: Visit, shore: dict[str, str]) -> None:
    page = visit("/", token=shore["Sue"])
    scopes = page.get_by_role("navigation", name=say("en", "today.whose"))
    both = {"Late of Sue", "Late of Sam"}
    for scope, of in (("", {"Late of Sue"}), ("team", both), ("mine", {"Late of Sue"}), ("all", both)):
        if scope:
            scopes.get_by_role("link", name=say("en", f"today.scope_{scope}"), exact=True).click()
        chosen = scopes.locator("[aria-current]")
        expect(chosen).to_have_text(say("en", f"today.scope_{scope or 'mine'}"))
        page.wait_for_load_state()
        for part in ("slipped", "unanswered", "problems"):
            assert set(page.locator(f"#{part} [data-row]").all_inner_texts()) == of, (scope, part)
    page.goto("/unanswered")
    assert page.locator(".due [data-row]").all_inner_texts() == ["Late of Sue"]
    scopes.get_by_role("link", name=say("en", "today.scope_team"), exact=True).click()
    expect(page.locator(".due [data-row]")).to_have_count(2)
