import ast
import asyncio
import re
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from fastapi.routing import _iter_routes_with_context
from starlette.routing import Route

import gateway
from gateway.console.api import SESSION
from gateway.console.layout import HEADERS
from gateway.domain.keys import secret_hash
from gateway.routes.documents import LOADS

from .conftest import Door
from .people import owner

SECRET_WORDS = {"secret", "hash", "hashed", "signature", "proof", "token", "password", "nonce"}
LOOKED_UP = {
    "Invitation.token_hash == secret_hash(token)",
    "UserSession.token_hash == hashed",
    "col(ApiKey.secret_hash) == hashed",
    "col(ApiKey.previous_hash) == hashed",
}
"""By an index, and by a hash that nobody can choose."""
NOT_WHAT_OPENS = {
    "row.secret_hash != hashed",
    "row.password_hash != kept",
    "text(page, 'password') != text(page, 'again')",
    "refused.code != 'weak_password'",
    "len(kept) == SECRET_BYTES",
    "func.octet_length(col(column)) == SECRET_BYTES",
}
"""After it was found right, of what one person typed twice, or of a length that everybody knows."""
TOLD = LOOKED_UP | NOT_WHAT_OPENS
NOTHING = "default-src 'none'; frame-ancestors 'none'"


async def test_browsers_make_no_more_of_an_answer_than_it_is(door: Door) -> None:
    answers = [
        await door.client.get("/v1/parties"),
        await door.client.get("/v1/keys"),
        await door.client.get("/v1/nothing"),
        await door.client.get("/v1/parties", headers={"Authorization": "Bearer shuke_x"}),
        await door.client.post("/v1/purchases/bulk", content=b"y" * 11_000_000),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 404, 401, 413]
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["content-security-policy"] == NOTHING
        assert answer.headers["cache-control"] == "no-store"
        assert "strict-transport-security" not in answer.headers


async def test_every_page_says_what_a_browser_may_load_and_what_is_none_that_it_loads_nothing(door: Door) -> None:
    olga = await owner(door)
    scripts = re.compile(r"<script(?![^>]* src=\")|<style|\son\w+=|\sstyle=")
    known = _iter_routes_with_context(door.app.routes)
    routes = ((context or route).path_format for route, context in known if isinstance(route, Route))
    paths = sorted({path for path in routes if "{" not in path and not path.startswith(("/v1/", "/stream"))})
    pages = set()
    async with httpx.AsyncClient(base_url=door.url, timeout=60, trust_env=False) as browser:
        browser.cookies.set(SESSION, olga.token)
        for path in (*paths, "/nowhere", "/docs/assets/docs.js", "/docs/assets/nothing"):
            answer = await browser.get(path, headers={"Accept": "text/html"})
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["x-frame-options"] == "DENY"
            (loads,) = answer.headers.get_list("content-security-policy")
            if answer.headers.get("content-type", "").startswith("text/html"):
                pages.add(path)
                assert loads == (LOADS if path == "/docs" else HEADERS["Content-Security-Policy"])
                assert not scripts.search(answer.text), path
            elif not answer.is_redirect:
                assert (loads, answer.headers["referrer-policy"]) == (NOTHING, "no-referrer"), path
    assert pages >= {"/", "/docs", "/nowhere", "/parties", "/account"}


async def test_behind_tls_browsers_are_told_to_come_by_nothing_else(door: Door) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(door.app), base_url="https://crm.example.org") as client:
        answer = await client.get("/v1/parties")
    assert answer.headers["strict-transport-security"] == "max-age=31536000"


async def test_a_line_feed_in_an_address_makes_no_header_of_its_own(door: Door) -> None:
    refused = await door.client.get("/v1/parties/x%0d%0aset-cookie:%20a=b")
    passed = await door.client.get("/v1/parties?q=x%0d%0aset-cookie:%20a=b")
    assert (refused.status_code, passed.status_code) == (404, 200)
    assert passed.json()["query"] == "q=x%0d%0aset-cookie:%20a=b"
    assert door.customers.requests == [("GET", "/v1/parties")]
    for headers in (refused.headers, passed.headers, door.customers.headers):
        assert "set-cookie" not in headers


async def test_a_header_with_a_line_of_its_own_is_refused(door: Door) -> None:
    place = urlsplit(door.url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    writer.write(b"GET /v1/parties HTTP/1.1\r\nHost: x\r\nX-Request-Id: a\rb\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 400")
    assert not door.customers.requests


async def test_a_key_that_is_nearly_right_is_refused_as_one_that_is_not_at_all(door: Door) -> None:
    """Keys are looked up by their SHA-256: how far two are alike shows in no step of the way, nor in the answer."""
    right = door.keys["reader"]
    last = "A" if right[-1] != "A" else "B"
    said = [
        (await door.client.get("/v1/parties", headers={"Authorization": f"Bearer {wrong}"})).json()["detail"]
        for wrong in (right[:-1] + last, "shuke_" + "A" * 43)
    ]
    assert said == ["There is no such API key."] * 2
    same = [one == other for one, other in zip(secret_hash(right), secret_hash(right[:-1] + last), strict=True)]
    assert sum(same) < 8


def test_no_secret_is_compared_in_a_time_that_tells_how_far_it_is_right() -> None:
    """What is compared by `==` is listed above with the reason; all else goes by `hmac.compare_digest`."""
    root = Path(gateway.__file__).parent
    found = {
        ast.unparse(node)
        for path in root.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Compare) and any(isinstance(each, ast.Eq | ast.NotEq) for each in node.ops)
    }
    assert {each for each in found if SECRET_WORDS & set(re.split(r"\W+|_", each.lower()))} == TOLD
