import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from prometheus_client import REGISTRY

from chassis.auth import Caller, Reach
from chassis.clock import now
from chassis.db import Database, driver
from chassis.ids import uuid7
from chassis.outbox import key_hash
from contracts.customers import Assignment, Holding, IdentitiesAssigned, PartyOwnerChanged
from contracts.event import event_classes
from contracts.scoring import Stage, Tier
from contracts.topics import STANDING_CHANGES
from gateway import app as gateway_app
from gateway.domain.feed import INSIDE, KINDS_OF_IDS, TOLD, Wanted
from gateway.queries import feed, tail
from gateway.routes import stream as streams

from .conftest import Door, MakeDatabase, serving
from .feeding import LONG_AGO, Listener, Sources, bought, fed, listening, moved, workers


def metric(name: str) -> float:
    """What this process tells of itself under a name."""
    value = REGISTRY.get_sample_value(name)
    assert value is not None
    return value


@pytest.fixture
async def sources(make_database: MakeDatabase) -> AsyncIterator[Sources]:
    made = await Sources.made(make_database)
    yield made
    await made.close()


@pytest.fixture
async def fed_door(door: Door, sources: Sources, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Door]:
    """The door, with what fills the feed beside it."""
    monkeypatch.setenv("GATEWAY_SOURCE_URLS", sources.urls)
    feeding = asyncio.create_task(gateway_app.feed())
    yield door
    feeding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await feeding


def revisions(events: list[dict[str, Any]]) -> list[int]:
    return [event["data"]["revision"] for event in events]


async def test_an_open_stream_hears_of_a_change_with_its_number_and_ids_as_the_api_has_them(
    fed_door: Door, sources: Sources
) -> None:
    party, survivor = uuid7(), uuid7()
    async with listening(fed_door.client) as stream:
        await sources.tell(moved(party, 1, merged_into=survivor))
        [event] = await stream.events(1)

    assert event["sequence"] == stream.last == 1
    assert event["type"] == "scoring.standing_changed.v1"
    assert event["party_id"] == f"party_{party.hex}"
    assert event["id"].startswith("event_")
    assert event["data"]["merged_into"] == f"party_{survivor.hex}"
    assert event["historic"] is False


def test_every_id_in_an_event_that_is_told_has_a_kind_that_the_api_knows() -> None:
    ids = {
        name
        for event in TOLD
        for name, field in event.model_fields.items()
        if UUID in (field.annotation, *getattr(field.annotation, "__args__", ())) and name != "subject"
    }

    assert ids - INSIDE == KINDS_OF_IDS.keys()
    assert set(TOLD) <= set(event_classes())


async def test_what_is_told_of_an_identity_names_the_party_that_holds_it_on_that_day(
    fed_door: Door, sources: Sources
) -> None:
    identity, first, second, later = uuid7(), uuid7(), uuid7(), uuid7()
    held = Assignment(identity_id=identity, version=2, holdings=(Holding(party_id=first),))
    holdings = (Holding(party_id=second), Holding(party_id=later, from_day=now().date().replace(year=2999)))
    newer = Assignment(identity_id=identity, version=3, holdings=holdings)
    async with listening(fed_door.client) as stream:
        await sources.tell(bought(identity))
        own = await stream.events(1)
        await sources.tell(bought(identity, assignment=held))
        told = await stream.events(1)
        await sources.tell(IdentitiesAssigned(subject=second, occurred_at=now(), assignments=(newer,)))
        await sources.tell(bought(identity, assignment=held))
        merged = await stream.events(1)

    assert [event["party_id"] for event in own + told + merged] == [
        f"party_{id.hex}" for id in (identity, first, second)
    ]
    assert "assignment" not in told[0]["data"]
    assert told[0]["data"]["purchase_id"].startswith("purchase_")


