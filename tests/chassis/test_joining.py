import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from uuid import uuid4

import asyncpg
import httpx
import pytest
from fastapi import APIRouter, FastAPI, Response
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import joining, outbox
from chassis.app import create_app
from chassis.auth import HEADER, Caller, Signer
from chassis.db import Database, driver
from chassis.joining import Answer, Join, JoinedRoute
from chassis.settings import ServiceSettings
from contracts.customers import PurchaseCompleted
from contracts.identity import Installation
from contracts.problems import Conflict
from tests.serving import HERE

SECRET = "a secret of at least thirty-two characters"
router = APIRouter(prefix="/v1", route_class=JoinedRoute)


class NotWanted(Conflict):
    """A mark that nobody wants."""


class Mark(BaseModel):
    name: str
    said: int = 0


@router.post("/marks", status_code=201)
async def make_mark(mark: Mark, join: Join) -> Response:
    """Make a mark. A slow one holds up who comes meanwhile, so that these are carried out together."""
    return await join(make_marks, mark.name)


tried: list[list[str]] = []
"""The names of each attempt."""


async def make_marks(
    session: AsyncSession, names: Sequence[str], here: Installation, origins: outbox.Origins
) -> list[Answer]:
    tried.append(list(names))
    if "slow" in names:
        await asyncio.sleep(0.3)
    wanted = [name for name in names if not name.startswith("unwanted")]
    connection = await driver(session)
    await connection.execute(
        "INSERT INTO mark SELECT name, pg_current_xact_id()::text FROM unnest($1::text[]) AS name", wanted
    )
    if "bug" in names:
        raise LookupError("a bug")
    if "nameless" in names:
        outbox.append(session, _event())
    if origins:
        places = [place for place, name in enumerate(names) if name in wanted]
        outbox.append(session, *(_event() for _ in places), origins=[origins[place] for place in places])
    return [
        Response(json.dumps({"name": name}), 201, {"Location": f"/v1/marks/{name}"}, "application/json")
        if name in wanted
        else NotWanted("Nobody wants it.")
        for name in names
    ]


def _event() -> PurchaseCompleted:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    return PurchaseCompleted(
        subject=uuid4(), occurred_at=at, purchase_id=uuid4(), amount_minor=1, currency="EUR", source="shop"
    )


@pytest.fixture
async def app(database: Database, connection: "asyncpg.Connection[asyncpg.Record]") -> AsyncIterator[FastAPI]:
    # What is late in `late` is refused by the commit, not before.
    await connection.execute(
        """
        CREATE TABLE mark (name text, xact text);
        CREATE TABLE late (name text UNIQUE DEFERRABLE INITIALLY DEFERRED);
        CREATE FUNCTION note_late() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN INSERT INTO late VALUES (new.name); INSERT INTO late VALUES (new.name); RETURN new; END $$;
        CREATE TRIGGER late AFTER INSERT ON mark FOR EACH ROW WHEN (new.name = 'late') EXECUTE FUNCTION note_late();
        CREATE TABLE single (name text PRIMARY KEY);
        CREATE FUNCTION note_single() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN INSERT INTO single VALUES (new.name); RETURN new; END $$;
        CREATE TRIGGER single AFTER INSERT ON mark FOR EACH ROW WHEN (new.name = 'single')
            EXECUTE FUNCTION note_single();
        """
    )
    settings = ServiceSettings(database_url=database.url, internal_secret=SECRET)
    app = create_app("marks", router=router, settings=settings)
    app.state.installation = HERE
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    tried.clear()
    headers = {HEADER: Signer(SECRET).sign(Caller("key_1", frozenset()))}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://marks", headers=headers
    ) as client:
        yield client


async def post(client: httpx.AsyncClient, name: str, key: str | None = None, said: int = 0) -> httpx.Response:
    headers = {"X-Request-Id": name} | ({"Idempotency-Key": key} if key else {})
    return await client.post("/v1/marks", json={"name": name, "said": said}, headers=headers)


