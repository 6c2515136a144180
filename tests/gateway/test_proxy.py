import asyncio
import socket
import statistics
import time
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import FastAPI, HTTPException

from chassis.dispatch import dispatched
from chassis.http import IfMatch
from chassis.problems import RENDERERS
from gateway.queries import services

from .conftest import SECRET, Door, a_service, a_socket, serving

assert SECRET


async def test_a_request_reaches_its_service_and_its_answer_comes_back(door: Door) -> None:
    answer = await door.client.post("/v1/purchases/bulk?a=%20b&c=é", content=b"{}\n")
    assert answer.status_code == 201
    assert answer.json() == {
        "service": "customers",
        "path": "/v1/purchases/bulk",
        "query": "a=%20b&c=%C3%A9",
        "bytes": 3,
    }
    assert (await door.client.get("/v1/standings")).json()["service"] == "scoring"
    assert answer.headers["x-own"] == "kept"
    assert not {"keep-alive", "x-drop"} & answer.headers.keys()
    assert answer.headers.get_list("date") == [answer.headers["date"]]


async def test_the_service_sees_who_asks_and_nothing_that_the_client_made_up(door: Door) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    made_up = {
        "X-Shuke-Actor": "forged",
        "X-Request-Id": "mine",
        "traceparent": f"00-{trace}-b7ad6b7169203331-01",
        "Connection": "X-Secret-Hop",
        "X-Secret-Hop": "1",
        "If-Match": '"3"',
    }
    answer = await door.client.get("/v1/parties", headers={**made_up, **door.key("operator")})
    seen = door.customers
    assert seen.caller is not None
    assert seen.caller.scopes == {"operator", "manager", "agent", "analyst", "ingest", "reader"}
    assert seen.caller.key_id.startswith("key_")
    assert not {"authorization", "x-secret-hop"} & seen.headers.keys()
    assert (seen.headers["x-request-id"], answer.headers["x-request-id"]) == ("mine", "mine")
    assert seen.headers["traceparent"].startswith(f"00-{trace}-")
    assert seen.headers["if-match"] == '"3"'


@pytest.mark.parametrize(
    "path",
    [
        "/internal/status",
        "/v1/../internal/status",
        "/v1/parties/..%2f..%2finternal/status",
        "/v1/parties/%2e%2e/%2e%2e/internal/status",
        "/v1/%2e%2e/internal/status",
        "//internal/status",
    ],
)
async def test_nothing_internal_is_reachable(door: Door, path: str) -> None:
    host = urlsplit(door.url)
    reader, writer = await asyncio.open_connection(host.hostname, host.port)
    key = door.keys["admin"]
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n\r\n".encode())
    answer = (await reader.read()).decode()
    writer.close()
    assert answer.startswith("HTTP/1.1 404"), answer
    assert not door.customers.requests


async def test_large_bodies_flow_both_ways(door: Door) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(50):
            yield b"y" * 100_000

    assert (await door.client.post("/v1/purchases/bulk", content=pieces())).json()["bytes"] == 5_000_000
    declared = await door.client.post("/v1/purchases/bulk", content=b"z" * 5_000_000)
    assert declared.json()["bytes"] == 5_000_000
    assert len((await door.client.get("/v1/parties/big")).content) == 3_000_000


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_over_ten_megabytes_is_refused(door: Door, declared: bool) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(110):
            yield b"y" * 100_000

    content = b"y" * 11_000_000 if declared else pieces()
    answer = await door.client.post("/v1/purchases/bulk", content=content)
    assert (answer.status_code, answer.json()["code"]) == (413, "content_too_large")


async def test_a_client_that_stalls_is_cut_off(door: Door) -> None:
    host = urlsplit(door.url)
    reader, writer = await asyncio.open_connection(host.hostname, host.port)
    key = door.keys["admin"]
    head = f"POST /v1/purchases HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Length: 100000\r\n\r\n"
    writer.write(head.encode() + b"x" * 10)
    started = time.monotonic()
    answer = (await asyncio.wait_for(reader.read(), 60)).decode()
    writer.close()
    assert "HTTP/1.1 408" in answer
    assert '"code":"request_timeout"' in answer
    assert time.monotonic() - started < 5


async def test_a_service_that_is_away_is_a_503_and_found_again(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "RETRY_PAUSES_S", (0.01, 0.01))
    bound = a_socket()
    address = f"http://127.0.0.1:{bound.getsockname()[1]}"
    bound.close()
    door.app.state.services.addresses["customers"] = address
    answer = await door.client.post("/v1/purchases", content=b"{}")
    assert (answer.status_code, answer.json()["code"]) == (503, "service_unavailable")
    assert answer.headers["retry-after"] == "1"
    ready = await door.client.get("/readyz")
    assert (ready.status_code, ready.json()["services"]) == (503, ["customers"])


