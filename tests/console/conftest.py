import os
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from itertools import product as pairs
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Playwright, expect, sync_playwright

from bench.console.browser import CHROMIUM, barriers
from gateway.console.api import SESSION
from tests.console.people import Invite, inviting
from tests.system.product import Product

SHELL = None if "CHROMIUM" in os.environ else shutil.which("chromium-headless-shell")
ENGINE = Path(SHELL) if SHELL else CHROMIUM
"""What shows a page to most tests: the engine without a window is quicker, unless a browser is named."""
LANGUAGES = ("en", "zh-Hant", "zh-Hans")
WIDTHS = {"phone": 390, "desk": 1280}
LOOKS = (
    tuple(pairs(LANGUAGES, WIDTHS.values()))
    if os.environ.get("SHUKE_TEST_LOOKS") == "all"
    else (("en", WIDTHS["phone"]), ("zh-Hant", WIDTHS["desk"]))
)
"""How each page is looked at: where words are long and room is small, and in Chinese on a desk; or in every way."""
PATIENCE_MS = 30_000

STREAM_ALONE = """
const every = window.setInterval;
window.setInterval = (run, after, ...more) => (after < 15_000 ? every(run, after, ...more) : 0);
"""
"""Has a page look for nothing by itself now and then: what it shows anew, the stream told."""

Visit = Callable[..., Page]

findings = barriers


@contextmanager
def example(folder: Path) -> Iterator[Product]:
    """A product with the example of 2,357 customers."""
    made = Product(folder / "data", "up")
    with pytest.MonkeyPatch.context() as variables:
        variables.setenv("GATEWAY_WEBHOOK_ALLOW", "127.0.0.1/32")
        variables.setenv("GATEWAY_TRUSTED_PROXIES", "127.0.0.1/32")
        made.up()
    try:
        made.shuke("example", "load")
        yield made
    finally:
        made.down()


@pytest.fixture(scope="package")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """One for all pages; a test that changes it uses people of its own."""
    with example(tmp_path_factory.mktemp("console")) as made:
        yield made


@pytest.fixture(scope="package")
def playwright() -> Iterator[Playwright]:
    # Its loop runs in this thread until it ends: of the package, it is gone before the next asynchronous test.
    with sync_playwright() as made:
        # What a page comes to show, it shows late on a machine that others use too.
        expect.set_options(timeout=PATIENCE_MS)
        yield made


@pytest.fixture(scope="package")
def chromium(playwright: Playwright) -> Iterator[Browser]:
    with launched(playwright, ENGINE) as browser:
        yield browser


@contextmanager
def launched(playwright: Playwright, executable: Path) -> Iterator[Browser]:
    if not executable.exists():
        pytest.skip(f"Needs chromium at {executable}")
    browser = playwright.chromium.launch(executable_path=str(executable), args=["--no-sandbox"])
    yield browser
    browser.close()


@pytest.fixture
def visit(chromium: Browser, product: Product) -> Iterator[Visit]:
    """Open a page with the key of an administrator, with the token of somebody's session, or as nobody.

    What the browser complains of fails the test, but for what is expected. Of a page that may have been begun before it
    is refused the status is None.
    """
    contexts: list[BrowserContext] = []
    complaints: list[str] = []
    expected: set[str] = set()

    def visited(
        path: str,
        *,
        role: str | None = "admin",
        language: str = "en",
        width: int = 1280,
        token: str | None = None,
        status: int | None = 200,
        also: Collection[int | str] = (),
        script: str = "",
    ) -> Page:
        context = chromium.new_context(
            base_url=product.running.url, locale=language, viewport={"width": width, "height": 900}
        )
        contexts.append(context)
        if role:
            token = token or product.client.headers["Authorization"].removeprefix("Bearer ")
            context.add_cookies([{"name": SESSION, "value": token, "url": product.running.url}])
        context.add_init_script(script)
        page = context.new_page()
        page.on("console", lambda said: complaints.append(said.text) if complains(said) else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        answer = page.goto(path)
        assert answer is not None
        assert status in (None, answer.status)
        expected.update(each if isinstance(each, str) else f"status of {each}" for each in (answer.status, *also))
        return page

    yield visited
    for context in contexts:
        context.close()
    assert not [said for said in complaints if not any(each in said for each in expected)]


@pytest.fixture
def invite(product: Product) -> Invite:
    return inviting(product)


def complains(said: ConsoleMessage) -> bool:
    """Whether the browser says that something is wrong; that a form comes back with what to correct (422) is not."""
    return said.type in ("error", "warning") and "status of 422" not in said.text
