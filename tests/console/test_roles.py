"""Whoever signs in is shown what they may see, and told nothing of what they may not."""

import re
from uuid import uuid4

import httpx
import pytest
from playwright.sync_api import expect

from gateway.console.api import SESSION
from gateway.domain.rights import Role
from tests.console.conftest import LANGUAGES, Visit, findings
from tests.console.people import PASSWORD, Invite
from tests.system.product import Product

PARTS = ("/population/flows", "/figures", "/population/matrix", "/search", "/search?q=nobody+at+all", "/account")
"""What pages ask for by themselves or lead everybody to."""


def come_in(product: Product, invite: Invite, role: Role) -> tuple[str, dict[str, str]]:
    """The token of somebody new in a role, and who they are."""
    link = invite(f"{role}-{uuid4().hex}@roles.example", role).partition("token=")[2]
    came = product.post("/v1/invitations/accept", json={"token": link, "password": PASSWORD})
    return came["token"], came["user"]


def are_open(browser: httpx.Client) -> bool:
    """Whether no page that somebody is led to refuses them, or leads them where they may not go."""
    head = browser.get("/").text.partition("<main")[0]
    paths = [path for path in re.findall(r'<a [^>]*href="(/[^"?#]*)', head) if path != "/"]
    for path in ["/", *dict.fromkeys(paths), *(PARTS if "/parties" in paths else ())]:
        page = browser.get(path, headers={"Accept-Language": "en"})
        assert page.status_code == 200, path
        assert 'class="refused"' not in page.text, path
        assert 'href="/import"' not in page.text or "/import" in paths, path
    return bool(paths)


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.OWNER])
def test_no_page_that_somebody_is_led_to_refuses_them(product: Product, invite: Invite, role: Role) -> None:
    token, user = come_in(product, invite, role)
    with httpx.Client(base_url=product.running.url, cookies={SESSION: token}, follow_redirects=True) as browser:
        assert are_open(browser)
        theirs = f"{uuid4().hex}@roles.example"
        product.put(f"/v1/parties/{product.register(theirs)}/owner", json={"owner_id": user["id"], "team_id": None})
        product.buy(theirs, "2026-02-01T10:00:00Z", 1_000)
        product.settle()
        assert are_open(browser)


@pytest.mark.parametrize("language", LANGUAGES)
def test_who_looks_after_nobody_yet_is_told_so(visit: Visit, product: Product, invite: Invite, language: str) -> None:
    token, _ = come_in(product, invite, Role.AGENT)
    bearer = {"Authorization": f"Bearer {token}"}
    product.client.patch("/v1/me", headers=bearer, json={"language": language}).raise_for_status()
    for path in ("/", "/parties", "/population"):
        page = visit(path, token=token, language=language)
        expect(page.locator(".empty h2")).to_have_text(SAID[language])
        assert findings(page) == []


SAID = {
    "en": "Nobody is yours yet",
    "zh-Hant": "目前還沒有由您負責的客戶",
    "zh-Hans": "目前还没有由您负责的客户",
}
