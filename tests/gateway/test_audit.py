import asyncio
import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
import typer

from chassis.db import driver, plain_url
from deploy.cli.audit import _verified
from gateway.domain.audit import GENESIS, Entry, Kind, grouped, ids_in, kind_of, operation_of, operations_of, redacted
from gateway.domain.rights import AREAS, OPERATIONS
from gateway.queries import trail
from gateway.queries.trail import Trail, append, forget

from .conftest import Door
from .people import owner, person, sign_in

DISK_FULL = """
CREATE OR REPLACE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE SQLSTATE '53100' USING MESSAGE = 'could not extend file: No space left on device'; END $$;
CREATE TRIGGER full_disk BEFORE INSERT ON audit EXECUTE FUNCTION full_disk()
"""
PARTY = "party_0198c0de0000700080000000000000aa"


def entry(**changes: Any) -> Entry:
    told = {
        "at": datetime(2026, 1, 31, 12, tzinfo=UTC),
        "kind": Kind.ACT,
        "who": "key_" + "0" * 32,
        "team_id": None,
        "operation": "merge_party",
        "method": "POST",
        "path": "/v1/parties/{party_id}/merge",
        "ids": (PARTY,),
        "query": "",
        "outcome": 200,
        "address": "127.0.0.1",
        "request_id": "r",
    }
    return Entry(**{**told, **changes})


async def rows(door: Door, **asked: Any) -> list[dict[str, Any]]:
    await door.app.state.trail.flush(door.app.state.database)
    answer = await door.client.get("/v1/audit", params={"order": "oldest", "limit": 1_000, **asked})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["data"]
    return found


def first_wrong(found: list[dict[str, Any]]) -> int | None:
    """The plainest second reading of how hashes are made."""
    names = [
        "seq",
        "at",
        "kind",
        "who",
        "team_id",
        "operation",
        "method",
        "path",
        "ids",
        "query",
        "outcome",
        "address",
        "request_id",
        "requests",
    ]
    before = "0" * 64
    for row in found:
        text = json.dumps([row[name] for name in names], ensure_ascii=False, separators=(",", ":"))
        if (
            row["previous"] != before
            or hashlib.sha256(bytes.fromhex(before) + text.encode()).hexdigest() != row["hash"]
        ):
            return int(row["seq"])
        before = row["hash"]
    return None


async def test_whoever_comes_in_is_named_however_they_do(door: Door) -> None:
    olga = await owner(door)
    team = (await door.client.post("/v1/teams", json={"name": "North"})).json()["id"]
    nora = await person(door, "nora@example.com", "agent", team_id=team)
    assert (await sign_in(door.client, nora.email)).status_code == 201
    assert (await sign_in(door.client, nora.email, "not hers at all, this one")).status_code == 401
    came = [row for row in await rows(door) if row["operation"] in ("accept_invitation", "sign_in")]
    assert [(row["operation"], row["who"], row["team_id"]) for row in came] == [
        ("accept_invitation", olga.id, None),
        ("accept_invitation", nora.id, team),
        ("sign_in", nora.id, team),
    ]


async def test_an_act_is_in_the_trail_before_it_is_answered(door: Door) -> None:
    made = await door.client.post("/v1/keys", json={"name": "shop", "scopes": ["ingest"]})
    async with door.app.state.database.transaction() as session:
        [row] = await (await driver(session)).fetch("SELECT * FROM audit")
    assert (row["kind"], row["method"], row["path"], row["outcome"]) == ("act", "POST", "/v1/keys", 201)
    assert (row["operation"], row["address"]) == ("create_key", "127.0.0.1")
    assert row["who"].startswith("key_")
    assert row["ids"] == [made.json()["id"]]
    assert row["request_id"] == made.headers["x-request-id"]


async def test_what_was_refused_is_told_and_strangers_do_not_fill_the_trail(door: Door) -> None:
    await door.client.post(f"/v1/parties/{PARTY}/merge", json={}, headers=door.key("reader"))
    await door.client.post(f"/v1/parties/{PARTY}/merge", json={}, headers={"Authorization": "Bearer shuke_x"})
    assert [(row["outcome"], row["ids"]) for row in await rows(door, what="act")] == [(403, [PARTY])]


