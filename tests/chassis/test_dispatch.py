from collections.abc import AsyncIterator
from typing import Annotated

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, Header
from fastapi.responses import StreamingResponse

from chassis.dispatch import dispatched


class Strange(Exception):
    pass


async def known(caller: Annotated[str, Header()] = "") -> None:
    if caller == "stranger":
        raise Strange


def _app() -> FastAPI:
    things, parts, others = APIRouter(prefix="/v1/things"), APIRouter(prefix="/v1/things"), APIRouter()

    @things.get("/{name}")
    async def read_thing(name: str) -> str:
        return f"thing {name}"

    @things.post("")
    async def make_thing() -> str:
        return "made"

    @parts.get("/first/parts")
    async def parts_of_the_first() -> str:
        return "parts of the first"

    @parts.get("/{name}/parts")
    async def parts_of(name: str) -> str:
        return f"parts of {name}"

    @others.get("/{kind}/things/latest")
    async def latest(kind: str) -> str:
        return f"latest of {kind}"

    @others.api_route("/v1/things", methods=["GET", "DELETE"])
    async def all_things() -> str:
        return "all"

    rooms, app = APIRouter(), FastAPI(redirect_slashes=False)
    for room in (things, parts, others):
        rooms.include_router(room)
    app.include_router(rooms, dependencies=[Depends(known)])
    return app


ASKED = [
    (method, path)
    for method in ("GET", "POST", "DELETE", "PUT")
    for path in (
        "/v1/things", "/v1/things/a", "/v1/things/latest", "/v1/things/first/parts", "/v1/things/b/parts",
        "/v2/things/latest", "/v1/things/a/b/c", "/", "/v1", "/v1/thing", "/v1/things/", "/docs",
    )
]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), ASKED)
async def test_a_request_is_answered_as_the_router_answers_it(method: str, path: str) -> None:
    plain, found = _app(), _app()
    dispatched(found)
    answers = []
    for app in (plain, found):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as client:
            answers.append(await client.request(method, path))
    expected, answer = answers
    assert (answer.status_code, answer.text, answer.headers.get("allow")) == (
        expected.status_code,
        expected.text,
        expected.headers.get("allow"),
    )


async def test_what_a_room_was_included_with_holds_for_its_routes() -> None:
    app = _app()
    dispatched(app)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as client:
        with pytest.raises(Strange):
            await client.get("/v1/things/a", headers={"caller": "stranger"})


async def test_a_route_is_found_without_asking_the_router() -> None:
    app = _app()
    dispatched(app)

    async def nobody(*_: object) -> None:
        raise AssertionError

    app.router.middleware_stack._router = nobody  # type: ignore[attr-defined]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as client:
        assert (await client.get("/v1/things/b/parts")).json() == "parts of b"
        assert (await client.post("/v1/things")).json() == "made"


async def test_head_is_answered_as_get_without_its_body_and_ends_what_would_write_on() -> None:
    app, written = _app(), 0

    @app.get("/v1/endless")
    async def endless() -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            nonlocal written
            while True:
                written += 1
                yield b"more"

        return StreamingResponse(pieces(), headers={"ETag": '"1"'})

    dispatched(app)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as client:
        for path in ("/v1/things/a", "/v1/things", "/v1/nothing"):
            got, head = await client.get(path), await client.head(path)
            assert (head.status_code, head.content) == (got.status_code, b"")
            assert head.headers["content-length"] == got.headers["content-length"]
        stream = await client.head("/v1/endless")
        assert (stream.status_code, stream.headers["etag"], stream.content) == (200, '"1"', b"")
    assert written == 1
