"""The whole way of somebody who opens the product for the first time, with the tenth of CDNOW, by clicks alone."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from playwright.sync_api import BrowserContext, Page, Playwright, expect

from bench.console.browser import CHROMIUM
from chassis.clock import now
from gateway.console.messages import say
from tests.console.conftest import LANGUAGES, STREAM_ALONE, complains, findings, launched
from tests.console.people import PASSWORD
from tests.scoring.cdnow import ORDERS, needs_cdnow
from tests.system.product import Product

PARTIES, ROWS = "2,357", "6,919"
THAT_DAY = datetime(1998, 7, 1, 12, tzinfo=UTC)
"""The day after the last that the file tells of: most of its customers could still come back."""
CUSTOMER = re.compile("^Customer$")
DORMANT_AFTER = "persons__customers__without_model__dormant_after_days"
SOON, LATER = 15_000, 90_000


@pytest.fixture
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A product that nobody has used, on the day after the file ends."""
    made = Product(tmp_path_factory.mktemp("journey") / "data", "up")
    made.up(ahead_s=(THAT_DAY - now()).total_seconds())
    try:
        yield made
    finally:
        made.down()


@pytest.fixture
def browser(playwright: Playwright, fresh: Product) -> Iterator[BrowserContext]:
    """The whole browser of one person; what it complains of fails the test."""
    complaints: list[str] = []
    with launched(playwright, CHROMIUM) as chromium:
        context = chromium.new_context(base_url=fresh.running.url, locale="en", viewport={"width": 1280, "height": 900})
        context.on("console", lambda said: complaints.append(said.text) if complains(said) else None)
        context.on("weberror", lambda wrong: complaints.append(str(wrong.error)))
        yield context
        context.close()
    assert complaints == []


@needs_cdnow
def test_from_the_first_start_to_an_import_that_is_taken_back(fresh: Product, browser: BrowserContext):
    page = browser.new_page()
    come_in(page, fresh)
    bring_the_file(page)
    read_the_funnel(page)
    understand_a_party(page)
    lose_it_while_a_colleague_looks(page, browser)
    ask_what_if(page)
    have_it_decide(page)
    take_it_back(page)