async def test_readings_of_contact_data_are_told_by_ids_and_never_by_what_was_typed(door: Door) -> None:
    await door.client.get(f"/v1/parties?q=anna@example.org&party_id={PARTY}&limit=7")
    await door.client.get("/v1/parties/anna@example.org")
    first, second = [row for row in await rows(door, what="read") if row["path"].startswith("/v1/parties")]
    assert first["query"] == f"q=…&party_id={PARTY}&limit=7"
    assert "anna" not in json.dumps([first, second])
    assert [row["seq"] for row in await rows(door, party=PARTY)] == [first["seq"]]


async def test_readings_that_are_alike_make_one_row_and_none_is_lost_at_an_orderly_stop(door: Door) -> None:
    trail: Trail = door.app.state.trail
    for _ in range(20):
        await door.client.get(f"/v1/parties/{PARTY}")
    await trail.close(door.app.state.database)
    found = await rows(door, party=PARTY)
    # A row for each second that it took.
    assert sum(row["requests"] for row in found) == 20
    assert len(found) < 10


async def test_a_trail_that_cannot_be_written_refuses_before_it_passes_on_and_holds_no_more(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trail, "HELD", 5)
    held: Trail = door.app.state.trail
    connection = await asyncpg.connect(plain_url(door.app.state.database.url))
    await connection.execute(DISK_FULL)
    answers = [await door.client.get(f"/v1/parties/{PARTY}") for _ in range(20)]
    assert [answer.status_code for answer in answers[5:]] == [503] * 15
    assert len(held._waiting) == 5
    acts = [await door.client.post("/v1/keys", json={"name": "shop", "scopes": ["ingest"]}) for _ in range(3)]
    assert [act.status_code for act in acts] == [503] * 3
    assert "retry-after" in acts[0].headers
    assert len(held._waiting) == 5
    assert await connection.fetchval("SELECT count(*) FROM api_key WHERE name = 'shop'") == 0
    await connection.execute("DROP TRIGGER full_disk ON audit")
    await connection.close()
    assert (await door.client.get(f"/v1/parties/{PARTY}")).status_code == answers[0].status_code
    assert sum(row["requests"] for row in await rows(door, party=PARTY)) == 6


async def test_readings_at_a_time_wait_for_room_and_are_not_held_where_there_is_none(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trail, "HELD", 5)
    database, held = door.app.state.database, Trail()
    connection = await asyncpg.connect(plain_url(database.url))
    await connection.execute(DISK_FULL)
    telling = [held.tell(database, entry(kind=Kind.READ, request_id=str(each))) for each in range(20)]
    refused = await asyncio.gather(*telling, return_exceptions=True)
    assert [isinstance(each, asyncpg.DiskFullError) for each in refused] == [False] * 5 + [True] * 15
    with pytest.raises(asyncpg.DiskFullError):
        await held.tell(database, entry(request_id="done"))
    assert len(held._waiting) == 6
    await connection.execute("DROP TRIGGER full_disk ON audit")
    await held.flush(database)
    told = await connection.fetch("SELECT kind, sum(requests) AS times FROM audit GROUP BY kind ORDER BY kind")
    await connection.close()
    assert [(row["kind"], row["times"]) for row in told] == [("act", 1), ("read", 5)]


async def test_many_processes_add_to_one_chain(door: Door) -> None:
    async def tell(number: int) -> None:
        async with door.app.state.database.transaction() as session:
            await append(session, [entry(request_id=f"{number}-{each}") for each in range(5)])

    await asyncio.gather(*map(tell, range(20)))
    found = await rows(door)
    assert [row["seq"] for row in found][:100] == list(range(1, 101))
    assert first_wrong(found) is None
    assert _verified(iter(found), {}) == f"{len(found)}:{found[-1]['hash']}"


