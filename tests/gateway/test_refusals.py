"""What pages say when something is in the way, and that nobody has to write again what they wrote."""

import json
from collections.abc import AsyncIterator
from html.parser import HTMLParser

import httpx
import pytest
from fastapi.routing import APIRoute
from starlette.requests import Request

from chassis.problems import ContentTooLarge
from gateway.console import forms
from gateway.console.api import SESSION
from gateway.console.assets import address
from gateway.console.forms import FIELD, LARGEST, MOST, OPENS, SENDER, form_token
from gateway.console.frame import Somebody
from gateway.console.layout import ENVIRONMENT
from gateway.console.messages import say
from gateway.domain.rates import Rate, Rates
from gateway.domain.roles import Role

from .conftest import SECRET, Door
from .people import PASSWORD, Person, owner, sign_in
from .test_rates import Clock, limited

HERE = {"Sec-Fetch-Site": "same-origin"}
WRITTEN = {"what": "called", "note": 'He said "no",\r\nand <b>rang off</b>.', "once": "o1", "department": "service"}
PARTY = "/parties/party_1?show=moves"


@pytest.fixture
async def browser(door: Door) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=door.url, timeout=60, trust_env=False) as client:
        client.headers["Accept"] = "text/html,*/*"
        yield client


class Sent(HTMLParser):
    """The form of a page that sends something again."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.action, self.said = "", dict[str, str]()
        self.feed(page.partition("<main")[2])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        has = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.action = has["action"]
        elif tag == "input":
            self.said[has["name"]] = has["value"]


def carrying(token: str, **said: str) -> dict[str, str]:
    return {**said, FIELD: form_token(SECRET, token)}


async def written(browser: httpx.AsyncClient, token: str, **headers: str) -> httpx.Response:
    """The answer to a contact that somebody wrote down on the page of a party."""
    there = f"{str(browser.base_url).rstrip('/')}{PARTY}"
    said = carrying(token, **WRITTEN)
    return await browser.post("/parties/party_1/contacts", data=said, headers={**HERE, "Referer": there, **headers})


async def sent_again(browser: httpx.AsyncClient, page: str) -> httpx.Response:
    again = Sent(page)
    assert {name: said for name, said in again.said.items() if name not in (FIELD, SENDER)} == WRITTEN
    assert again.said[SENDER] == PARTY
    return await browser.post(again.action, data=again.said, headers=HERE)


def bounded(door: Door, visitors: Rate, strangers: Rate) -> None:
    limits = {"limit_visitor": visitors, "limit_stranger": strangers}
    door.app.state.settings = door.app.state.settings.model_copy(update=limits)


async def signed_in(door: Door, browser: httpx.AsyncClient) -> Person:
    olga = await owner(door)
    browser.cookies.set(SESSION, olga.token)
    return olga


async def sent(body: bytes) -> forms.Fields:
    pieces = [body[start : start + 65_536] for start in range(0, len(body), 65_536)]

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

    headers = [(b"content-type", b"application/x-www-form-urlencoded")]
    found = await forms.fields(Request({"type": "http", "headers": headers}, receive))
    assert pieces == []
    return found


async def test_a_form_is_read_whole_up_to_a_size_and_a_number_of_fields() -> None:
    assert await sent(b"a=1&b=%E4%B8%AD+x&a=&c") == {"a": ["1", ""], "b": "中 x", "c": ""}
    assert len((await sent(b"a=1&" * (MOST - 1) + b"a=1"))["a"]) == MOST
    assert len((await sent(b"a=" + b"x" * (LARGEST - 2)))["a"]) == LARGEST - 2
    for more in (b"a=1&" * MOST + b"a=1", b"a=" + b"x" * LARGEST, b"x" * 5_000_000):
        with pytest.raises(ContentTooLarge):
            await sent(more)


async def test_a_form_of_another_site_is_refused_unread_and_one_too_large_by_a_page(browser: httpx.AsyncClient) -> None:
    large = {"data": {str(number): "x" for number in range(MOST + 1)}}
    elsewhere = await browser.post("/sign-in", **large, headers={"Sec-Fetch-Site": "cross-site"})  # type: ignore[arg-type]
    here = await browser.post("/sign-in", **large, headers=HERE)  # type: ignore[arg-type]
    assert (elsewhere.status_code, here.status_code) == (403, 413)
    for page, kind in ((elsewhere, "stale"), (here, "invalid")):
        assert say("en", f"frame.refused_{kind}") in page.text
        assert page.headers["x-request-id"] in page.text
        assert Sent(page.text).said == {}


async def test_whoever_has_no_session_may_ask_for_so_many_pages_and_who_has_one_for_more(
    door: Door, browser: httpx.AsyncClient
) -> None:
    limited(door, clock := Clock())
    olga = await owner(door)
    await door.client.get("/v1/me", headers=olga.bearer)
    clock.at += 60
    bounded(door, Rate(1, 3), Rate(1, 2))
    assert {(await browser.get("/nowhere")).status_code for _ in range(3)} == {404}
    refused = [await browser.get("/sign-in"), await browser.post("/sign-in")]
    assert {(await browser.get("/docs")).status_code for _ in range(2)} == {200}
    refused.append(await browser.get("/docs"))
    browser.cookies.set(SESSION, "shukes_" + "x" * 43)
    refused.append(await browser.get("/sign-in"))
    for answer in refused:
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
        assert answer.headers.get_list("ratelimit") == ['"address";r=0;t=1']
        assert say("en", "frame.refused_busy") in answer.text
    assert (await browser.get(address("console.css"))).status_code == 200
    browser.cookies.clear()
    browser.cookies.set(SESSION, olga.token)
    assert (await browser.get("/account")).status_code == 200


async def test_a_whole_office_signs_in_in_the_morning_and_each_counts_once_at_the_api(
    door: Door, browser: httpx.AsyncClient
) -> None:
    limited(door, clock := Clock())
    olga = await owner(door)
    clock.at += 60
    for path, status in (("/", 303), ("/sign-in", 200)) * 40:
        assert (await browser.get(path)).status_code == status
    said = carrying(browser.cookies["shuke_visitor"], email=olga.email, password=PASSWORD, next="/")
    assert (await browser.post("/sign-in", data=said, headers=HERE)).status_code == 303
    unknown = await browser.post("/v1/invitations/read", json={"token": "x"})
    assert unknown.headers["ratelimit"] == '"address";r=58;t=1'


async def test_what_goes_wrong_with_a_page_is_told_as_a_page_and_to_programs_as_a_problem(
    door: Door, browser: httpx.AsyncClient
) -> None:
    async def broken(page: Somebody) -> None:
        raise RuntimeError("broken")

    door.app.router.routes.insert(0, APIRoute("/broken", broken))
    olga = await signed_in(door, browser)
    await door.client.patch("/v1/me", json={"language": "zh-Hant"}, headers=olga.bearer)
    asked = (
        ("GET", "/search?q=" + "x" * 2_001, 422, "invalid"),
        ("POST", "/language", 403, "stale"),
        ("DELETE", "/account", 405, "gone"),
        ("GET", "/parties/party_1/unmerge", 404, None),
        ("GET", "/broken", 500, "failed"),
    )
    for method, path, status, kind in asked:
        page = await browser.request(method, path)
        assert (page.status_code, page.headers["content-type"]) == (status, "text/html; charset=utf-8"), path
        assert "content-security-policy" in page.headers
        assert 'lang="zh-Hant"' in page.text
        if kind is not None:
            assert say("zh-Hant", f"frame.refused_{kind}") in page.text
            assert page.headers["x-request-id"] in page.text
        told = await browser.request(method, path, headers={"Accept": "application/json"})
        assert (told.status_code, told.headers["content-type"]) == (status, "application/problem+json"), path


async def test_what_somebody_wrote_while_nothing_can_be_recorded_is_sent_again_from_the_page_that_says_so(
    door: Door, browser: httpx.AsyncClient
) -> None:
    olga = await signed_in(door, browser)
    await door.client.post("/v1/drain")
    away = await written(browser, olga.token)
    assert away.status_code == 503
    assert f'href="{PARTY}"' in away.text
    assert f'name="back" value="{PARTY}"' in away.text
    still = await sent_again(browser, away.text)
    assert still.status_code == 503
    assert ("POST", "/v1/interactions") not in door.customers.requests
    await door.client.post("/v1/drain/resume")
    done = await sent_again(browser, still.text)
    assert done.status_code == 303
    recorded = json.loads(door.customers.body)
    assert (recorded["text"], recorded["source_id"]) == (WRITTEN["note"].strip(), "o1")


async def test_whoever_wrote_while_their_session_ended_signs_in_and_sends_it_then(
    door: Door, browser: httpx.AsyncClient
) -> None:
    olga = await signed_in(door, browser)
    await door.client.delete("/v1/sessions/current", headers=olga.bearer)
    ended = await written(browser, olga.token)
    assert ended.status_code == 401
    assert 'href="/sign-in?next=/parties/party_1%3Fshow%3Dmoves" target="_blank"' in ended.text
    browser.cookies.set(SESSION, (await sign_in(door.client, olga.email)).json()["token"])
    stale = await sent_again(browser, ended.text)
    assert (stale.status_code, say("en", "frame.refused_stale") in stale.text) == (403, True)
    assert (await sent_again(browser, stale.text)).status_code == 303
    assert json.loads(door.customers.body)["source_id"] == "o1"


async def test_whoever_wrote_until_the_cookie_was_gone_keeps_it_too_and_other_sites_have_nothing_kept(
    door: Door, browser: httpx.AsyncClient
) -> None:
    ended = await written(browser, "a session of long ago")
    assert (ended.status_code, Sent(ended.text).said["once"]) == (401, "o1")
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "", "Origin": "http://elsewhere.example"}):
        foreign = await written(browser, "", **headers)
        assert (foreign.status_code, Sent(foreign.text).said) == (403, {})
    nobody = await browser.post("/import/import_1/undo", data=carrying(browser.cookies["shuke_visitor"]), headers=HERE)
    assert (nobody.status_code, nobody.headers["location"]) == (303, "/sign-in")


async def test_what_somebody_wrote_while_nobody_could_tell_who_they_are_is_sent_again_whole(
    door: Door, browser: httpx.AsyncClient
) -> None:
    limited(door, clock := Clock())
    olga = await signed_in(door, browser)
    door.app.state.rates = Rates(dict.fromkeys(Role, Rate(1, 2)))
    for _ in range(2):
        await door.client.get("/v1/me", headers=olga.bearer)
    busy = await written(browser, olga.token)
    assert (busy.status_code, say("en", "frame.kept_hint") in busy.text) == (429, True)
    clock.at += 60
    forged = await browser.post("/parties/party_1/contacts", data=carrying("another session", **WRITTEN), headers=HERE)
    assert forged.status_code == 403
    assert ("POST", "/v1/interactions") not in door.customers.requests
    clock.at += 60
    assert (await sent_again(browser, busy.text)).status_code == 303
    assert json.loads(door.customers.body)["text"] == WRITTEN["note"].strip()


async def test_what_was_not_read_is_not_said_to_be_kept_and_a_contact_of_no_kind_is_none(
    door: Door, browser: httpx.AsyncClient
) -> None:
    limited(door, clock := Clock())
    bounded(door, Rate(1, 2), Rate(2, 60))
    assert [(await browser.get("/nowhere")).status_code for _ in range(3)] == [404, 404, 429]
    unread = await written(browser, "")
    assert (unread.status_code, Sent(unread.text).action) == (429, "")
    assert say("en", "frame.kept_hint") not in unread.text
    clock.at += 60
    olga = await signed_in(door, browser)
    for what in ({}, {"what": ""}, {"what": "of no such kind"}):
        said = carrying(olga.token, note="He rang off.", **what)
        none = await browser.post("/parties/party_1/contacts", data=said, headers=HERE)
        assert (none.status_code, "Say what passed with the party." in none.text) == (422, True)
    assert ("POST", "/v1/interactions") not in door.customers.requests


async def test_what_somebody_comes_in_by_is_not_sent_back(door: Door, browser: httpx.AsyncClient) -> None:
    said = {"email": "a@example.com", "password": "a heron", FIELD: "old"}
    answer = await browser.post("/sign-in", data=said, headers={**HERE, "Referer": f"{door.url}/sign-in?next=/x"})
    assert (answer.status_code, Sent(answer.text).said) == (403, {})
    assert "heron" not in answer.text
    assert 'href="/sign-in?next=/x"' in answer.text


def test_every_field_that_hides_what_is_typed_is_one_that_is_not_sent_back() -> None:
    loader = ENVIRONMENT.loader
    assert loader is not None
    found = set()

    class Hidden(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            has = dict(attrs)
            if has.get("type") == "password" or has.get("autocomplete") == "one-time-code":
                found.add(has["name"])

    for name in loader.list_templates():
        Hidden().feed(loader.get_source(ENVIRONMENT, name)[0])
    assert {"password", "current", "new", "again", "code"} <= found <= OPENS


@pytest.mark.parametrize(
    ("referer", "page"),
    [
        ("http://shuke.example/parties/1?a=b#c", "/parties/1?a=b"),
        ("http://shuke.example", "/"),
        ("http://shuke.example//elsewhere.example/", "/"),
        ("http://elsewhere.example/parties", "/"),
        ("http://[", "/"),
        ("", "/"),
    ],
)
def test_the_page_that_a_form_came_from_is_one_of_ours(referer: str, page: str) -> None:
    headers = [(b"host", b"shuke.example"), (b"referer", referer.encode())]
    request = Request({"type": "http", "headers": headers})
    assert forms.sender(request, {}) == page
    assert forms.sender(request, {SENDER: "/teams"}) == "/teams"
    assert forms.sender(request, {SENDER: "//elsewhere.example"}) == "/"