async def test_a_stream_tells_only_what_it_was_asked_for(fed_door: Door, sources: Sources) -> None:
    mine, other = uuid7(), uuid7()
    lost = {"to_stage": Stage.LOST_CUSTOMER, "to_tier": Tier.TOP}
    async with (
        listening(fed_door.client, party_id=f"party_{mine.hex}") as of_party,
        listening(fed_door.client, stage="lost_customer", tier="top") as of_stage,
        listening(fed_door.client, types="customers.purchase_completed.v1,leads.lead_won.v1") as of_type,
        listening(fed_door.client, historic=True) as of_all,
        listening(fed_door.client) as of_now,
    ):
        await sources.tell(moved(other, 1, **lost, occurred_at=LONG_AGO))
        await fed(fed_door.app.state.database, 1)
        await sources.tell(moved(other, 2, **lost), moved(mine, 1))
        await fed(fed_door.app.state.database, 3)
        await sources.tell(bought(other))
        heard = {
            "party": await of_party.events(1),
            "stage": await of_stage.events(1),
            "type": await of_type.events(1),
            "all": await of_all.events(4),
            "now": await of_now.events(3),
        }

    assert [event["sequence"] for event in heard["all"]] == [1, 2, 3, 4]
    assert [event["historic"] for event in heard["all"]] == [True, False, False, False]
    assert [event["sequence"] for event in heard["now"]] == [2, 3, 4]
    assert [event["party_id"] for event in heard["party"]] == [f"party_{mine.hex}"]
    assert [event["data"]["to_stage"] for event in heard["stage"]] == ["lost_customer"]
    assert [event["type"] for event in heard["type"]] == ["customers.purchase_completed.v1"]


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"types": "customers.party_registered.v1"}, "unknown_event_type"),
        ({"stage": "rich"}, "invalid_request"),
        ({"party_id": "nobody"}, "invalid_request"),
        ({"after": 99}, "history_gone"),
    ],
)
async def test_a_stream_that_cannot_be_is_refused(door: Door, asked: dict[str, Any], code: str) -> None:
    answer = await door.client.get("/v1/stream", params=asked)

    assert answer.json()["code"] == code
    assert answer.status_code == (410 if code == "history_gone" else 422)


async def test_who_may_not_read_may_not_follow(door: Door) -> None:
    answer = await door.client.get("/v1/stream", headers=door.key("ingest"))

    assert answer.status_code == 403


async def test_who_reaches_only_own_parties_or_those_of_a_team_hears_of_no_other(
    fed_door: Door, sources: Sources
) -> None:
    database: Database = fed_door.app.state.database
    ann, bob, team = uuid7(), uuid7(), uuid7()
    owned, of_team, of_nobody = uuid7(), uuid7(), uuid7()
    await sources.tell(
        PartyOwnerChanged(subject=owned, occurred_at=now(), version=1, owner_id=ann, team_id=team),
        PartyOwnerChanged(subject=of_team, occurred_at=now(), version=2, owner_id=bob, team_id=team),
        PartyOwnerChanged(subject=of_team, occurred_at=now(), version=1, owner_id=ann),
        *(moved(party, 1) for party in (owned, of_team, of_nobody)),
    )
    await fed(database, 6)
    async with database.transaction() as session:
        events = await feed.read(await driver(session), 0, 6, Wanted(), 10)

    def seen(reach: Reach, user: UUID | None, of: UUID | None) -> set[UUID]:
        sees = streams.sees(Caller("user_x", frozenset(), user, of, reach))
        return {event.party_id for event in events if sees(event)}

    assert seen(Reach.ALL, None, None) == {owned, of_team, of_nobody}
    assert seen(Reach.TEAM, ann, team) == {owned, of_team}
    assert seen(Reach.TEAM, ann, None) == {owned}
    assert seen(Reach.OWN, ann, team) == {owned}
    assert seen(Reach.OWN, None, None) == seen(Reach.TEAM, None, uuid7()) == set()


async def stage_some(database: Database, first: int, count: int, *, body: str = "") -> None:
    """Have the feed hold events with these numbers, as what numbers them leaves them."""
    async with database.transaction() as session:
        await (await driver(session)).execute(
            "WITH told AS ("
            " INSERT INTO feed (seq, event_id, type, party_id, historic, told_at, body)"
            " SELECT n, gen_random_uuid(), 'leads.lead_won.v1', gen_random_uuid(), false, $3,"
            "  '{\"sequence\":' || n || ',\"pad\":\"' || $4 || '\"}'"
            " FROM generate_series($1::bigint, $1 + $2 - 1) AS n"
            "), moved AS (UPDATE feed_reach SET last_seq = $1 + $2 - 1)"
            " SELECT pg_notify('feed', '')",
            first,
            count,
            now(),
            body,
        )


