import ast
import asyncio
import re
from pathlib import Path
from urllib.parse import urlsplit

import httpx

import gateway
from gateway.console.frame import HEADERS
from gateway.domain.keys import secret_hash

from .conftest import Door

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
        assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert answer.headers["cache-control"] == "no-store"
        assert "strict-transport-security" not in answer.headers


async def test_pages_keep_their_own_word_on_what_a_browser_may_load(door: Door) -> None:
    answers = [await door.client.get(path) for path in ("/sign-in", "/docs", "/healthz")]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "no-referrer"
    assert answers[0].headers.get_list("content-security-policy") == [HEADERS["Content-Security-Policy"]]


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
