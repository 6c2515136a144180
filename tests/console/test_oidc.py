"""Signing in elsewhere, in a browser: a product of its own that knows an OpenID provider."""

import json
import subprocess
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from deploy.ports import free_port
from deploy.process import die_with_me
from tests.console.conftest import findings
from tests.gateway.oidc.provider import SECRET, installed
from tests.system.product import Product


@pytest.fixture
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A product whose people come from a provider, which makes them here and says what they are."""
    folder, port = installed(), free_port()
    made = Product(tmp_path_factory.mktemp("oidc") / "data", "up")
    back = f"http://127.0.0.1:{made.port}/sign-in/oidc"
    settings = {
        "ISSUER": f"http://127.0.0.1:{port}",
        "OIDC_CLIENT_ID": "shuke",
        "OIDC_CLIENT_SECRET": SECRET,
        "OIDC_REDIRECT_URL": back,
        "OIDC_MAKES_PEOPLE": "true",
        "ROLES_CLAIM": "groups",
        "ROLES_MAPPING": json.dumps({"sellers": "agent"}),
    }
    provider = subprocess.Popen(
        ("node", "provider.mjs", str(port), back), cwd=folder, stdout=subprocess.PIPE, preexec_fn=die_with_me()
    )
    try:
        assert provider.stdout is not None
        assert provider.stdout.readline().strip() == b"listening"
        with pytest.MonkeyPatch.context() as variables:
            for name, value in settings.items():
                variables.setenv(f"GATEWAY_{name}", value)
            made.up()
        yield made
        made.down()
    finally:
        provider.kill()
        provider.communicate()


def browsing(chromium: Browser, product: Product, who: str) -> BrowserContext:
    """A browser in which the provider knows who it is, and asks nothing."""
    return chromium.new_context(base_url=product.running.url, locale="en", extra_http_headers={"x-who": who})


def test_a_button_leads_to_the_provider_and_back_and_whoever_it_does_not_vouch_for_stays_outside(
    chromium: Browser, elsewhere: Product
):
    with browsing(chromium, elsewhere, "sara") as sara:
        page = sara.new_page()
        page.goto("/sign-in")
        assert findings(page) == []
        page.get_by_role("link", name="Sign in with").click()
        expect(page.locator("details.menu .who")).to_have_text("Sara")
        page.goto("/account")
        expect(page.locator("main")).to_contain_text("sara@example.com · Agent")
        expect(page.locator("main")).to_contain_text("you sign in elsewhere")
        assert findings(page) == []
        page.locator("details.menu summary").click()
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("link", name="Sign in with")).to_be_visible()
    with browsing(chromium, elsewhere, "eve") as eve:
        page = eve.new_page()
        page.goto("/sign-in")
        page.get_by_role("link", name="Sign in with").click()
        expect(page.get_by_role("alert")).to_contain_text("You are known there, but not here.")
        assert findings(page) == []