async def test_a_client_that_comes_back_goes_on_where_it_was_however_far_that_is(door: Door) -> None:
    database = door.app.state.database
    await stage_some(database, 1, 1_300)

    async with listening(door.client, last=7) as stream:
        missed = await stream.events(1_293)
        await stage_some(database, 1_301, 10)
        new = await stream.events(10)
    async with listening(door.client, after=1_309) as again:
        last = await again.events(1)

    assert [event["sequence"] for event in missed + new] == list(range(8, 1_311))
    assert [event["sequence"] for event in last] == [1_310]


async def test_events_that_are_too_old_are_let_go_of_and_who_needs_them_is_told(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    database: Database = door.app.state.database
    await stage_some(database, 1, 50)
    monkeypatch.setenv("SHUKE_CLOCK_OFFSET", "P8D")
    await stage_some(database, 51, 5)
    async with database.transaction() as session:
        await feed.forget(await driver(session), now(), days=7)

    refused = await door.client.get("/v1/stream", params={"after": 40})
    async with listening(door.client, last=40) as stream:
        begun = await stream.block()
        await stage_some(database, 56, 1)
        [event] = await stream.events(1)
    async with listening(door.client, last=50) as kept:
        await kept.events(6)

    assert (refused.status_code, refused.json()["code"]) == (410, "history_gone")
    assert (refused.json()["oldest"], refused.json()["latest"]) == (51, 55)
    assert (begun.event, begun.data, begun.id) == ("reset", {"oldest": 51, "latest": 55}, 55)
    assert event["sequence"] == 56


async def test_a_silent_stream_shows_signs_of_life_and_how_far_it_has_looked(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "HEARTBEAT_S", 0.2)
    database = door.app.state.database
    async with listening(door.client, party_id=f"party_{uuid7().hex}") as stream:
        await stage_some(database, 1, 30)
        async with asyncio.timeout(60):
            while stream.last != 30:
                block = await stream.block()

    assert block.comment
    assert block.data is None


async def ended(stream: Listener) -> None:
    with contextlib.suppress(StopAsyncIteration):
        while True:
            await stream.block()


async def test_a_stream_ends_when_its_key_is_revoked(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "HEARTBEAT_S", 0.1)
    made = (await door.client.post("/v1/keys", json={"name": "page", "scopes": ["reader"]})).json()
    own = {"Authorization": f"Bearer {made['secret']}"}
    async with httpx.AsyncClient(base_url=door.url, headers=own) as client, listening(client) as stream:
        await stream.block()
        await door.client.post(f"/v1/keys/{made['id']}/revoke")

        async with asyncio.timeout(60):
            await ended(stream)


async def test_a_client_that_takes_nothing_is_cut_off_and_may_come_again(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "QUEUED", 600)
    database = door.app.state.database
    host, _, port = door.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1_000)
    secret = door.keys["reader"]
    writer.write(f"GET /v1/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {secret}\r\n\r\n".encode())
    await reader.readuntil(b"id: 0\n\n")
    cut = metric("shuke_streams_cut_total")

    for first in range(1, 4_000, 500):
        await stage_some(database, first, 500, body="x" * 4_000)
    async with asyncio.timeout(60):
        while metric("shuke_streams_cut_total") == cut or metric("shuke_streams_open"):
            await asyncio.sleep(0.05)
    rest = b""
    while piece := await reader.read(1_000_000):
        rest += piece
    writer.close()
    last = max(int(line[4:]) for line in rest.split(b"\n") if line.startswith(b"id: "))

    assert last < 4_000
    async with listening(door.client, last=last) as stream:
        assert [event["sequence"] for event in await stream.events(4_000 - last)] == list(range(last + 1, 4_001))


async def test_streams_beyond_those_that_may_be_open_are_refused(door: Door) -> None:
    door.app.state.settings.streams_of_one = 2
    async with listening(door.client), listening(door.client):
        refused = await door.client.get("/v1/stream")
        async with httpx.AsyncClient(base_url=door.url, headers=door.key("reader")) as other, listening(other):
            pass
    async with asyncio.timeout(60):
        while metric("shuke_streams_open"):
            await asyncio.sleep(0.02)

    assert (refused.status_code, refused.json()["code"]) == (503, "too_many_streams")
    async with listening(door.client):
        pass


async def test_streams_end_cleanly_when_their_process_is_told_to_end(door: Door) -> None:
    app = gateway_app.app()
    async with serving(app) as url, httpx.AsyncClient(base_url=url, headers=door.key("reader")) as client:
        async with asyncio.timeout(60):
            while app.state.tail.last is None:
                await asyncio.sleep(0.02)
        async with listening(client) as stream:
            app.state.on_ending[0]()

            with pytest.raises(StopAsyncIteration):
                await stream.block()


