"""Of whom a list is and to whom a party is given: as far as whoever looks reaches, and beyond what one list holds."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from typing import NamedTuple

import pytest
from playwright.sync_api import Locator, Page, expect

from chassis.clock import now
from gateway.console.messages import say
from gateway.console.people import MOST
from tests.console.conftest import LOOKS, Visit, findings
from tests.console.people import PASSWORD
from tests.system.product import Product, party_of

_numbers = count()


class Team(NamedTuple):
    """A manager, an agent of the team, and somebody of none, each with a party of the name."""

    id: str
    ids: dict[str, str]
    tokens: dict[str, str]
    parties: dict[str, str]


@pytest.fixture(scope="module")
def north(product: Product) -> Iterator[Team]:
    team = product.post("/v1/teams", json={"name": "North Shore"})["id"]
    made = Team(team, {}, {}, {})
    for name, role, of in (("Nora", "manager", team), ("Nils", "agent", team), ("Olaf", "agent", None)):
        wanted = {"name": name, "email": f"{name.lower()}@north.example", "roles": [role], "team_id": of}
        person = product.client.post("/v1/users", json=wanted).raise_for_status().json()
        link = person["invitation"]["path"].partition("token=")[2]
        came = product.client.post("/v1/invitations/accept", json={"token": link, "password": PASSWORD})
        identifier = {"scheme": "email", "value": f"of-{name.lower()}@north.example"}
        party = product.post("/v1/parties", json={"name": f"Party of {name}", "identifiers": [identifier]})["id"]
        bought = {"occurred_at": now().isoformat(), "currency": "USD", "amount_minor": 7_000}
        product.post("/v1/purchases", json={"party_id": party, **bought})
        product.put(f"/v1/parties/{party}/owner", json={"owner_id": person["id"], "team_id": of})
        made.ids[name], made.tokens[name], made.parties[name] = person["id"], came.json()["token"], party
    product.settle()
    yield made
    for name, id in made.ids.items():
        product.post(f"/v1/users/{id}/disable")
        product.client.put(f"/v1/parties/{made.parties[name]}/owner", json={"owner_id": None, "team_id": None})


def lists(page: Page, *parties: str) -> None:
    rows = page.locator("tbody [data-row]")
    expect(rows).to_have_count(len(parties))
    assert set(rows.all_inner_texts()) == set(parties)


def changing(page: Page) -> Locator:
    return page.get_by_role("region", name="Who looks after them").get_by_text("Change", exact=True)


def test_the_list_is_of_any_person_or_team_that_is_chosen(visit: Visit, north: Team) -> None:
    page = visit("/parties?stage=customer&sort=silent")
    page.get_by_text("Of another person or team").click()
    page.get_by_role("link", name="Nils", exact=True).click()
    lists(page, "Party of Nils")
    assert "stage=customer&sort=silent" in page.url
    assert page.get_by_label("Owner").locator("option:checked").inner_text() == "Nils"
    page.get_by_text("Of another person or team").click()
    page.get_by_role("link", name="North Shore").click()
    lists(page, "Party of Nora", "Party of Nils")
    page.get_by_role("button", name="Apply").click()
    lists(page, "Party of Nora", "Party of Nils")


def test_the_name_of_whoever_owns_nothing_stands_on_the_list(visit: Visit, north: Team) -> None:
    page = visit(f"/parties?owner_id={north.ids['Nils']}&min_value=1000000")
    assert page.get_by_role("link", name="Remove: Owner: Nils").is_visible()


def test_a_manager_chooses_among_those_of_the_team_alone(visit: Visit, product: Product, north: Team) -> None:
    page = visit("/parties", token=north.tokens["Nora"])
    lists(page, "Party of Nora", "Party of Nils")
    page.get_by_text("Of another person or team").click()
    page.get_by_role("link", name="Nils", exact=True).wait_for()
    assert page.locator(".people a").all_inner_texts() == ["North Shore", "Nils", "Nora"]
    page.goto(f"/parties?owner_id={north.ids['Olaf']}")
    assert page.get_by_role("heading", name="Nobody fits these filters").is_visible()
    page.goto(f"/parties/{north.parties['Nils']}")
    changing(page).click()
    page.get_by_label("Owner").select_option("Nora")
    page.get_by_label("Team").select_option("North Shore")
    page.locator("form[action$='/owner'] button").click()
    expect(page.get_by_text("The owner is changed.")).to_be_visible()
    expect(page.locator(".sub").get_by_text("with Nora")).to_be_visible()
    product.put(f"/v1/parties/{north.parties['Nils']}/owner", json={"owner_id": north.ids["Nils"], "team_id": north.id})


def test_whoever_is_not_among_the_first_is_found_by_name(visit: Visit, product: Product, north: Team) -> None:
    for number in range(MOST + 1):
        wanted = {"name": f"Zoe {number:03}", "email": f"zoe{number}@many.example", "roles": ["agent"]}
        product.client.post("/v1/users", json=wanted).raise_for_status()
    last = f"Zoe {MOST:03}"
    page = visit(f"/parties/{north.parties['Olaf']}")
    changing(page).click()
    page.get_by_label("Find by name").wait_for()
    assert page.get_by_label("Owner").get_by_role("option", name=last).count() == 0
    page.get_by_label("Find by name").press_sequentially(last)
    page.get_by_label("Owner").get_by_role("option", name=last).wait_for(state="attached")
    assert findings(page) == []
    page.get_by_label("Owner").select_option(last)
    page.locator("form[method=post][action$='/owner'] button").click()
    expect(page.locator(".sub").get_by_text(f"with {last}")).to_be_visible()
    page.goto("/parties?stage=customer")
    page.get_by_text("Of another person or team").click()
    page.get_by_label("Find by name").press_sequentially(last)
    page.get_by_role("link", name=last).click()
    lists(page, "Party of Olaf")


@pytest.mark.parametrize(("language", "width"), LOOKS)
def test_choosing_works_without_a_script_and_has_no_barriers(
    visit: Visit, north: Team, language: str, width: int
) -> None:
    page = visit(f"/parties/{north.parties['Nils']}/owner?q=n", language=language, width=width)
    assert page.get_by_label(say(language, "parties.f_owner_id")).is_visible()
    assert findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.goto("/parties/people?stage=customer&q=nils")
    assert findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.get_by_role("link", name="Nils", exact=True).click()
    lists(page, "Party of Nils")


def test_whoever_may_give_no_party_away_is_shown_no_form_for_it(visit: Visit, north: Team) -> None:
    page = visit(f"/parties/{north.parties['Nils']}", token=north.tokens["Nils"])
    assert page.locator("#h-owner").is_visible()
    assert changing(page).count() == 0


def test_a_prospect_within_reach_by_a_lead_alone_has_a_whole_page(visit: Visit, product: Product, north: Team) -> None:
    email = f"p{next(_numbers)}@prospects.example"
    at = (now() - timedelta(days=1)).isoformat()
    lead = {"email": email, "source": "web", "occurred_at": at, "owner_id": north.ids["Olaf"], "team_id": None}
    product.post("/v1/leads", json=lead)
    product.settle()
    path = f"/parties/party_{party_of(email).hex}"
    page = visit(path, token=north.tokens["Olaf"])
    assert page.locator("#stands .stage-prospect").is_visible()
    assert page.locator(".sentence").is_visible()
    assert page.locator("#h-leads").is_visible()
    assert page.locator(".refused").count() == 0
    page.goto(f"{path}/top")
    assert page.locator(".sentence").is_visible()
    visit(path, token=north.tokens["Nora"], status=404)
