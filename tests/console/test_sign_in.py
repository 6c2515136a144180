import pytest
from playwright.sync_api import Page

from gateway.console.messages import say
from tests.console.conftest import LANGUAGES, WIDTHS, Visit, findings
from tests.console.people import PASSWORD, Invite


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("width", WIDTHS.values())
def test_the_sign_in_page_has_no_barriers(visit: Visit, language, width):
    page = visit("/sign-in", role=None, language=language, width=width)
    assert page.get_by_role("heading", level=1).inner_text() == say(language, "sign_in.title")
    assert findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_somebody_is_invited_sets_a_password_and_signs_in_again(visit: Visit, invite: Invite):
    link = invite("iris@example.com", "reader")
    page = visit(link, role=None, also=(401, 404))
    assert "iris@example.com" in page.locator("main").inner_text()
    assert findings(page) == []
    page.get_by_label("New password").fill(PASSWORD)
    page.get_by_label("The same once more").fill(PASSWORD + "x")
    page.get_by_role("button", name="Set password").click()
    assert "not the same" in page.get_by_role("alert").inner_text()
    page.get_by_label("New password").fill(PASSWORD)
    page.get_by_label("The same once more").fill(PASSWORD)
    page.get_by_role("button", name="Set password").click()
    page.wait_for_selector("details.menu")
    sign_out(page)
    assert say("en", "sign_in.signed_out") in page.get_by_role("status").first.inner_text()
    sign_in(page, "iris@example.com", "not the password at all")
    assert "do not fit together" in page.get_by_role("alert").inner_text()
    sign_in(page, "iris@example.com", PASSWORD)
    page.wait_for_selector("details.menu")
    page.goto(link)
    assert page.get_by_role("heading", level=1).inner_text() == say("en", "sign_in.no_link_title")


def test_after_signing_in_one_is_where_one_wanted_to_go(visit: Visit, invite: Invite):
    page = visit(invite("jon@example.com", "reader"), role=None)
    set_password(page)
    sign_out(page)
    page.goto("/account")
    assert page.url.endswith("/sign-in?next=/account")
    sign_in(page, "jon@example.com", PASSWORD)
    page.wait_for_url("**/account")
    sign_out(page)
    page.goto("/sign-in?next=https://elsewhere.example.com/")
    sign_in(page, "jon@example.com", PASSWORD)
    page.wait_for_selector("details.menu")
    assert "elsewhere" not in page.url


def test_a_session_cookie_is_out_of_reach_of_scripts_and_of_other_sites(visit: Visit, invite: Invite):
    page = visit(invite("kim@example.com", "reader"), role=None)
    set_password(page)
    cookies = {each["name"]: each for each in page.context.cookies()}
    for name in ("shuke_session", "shuke_device"):
        assert (cookies[name]["httpOnly"], cookies[name]["sameSite"]) == (True, "Lax")
    assert "shuke" not in page.evaluate("document.cookie")


def set_password(page: Page) -> None:
    page.get_by_label("New password").fill(PASSWORD)
    page.get_by_label("The same once more").fill(PASSWORD)
    page.get_by_role("button", name="Set password").click()
    page.wait_for_selector("details.menu")


def sign_in(page: Page, email: str, password: str) -> None:
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_load_state()


def sign_out(page: Page) -> None:
    page.locator("details.menu summary").click()
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/sign-in**")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("width", WIDTHS.values())
@pytest.mark.parametrize("path", ["/users", "/users/new", "/teams", "/account"])
def test_the_pages_of_people_have_no_barriers(visit: Visit, path, language, width):
    page = visit(path, language=language, width=width)
    assert findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
