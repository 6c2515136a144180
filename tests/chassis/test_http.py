import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from typing import Annotated, Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, Field
from sqlalchemy import text

from chassis.app import create_app
from chassis.auth import HEADER, Caller, Signer, require
from chassis.db import Database, driver
from chassis.http import (
    BadCursor,
    IfMatch,
    PreconditionFailed,
    Session,
    TransactionalRoute,
    decode_cursor,
    encode_cursor,
    etag,
    if_match,
    page,
    same_version,
)
from chassis.ids import prefixed
from chassis.settings import ServiceSettings
from contracts.problems import Conflict

SECRET = "a secret of at least thirty-two characters"
router = APIRouter(prefix="/v1", route_class=TransactionalRoute)
NoteId = Annotated[UUID, prefixed("note")]


class Note(BaseModel):
    id: NoteId
    amount_minor: Annotated[int, Field(ge=0)] = 0
    tags: dict[str, UUID] = {}


class TooMany(Conflict):
    """There are too many."""


@router.post("/notes", status_code=201)
async def write_note(note: Note, session: Session, response: Response) -> Note:
    """Write a note."""
    await session.execute(text("INSERT INTO note VALUES (:id, :n)"), {"id": note.id, "n": note.amount_minor})
    response.headers["Location"] = f"/v1/notes/{note.id}"
    return note


@router.post("/slow-notes")
async def write_slowly(session: Session) -> dict[str, str]:
    await asyncio.sleep(0.3)
    await session.execute(text("INSERT INTO note VALUES (gen_random_uuid(), 0)"))
    return {"written": "slowly"}


@router.get("/notes/{note_id}")
async def note(note_id: NoteId, session: Session, seen: IfMatch) -> Note:
    """Read a note."""
    same_version(seen, 7)
    found = (await session.execute(text("SELECT id FROM note WHERE id = :id"), {"id": note_id})).scalar_one()
    return Note(id=found)


@router.delete("/notes/{note_id}")
async def forget(note_id: NoteId) -> None:
    """Forget a note."""


@router.get("/count")
async def how_many(session: Session, limit: Annotated[int, Field(ge=1)] = 1) -> int:
    """Count the notes."""
    return int((await session.execute(text("SELECT count(*) FROM note"))).scalar_one())


@router.post("/too-many")
async def too_many(session: Session) -> None:
    """Write, then find that there are too many."""
    await session.execute(text("INSERT INTO note VALUES (gen_random_uuid(), 0)"))
    raise TooMany("There are 3 already.", most=3)


@router.get("/broken")
async def broken() -> None:
    """Fail for no good reason."""
    raise LookupError("a bug with a secret in it")


@router.get("/patience")
async def patience(session: Session) -> None:
    """Take longer than the database allows."""
    await session.execute(text("SET LOCAL statement_timeout = 20"))
    await session.execute(text("SELECT pg_sleep(5)"))


@router.get("/sleepy")
async def sleepy(session: Session) -> None:
    """Sleep inside the database."""
    await session.execute(text("SELECT pg_sleep(9)"))


@router.get("/guarded", dependencies=[Depends(require("operator"))])
async def guarded() -> str:
    """Something for operators."""
    return "open"


@pytest.fixture
async def client(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    async with database.transaction() as session:
        await session.execute(
            text(
                "CREATE TABLE note (id uuid PRIMARY KEY, n bigint CHECK (n <> 13),"
                " UNIQUE (n, id) DEFERRABLE INITIALLY DEFERRED)"
            )
        )
        await session.execute(
            text(
                "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
                " $$ BEGIN RAISE check_violation USING MESSAGE = 'too late'; END $$"
            )
        )
        await session.execute(
            text(
                "CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON note DEFERRABLE INITIALLY DEFERRED"
                " FOR EACH ROW WHEN (new.n = 666) EXECUTE FUNCTION refuse()"
            )
        )
    settings = ServiceSettings(database_url=database.url, internal_secret=SECRET, max_body_bytes=10_000)
    app = create_app("notes", router=router, settings=settings)
    token = Signer(SECRET).sign(Caller("key_1", frozenset({"reader"})))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://notes", headers={HEADER: token}
        ) as client,
    ):
        yield client