async def test_a_survivor_s_next_change_never_overtakes_the_last_one_of_the_party_merged_into_it(
    fed_door: Door, sources: Sources
) -> None:
    """Partition by partition, so that those of the survivors are read first in half of the cases."""
    pairs = [(uuid7(), uuid7()) for _ in range(60)]
    async with listening(fed_door.client) as stream:
        for merged, survivor in pairs:
            await sources.tell(moved(merged, 1, merged_into=survivor), moved(survivor, 2))
        events = await stream.events(120)

    place = {(event["party_id"], event["data"]["revision"]): event["sequence"] for event in events}
    for merged, survivor in pairs:
        assert place[f"party_{merged.hex}", 1] < place[f"party_{survivor.hex}", 2]


async def test_while_a_merged_party_s_last_change_is_not_read_the_survivor_s_next_waits(
    fed_door: Door, sources: Sources
) -> None:
    database: Database = fed_door.app.state.database
    await sources.tell(moved(uuid7(), 1))
    await fed(database, 1)
    merged, survivor = uuid7(), uuid7()
    async with database.transaction() as session:
        connection = await driver(session)
        # As where another worker holds the partition and does not come to reading it.
        place = partition_of(merged)
        await connection.execute(
            "UPDATE consumer_offset SET paused_at = now() WHERE consumer = 'gateway' AND partition = $1", place
        )
    while partition_of(survivor) == place:
        survivor = uuid7()
    async with listening(fed_door.client) as stream:
        await sources.tell(moved(merged, 1, merged_into=survivor), moved(survivor, 2))
        await sources.tell(bought(uuid7()))
        [other] = await stream.events(1)
        async with database.transaction() as session:
            waiting = await (await driver(session)).fetchval("SELECT count(*) FROM feed_staged")
            await (await driver(session)).execute("UPDATE consumer_offset SET paused_at = NULL")
        events = await stream.events(2)

    assert other["type"] == "customers.purchase_completed.v1"
    assert waiting == 1
    assert [event["party_id"] for event in events] == [f"party_{merged.hex}", f"party_{survivor.hex}"]


def partition_of(party: UUID) -> int:
    return key_hash(str(party)) % STANDING_CHANGES.partitions


async def test_no_gap_and_no_double_while_workers_are_killed_connections_cut_and_clients_move_between_gateways(
    door: Door, sources: Sources, tmp_path: Path
) -> None:
    database: Database = door.app.state.database
    parties = [uuid7() for _ in range(40)]
    rounds = 25
    heard: list[dict[str, Any]] = []

    async def tell() -> None:
        for revision in range(1, rounds + 1):
            await sources.tell(*(moved(party, revision) for party in parties))
            await asyncio.sleep(0.1)

    async def disturb() -> None:
        await fed(database, 1)
        for turn in range(3):
            await asyncio.sleep(1)
            if turn % 2 == 0:
                async with database.transaction() as session:
                    await (await driver(session)).execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                    )
            else:
                running[0].kill()
                running[0].start()

    async def follow() -> None:
        last: int | None = 0
        turn = 0
        while len(heard) < rounds * len(parties):
            turn += 1
            async with httpx.AsyncClient(base_url=urls[turn % 2], headers=door.key("reader")) as client:
                try:
                    async with listening(client, last=last) as stream:
                        before = len(heard)
                        while len(heard) < min(before + 60, rounds * len(parties)):
                            block = await stream.block()
                            if block.data is not None:
                                heard.append(block.data)
                                last = stream.last
                except (StopAsyncIteration, AssertionError, httpx.HTTPError):
                    await asyncio.sleep(0.1)

    other = gateway_app.app()
    with workers("gateway-feed", database, sources.urls, tmp_path, count=2) as running:
        async with serving(other) as second, asyncio.timeout(180):
            urls = [door.url, second]
            for worker in running:
                worker.start()
            await asyncio.gather(tell(), disturb(), follow())

    assert [event["sequence"] for event in heard] == list(range(1, rounds * len(parties) + 1))
    for party in parties:
        of_party = [event for event in heard if event["party_id"] == f"party_{party.hex}"]
        assert revisions(of_party) == list(range(1, rounds + 1))
