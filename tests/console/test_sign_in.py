import base64
import time

import httpx
import pytest
from playwright.sync_api import Page, expect

from gateway.console.messages import say
from gateway.domain.totp import RECOVERY_CODES, STEP_S, code
from tests.console.conftest import LANGUAGES, LOOKS, Visit, findings
from tests.console.people import PASSWORD, Invite
from tests.system.product import Product


@pytest.mark.parametrize(("language", "width"), LOOKS)
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
    expect(page.get_by_role("alert")).to_contain_text("not the same")
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


def test_whoever_was_invited_is_told_so_until_they_have_a_password(visit: Visit, product: Product):
    wanted = {"name": "Kai", "email": "kai@example.com", "roles": ["reader"]}
    made = product.post("/v1/users", json=wanted)
    page = visit(f"/users/{made['id']}")
    expect(page.locator("section", has=page.locator("#access"))).to_contain_text(say("en", "users.invited"))


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


def test_the_key_of_the_search_is_turned_off_and_on(visit: Visit, invite: Invite):
    page = visit(invite("ned@example.com", "reader"), role=None)
    set_password(page)
    for works in (False, True):
        page.goto("/account")
        page.get_by_label(say("en", "account.search_key")).set_checked(works)
        page.locator("form[action='/account'] button").click()
        expect(page.locator(".notice")).to_have_text(say("en", "account.saved"))
        assert (" / " in str(page.locator("#find").get_attribute("placeholder"))) is works
        page.keyboard.press("/")
        assert page.evaluate("document.activeElement.id === 'find'") is works


def test_a_session_cookie_is_out_of_reach_of_scripts_and_of_other_sites(visit: Visit, invite: Invite):
    page = visit(invite("kim@example.com", "reader"), role=None)
    set_password(page)
    cookies = {each["name"]: each for each in page.context.cookies()}
    for name in ("shuke_session", "shuke_device"):
        assert (cookies[name]["httpOnly"], cookies[name]["sameSite"]) == (True, "Lax")
    assert "shuke" not in page.evaluate("document.cookie")