def a_note(**values: Any) -> dict[str, Any]:
    return {"id": f"note_{uuid4().hex}", "amount_minor": 5, **values}


async def count_of(client: httpx.AsyncClient) -> int:
    return int((await client.get("/v1/count")).json())


async def test_what_a_route_writes_is_there_when_it_has_answered(client: httpx.AsyncClient) -> None:
    note = a_note()
    answer = await client.post("/v1/notes", json=note)
    assert (answer.status_code, answer.json()["id"]) == (201, note["id"])
    assert (await client.get(f"/v1/notes/{note['id']}")).json()["id"] == note["id"]


async def test_a_failed_commit_is_never_a_201(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/notes", json=a_note(amount_minor=666))
    assert answer.status_code == 500
    assert answer.json()["code"] == "internal_error"
    assert "too late" not in answer.text
    assert await count_of(client) == 0


async def test_a_problem_rolls_back_and_names_itself(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/too-many", headers={"X-Request-Id": "asked-1"})
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "https://docs.example.org/problems#too-many",
        "code": "too_many",
        "title": "Too many",
        "status": 409,
        "detail": "There are 3 already.",
        "most": 3,
        "request_id": "asked-1",
    }
    assert await count_of(client) == 0


async def test_a_rejected_input_is_located_and_never_repeated(client: httpx.AsyncClient) -> None:
    body = {"id": "canary", "amount_minor": "canary", "tags": {"a/b": "canary"}}
    answer = await client.post("/v1/notes", json=body)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == ["#/id", "#/amount_minor", "#/tags/a~1b"]
    assert "canary" not in answer.text
    (small,) = (await client.get("/v1/count?limit=0")).json()["errors"]
    assert (small["pointer"], small["code"], small["ge"]) == ("#/query/limit", "greater_than_equal", 1)
    broken = await client.post("/v1/notes", content='{"canary"', headers={"Content-Type": "application/json"})
    assert broken.json()["errors"] == [{"pointer": "#", "code": "json_invalid", "detail": "JSON decode error"}]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/nothing", 404, "not_found"),
        ("DELETE", "/v1/notes", 405, "method_not_allowed"),
        ("GET", "/v1/broken", 500, "internal_error"),
        ("GET", "/v1/patience", 503, "unavailable"),
        ("GET", "/v1/guarded", 403, "forbidden"),
    ],
)
async def test_whatever_goes_wrong_is_a_problem(
    client: httpx.AsyncClient, method: str, path: str, status: int, code: str
) -> None:
    answer = await client.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    assert "secret" not in answer.text
    assert ("retry-after" in answer.headers) is (status == 503)
    assert ("allow" in answer.headers) is (status == 405)


async def test_a_method_that_no_route_of_a_path_has_is_told_those_of_all_its_routes(client: httpx.AsyncClient) -> None:
    answer = await client.put("/v1/notes/note_1")
    assert (answer.status_code, answer.headers["allow"]) == (405, "DELETE, GET, HEAD")


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_over_the_limit_is_refused(client: httpx.AsyncClient, declared: bool) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 1_000

    content = b" " * 20_000 if declared else pieces()
    answer = await client.post("/v1/notes", content=content, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (413, "content_too_large")


async def test_a_database_that_goes_away_is_a_503(client: httpx.AsyncClient, database: Database) -> None:
    waiting = asyncio.create_task(client.get("/v1/sleepy"))
    await asyncio.sleep(0.3)
    async with database.transaction() as session:
        await (await driver(session)).execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(9)%'"
            " AND datname = current_database() AND pid <> pg_backend_pid()"
        )
    answer = await waiting
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert await count_of(client) == 0


