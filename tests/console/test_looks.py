"""What every page looks like on a wide screen, in the dark, and where a list meets a phone."""

from bench.console.catalogue import OPEN_TO_ALL, pages
from tests.console.conftest import Visit, findings
from tests.system.product import Product

WIDE = 2560
USED = 0.8
"""Which part of a wide screen a page has something in, at least."""
FILLED = ("today", "population", "list", "party", "operations", "policy-form", "audit")
"""Pages that have enough to fill it."""
FORMS = ("import", "users", "models", "policy", "keys")
"""Pages that need less."""
IN_THE_DARK = ("today", "list-filtered", "party-dormant", "operations")


def test_a_wide_screen_is_used_and_nothing_is_wider(visit: Visit, product: Product) -> None:
    page = visit("/account", width=WIDE)
    found = pages(product.client)
    for name in (*FILLED, *FORMS):
        page.goto(found[name], wait_until="domcontentloaded")
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), name
        assert name in FORMS or page.evaluate(REACHED) >= WIDE * USED, name


REACHED = """() => Math.max(
  ...[...document.querySelectorAll("main .card")].map((card) => card.getBoundingClientRect().right),
)"""
"""How far to the right the cards of a page come."""


def test_on_a_phone_every_column_of_a_list_is_in_sight(visit: Visit, product: Product) -> None:
    page = visit("/account", width=390, language="zh-Hant")
    found = pages(product.client)
    for name in ("users", "policies", "import", "keys", "operations", "audit"):
        page.goto(found[name], wait_until="domcontentloaded")
        assert page.locator("table.cards, .empty").count(), name
        assert page.evaluate(CUT) == [], name


CUT = """() => [...document.querySelectorAll(".table")].filter((table) => table.scrollWidth > table.clientWidth + 1)
  .map((table) => table.innerText.slice(0, 80))"""
"""Tables that have to be moved sideways."""


def test_pages_have_no_barriers_in_the_dark(visit: Visit, product: Product) -> None:
    found = pages(product.client)
    page = visit("/account")
    page.emulate_media(color_scheme="dark")
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    for name in IN_THE_DARK:
        page.goto(found[name])
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == ground == "rgb(20, 24, 26)"
        assert findings(page) == [], name
    page = visit(OPEN_TO_ALL["sign-in"], role=None)
    page.emulate_media(color_scheme="dark")
    assert findings(page) == []
