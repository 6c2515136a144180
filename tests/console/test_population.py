import pytest

from tests.console.conftest import LANGUAGES, WIDTHS, Visit, findings


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("width", WIDTHS.values())
def test_the_population_has_no_barriers_and_fits(visit: Visit, language: str, width: int) -> None:
    page = visit("/population", language=language, width=width)
    page.locator(".flow-part").wait_for(timeout=20_000)
    assert findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_a_number_of_the_population_leads_to_so_many_parties(visit: Visit) -> None:
    page = visit("/population")
    cell = page.locator("table.matrix tbody td a").first
    count = cell.locator("strong").inner_text()
    cell.click()
    assert page.locator("h1 .count").inner_text() == count


def test_flows_are_of_the_days_that_are_chosen(visit: Visit) -> None:
    page = visit("/population/flows?since=2026-01-01&until=2026-06-30")
    assert page.get_by_text("From Jan 1, 2026 to Jun 30, 2026").is_visible()
    assert page.locator(".flows li").count() > 0