async def test_nothing_listening_is_a_503() -> None:
    settings = ServiceSettings(database_url="postgresql+asyncpg://u:p@127.0.0.1:1/none", internal_secret=SECRET)
    app = create_app("notes", router=router, settings=settings)
    headers = {HEADER: Signer(SECRET).sign(Caller("key_1", frozenset()))}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://n", headers=headers) as client:
        assert (await client.get("/v1/count")).status_code == 503
        assert (await client.get("/readyz")).json()["status"] == "the database does not answer"
        assert (await client.get("/healthz")).status_code == 200


async def test_the_trace_goes_on_and_the_request_id_comes_back(client: httpx.AsyncClient) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    answer = await client.get("/v1/count", headers={"traceparent": f"00-{trace}-b7ad6b7169203331-01"})
    assert answer.headers["traceparent"].startswith(f"00-{trace}-")
    assert answer.headers["traceparent"].endswith("-01")
    assert "b7ad6b7169203331" not in answer.headers["traceparent"]
    forged = await client.get("/v1/count", headers={"X-Request-Id": 'x"} forged line'})
    assert len(forged.headers["x-request-id"]) == 32


async def test_a_version_that_moved_on_is_a_412(client: httpx.AsyncClient) -> None:
    note = a_note()
    await client.post("/v1/notes", json=note)
    path = f"/v1/notes/{note['id']}"
    assert (await client.get(path, headers={"If-Match": etag(7)})).status_code == 200
    moved = await client.get(path, headers={"If-Match": etag(6)})
    assert (moved.status_code, moved.json()["version"]) == (412, 7)
    assert (await client.get(path, headers={"If-Match": "*"})).status_code == 200
    assert await if_match('W/"5"') == 5


@pytest.mark.parametrize("tag", ['"five"', '"-1"', '"٣"', "", '"7", "8"', f'"{"9" * 5_000}"'])
async def test_a_version_that_never_was_is_a_412(tag: str) -> None:
    with pytest.raises(PreconditionFailed):
        await if_match(tag)


def test_a_cursor_holds_the_keyset_of_the_last_row() -> None:
    rows = [(date(2026, 1, day), uuid4()) for day in (1, 2, 3)]
    shown = page(rows, limit=2, key=lambda row: row)
    assert (shown.data, shown.has_more) == (rows[:2], True)
    assert decode_cursor(shown.next_cursor or "", tuple[date, UUID]) == rows[1]
    assert page(rows, limit=3, key=lambda row: row).next_cursor is None


@pytest.mark.parametrize("time", ["2026-01-05T09:00:00", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59"])
def test_a_time_that_no_page_can_begin_at_is_a_problem(time: str) -> None:
    with pytest.raises(BadCursor):
        decode_cursor(encode_cursor(time), tuple[datetime])


def test_a_time_in_a_cursor_comes_in_utc() -> None:
    assert decode_cursor(encode_cursor("2026-01-05T09:00:00+01:00"), tuple[datetime]) == (
        datetime(2026, 1, 5, 8, tzinfo=UTC),
    )


@pytest.mark.parametrize("cursor", ["", "x", "é", "!!!!", encode_cursor("text"), encode_cursor(1, 2), "a" * 999])
def test_a_made_up_cursor_is_a_problem(cursor: str) -> None:
    with pytest.raises(BadCursor):
        decode_cursor(cursor, tuple[int, UUID])


async def test_operation_ids_are_function_names(client: httpx.AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    assert paths["/v1/notes"]["post"]["operationId"] == "write_note"
    assert "application/problem+json" in json.dumps(paths["/v1/notes"]["post"]["responses"]["default"])
    assert paths["/v1/notes"]["post"]["responses"]["422"]["content"].keys() == {"application/problem+json"}
    assert "/readyz" not in paths
