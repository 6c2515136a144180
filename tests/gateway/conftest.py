import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse

from chassis import app as chassis_app
from chassis.auth import HEADER, Caller, Signer
from chassis.db import Database
from gateway import app as gateway_app
from gateway.queries.keys import create_admin_key, make_key

SECRET = "a secret of at least thirty-two characters"
NOWHERE = "http://127.0.0.1:1"
"""The address of a service that is installed and down."""
MakeDatabase = Callable[[str | None], Awaitable[Database]]


@dataclass
class Seen:
    """What a service was asked last."""

    requests: list[tuple[str, str]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    caller: Caller | None = None
    body: bytes = b""
    query: dict[str, str] = field(default_factory=dict)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """Whoever waited for long work has broken the connection."""


def a_service(name: str, seen: Seen) -> FastAPI:
    """A service that tells what it was asked."""
    app = FastAPI(title=name, docs_url=None, redoc_url=None)

    async def note(request: Request) -> None:
        seen.requests.append((request.method, request.url.path))
        seen.headers = dict(request.headers)
        if HEADER in request.headers:
            seen.caller = Signer(SECRET).verify(request.headers[HEADER])

    @app.get("/readyz", include_in_schema=False)
    async def readyz() -> dict[str, str]:
        return {"status": "ready"}

    @app.get("/internal/status", include_in_schema=False)
    async def status() -> dict[str, Any]:
        streams = [{"topic": "t", "partition": p, "epoch": 1, "last_seq": 10, "published_seq": 4} for p in (0, 1)]
        marks = [
            {"consumer": "scoring", "topic": "t", "partition": 0, "epoch": 1, "seq": 7, "stopped_reason": "gap at 8"}
        ]
        held = [{"source": "customers", "held_by": "gap at 8"}]
        return {
            "service": name,
            "oldest_unsequenced_s": 1.5 if name == "customers" else 0.0,
            "streams": streams if name == "customers" else [],
            "consumers": marks if name == "scoring" else [],
            "dead_letters": [],
        } | ({"watermark": held, "reassessing": 7} if name == "scoring" else {})

    @app.post("/internal/external-ids", include_in_schema=False)
    async def external_ids(request: Request) -> dict[str, Any]:
        asked = (await request.json())["party_ids"]
        return {
            "data": [
                {"party_id": party, "system": "shop", "value": f"{place}-{party[-4:]}"}
                for party in asked
                if not party.endswith("3")
                for place in ("first", "second")
            ]
        }

    @app.post("/internal/reporting-currency", include_in_schema=False)
    async def reporting_currency(request: Request) -> dict[str, Any]:
        await note(request)
        return {"currency": (await request.json())["currency"], "fixed": True}

    @app.get("/internal/trials/{trial_id}/moves", include_in_schema=False)
    async def moves_of_trial(trial_id: str, request: Request) -> StreamingResponse:
        await note(request)
        if trial_id.endswith("0"):
            return Response(b'{"code": "moves_not_kept"}', 409, media_type="application/problem+json")  # type: ignore[return-value]

        async def lines() -> AsyncIterator[str]:
            for number in range(2_001):
                move = {"party_id": f"party_{number // 2:032x}", "at": "2026-01-01T00:00:00Z", "kind": "retiered"}
                stays = {"from": "customer", "to": "customer", "from_tier": "low", "to_tier": "mid"}
                yield json.dumps({**move, **stays, "reason": "mid instead of low, by hand"}) + "\n"
            yield json.dumps({**move, **stays, "from": None, "kind": "appeared", "reason": ""}) + "\n"

        return StreamingResponse(lines(), media_type="application/x-ndjson")

    @app.get("/internal/standings/export", include_in_schema=False)
    async def export(request: Request, as_of: str | None = None, rows: int = 5_003) -> StreamingResponse:
        seen.query = dict(request.query_params)
        if as_of == "2999-01-01":
            return Response(b'{"code": "future_day"}', 422, media_type="application/problem+json")  # type: ignore[return-value]

        async def lines() -> AsyncIterator[str]:
            yield "party_id,stage,value,x\n"
            for number in range(rows):
                yield f"party_{number:032x},customer,{number}.50,{'' if number == 2 else 3}\n"
            if as_of == "1999-01-01":
                yield "party_00"

        return StreamingResponse(lines(), media_type="text/csv")

    @app.api_route("/v1/standings/{party_id}/overrides", methods=["GET", "POST"], include_in_schema=False)
    async def overrides(party_id: str, request: Request) -> dict[str, Any]:
        await note(request)
        seen.body = await request.body()
        if request.method == "GET":
            return {"data": [an_override(ended=False), an_override(ended=True)], "has_more": False}
        return an_override(ended=False) | {"standing": a_standing(derived={"tier": "low"})}

    @app.post("/v1/overrides/{override_id}/end", include_in_schema=False)
    async def end_override(override_id: str, request: Request) -> dict[str, Any]:
        await note(request)
        seen.body = await request.body()
        return an_override(ended=True) | {"standing": a_standing(derived={})}

    def an_override(*, ended: bool) -> dict[str, Any]:
        told: dict[str, Any] = {"id": f"override_{1:032x}", "field": "tier", "value": "top", "currency": None}
        told |= {"why": "Called.", "until": "2026-12-31"}
        told |= {"state": "ended" if ended else "holds", "set_at": "2026-01-01T00:00:00Z", "set_by": "ann"}
        end = {"ended_at": "2026-01-02T00:00:00Z", "ended_by": "bob", "end_reason": "As before."}
        return told | (end if ended else dict.fromkeys(end))

    def a_standing(derived: dict[str, str]) -> dict[str, Any]:
        tier = "low" if not derived else "top"
        return {"party_id": f"party_{2:032x}", "stage": "customer", "tier": tier, "derived": derived}

    @app.get("/v1/policies/presets", include_in_schema=False)
    @app.get("/v1/policies", include_in_schema=False)
    @app.get("/v1/activations", include_in_schema=False)
    async def lists(request: Request) -> dict[str, Any]:
        seen.query = dict(request.query_params)
        return {"data": [], "has_more": False}

    @app.get("/v1/digest", include_in_schema=False)
    async def digest(request: Request) -> dict[str, Any]:
        seen.query = dict(request.query_params)
        return {"as_of": "2026-01-31", "parties": 1, "digest": "d" * 64}

    @app.get("/v1/standings/summary", include_in_schema=False)
    async def summary(request: Request) -> dict[str, Any]:
        seen.query = dict(request.query_params)
        return {"data": [{"stage": "customer", "tier": "top", "count": 1_234, "value_minor": 5}]}

    @app.post("/v1/imports", status_code=202)
    async def start_import(request: Request, response: Response) -> dict[str, Any]:
        await note(request)
        async with request.form() as form:
            upload = form["file"]
            assert not isinstance(upload, str)
            seen.body = await upload.read()
            response.headers["Location"] = "/v1/imports/import_1"
            if form.get("currency") == "XXX":
                response.status_code = 422
                return {"code": "validation_failed"}
            return {
                "source": form.get("source", "import"),
                "dry_run": form.get("dry_run") in ("true", "t"),
                "currency": form.get("currency", "EUR"),
                "mapping": {"currency": "Cur"} if form.get("source") == "mixed" else {},
                "file_name": upload.filename,
            }

    @app.get("/v1/parties/big")
    async def big(request: Request) -> StreamingResponse:
        await note(request)

        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(300):
                yield b"x" * 10_000

        return StreamingResponse(pieces())

    @app.get("/v1/parties/slow")
    async def slow() -> str:
        await asyncio.sleep(30)
        return "late"

    @app.get("/v1/reports/long")
    async def long(request: Request) -> None:
        await note(request)
        while (await request.receive())["type"] != "http.disconnect":
            pass
        seen.left.set()

    @app.api_route("/{path:path}", methods=["GET", "POST", "DELETE", "HEAD"], include_in_schema=False)
    async def anything(request: Request) -> Response:
        await note(request)
        seen.body = b"".join([piece async for piece in request.stream()])
        content = {"service": name, "path": request.url.path, "query": request.url.query, "bytes": len(seen.body)}
        headers = {"X-Own": "kept", "Keep-Alive": "timeout=5", "Connection": "X-Drop", "X-Drop": "1"}
        return Response(json.dumps(content), 201 if request.method == "POST" else 200, headers)

    return app


@asynccontextmanager
async def serving(app: FastAPI, bound: socket.socket | None = None) -> AsyncIterator[str]:
    """An app on a real socket."""
    bound = bound or a_socket()
    if hasattr(app.state, "settings"):
        config = chassis_app.served(app, grace_s=1)
    else:
        config = uvicorn.Config(
            app, log_config=None, access_log=False, timeout_keep_alive=75, timeout_graceful_shutdown=1
        )
    server = chassis_app._Server(config)
    running = asyncio.create_task(server.serve([bound]))
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
    finally:
        server.should_exit = True
        await running


def a_socket(port: int = 0) -> socket.socket:
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", port))
    return bound


@dataclass
class Door:
    """The gateway with two services behind it."""

    app: FastAPI
    url: str
    customers: Seen
    scoring: Seen
    client: httpx.AsyncClient
    keys: dict[str, str]

    def key(self, role: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.keys[role]}"}


@pytest.fixture
async def door(make_database: MakeDatabase, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Door]:
    database = await make_database("gateway")
    keys = {"admin": await create_admin_key(database.url)}
    async with database.transaction() as session:
        for role in ("operator", "ingest", "reader"):
            keys[role] = make_key(session, role, [role])[1]  # type: ignore[list-item]
    customers, scoring = Seen(), Seen()
    async with serving(a_service("customers", customers)) as first, serving(a_service("scoring", scoring)) as second:
        monkeypatch.setenv("GATEWAY_SERVICES", json.dumps({"customers": first, "scoring": second}))
        monkeypatch.setenv("GATEWAY_DATABASE_URL", database.url)
        monkeypatch.setenv("GATEWAY_STALL_S", "1")
        monkeypatch.setenv("SHUKE_INTERNAL_SECRET", SECRET)
        app = gateway_app.app()
        async with serving(app) as url, httpx.AsyncClient(base_url=url, timeout=60) as client:
            client.headers["Authorization"] = f"Bearer {keys['admin']}"
            yield Door(app, url, customers, scoring, client, keys)
