import csv
import io

import pytest
from playwright.sync_api import expect

from gateway.console.pages.parties import ROWS
from tests.console.conftest import LOOKS, Visit, findings


@pytest.mark.parametrize(("language", "width"), LOOKS)
def test_the_list_has_no_barriers_and_fits(visit: Visit, language: str, width: int) -> None:
    page = visit("/parties?stage=customer&untouched_days=30&min_value=1", language=language, width=width)
    assert page.locator("[data-row]").count() > 0
    assert findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_who_is_a_vip_says_so_in_the_line_of_their_name(visit: Visit) -> None:
    page = visit("/parties")
    assert page.locator(".badge.vip").count()
    assert page.evaluate(BESIDE) == []


BESIDE = """() => [...document.querySelectorAll(".badge.vip")]
  .filter((badge) => badge.getBoundingClientRect().top > badge.previousElementSibling.getBoundingClientRect().bottom)
  .map((badge) => badge.closest("th").innerText)"""


def test_a_heading_orders_the_list_and_turns_it_round(visit: Visit) -> None:
    page = visit("/parties?stage=dormant_customer")
    head = page.locator("thead th", has_text="Value")
    assert head.get_attribute("aria-sort") == "descending"
    days = page.locator("tbody td:nth-of-type(5) time")

    head.get_by_role("link").click()
    page.wait_for_url("**/parties?stage=dormant_customer&sort=lowest_value")
    assert head.get_attribute("aria-sort") == "ascending"
    assert page.get_by_label("Order").input_value() == "lowest_value"
    assert findings(page) == []

    page.locator("thead").get_by_role("link", name="Last contact").click()
    page.wait_for_url("**&sort=last_contact")
    latest = days.first.get_attribute("datetime")
    page.locator("thead").get_by_role("link", name="Last contact").click()
    page.wait_for_url("**&sort=untouched")
    assert page.locator("thead th[aria-sort]").all_inner_texts() == ["Last contact"]
    assert str(days.first.get_attribute("datetime")) < str(latest)

    page.goto("/parties?silent_days=30")
    assert page.locator("thead").get_by_role("link", name="Last sign from them").is_visible()
    assert page.get_by_role("link", name="Remove: No sign from them for at least: 30 days").is_visible()


def test_those_whom_nobody_looks_after_are_a_choice_of_the_owner(visit: Visit) -> None:
    page = visit("/parties")
    page.get_by_label("Owner").select_option(label="Nobody")
    page.get_by_role("button", name="Apply").click()
    page.wait_for_url("**owner_id=nobody**")
    assert page.get_by_role("link", name="Remove: Owner: Nobody").is_visible()
    assert page.locator("[data-row]").count()
    assert set(page.locator("tbody tr:not(.more) td:last-child").all_inner_texts()) == {"–"}


def test_more_of_the_list_comes_below_what_is_there(visit: Visit) -> None:
    page = visit("/parties")
    assert page.locator("[data-row]").count() == ROWS
    page.get_by_role("link", name="Show more").press("Enter")
    expect(page.locator("[data-row]").nth(ROWS)).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(page.locator("[data-row]").nth(ROWS + 1)).to_be_focused()
    names = page.locator("[data-row]").all_inner_texts()
    assert len(set(names)) == len(names) == 2 * ROWS


def test_the_list_is_walked_with_the_arrows(visit: Visit) -> None:
    page = visit("/parties")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    second = page.locator("[data-row]").nth(1)
    assert second.evaluate("element => element === document.activeElement")


def test_a_view_is_kept_used_and_removed(visit: Visit) -> None:
    page = visit("/parties?stage=dormant_customer&sort=silent")
    page.get_by_text("Save this view").click()
    page.get_by_label("Name of the view").fill("Win back")
    page.get_by_role("button", name="Save", exact=True).click()
    page.goto("/parties")
    page.get_by_role("link", name="Win back").click()
    assert "stage=dormant_customer&sort=silent" in page.url
    page.get_by_role("button", name="Remove the view “Win back”").click()
    expect(page.get_by_role("link", name="Win back")).to_have_count(0)


def test_a_view_with_the_shortest_name_is_wide_enough_to_be_hit(visit: Visit) -> None:
    page = visit("/parties?stage=dormant_customer")
    page.get_by_text("Save this view").click()
    page.get_by_label("Name of the view").fill("i")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("link", name="i", exact=True).wait_for()
    assert findings(page) == []
    page.get_by_role("button", name="Remove the view “i”").click()


def test_the_file_has_the_whole_list_as_it_is_filtered(visit: Visit) -> None:
    page = visit("/parties?stage=dormant_customer")
    shown = page.locator("h1 .count").inner_text()
    text = page.request.get("/parties.csv?stage=dormant_customer").body().decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == int(shown.replace(",", ""))
    assert {row["stage"] for row in rows} == {"dormant_customer"}
    assert rows[0]["name"].startswith("example ")


def test_filters_that_fit_nobody_say_so(visit: Visit) -> None:
    page = visit("/parties?min_value=99999999")
    assert page.get_by_role("heading", name="Nobody fits these filters").is_visible()