async def test_a_row_that_was_changed_removed_or_put_in_is_found(
    door: Door, capsys: pytest.CaptureFixture[str]
) -> None:
    async with door.app.state.database.transaction() as session:
        await append(session, [entry(request_id=str(number)) for number in range(6)])
    found = await rows(door)
    for spoilt, place in (
        ([row | {"who": "key_" + "1" * 32} if row["seq"] == 3 else row for row in found], 3),
        ([row for row in found if row["seq"] != 4], 4),
        ([found[0], found[1] | {"seq": 2, "hash": "f" * 64}, *found[2:]], 2),
    ):
        assert first_wrong(spoilt) is not None
        with pytest.raises(typer.Exit):
            _verified(iter(spoilt), {})
        assert f"ow {place} " in capsys.readouterr().err
    with pytest.raises(typer.Exit):
        _verified(iter(found[:5]), {6: found[5]["hash"]})
    with pytest.raises(typer.Exit):
        _verified(iter(found), {2: "0" * 64})


@pytest.mark.parametrize("statement", ["UPDATE audit SET who = 'x'", "DELETE FROM audit", "TRUNCATE audit"])
async def test_the_database_refuses_to_change_the_trail(door: Door, statement: str) -> None:
    async with door.app.state.database.transaction() as session:
        await append(session, [entry()])
    connection = await asyncpg.connect(plain_url(door.app.state.database.url))
    try:
        with pytest.raises(asyncpg.PostgresError, match="only added to"):
            await connection.execute(statement)
    finally:
        await connection.close()


async def test_what_is_let_go_is_told_and_the_rest_verifies(door: Door) -> None:
    old = datetime(2020, 1, 1, tzinfo=UTC)
    async with door.app.state.database.transaction() as session:
        await append(session, [entry(at=old), entry(at=old), entry()])
    async with door.app.state.database.transaction() as session:
        assert await forget(await driver(session), old + timedelta(days=1), entry().at) == 2
    found = await rows(door)
    assert [row["seq"] for row in found][:2] == [3, 4]
    assert found[1]["ids"] == ["2", found[0]["previous"]]
    assert _verified(iter(found), {}).startswith(f"{found[-1]['seq']}:")
    with pytest.raises(typer.Exit):
        _verified(iter([found[0]]), {})


async def test_only_owners_and_admins_read_the_trail(door: Door) -> None:
    for role in ("operator", "ingest", "reader"):
        assert (await door.client.get("/v1/audit", headers=door.key(role))).status_code == 403
    page = (await door.client.get("/v1/audit", params={"limit": 1})).json()
    assert page["data"] == []


def test_every_change_at_the_gateway_itself_and_of_who_is_who_is_an_act() -> None:
    own = [area for area, there in AREAS.items() if there.service is None and area not in ("audit", "stream")]
    untold = [area for area in own if kind_of("POST", f"/v1/{area}/x") is None and area not in UNCHANGED]
    assert untold == []
    words = ("correct", "hand-over", "release", "merge", "unmerge", "owner", "assign", "rubric", "approve")
    decides = [each for each in OPERATIONS if each[0] != "GET" and each[1].rpartition("/")[2] in words]
    told_elsewhere = ("purchases", "returns", "interactions")
    decides = [each for each in decides if each[1].split("/")[2] not in told_elsewhere]
    assert [each for each in decides if kind_of(*each) is not Kind.ACT] == []


UNCHANGED = {"lag", "topics", "status", "views"}
"""Areas of the gateway that nothing is posted to, or only what one keeps for oneself."""


def test_a_path_that_no_document_has_is_told_without_its_words() -> None:
    assert operation_of(operations_of({}), "GET", "/v1/identifiers/anna") == ("", "/v1/identifiers/{}")
    assert ids_in(f"/v1/parties/{PARTY}/owner", "who=anna", f"/v1/x/{PARTY}") == (PARTY,)
    assert redacted("a@b=1&name=Anna") == "…=1&name=…"


def test_readings_in_a_batch_are_grouped_and_acts_are_not() -> None:
    read = entry(kind=Kind.READ)
    told = grouped([read, entry(), entry(), entry(kind=Kind.READ, request_id="s")])
    assert [(each.kind, each.requests) for each in told] == [(Kind.READ, 2), (Kind.ACT, 1), (Kind.ACT, 1)]
    assert len(GENESIS) == 32
