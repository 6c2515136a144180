"""Pages of the console as a browser gets them, where what is behind the API does not matter."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, cast

import httpx
import pytest
from starlette.requests import Request

from gateway.console.api import SESSION, Part, Refused
from gateway.console.forms import HEADER, form_token
from gateway.console.frame import Page
from gateway.console.pages.party import _filtered
from gateway.console.pages.today import _news

from .conftest import SECRET, Door
from .people import owner, person

POLICY = "a" * 64


@pytest.fixture
async def browser(door: Door) -> AsyncIterator[httpx.AsyncClient]:
    """A browser in which an owner has signed in, and that sends forms of our pages."""
    olga = await owner(door)
    async with httpx.AsyncClient(base_url=door.url, timeout=60, trust_env=False) as client:
        client.cookies.set(SESSION, olga.token)
        client.headers[HEADER] = form_token(SECRET, olga.token)
        yield client


async def test_whoever_must_sign_in_again_comes_back_to_the_page_and_not_to_a_part_of_it(door: Door) -> None:
    async with httpx.AsyncClient(base_url=door.url, timeout=60, trust_env=False) as client:
        for looked_at, there in (
            ("http://x.example/parties/party_1?show=moves#timeline", "/sign-in?next=/parties/party_1%3Fshow%3Dmoves"),
            ("http://x.example/", "/sign-in"),
            ("http://[", "/sign-in"),
        ):
            asked = {"HX-Request": "true", "HX-Current-URL": looked_at}
            part = await client.get("/parties/party_1/top", headers=asked)
            assert (part.status_code, part.headers["hx-redirect"]) == (204, there)


@pytest.mark.parametrize("odd", ["1.12.2199 08:00", "tomorrow", "2199-13-01T08:00"])
async def test_what_was_to_happen_at_a_time_that_is_none_does_not_happen_now(
    door: Door, browser: httpx.AsyncClient, odd: str
) -> None:
    for path, said in (
        (f"/policies/{POLICY}/activate", {"active_from": odd}),
        (f"/models/{POLICY}/activate", {"active_from": odd}),
        ("/operations/keys", {"name": "Odd", "scopes": "reader", "expires_at": odd}),
        ("/parties/party_1/contacts", {"what": "called", "day": odd}),
    ):
        answer = await browser.post(path, data=said)
        assert answer.status_code == 422, path
        assert "Write it as in 2026-12-01" in answer.text, path
    asked = door.scoring.requests + door.customers.requests
    assert [path for method, path in asked if method == "POST"] == []
    assert "Odd" not in [each["name"] for each in (await door.client.get("/v1/keys")).json()["data"]]


async def test_keys_are_shown_to_those_alone_who_may_change_them(door: Door, browser: httpx.AsyncClient) -> None:
    made = (await door.client.post("/v1/keys", json={"name": "Shelf", "scopes": ["reader"]})).json()
    there = f"/operations/keys/{made['id']}"

    assert (await browser.get(there)).status_code == 200
    missing = await browser.get(f"/operations/keys/{made['id'][:-4]}0000")
    assert (missing.status_code, "Shelf" in missing.text) == (404, False)
    for role in ("operator", "manager"):
        other = await person(door, f"{role}@example.com", role)
        browser.cookies.set(SESSION, other.token)
        browser.headers[HEADER] = form_token(SECRET, other.token)
        for answer in (await browser.get(there), await browser.post(there, data={"name": "Mine"})):
            assert (answer.status_code, "Shelf" in answer.text) == (403, False)
    assert (await door.client.get(f"/v1/keys/{made['id']}")).json()["name"] == "Shelf"


async def test_contacts_are_recorded_for_the_department_of_the_one_before(
    door: Door, browser: httpx.AsyncClient
) -> None:
    recorded = []
    for said in ({}, {"department": "service"}, {}, {"department": "of no such kind"}, {}):
        answer = await browser.post("/parties/party_1/contacts", data={"what": "called", **said})
        assert answer.status_code == 303
        recorded.append(json.loads(door.customers.body)["department"])
    assert recorded == ["sales", "service", "service", "of no such kind", "service"]


def test_what_decides_and_what_will_is_told_as_what_it_is() -> None:
    def listed(*rows: dict[str, Any]) -> Part:
        return Part({"data": rows}, None)

    parts = {
        "imports": Part(None, Refused(503, {})),
        "policies": listed(
            {"state": "active", "activated_at": "2026-03-02T08:00:00Z"},
            {"state": "retired", "activated_at": "2026-03-01T08:00:00Z"},
        ),
        "activations": listed(
            {"policy": POLICY, "model": None, "active_from": "2026-04-01T00:00:00Z"},
            {"policy": None, "model": POLICY, "active_from": "2026-04-02T00:00:00Z"},
        ),
    }
    news = _news(parts, datetime(2026, 2, 20, tzinfo=UTC))
    assert [each["what"] for each in news] == ["planned_model", "planned", "policy"]


def test_a_timeline_tells_anew_as_much_as_is_shown_up_to_a_bound() -> None:
    def limit(query: bytes) -> int:
        request = Request({"type": "http", "query_string": query, "headers": []})
        return int(_filtered(Page(request, cast("Any", None), "en", None, ""))["limit"])

    asked = (b"", b"shown=3", b"shown=60", b"shown=99999", b"shown=x")
    assert [limit(each) for each in asked] == [25, 25, 60, 500, 25]
