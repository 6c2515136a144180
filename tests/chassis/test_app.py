import asyncio
import contextlib
import io
import socket
from collections.abc import Iterator
from typing import Never

import httpx
import pytest
import structlog
from fastapi import APIRouter, Request
from pydantic import ValidationError
from sqlalchemy import text

from chassis.app import BackgroundTaskDied, create_app, serve
from chassis.db import Database
from chassis.ids import uuid7
from chassis.settings import ServiceSettings
from contracts.problems import Unavailable
from deploy.ports import free_port

SECRET = "a secret of at least thirty-two characters"


def settings_of(database: Database) -> ServiceSettings:
    return ServiceSettings(database_url=database.url, internal_secret=SECRET)


def free_socket() -> socket.socket:
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    return bound


async def test_when_a_background_task_dies_readiness_goes_red_and_serving_ends(database: Database) -> None:
    die = asyncio.Event()

    async def fragile(database: Database) -> Never:
        await die.wait()
        raise LookupError("a bug")

    app = create_app("notes", router=APIRouter(), settings=settings_of(database), background={"fragile": fragile})
    bound = free_socket()
    serving = asyncio.create_task(serve(app, sockets=[bound]))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{bound.getsockname()[1]}") as client:
        for _ in range(200):
            with contextlib.suppress(httpx.TransportError):
                if (await client.get("/readyz")).status_code == 200:
                    break
            await asyncio.sleep(0.02)
        assert "shuke_http_request_seconds" in (await client.get("/metrics")).text
    die.set()
    with pytest.raises(BackgroundTaskDied):
        await asyncio.wait_for(serving, 60)


async def test_serving_ends_for_a_dead_background_task_although_nothing_can_be_logged(database: Database) -> None:
    async def fragile(database: Database) -> Never:
        raise LookupError("a bug")

    app = create_app("notes", router=APIRouter(), settings=settings_of(database), background={"fragile": fragile})
    with no_room_for_the_log():
        with pytest.raises(OSError, match="No space left"):
            structlog.get_logger().critical("a line")
        with pytest.raises(BackgroundTaskDied):
            await asyncio.wait_for(serve(app, sockets=[free_socket()]), 60)


@contextlib.contextmanager
def no_room_for_the_log() -> Iterator[None]:
    """Each line that is logged fails with ENOSPC (full(4))."""
    before, full = structlog.get_config(), io.TextIOWrapper(io.FileIO("/dev/full", "w"))
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(full), cache_logger_on_first_use=False)
    try:
        yield
    finally:
        structlog.configure(**before)
        with contextlib.suppress(OSError):
            full.close()


async def test_an_app_whose_background_task_has_died_is_not_ready(database: Database) -> None:
    async def fragile(database: Database) -> Never:
        raise LookupError("a bug")

    app = create_app("notes", router=APIRouter(), settings=settings_of(database), background={"fragile": fragile})
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://notes") as client,
    ):
        await app.state.failed.wait()
        answer = await client.get("/readyz")
        assert (answer.status_code, answer.json()["status"]) == (503, "a background task died")


@pytest.mark.parametrize(
    ("trusted", "forwarded", "seen"),
    [
        (None, "203.0.113.7", "127.0.0.1"),
        ("10.0.0.0/8", "203.0.113.7", "127.0.0.1"),
        ("127.0.0.1", "203.0.113.7", "203.0.113.7"),
        ("10.0.0.0/8, 127.0.0.0/8", "198.51.100.1, 203.0.113.7, 10.0.0.9", "203.0.113.7"),
    ],
    ids=["nobody", "somebody else", "the proxy", "two proxies"],
)
async def test_only_a_trusted_proxy_tells_where_a_request_comes_from(
    database: Database, trusted: str | None, forwarded: str, seen: str
) -> None:
    router = APIRouter()

    @router.get("/v1/address")
    async def address(request: Request) -> str | None:
        return request.client.host if request.client else None

    async def anybody() -> None: ...

    settings = ServiceSettings(database_url=database.url, internal_secret=SECRET, trusted_proxies=trusted)
    bound = free_socket()
    bound.listen()
    app = create_app("notes", router=router, settings=settings, guard=anybody)
    serving = asyncio.create_task(serve(app, sockets=[bound]))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{bound.getsockname()[1]}", timeout=20) as client:
        answer = await client.get("/v1/address", headers={"X-Forwarded-For": forwarded})
    serving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await serving

    assert answer.json() == seen


