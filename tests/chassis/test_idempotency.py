import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

import asyncpg
import httpx
import pytest
from fastapi import APIRouter, File, Response
from sqlalchemy import text
from typing_extensions import TypedDict

from chassis.app import create_app
from chassis.auth import HEADER, Caller, Signer
from chassis.db import Database
from chassis.http import Session, TransactionalRoute
from chassis.settings import ServiceSettings

SECRET = "a secret of at least thirty-two characters"
router = APIRouter(prefix="/v1", route_class=TransactionalRoute)
entered = asyncio.Event()


class Mark(TypedDict):
    name: str


@router.post("/marks", status_code=201)
async def make_mark(mark: Mark, session: Session, response: Response) -> dict[str, int]:
    """Make a mark; a slow one takes its time, a bad one fails."""
    await session.execute(text("INSERT INTO mark (name) VALUES (:name)"), {"name": mark["name"]})
    if mark["name"] == "slow":
        entered.set()
        await asyncio.sleep(0.3)
    if mark["name"] == "bad":
        raise LookupError("a bug")
    response.headers["Location"] = "/v1/marks/1"
    return {"marks": int((await session.execute(text("SELECT count(*) FROM mark"))).scalar_one())}


@router.post("/files")
async def take_file(file: Annotated[bytes, File()]) -> int:
    """Count the bytes of a file."""
    return len(file)


@pytest.fixture
async def client(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    async with database.transaction() as session:
        await session.execute(text("CREATE TABLE mark (name text)"))
    app = create_app(
        "marks", router=router, settings=ServiceSettings(database_url=database.url, internal_secret=SECRET)
    )
    headers = {HEADER: Signer(SECRET).sign(Caller("key_1", frozenset()))}
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://marks", headers=headers) as client,
    ):
        yield client


async def post(client: httpx.AsyncClient, name: str, key: str, **headers: str) -> httpx.Response:
    return await client.post("/v1/marks", json={"name": name}, headers={"Idempotency-Key": key, **headers})


async def test_the_same_request_again_gives_the_kept_response(client: httpx.AsyncClient) -> None:
    first, second = await post(client, "a", "k"), await post(client, "a", "k")
    assert (first.status_code, first.json()) == (201, {"marks": 1})
    assert (second.status_code, second.content) == (201, first.content)
    assert second.headers["location"] == "/v1/marks/1"
    assert second.headers["content-type"] == first.headers["content-type"]
    assert second.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert second.headers["x-request-id"] != first.headers["x-request-id"]


async def test_another_body_under_the_same_key_is_refused(client: httpx.AsyncClient) -> None:
    await post(client, "a", "k")
    answer = await post(client, "b", "k")
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")


async def test_another_caller_has_other_keys(client: httpx.AsyncClient) -> None:
    await post(client, "a", "k")
    other = await post(client, "b", "k", **{HEADER: Signer(SECRET).sign(Caller("key_2", frozenset()))})
    assert other.json() == {"marks": 2}


async def test_while_the_first_is_under_way_the_second_is_told_to_wait(client: httpx.AsyncClient) -> None:
    entered.clear()
    first = asyncio.create_task(post(client, "slow", "k"))
    await entered.wait()
    second = await post(client, "slow", "k")
    assert (second.status_code, second.json()["code"]) == (409, "request_in_progress")
    assert second.headers["retry-after"] == "1"
    assert (await first).status_code == 201
    assert (await post(client, "slow", "k")).json() == {"marks": 1}


async def test_many_at_once_are_carried_out_once(client: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(post(client, "a", "k") for _ in range(20)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert (await post(client, "a", "k")).json() == {"marks": 1}


async def test_a_failure_is_not_kept(client: httpx.AsyncClient, database: Database) -> None:
    assert (await post(client, "bad", "k")).status_code == 500
    assert (await post(client, "good", "k")).json() == {"marks": 1}


async def test_a_kill_in_the_middle_frees_the_key(client: httpx.AsyncClient, connection: asyncpg.Connection) -> None:
    entered.clear()
    first = asyncio.create_task(post(client, "slow", "k"))
    await entered.wait()
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND state = 'idle in transaction'"
    )
    assert (await first).status_code == 503
    assert (await post(client, "a", "k")).json() == {"marks": 1}


async def test_a_caller_that_goes_away_frees_the_key(client: httpx.AsyncClient) -> None:
    entered.clear()
    first = asyncio.create_task(post(client, "slow", "k"))
    await entered.wait()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert (await post(client, "a", "k")).json() == {"marks": 1}


async def test_the_same_body_elsewhere_is_another_request(client: httpx.AsyncClient) -> None:
    await post(client, "a", "k")
    answer = await client.post("/v1/marks?other=1", json={"name": "a"}, headers={"Idempotency-Key": "k"})
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")


async def test_after_a_day_the_key_is_free_again(client: httpx.AsyncClient, database: Database) -> None:
    await post(client, "a", "k")
    async with database.transaction() as session:
        await session.execute(text("UPDATE idempotency_key SET created_at = created_at - interval '25 hours'"))
    assert (await post(client, "b", "k")).json() == {"marks": 2}
    assert (await post(client, "b", "k")).json() == {"marks": 2}


async def test_a_form_may_come_again_under_another_boundary(client: httpx.AsyncClient) -> None:
    for replayed in (None, "true"):
        answer = await client.post("/v1/files", files={"file": b"1234"}, headers={"Idempotency-Key": "k"})
        assert (answer.json(), answer.headers.get("idempotency-replayed")) == (4, replayed)


@pytest.mark.parametrize("key", ["", "with space", "k" * 256])
async def test_a_key_must_be_short_and_visible(client: httpx.AsyncClient, key: str) -> None:
    answer = await post(client, "a", key)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_idempotency_key")
