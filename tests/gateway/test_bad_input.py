import asyncio
import json
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from .conftest import Door

KEY: Any = {"name": "x", "scopes": ["reader"]}


async def raw(door: Door, sent: bytes) -> tuple[int, dict[str, Any]]:
    """What is answered to bytes that no client library would send."""
    host = urlsplit(door.url)
    reader, writer = await asyncio.open_connection(host.hostname, host.port)
    writer.write(sent)
    answer = await asyncio.wait_for(reader.read(), 60)
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    problem = json.loads(body) if b"application/problem+json" in head else {"code": body.decode()}
    return int(head.split()[1]), problem


def head(door: Door, start: bytes, *lines: str) -> bytes:
    common = ("Host: x", f"Authorization: Bearer {door.keys['admin']}", "Connection: close")
    return start + b" HTTP/1.1\r\n" + "\r\n".join((*common, *lines)).encode("latin-1") + b"\r\n\r\n"


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told: dict[str, Any] = answer.json()
    assert (told["code"], told["status"]) == (code, status)
    assert told["request_id"] == answer.headers["x-request-id"]
    return told


@pytest.mark.parametrize("path", ["/v1/keys", "/v1/purchases"])
async def test_a_body_of_ten_megabytes_is_too_large_for_what_is_no_file(door: Door, path: str) -> None:
    problem(await door.client.post(path, content=b"[" * 10_000_001), 413, "content_too_large")


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"name":' * 100_000, b"[" * 100_000 + b"]" * 100_000])
async def test_json_as_deep_as_nobody_writes_it_is_refused(door: Door, content: bytes) -> None:
    answer = await door.client.post("/v1/keys", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)
    assert answer.json()["code"] in ("bad_request", "invalid_request")


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (b"", "application/json"),
        (b"{", "application/json"),
        (b"null", "application/json"),
        (b"[]", "application/json"),
        (b'{"name": "\xff", "scopes": ["reader"]}', "application/json"),
        (b'{"name": "\\u0000", "scopes": ["reader"]}', "application/json"),
        (b'{"name": "\\ud800", "scopes": ["reader"]}', "application/json"),
        (b'{"name": NaN, "scopes": ["reader"]}', "application/json"),
        (b'{"name": "x", "scopes": ["reader"], "limit": {"per_s": 1e400, "burst": 1}}', "application/json"),
        (b'{"name": "x", "scopes": ["reader"], "expires_at": "-99999-01-01T00:00:00Z"}', "application/json"),
        (b'{"name": "x", "scopes": ["reader"], "expires_at": 1e300}', "application/json"),
        (b'{"name": "x", "scopes": ["reader", "reader", "reader", "reader", "reader", "reader"]}', "application/json"),
        (b'{"name": "x", "scopes": ["reader"], "secret_hash": "00"}', "application/json"),
    ],
)
async def test_a_body_that_does_not_match_is_told_where(door: Door, content: bytes, content_type: str) -> None:
    answer = await door.client.post("/v1/keys", content=content, headers={"Content-Type": content_type})
    assert answer.status_code in (400, 422), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] in ("bad_request", "invalid_request", "expiry_passed")


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (json.dumps(KEY).encode(), "text/plain"),
        (json.dumps(KEY).encode(), "application/octet-stream"),
        (b"name=x&scopes=reader", "application/x-www-form-urlencoded"),
        (b"\xff\xfe" + json.dumps(KEY).encode("utf-16-le"), "text/plain; charset=utf-16"),
    ],
)
async def test_a_body_that_does_not_say_it_is_json_is_told_to(door: Door, content: bytes, content_type: str) -> None:
    answer = await door.client.post("/v1/keys", content=content, headers={"Content-Type": content_type})
    assert "application/json" in problem(answer, 415, "unsupported_media_type")["detail"]