def test_a_second_step_is_set_up_and_asked_for_and_a_recovery_code_stands_in_once(visit: Visit, invite: Invite):
    page = visit(invite("lea@example.com", "reader"), role=None, also=(401, 403))
    set_password(page)
    page.locator("details.menu summary").click()
    page.get_by_role("link", name="Account").click()
    page.get_by_label("Your password").fill(PASSWORD)
    page.get_by_role("button", name="Set up the second step").click()
    expect(page.get_by_role("img", name="QR code for the authenticator app")).to_be_visible()
    assert findings(page) == []
    secret = base64.b32decode(page.locator(".secret").inner_text().replace(" ", ""))
    page.get_by_label("The code that the app shows").fill("000 000")
    page.get_by_role("button", name="Turn on").click()
    expect(page.get_by_role("alert")).to_contain_text("This code does not fit")
    step = int(time.time()) // STEP_S
    page.get_by_label("The code that the app shows").fill(code(secret, step))
    page.get_by_role("button", name="Turn on").click()
    expect(page.locator(".codes li")).to_have_count(RECOVERY_CODES)
    kept = page.locator(".codes li").all_inner_texts()
    assert len(set(kept)) == RECOVERY_CODES
    assert findings(page) == []
    page.get_by_role("link", name="I have kept them").click()
    expect(page.locator("main")).to_contain_text("10 recovery codes are left.")

    sign_out(page)
    sign_in(page, "lea@example.com", PASSWORD)
    expect(page.get_by_role("heading", level=1)).to_have_text("Second step")
    assert findings(page) == []
    page.get_by_label("Code").fill(code(secret, step))
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("was used before")
    page.get_by_label("Code").fill(code(secret, max(step + 1, int(time.time()) // STEP_S)))
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_selector("details.menu")

    for again in (False, True):
        sign_out(page)
        sign_in(page, "lea@example.com", PASSWORD)
        page.get_by_label("Code").fill(kept[0])
        page.get_by_role("button", name="Sign in").click()
        if again:
            expect(page.get_by_role("alert")).to_contain_text("was used before")
        else:
            page.wait_for_selector("details.menu")
    page.get_by_label("Code").fill(kept[1])
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_selector("details.menu")
    page.goto("/account")
    expect(page.locator("main")).to_contain_text("8 recovery codes are left.")


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


@pytest.mark.parametrize(("language", "width"), LOOKS)
@pytest.mark.parametrize("path", ["/users", "/users/new", "/teams", "/account"])
def test_the_pages_of_people_have_no_barriers(visit: Visit, path, language, width):
    page = visit(path, language=language, width=width)
    assert findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    # Chinese may end a line anywhere, but a cell that can be moved sideways ends none within a word.
    assert page.evaluate(BROKEN) == []


BROKEN = """() => [...document.querySelectorAll("td [data-row]")]
  .filter((name) => name.getClientRects().length > name.innerText.split(" ").length).map((name) => name.innerText)"""


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_step_of_coming_in_has_no_barriers(visit: Visit, invite: Invite, language: str):
    email = f"mo.{language.lower()}@example.com"
    page = visit(invite(email, "reader"), role=None, language=language)
    assert findings(page) == []
    for name in ("password", "again"):
        page.locator(f"main input[name={name}]").fill(PASSWORD)
    page.locator("main form button").click()
    page.wait_for_selector("details.menu")
    page.goto("/account")
    step = page.locator("form[action='/account/second-step']")
    step.locator("input[type=password]").fill(PASSWORD)
    step.locator("button").click()
    assert findings(page) == []
    secret = base64.b32decode(page.locator(".secret").inner_text().replace(" ", ""))
    page.locator("main input[name=code]").fill(code(secret, int(time.time()) // STEP_S))
    page.locator("form[action='/account/second-step/confirm'] button").click()
    expect(page.locator(".codes li")).to_have_count(RECOVERY_CODES)
    assert findings(page) == []
    page.locator("details.menu summary").click()
    page.locator("form[action='/sign-out'] button").click()
    page.wait_for_url("**/sign-in**")
    page.locator("#email").fill(email)
    page.locator("#password").fill(PASSWORD)
    page.locator("form[action='/sign-in'] button").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(say(language, "sign_in.code_title"))
    assert findings(page) == []


@pytest.mark.parametrize(("language", "width"), LOOKS)
def test_a_person_and_a_page_that_is_not_for_everybody_have_no_barriers(
    visit: Visit, product: Product, invite: Invite, language: str, width: int
):
    email = f"nia.{language.lower()}.{width}@example.com"
    token = invite(email, "reader").partition("token=")[2]
    session = product.post("/v1/invitations/accept", json={"token": token, "password": PASSWORD})["token"]
    mine = {"Authorization": f"Bearer {session}"}
    person = product.client.patch("/v1/me", json={"language": language}, headers=mine).raise_for_status().json()
    page = visit(f"/users/{person['id']}", language=language, width=width)
    assert findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page = visit("/operations/keys", token=session, language=language, width=width, status=403)
    expect(page.get_by_role("alert")).to_contain_text(say(language, "frame.refused_forbidden"))
    assert findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize(("scheme", "secure"), [("https", True), ("http", False)])
def test_cookies_stay_behind_tls_where_the_browser_came_by_it(
    product: Product, invite: Invite, scheme: str, secure: bool
):
    email = f"olu.{scheme}@example.com"
    token = invite(email, "reader").partition("token=")[2]
    product.post("/v1/invitations/accept", json={"token": token, "password": PASSWORD})
    headers = {"X-Forwarded-Proto": scheme, "X-Forwarded-For": "203.0.113.7"}
    with httpx.Client(base_url=product.running.url, headers=headers, trust_env=False) as browser:
        page = browser.get("/sign-in")
        visitor = page.headers["set-cookie"]
        csrf = page.text.partition('name="csrf" content="')[2].partition('"')[0]
        cookie = {"Cookie": visitor.partition(";")[0], "X-CSRF-Token": csrf}
        said = browser.post("/sign-in", data={"email": email, "password": PASSWORD}, headers=cookie)
    assert said.status_code == 303
    kept = [visitor, *said.headers.get_list("set-cookie")]
    assert any(each.startswith("shuke_session=") for each in kept)
    assert ["Secure" in each for each in kept] == [secure] * len(kept)