@pytest.mark.parametrize("named", ["*", "", "proxy.example.org", "10.0.0.1/8", "10.0.0.1,*"])
def test_what_names_no_network_is_no_trusted_proxy(named: str) -> None:
    with pytest.raises(ValidationError, match="trusted_proxies"):
        ServiceSettings(database_url="", internal_secret=SECRET, trusted_proxies=named)


async def test_serving_ends_in_order_when_it_is_cancelled(database: Database) -> None:
    app = create_app("notes", router=APIRouter(), settings=settings_of(database))
    bound = free_socket()
    serving = asyncio.create_task(serve(app, sockets=[bound]))
    await asyncio.sleep(0.5)
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(serving, 60)
    assert app.state.database.engine.pool.checkedin() == 0


OLD = text(
    "INSERT INTO outbox (event_id, topic, key, key_hash, type, occurred_at)"
    " VALUES (CAST(:id AS uuid), 't', 'k', 0, 'e', now())"
)


async def test_readiness_tells_how_long_an_event_waits_for_its_number(database: Database) -> None:
    app = create_app("notes", router=APIRouter(), settings=settings_of(database))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://notes") as client,
    ):
        first = (await client.get("/readyz")).json()
        assert (first["status"], first["service"], first["oldest_outbox_s"]) == ("ready", "notes", 0.0)
        old = uuid7().int - (90_000 << 80)
        async with database.transaction() as session:
            await session.execute(OLD, {"id": f"{old:032x}"})
        answer = await client.get("/readyz")
        assert (answer.status_code, answer.json()["status"]) == (503, "events wait for their numbers")
        assert answer.json()["oldest_outbox_s"] == pytest.approx(90, abs=5)


async def test_a_service_that_waits_for_a_broker_takes_commands(database: Database) -> None:
    nowhere = settings_of(database).model_copy(update={"bus_url": f"kafka://127.0.0.1:{free_port()}"})
    app = create_app("customers", router=APIRouter(), settings=nowhere)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://customers") as client,
    ):
        async with database.transaction() as session:
            await session.execute(OLD, {"id": f"{uuid7().int - (90_000 << 80):032x}"})
        while not app.state.database.waits_at_gate:
            await asyncio.sleep(0.02)
        answer = await client.get("/readyz")
        assert (answer.status_code, answer.json()["waits_at_gate"]) == (200, True)
        assert answer.json()["oldest_outbox_s"] == pytest.approx(90, abs=5)


async def test_an_app_says_what_else_it_needs(database: Database) -> None:
    async def elsewhere(app: object) -> dict[str, str]:
        raise Unavailable("Something else is away.")

    app = create_app("notes", router=APIRouter(), settings=settings_of(database), ready=elsewhere)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://notes") as client:
        answer = await client.get("/readyz")
        assert (answer.status_code, answer.json()["detail"]) == (503, "Something else is away.")
    await app.state.database.close()


async def test_a_request_without_a_signed_caller_is_refused(database: Database) -> None:
    router = APIRouter()

    @router.get("/v1/thing")
    async def thing() -> str:
        return "seen"

    app = create_app("notes", router=router, settings=settings_of(database))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://notes") as client:
        answer = await client.get("/v1/thing")
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
        assert answer.headers["www-authenticate"] == "Bearer"
        forged = await client.get("/v1/thing", headers={"X-Shuke-Actor": "x.y.z"})
        assert forged.status_code == 401
    await app.state.database.close()
