import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse

from gateway import app as gateway_app
from gateway.queries import services
from gateway.queries.keys import create_admin_key
from gateway.routes import documents

from .conftest import SECRET, MakeDatabase, a_socket, serving


def a_version(*operations: str) -> FastAPI:
    """A service that answers under some paths of members, each operation named after its path."""
    app = FastAPI(title="community", generate_unique_id_function=lambda route: route.name)

    async def answer() -> dict[str, str]:
        return {"status": "ready"}

    app.add_api_route("/readyz", answer, include_in_schema=False)
    for name in operations:
        app.add_api_route(f"/v1/members/{name}", answer, name=f"read_{name}")
    return app


@asynccontextmanager
async def door_to(
    address: str, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[FastAPI, httpx.AsyncClient]]:
    monkeypatch.setenv("GATEWAY_SERVICES", json.dumps({"community": address}))
    monkeypatch.setenv("GATEWAY_DATABASE_URL", database_url)
    monkeypatch.setenv("SHUKE_INTERNAL_SECRET", SECRET)
    monkeypatch.setattr(services, "EACH_S", 120)
    app = gateway_app.app()
    async with serving(app) as url, httpx.AsyncClient(base_url=url, timeout=60, trust_env=False) as client:
        client.headers["Authorization"] = f"Bearer {await create_admin_key(database_url)}"
        yield app, client


async def paths(client: httpx.AsyncClient) -> list[str]:
    told = (await client.get("/openapi.json")).json()
    return [path for path in told["paths"] if path.startswith("/v1/members/")]


async def test_a_service_that_comes_up_in_another_version_is_told_and_traced_as_it_is_then(
    make_database: MakeDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = await make_database("gateway")
    bound = a_socket()
    port = bound.getsockname()[1]
    async with door_to(f"http://127.0.0.1:{port}", database.url, monkeypatch) as (app, client):
        async with serving(a_version("old"), bound):
            assert await paths(client) == ["/v1/members/old"]
            assert (await client.get("/v1/members/old")).status_code == 200
        await documents.renew(app)
        assert await paths(client) == ["/v1/members/old"]

        async with serving(a_version("old", "new"), a_socket(port)):
            await documents.renew(app)
            assert await paths(client) == ["/v1/members/new", "/v1/members/old"]
            assert (await client.get("/v1/members/new")).status_code == 200
            # An orderly reading of the trail waits for what is told a moment later.
            await app.state.trail.close(database)
            rows = (await client.get("/v1/audit", params={"what": "read"})).json()["data"]
    assert {(row["operation"], row["path"]) for row in rows} >= {
        ("read_old", "/v1/members/old"),
        ("read_new", "/v1/members/new"),
    }


async def test_a_document_that_is_the_same_is_kept_and_an_answer_that_is_no_json_changes_nothing(
    make_database: MakeDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = await make_database("gateway")
    bound = a_socket()
    port = bound.getsockname()[1]
    async with door_to(f"http://127.0.0.1:{port}", database.url, monkeypatch) as (app, client):
        async with serving(a_version("old"), bound):
            await paths(client)
            kept = app.state.documents["community"]
            await documents.renew(app)
            assert app.state.documents["community"] is kept
        broken = FastAPI(openapi_url=None)
        broken.add_api_route("/openapi.json", lambda: PlainTextResponse("no document"))
        async with serving(broken, a_socket(port)):
            await documents.renew(app)
            assert app.state.documents["community"] is kept