async def together(client: httpx.AsyncClient, *names: str, key: str | None = None) -> list[httpx.Response]:
    """Post what is carried out together, behind a slow one that is under way."""
    slow = asyncio.create_task(post(client, "slow"))
    while tried != [["slow"]]:
        await asyncio.sleep(0)
    answers = await asyncio.gather(*(post(client, name, key) for name in names))
    assert (await slow).status_code == 201
    return answers


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine is, the next wait for those before."""
    monkeypatch.setattr(joining, "PATIENCE_S", 60)


async def marks(connection: "asyncpg.Connection[asyncpg.Record]") -> dict[str, str]:
    """Each mark but the slow one, with its transaction."""
    rows = await connection.fetch("SELECT name, xact FROM mark WHERE name <> 'slow'")
    assert len(rows) == len({row["name"] for row in rows})
    return {row["name"]: row["xact"] for row in rows}


@pytest.mark.usefixtures("patient")
async def test_what_comes_while_one_is_under_way_shares_a_transaction(
    client: httpx.AsyncClient, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    answers = await together(client, "a", "b", "c")

    assert [(answer.status_code, answer.json()["name"]) for answer in answers] == [(201, "a"), (201, "b"), (201, "c")]
    made = await marks(connection)
    assert made.keys() == {"a", "b", "c"}
    assert len(set(made.values())) == 1


async def test_what_comes_alone_begins_at_once(client: httpx.AsyncClient) -> None:
    assert (await post(client, "a")).headers["location"] == "/v1/marks/a"
    assert tried == [["a"]]


@pytest.mark.usefixtures("patient")
async def test_the_problem_of_one_is_no_other_s(
    client: httpx.AsyncClient, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    a, unwanted, b = await together(client, "a", "unwanted", "b")

    assert (a.status_code, b.status_code) == (201, 201)
    assert (unwanted.status_code, unwanted.json()["code"]) == (409, "not_wanted")
    assert unwanted.json()["request_id"] == "unwanted"
    assert len(tried) == 2
    assert (await marks(connection)).keys() == {"a", "b"}


@pytest.mark.usefixtures("patient")
async def test_what_fails_together_is_tried_alone(
    client: httpx.AsyncClient, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    a, bug, b = await together(client, "a", "bug", "b")

    assert (a.status_code, bug.status_code, b.status_code) == (201, 500, 201)
    made = await marks(connection)
    assert made.keys() == {"a", "b"}
    assert made["a"] != made["b"]


async def test_what_others_lock_is_waited_for_alone(
    client: httpx.AsyncClient, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    async with connection.transaction():
        await connection.execute("INSERT INTO single VALUES ('single')")
        slow = asyncio.create_task(post(client, "slow"))
        while tried != [["slow"]]:
            await asyncio.sleep(0)
        single = asyncio.create_task(post(client, "single"))
        a, b = await asyncio.gather(post(client, "a"), post(client, "b"))
        assert (a.status_code, b.status_code) == (201, 201)
        assert not single.done()
        await connection.execute("DELETE FROM single")

    assert (await single).status_code == 201
    assert (await slow).status_code == 201
    assert (await marks(connection)).keys() == {"a", "b", "single"}


async def test_a_lock_that_only_the_last_statement_meets_is_waited_for_alone(
    client: httpx.AsyncClient, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    async with connection.transaction():
        # As a backup holds it.
        await connection.execute("LOCK TABLE outbox IN EXCLUSIVE MODE")
        slow = asyncio.create_task(post(client, "slow"))
        while tried != [["slow"]]:
            await asyncio.sleep(0)
        others = [asyncio.create_task(post(client, name)) for name in ("a", "b")]
        # Together, then each alone.
        while len(tried) < 4:
            await asyncio.sleep(0.01)
    answers = await asyncio.gather(slow, *others)
    assert [answer.status_code for answer in answers] == [201] * 3
    assert tried[1] == ["a", "b"]
    assert sorted(tried[2:]) == [["a"], ["b"]]
    assert (
        await connection.fetchval("SELECT count(*) FROM outbox")
        + await connection.fetchval("SELECT count(*) FROM event_log")
        == 3
    )


@pytest.mark.usefixtures("patient")
async def test_a_commit_that_failed_is_not_done_again(
    client: httpx.AsyncClient, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    answers = await together(client, "a", "late")

    assert [answer.status_code for answer in answers] == [500, 500]
    assert len(tried) == 2
    assert await marks(connection) == {}


async def test_the_next_do_not_wait_for_long_for_those_before(
    client: httpx.AsyncClient, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await together(client, "a")

    assert int((await marks(connection))["a"]) > 0
    order = await connection.fetch("SELECT name FROM mark ORDER BY ctid")
    assert [row["name"] for row in order] == ["a", "slow"]


async def test_who_leaves_takes_nobody_along(
    client: httpx.AsyncClient, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    slow = asyncio.create_task(post(client, "slow"))
    while tried != [["slow"]]:
        await asyncio.sleep(0)
    gone, stays = asyncio.create_task(post(client, "gone")), asyncio.create_task(post(client, "stays"))
    for _ in range(50):
        await asyncio.sleep(0)
    gone.cancel()
    slow.cancel()

    assert (await stays).status_code == 201
    assert tried == [["slow"], ["stays"]]
    assert (await marks(connection)).keys() == {"stays"}


@pytest.mark.usefixtures("patient")
async def test_under_one_key_the_second_gets_the_answer_of_the_first(
    client: httpx.AsyncClient, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    first, second = await together(client, "a", "a", key="k")

    assert (first.status_code, second.status_code) == (201, 201)
    assert (second.content, second.headers["location"]) == (first.content, first.headers["location"])
    assert second.headers["content-type"] == first.headers["content-type"]
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    assert (await marks(connection)).keys() == {"a"}


@pytest.mark.usefixtures("patient")
async def test_another_body_under_one_key_is_refused(
    client: httpx.AsyncClient, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    first, second = await together(client, "a", "b", key="k")

    assert first.status_code == 201
    assert (second.status_code, second.json()["code"]) == (422, "idempotency_key_reused")
    assert (await marks(connection)).keys() == {"a"}


async def test_keys_are_kept_with_what_was_done_together(
    client: httpx.AsyncClient, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    slow = asyncio.create_task(post(client, "slow"))
    while tried != [["slow"]]:
        await asyncio.sleep(0)
    before = await asyncio.gather(*(post(client, name, name) for name in ("a", "b", "unwanted")))
    await slow
    after = await asyncio.gather(*(post(client, name, name) for name in ("a", "b", "unwanted")))

    assert [answer.status_code for answer in before] == [201, 201, 409]
    assert [answer.content for answer in after[:2]] == [answer.content for answer in before[:2]]
    assert after[2].status_code == 409
    assert "idempotency-replayed" not in after[2].headers
    assert (await marks(connection)).keys() == {"a", "b"}


async def test_a_body_that_cannot_be_read_is_another_one_under_a_known_key(client: httpx.AsyncClient) -> None:
    await post(client, "a", "k")
    unread = {"Idempotency-Key": "k"}
    again = await client.post("/v1/marks", json={}, headers=unread)
    assert (again.status_code, again.json()["code"]) == (422, "idempotency_key_reused")

    fresh = await client.post("/v1/marks", json={}, headers={"Idempotency-Key": "other"})
    assert (fresh.status_code, fresh.json()["code"]) == (422, "invalid_request")
    bad = await client.post("/v1/marks", json={}, headers={"Idempotency-Key": "not visible"})
    assert (bad.status_code, bad.json()["code"]) == (400, "bad_idempotency_key")


@pytest.mark.usefixtures("patient")
async def test_each_event_names_the_command_that_it_comes_from(
    client: httpx.AsyncClient, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await connection.execute("SELECT pg_advisory_lock(hashtext('sequencer'))")
    await together(client, "a", "unwanted", "b")

    rows = await connection.fetch("SELECT payload FROM outbox ORDER BY id")
    said = [json.loads(row["payload"]) for row in rows]
    assert sorted(each["correlationid"] for each in said) == ["a", "b", "slow"]
    assert len({each["traceparent"] for each in said}) == 3


@pytest.mark.usefixtures("patient")
async def test_an_event_of_nobody_knows_which_is_told_by_its_own_command(
    client: httpx.AsyncClient, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await connection.execute("SELECT pg_advisory_lock(hashtext('sequencer'))")
    answers = await together(client, "a", "nameless")

    assert [answer.status_code for answer in answers] == [201, 201]
    rows = await connection.fetch("SELECT payload FROM outbox ORDER BY id")
    said = [json.loads(row["payload"])["correlationid"] for row in rows]
    assert sorted(said) == ["a", "nameless", "nameless", "slow"]


async def test_a_transaction_has_so_many_commands_at_most(
    client: httpx.AsyncClient, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    names = [f"mark {n}" for n in range(joining.MOST + 10)]
    answers = await together(client, *names)

    assert {answer.status_code for answer in answers} == {201}
    assert max(map(len, tried)) <= joining.MOST
    assert (await marks(connection)).keys() == set(names)
