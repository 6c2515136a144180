from urllib.parse import urljoin

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.console.conftest import LOOKS, Visit, findings


@pytest.mark.parametrize(("language", "width"), LOOKS)
def test_the_population_has_no_barriers_and_fits(visit: Visit, language: str, width: int) -> None:
    page = visit("/population", language=language, width=width)
    page.locator(".flow-part").wait_for(timeout=60_000)
    assert findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_a_number_of_the_population_leads_to_so_many_parties(visit: Visit) -> None:
    page = visit("/population")
    cell = page.locator("table.matrix tbody td a").first
    count = cell.locator("strong").inner_text()
    cell.click()
    expect(page.locator("h1 .count")).to_have_text(count)


def test_flows_are_of_the_days_that_are_chosen(visit: Visit) -> None:
    page = counted(visit, "since=2026-01-01&until=2026-06-30")
    assert page.get_by_text("From Jan 1, 2026 to Jun 30, 2026").is_visible()
    assert page.locator(".flows li").count() > 0


def test_a_page_comes_before_what_is_computed_for_it_and_with_it_where_there_is_no_script(visit: Visit) -> None:
    page = counted(visit, "since=2026-01-01&until=2026-06-30")
    moves = str(page.locator(".flows a").first.get_attribute("href"))
    for path, part in (("/population/flows?days=90", 'class="flow-part"'), (moves, "data-row")):
        first, whole = (page.request.get(urljoin(page.url, path + more)).text() for more in ("", "&shown=1"))
        assert part not in first
        assert f'hx-get="{path.partition("?")[0]}?' in first
        assert part in whole


def test_the_number_of_a_flow_leads_to_so_many_moves(visit: Visit) -> None:
    page = counted(visit, "since=2026-01-01&until=2026-06-30")
    flow = min(page.locator(".flows a").all(), key=_count)
    count = _count(flow)
    flow.click()
    expect(page.locator("tbody [data-row]")).to_have_count(min(count, 50))
    while page.get_by_role("link", name="Show more").count():
        before = page.locator("tbody [data-row]").count()
        page.get_by_role("link", name="Show more").click()
        expect(page.locator("tbody [data-row]")).not_to_have_count(before)
    assert page.locator("tbody [data-row]").count() == count
    assert findings(page) == []


def test_the_lines_of_days_past_lead_to_no_list_of_today(visit: Visit) -> None:
    page = counted(visit, "since=2026-01-01&until=2026-06-30")
    assert page.locator(".trends li").count() > 0
    assert page.locator(".trends a").count() == 0
    assert counted(visit, "days=90").locator(".trends a").count() > 0


def counted(visit: Visit, query: str) -> Page:
    """The page of flows, when they have come."""
    page = visit(f"/population/flows?{query}")
    page.locator(".flow-part").wait_for(timeout=60_000)
    return page


def _count(flow: Locator) -> int:
    return int(flow.locator(".number").inner_text().replace(",", ""))