async def test_a_byte_order_mark_before_json_is_read_past(door: Door) -> None:
    content = b"\xef\xbb\xbf" + json.dumps(KEY).encode()
    answer = await door.client.post("/v1/keys", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 201


@pytest.mark.parametrize(
    "target",
    [
        "/v1/keys/%00",
        "/v1/parties/a%00b",
        "/v1/keys?cursor=%00",
        "/v1/parties?q=a%00",
        "/v1/parties/%ff",
        "/v1/keys/%c3%28",
        "/v1/parties?q=%fe%ff",
        "/v1/parties/%ed%a0%80",
    ],
)
async def test_a_path_or_query_that_is_no_text_reaches_no_service(door: Door, target: str) -> None:
    status, told = await raw(door, head(door, b"GET " + target.encode()))
    assert (status, told["code"]) == (400, "unreadable_address")
    assert not door.customers.requests


@pytest.mark.parametrize(
    "target", [b"/v1/parties/\xff", b"/v1/parties?q=\xc3\xa9", b"/v1/parties/a\x00b", b"/v1/par ties"]
)
async def test_a_request_line_that_is_none_is_refused_before_it_is_read(door: Door, target: bytes) -> None:
    status, _ = await raw(door, head(door, b"GET " + target))
    assert status == 400
    assert not door.customers.requests


@pytest.mark.parametrize(
    "lines",
    [
        ("Content-Length: x",),
        ("Content-Length: -1",),
        ("Content-Length: 5", "Content-Length: 6"),
        ("Transfer-Encoding: chunked", "Content-Length: 5"),
    ],
)
async def test_a_length_that_is_none_is_refused(door: Door, lines: tuple[str, ...]) -> None:
    status, _ = await raw(door, head(door, b"POST /v1/purchases", *lines) + b"hello")
    assert status in (400, 408, 422)
    assert not door.customers.requests


@pytest.mark.parametrize("path", ["/v1/keys", "/v1/purchases", "/v1/purchases/bulk", "/v1/imports"])
@pytest.mark.parametrize("length", ["Content-Length: 200000", "Transfer-Encoding: chunked"])
async def test_a_client_that_stalls_in_its_body_is_told_so(door: Door, path: str, length: str) -> None:
    kind = "Content-Type: " + ("multipart/form-data; boundary=b" if path == "/v1/imports" else "application/json")
    begun = b"5\r\n--b\r\n\r\n" if "chunked" in length else b"--b\r\n"
    status, told = await raw(door, head(door, b"POST " + path.encode(), kind, length) + begun)
    assert (status, told["code"]) == (408, "request_timeout")


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Bearer",
        "Basic YWRtaW46YWRtaW4=",
        "Digest username=admin",
        "shuke_" + "a" * 43,
        "Bearer shuke_" + "a" * 43,
        "Bearer shuke_" + "a" * 100_00,
        "Bearer shuke_' OR 1=1 --",
        "Bearer null",
        "Token shuke_" + "a" * 43,
        "Bearer shuke_" + "\u00e9" * 43,
    ],
)
async def test_a_key_that_is_none_is_told_what_to_send(door: Door, value: str) -> None:
    headers = [(b"Authorization", value.encode("latin-1"))]
    async with httpx.AsyncClient(base_url=door.url) as client:
        told = problem(await client.get("/v1/parties", headers=headers), 401, "unauthorized")
    assert "shuke_a" not in told["detail"]
    assert not door.customers.requests


async def test_of_two_keys_in_one_request_the_first_one_counts(door: Door) -> None:
    reader, admin = (f"Bearer {door.keys[role]}".encode() for role in ("reader", "admin"))
    headers = [(b"Authorization", reader), (b"Authorization", admin)]
    async with httpx.AsyncClient(base_url=door.url) as client:
        assert (await client.get("/v1/keys", headers=headers)).status_code == 403


async def test_a_scheme_is_written_in_any_case(door: Door) -> None:
    answer = await door.client.get("/v1/parties", headers={"Authorization": f"bEARER {door.keys['reader']}"})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"limit": "0"}, "#/query/limit"),
        ({"limit": "1001"}, "#/query/limit"),
        ({"limit": "many"}, "#/query/limit"),
        ({"cursor": "x" * 2_001}, "#/query/cursor"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/keys", "/v1/imports", f"/v1/parties/party_{'0' * 32}/timeline"])
async def test_a_page_that_is_none_is_told_what_one_is(
    door: Door, path: str, query: dict[str, str], pointer: str
) -> None:
    told = problem(await door.client.get(path, params=query), 422, "invalid_request")
    assert [error["pointer"] for error in told["errors"]] == [pointer]


@pytest.mark.parametrize("cursor", ["!", "AAAA", "bnVsbA", "W10", "WzFd", "\u00e9", "W251bGxd"])
@pytest.mark.parametrize("path", ["/v1/keys", "/v1/imports", f"/v1/parties/party_{'0' * 32}/timeline"])
async def test_a_cursor_that_is_none_is_refused(door: Door, path: str, cursor: str) -> None:
    problem(await door.client.get(path, params={"cursor": cursor}), 400, "bad_cursor")


@pytest.mark.parametrize("method", ["TRACE", "OPTIONS", "PUT", "DELETE", "PATCH"])
async def test_a_method_that_a_path_does_not_know_is_told_those_that_it_does(door: Door, method: str) -> None:
    answer = await door.client.request(method, "/v1/keys")
    problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, HEAD, POST"
    view = await door.client.post(f"/v1/parties/party_{'0' * 32}/360")
    assert (view.status_code, view.headers["allow"]) == (405, "GET, HEAD")
    one = await door.client.request("POST", f"/v1/keys/key_{'0' * 32}")
    assert (one.status_code, one.headers["allow"]) == (405, "GET, HEAD, PATCH")
    problem(await door.client.request(method, "/v1/keys/a/b/c"), 404, "path_not_found")