async def test_a_method_that_a_path_of_a_service_does_not_know_is_told_all_that_it_does(door: Door) -> None:
    service = FastAPI(redirect_slashes=False, exception_handlers=RENDERERS)

    @service.post("/v1/parties")
    async def make() -> None: ...

    @service.get("/v1/parties")
    async def listed() -> None: ...

    @service.post("/v1/parties/bulk")
    async def bulk() -> None: ...

    @service.get("/v1/parties/{id}")
    async def read(id: int) -> None: ...

    @service.put("/v1/parties/{id}")
    async def change(id: int, body: dict[str, str], seen: IfMatch) -> None: ...

    async with serving(service) as url:
        door.app.state.services.addresses["customers"] = url
        unseen = await door.client.put("/v1/parties/bulk", json={}, headers={"If-Match": "x"})
        answers = {
            (method, path): await door.client.request(method, path, content=b"x" if method == "PUT" else None)
            for method, path in (
                ("PUT", "/v1/parties/bulk"),
                ("PUT", "/v1/parties/1"),
                ("DELETE", "/v1/parties"),
                ("GET", "/v1/parties/bulk"),
                ("DELETE", "/v1/parties/bulk"),
                ("OPTIONS", "/v1/parties/1"),
                ("GET", "/v1/parties/x"),
                ("GET", "/v1/parties/x/y"),
            )
        }
    told = {asked: (answer.status_code, answer.headers.get("allow")) for asked, answer in answers.items()}
    assert told == {
        ("DELETE", "/v1/parties"): (405, "GET, HEAD, POST"),
        ("GET", "/v1/parties/bulk"): (405, "POST"),
        ("DELETE", "/v1/parties/bulk"): (405, "POST"),
        ("PUT", "/v1/parties/bulk"): (405, "POST"),
        ("PUT", "/v1/parties/1"): (415, None),
        ("OPTIONS", "/v1/parties/1"): (405, "GET, HEAD, PUT"),
        ("GET", "/v1/parties/x"): (422, None),
        ("GET", "/v1/parties/x/y"): (404, None),
    }
    assert (unseen.status_code, unseen.headers.get("allow")) == (405, "POST")


async def test_a_path_that_the_gateway_names_is_not_taken_for_an_id(door: Door) -> None:
    for path, allowed in (("/v1/sessions/oidc", "GET, HEAD, POST"), ("/v1/sessions/second-step", "POST")):
        answer = await door.client.delete(path)
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed)


async def test_a_service_that_is_not_configured_is_a_503(door: Door) -> None:
    answer = await door.client.get("/v1/leads")
    assert (answer.status_code, answer.json()["code"]) == (503, "service_unavailable")
    assert answer.json()["service"] == "leads"


async def test_a_refused_connection_is_tried_again_with_the_whole_body(door: Door) -> None:
    bound = a_socket()
    port = bound.getsockname()[1]
    bound.close()
    door.app.state.services.addresses["customers"] = f"http://127.0.0.1:{port}"
    sending = asyncio.create_task(door.client.post("/v1/purchases/bulk", content=b"z" * 200_000))
    await asyncio.sleep(0.2)
    again = a_socket_on(port)
    async with serving(a_service("customers", door.customers), again):
        answer = await sending
    assert (answer.status_code, answer.json()["bytes"]) == (201, 200_000)


def a_socket_on(port: int) -> socket.socket:
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", port))
    return bound


async def test_a_service_that_breaks_off_is_a_502_and_a_slow_one_a_504(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.close()

    rude = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    addresses = door.app.state.services.addresses
    polite = addresses["customers"]
    addresses["customers"] = f"http://127.0.0.1:{rude.sockets[0].getsockname()[1]}"
    answer = await door.client.post("/v1/purchases", content=b"{}")
    assert (answer.status_code, answer.json()["code"]) == (502, "service_failed")
    rude.close()
    addresses["customers"] = polite
    monkeypatch.setattr(services, "QUICK_S", 0.2)
    slow = await door.client.get("/v1/parties/slow")
    assert (slow.status_code, slow.json()["code"]) == (504, "service_timeout")


async def test_a_client_that_leaves_long_work_leaves_the_service_too(door: Door) -> None:
    with pytest.raises(httpx.ReadTimeout):
        await door.client.get("/v1/reports/long", timeout=httpx.Timeout(20, read=1))

    async with asyncio.timeout(60):
        await door.scoring.left.wait()


async def test_connections_to_services_are_kept(door: Door) -> None:
    for _ in range(20):
        assert (await door.client.get("/v1/parties")).status_code == 200
    assert door.app.state.services.pool("customers").idle == 1


async def test_the_hop_costs_little(door: Door) -> None:
    async def median_ms(client: httpx.AsyncClient) -> float:
        taken = []
        for _ in range(200):
            # Client, gateway and service share one thread here, and the machine is shared with others.
            started = time.thread_time()
            await client.get("/v1/parties")
            taken.append(time.thread_time() - started)
        return statistics.median(taken) * 1_000

    async with httpx.AsyncClient(base_url=door.app.state.services.addresses["customers"]) as direct:
        without = await median_ms(direct)
    added = await median_ms(door.client) - without
    assert added < 5, added


@pytest.mark.parametrize("path", ["/v1/keys", "/v1/webhooks", "/v1/stream", "/openapi.json", "/sign-in", "/healthz"])
async def test_head_of_what_the_gateway_answers_itself_is_that_of_get_without_a_body(door: Door, path: str) -> None:
    async with asyncio.timeout(60), serving(door.app) as url, httpx.AsyncClient(base_url=url) as client:
        told = await client.head(path, headers={"Authorization": f"Bearer {door.keys['admin']}"})
    assert (told.status_code, told.content) == (200, b"")
    assert "content-type" in told.headers


async def test_head_of_what_is_not_there_is_no_unknown_method(door: Door) -> None:
    service = FastAPI(exception_handlers=RENDERERS)

    @service.get("/v1/parties/{party_id}")
    async def read_party(party_id: str) -> None:
        raise HTTPException(404)

    dispatched(service)
    async with serving(service) as url:
        door.app.state.services.addresses["customers"] = url
        answer = await door.client.head("/v1/parties/1")
    assert answer.status_code == 404