def come_in(page: Page, product: Product) -> None:
    """The link that the first start printed makes the owner, who signs in again by the password."""
    found = re.search(r"The first person comes in once.* by (\S+)", product.said)
    assert found
    page.goto(found[1])
    page.get_by_label("Name", exact=True).fill("Olga Owner")
    page.get_by_label("E-mail").fill("olga@example.com")
    page.get_by_label("New password").fill(PASSWORD)
    page.get_by_label("The same once more").fill(PASSWORD)
    page.get_by_role("button", name="Set password and sign in").click()
    page.get_by_text("Olga Owner").click()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("E-mail").fill("olga@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(say("en", "today.welcome"))
    look_at_the_first_page(page)


def look_at_the_first_page(page: Page) -> None:
    """It has no barriers, in any language that somebody may change to."""
    for language in (*(each for each in LANGUAGES if each != "en"), "en"):
        page.locator("details.menu summary").click()
        page.locator("#language").select_option(language)
        page.locator("form[action='/language'] button").click()
        expect(page.get_by_role("heading", level=1)).to_have_text(say(language, "today.welcome"))
        assert findings(page) == [], language


def bring_the_file(page: Page) -> None:
    """The first page says what to do; the file is understood without help."""
    page.get_by_role("main").get_by_role("link", name=say("en", "today.do_import")).click()
    page.get_by_label("File", exact=True).set_input_files(ORDERS)
    page.get_by_role("button", name="Look at the file").click()
    expect(page.get_by_role("heading", name="Looked at, nothing recorded")).to_be_visible(timeout=SOON)
    expect(page.get_by_label("Customer id")).to_have_value("customer_id")
    expect(page.get_by_label("Amount")).to_have_value("amount")
    page.get_by_role("button", name=f"Import {ROWS} rows").click()
    expect(page.get_by_role("heading", name="Imported", exact=True)).to_be_visible(timeout=LATER)
    expect(page.locator(".counts")).to_contain_text(f"Taken{ROWS}", use_inner_text=False)


def read_the_funnel(page: Page) -> None:
    """Everybody comes in before one's eyes, and the line of the customers leads to them."""
    page.get_by_role("link", name="See who stands where").click()
    expect(page.locator("h1 .count")).to_have_text(PARTIES, timeout=LATER)
    count = customers(page)
    page.locator(".funnel .name", has_text=CUSTOMER).click()
    expect(page.locator("h1 .count")).to_have_text(count)
    expect(page.locator("table.list .badge.stage-customer").first).to_be_visible()


def understand_a_party(page: Page) -> None:
    """The one that is worth most: where it stands, why, and what changes that."""
    page.locator("table.list [data-row]").first.click()
    expect(page.locator("#stands")).to_have_text("Customer Top VIP")
    expect(page.locator(".sentence")).to_contain_text("Last bought on Jun 17, 1998, 14 days ago")
    expect(page.locator(".sentence")).to_contain_text("tier top")
    page.get_by_text("Evidence").first.click()
    expect(page.locator("#top table.evidence").first).to_contain_text("Repeat purchases")
    expect(page.locator(".next")).to_contain_text("Customer → Dormant customer")
    expect(page.locator(".timeline")).to_contain_text("Purchase $47.96")


def lose_it_while_a_colleague_looks(page: Page, browser: BrowserContext) -> None:
    """One records what was said on the phone; another, who has the page open, sees it become lost."""
    colleague = browser.new_page()
    colleague.add_init_script(STREAM_ALONE)
    colleague.goto(page.url)
    colleague.evaluate("window.stayed = true")
    colleague.get_by_text("Evidence").first.click()
    page.get_by_text("Record a contact").click()
    page.get_by_label("Note (before the click, if any)").fill("Moves abroad")
    page.get_by_label("They want no more, because of").select_option("out of reach")
    page.get_by_role("button", name="They want no more").click()
    expect(page.get_by_text("The contact is recorded.")).to_be_visible()
    for each in (colleague, page):
        expect(each.locator("#stands")).to_contain_text("Lost customer", timeout=SOON)
        expect(each.locator(".timeline .entry").filter(has_text="Moves abroad")).to_contain_text("Declined")
        expect(each.locator(".timeline .moved").first).to_contain_text("Customer → Lost customer")
    assert colleague.evaluate("window.stayed")
    expect(colleague.locator("#top table.evidence").first).to_be_visible()
    colleague.close()


def ask_what_if(page: Page) -> None:
    """A stricter policy is drafted and tried over the whole history; it shows who would move."""
    page.get_by_role("link", name="Policy", exact=True).click()
    page.get_by_role("link", name="Change the policy").click()
    page.get_by_label("Name").fill("stricter")
    page.get_by_label(say("en", "policies.field_" + DORMANT_AFTER)).fill("60")
    page.get_by_role("button", name="Keep as draft").click()
    expect(page.locator(".differences")).to_contain_text("90 days 60 days")
    page.get_by_role("button", name="Try it").click()
    expect(page.get_by_role("heading", name="Moves month by month")).to_be_visible(timeout=LATER)
    page.get_by_role("table").first.get_by_role("link").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Who would stand elsewhere")
    expect(page.locator("tbody tr").first).to_contain_text("Dormant customer")


def have_it_decide(page: Page) -> None:
    """Approved and activated, it moves people: fewer are customers, as the funnel shows."""
    page.get_by_role("link", name="Population", exact=True).click()
    before = customers(page)
    page.get_by_role("link", name="Policy", exact=True).click()
    page.get_by_role("link", name="stricter").first.click()
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Approve").click()
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Activate").click()
    expect(page.locator(".life [aria-current]")).to_contain_text("Active")
    page.get_by_role("link", name="Population", exact=True).click()
    line = page.locator(".funnel a", has=page.locator(".name", has_text=CUSTOMER)).locator(".number").first
    expect(line).not_to_have_text(before, timeout=LATER)
    assert int(customers(page).replace(",", "")) < int(before.replace(",", ""))


def take_it_back(page: Page) -> None:
    """The import is undone, and only what a person recorded is left."""
    page.get_by_role("navigation").get_by_role("link", name="Import").click()
    page.get_by_role("row").filter(has_text="Done").get_by_role("link").click()
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Undo this import").click()
    expect(page.get_by_role("heading", name="Everything was taken back")).to_be_visible(timeout=LATER)
    page.get_by_role("link", name="Population", exact=True).click()
    expect(page.locator("h1 .count")).to_have_text("1", timeout=LATER)
    page.locator(".funnel a").click()
    page.locator("table.list [data-row]").click()
    expect(page.locator("#stands")).to_contain_text("Lost prospect")
    expect(page.locator(".timeline .entry").filter(has_text="Moves abroad")).not_to_contain_text("Withdrawn")
    expect(page.locator(".timeline .entry").filter(has_text="Purchase").first).to_contain_text("Withdrawn")
    page.get_by_role("link", name="Today", exact=True).click()
    expect(page.locator(".news").filter(has_text="orders.csv.gz")).to_contain_text(f"{ROWS} rows taken back")


def customers(page: Page) -> str:
    """How many the funnel counts."""
    return page.locator(".funnel a", has=page.locator(".name", has_text=CUSTOMER)).locator(".number").first.inner_text()
