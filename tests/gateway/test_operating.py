"""What operators ask and say at the door, with real services behind it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
from fastapi import APIRouter
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import outbox
from chassis.app import create_app
from chassis.clock import now
from chassis.consumer import Delivery
from chassis.db import Database, driver
from chassis.envelope import finish
from chassis.http import Session, TransactionalRoute
from chassis.settings import ServiceSettings
from contracts.leads import LeadFactWithdrawn
from contracts.topics import LEADS, PARTIES
from gateway.queries.intake import FRESH_S

from .conftest import NOWHERE, SECRET, Door, MakeDatabase, serving

POISON = "cannot be"
told_events = APIRouter(route_class=TransactionalRoute)


@told_events.post("/v1/leads")
async def tell(session: Session) -> dict[str, str]:
    """Something is told."""
    return {"told": "yes"}


@told_events.get("/v1/leads")
async def read() -> dict[str, str]:
    """Something is read."""
    return {"read": "yes"}


class Refusing:
    """A handler that refuses what it is told to."""

    def __init__(self) -> None:
        self.refuses = False
        self.seen: list[Delivery] = []

    async def __call__(self, session: AsyncSession, batch: Sequence[Delivery]) -> None:
        if self.refuses:
            raise ValueError(POISON)
        self.seen += batch


class Behind:
    """Leads, which publishes, and customers, which reads it."""

    def __init__(self, leads: Database, customers: Database, handler: Refusing) -> None:
        self.leads, self.customers, self.handler = leads, customers, handler

    async def publish(self, count: int) -> None:
        async with self.leads.transaction() as session:
            for _ in range(count):
                event = LeadFactWithdrawn(subject=uuid4(), occurred_at=now(), fact_id=uuid4())
                outbox.append(session, event)
        while await self.fetch(self.leads, "SELECT FROM outbox"):
            await asyncio.sleep(0.02)

    async def set_aside(self, count: int, *, reason: str = "ValueError", by: Database | None = None) -> None:
        """Letters of customers, or of another reader, that hold events of leads, one a minute from 12:00 on."""
        rows = await self.fetch(self.leads, "SELECT * FROM event_log ORDER BY recorded_at, topic, partition, seq")
        async with (by or self.customers).transaction() as session:
            await (await driver(session)).executemany(
                'INSERT INTO dead_letter (consumer, topic, partition, "offset", key, value, error_class, error,'
                " first_failed_at) VALUES ($8, $1, $2, $3, $4, $5, $6, 'cannot be',"
                " timestamptz '2026-01-01 12:00Z' + make_interval(mins => $7))",
                [
                    (
                        row["topic"],
                        row["partition"],
                        row["seq"] - 1,
                        row["key"],
                        finish(row["payload"], row["recorded_at"], row["epoch"], row["seq"]),
                        reason,
                        minutes,
                        "gateway" if by else "customers",
                    )
                    for minutes, row in enumerate(rows[:count])
                ],
            )

    async def fetch(self, database: Database, query: str) -> list[asyncpg.Record]:
        async with database.transaction() as session:
            return await (await driver(session)).fetch(query)


@pytest.fixture
async def behind(door: Door, make_database: MakeDatabase) -> AsyncIterator[Behind]:
    leads, customers, handler = await make_database(None), await make_database(None), Refusing()
    addresses = door.app.state.services.addresses
    addresses.clear()
    async with AsyncExitStack() as stack:
        for name, database, hears, router, urls in (
            ("leads", leads, (), told_events, {}),
            ("customers", customers, (LEADS,), APIRouter(), {"leads": leads.url}),
        ):
            settings = ServiceSettings(database_url=database.url, internal_secret=SECRET)
            app = create_app(
                name,
                router=router,
                settings=settings,
                hears=hears,
                handler=handler if hears else None,
                source_urls=urls,
            )
            addresses[name] = await stack.enter_async_context(serving(app))
        yield Behind(leads, customers, handler)


async def letters(door: Door, **asked: Any) -> list[dict[str, Any]]:
    answer = await door.client.get("/v1/dead-letters", params=asked)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["data"]
    return found


async def said(door: Door, path: str, **body: Any) -> dict[str, Any]:
    answer = await door.client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def test_lag_is_told_by_partition_with_the_age_of_the_oldest_unread(door: Door, behind: Behind) -> None:
    await behind.publish(3)

    told = (await door.client.get("/v1/lag", params={"service": "customers"})).json()

    lines = [line for line in told["data"] if line["events"]]
    assert sum(line["events"] for line in lines) == 3
    assert all(line["oldest_s"] > 0 and line["state"] == "reading" and line["seq"] == 0 for line in lines)
    assert len(told["data"]) == LEADS.partitions
    assert told["unavailable"] == []
    other = {"service": "customers", "topic": PARTIES.name}
    assert (await door.client.get("/v1/lag", params=other)).json()["data"] == []


async def test_where_the_publisher_of_a_topic_is_away_its_lag_is_not_known(door: Door, behind: Behind) -> None:
    door.app.state.services.addresses["leads"] = NOWHERE

    told = (await door.client.get("/v1/lag", params={"service": "customers"})).json()

    assert told["unavailable"] == ["leads"]
    assert {line["events"] for line in told["data"]} == {None}


async def test_topics_tell_what_they_hold_and_who_reads_them(door: Door, behind: Behind) -> None:
    await behind.publish(2)

    told = (await door.client.get("/v1/topics")).json()

    [leads] = [topic for topic in told["data"] if topic["topic"] == LEADS.name]
    assert (leads["service"], leads["events"], leads["retention_days"]) == ("leads", 2, 35)
    assert leads["read_by"] == ["customers/customers", "gateway/gateway"]
    assert [(each["first_seq"], each["last_seq"]) for each in leads["partitions"] if each["events"] == 1]


async def test_a_consumer_is_paused_and_resumed_and_status_tells_it(door: Door, behind: Behind) -> None:
    paused = await said(door, "/v1/consumers/pause", service="customers", topic=LEADS.name)
    status = (await door.client.get("/v1/status")).json()
    lag = (await door.client.get("/v1/lag", params={"service": "customers"})).json()
    states = {line["state"] for line in lag["data"]}
    resumed = await said(door, "/v1/consumers/resume", service="customers")

    assert (paused["consumers"], paused["partitions"]) == (["customers"], LEADS.partitions)
    [line] = status["paused"]
    assert (line["service"], line["topic"], line["partitions"]) == ("customers", LEADS.name, LEADS.partitions)
    assert line["by"].startswith("key_")
    assert states == {"paused"}
    assert resumed["partitions"] == LEADS.partitions
    assert (await door.client.get("/v1/status")).json()["paused"] == []


async def test_who_reads_no_such_thing_cannot_be_paused(door: Door, behind: Behind) -> None:
    for body in ({"service": "nobody"}, {"service": "customers", "topic": PARTIES.name}, {"service": "leads"}):
        answer = await door.client.post("/v1/consumers/pause", json=body)
        assert (answer.status_code, answer.json()["code"]) == (404, "consumer_not_found")
        assert {"service": "customers", "topic": LEADS.name} in answer.json()["reads"]
        assert {each["service"] for each in answer.json()["reads"]} == {"customers", "gateway"}


async def test_the_feed_is_behind_paused_and_resumed_as_any_service_that_reads(door: Door, behind: Behind) -> None:
    await behind.publish(3)

    lag = (await door.client.get("/v1/lag", params={"service": "gateway", "topic": LEADS.name})).json()["data"]
    paused = await said(door, "/v1/consumers/pause", service="gateway", topic=LEADS.name)
    [line] = (await door.client.get("/v1/status")).json()["paused"]
    resumed = await said(door, "/v1/consumers/resume", service="gateway")

    assert sum(each["events"] for each in lag) == 3
    assert (paused["consumers"], paused["partitions"]) == (["gateway"], LEADS.partitions)
    assert (line["service"], line["consumer"], line["topic"]) == ("gateway", "gateway", LEADS.name)
    assert resumed["partitions"] == LEADS.partitions
    assert (await door.client.get("/v1/status")).json()["paused"] == []


async def test_letters_of_all_services_are_one_list_in_pages_and_are_found_by_what_they_are(
    door: Door, behind: Behind
) -> None:
    await behind.publish(4)
    await behind.set_aside(4)

    first = (await door.client.get("/v1/dead-letters", params={"limit": 3})).json()
    rest = (await door.client.get("/v1/dead-letters", params={"limit": 3, "cursor": first["next_cursor"]})).json()
    shown = (await door.client.get(f"/v1/dead-letters/{first['data'][0]['id']}")).json()

    assert [each["id"] for each in first["data"] + rest["data"]] == [f"customers-{n}" for n in (4, 3, 2, 1)]
    assert (first["has_more"], rest["has_more"]) == (True, False)
    assert '"leads.fact_withdrawn.v1"' in shown["payload"]
    assert shown["type"] == "leads.fact_withdrawn.v1"
    assert len(await letters(door, since="2026-01-01T12:01:00Z", until="2026-01-01T12:03:00Z")) == 2
    assert len(await letters(door, topic=LEADS.name, service="customers", reason="ValueError")) == 4
    assert await letters(door, service="leads") == await letters(door, reason="Unreadable") == []
    for id in ("customers-99", "nobody-1", "1"):
        assert (await door.client.get(f"/v1/dead-letters/{id}")).json()["code"] == "dead_letter_not_found"


async def test_letters_are_put_back_by_filter_and_by_id_and_each_is_told_of(door: Door, behind: Behind) -> None:
    await behind.publish(3)
    await behind.set_aside(3)
    behind.handler.refuses = True
    refused = await said(door, "/v1/dead-letters/requeue", ids=["customers-1"])
    behind.handler.refuses = False

    one = await said(door, "/v1/dead-letters/requeue", topic=LEADS.name, limit=1)
    rest = await said(door, "/v1/dead-letters/requeue", topic=LEADS.name, cursor=one["next_cursor"])
    again = await said(door, "/v1/dead-letters/requeue", ids=["customers-2", "customers-7"])

    assert [(each["became"], each["reason"], each["detail"]) for each in refused["data"]] == [
        ("failed", "ValueError", POISON)
    ]
    assert [(each["id"], each["became"]) for each in one["data"] + rest["data"]] == [
        (f"customers-{number}", "handled") for number in (1, 2, 3)
    ]
    assert (one["has_more"], rest["has_more"]) == (True, False)
    assert [(each["id"], each["became"]) for each in again["data"]] == [
        ("customers-2", "was_requeued"),
        ("customers-7", "unknown"),
    ]
    assert len(behind.handler.seen) == 3


async def test_what_the_feed_could_not_take_in_is_among_the_letters_and_is_told_once_it_is_put_back(
    door: Door, behind: Behind
) -> None:
    own = door.app.state.database
    await behind.publish(3)
    await behind.set_aside(1)
    await behind.set_aside(3, by=own)

    listed = await letters(door)
    status = (await door.client.get("/v1/status")).json()["dead_letters"]
    shown = (await door.client.get("/v1/dead-letters/gateway-1")).json()
    given_up = await said(door, "/v1/dead-letters/discard", ids=["gateway-3"], why="tried by hand")
    put_back = await said(door, "/v1/dead-letters/requeue", service="gateway")
    staged = await behind.fetch(own, "SELECT type FROM feed_staged UNION ALL SELECT type FROM feed")

    assert {each["id"] for each in listed} == {"customers-1", "gateway-1", "gateway-2", "gateway-3"}
    assert [(each["service"], each["consumer"], each["letters"]) for each in status] == [
        ("customers", "customers", 1),
        ("gateway", "gateway", 3),
    ]
    assert (shown["service"], shown["type"]) == ("gateway", "leads.fact_withdrawn.v1")
    assert [each["became"] for each in given_up["data"]] == ["discarded"]
    assert [(each["id"], each["became"]) for each in put_back["data"]] == [
        ("gateway-1", "handled"),
        ("gateway-2", "handled"),
    ]
    assert [row["type"] for row in staged] == ["leads.fact_withdrawn.v1"] * 2
    [discarded] = await letters(door, status="discarded")
    assert (discarded["id"], discarded["closed_by"][:4]) == ("gateway-3", "key_")


async def test_letters_of_several_services_may_be_named_at_once_whatever_the_limit(door: Door, behind: Behind) -> None:
    await behind.publish(3)
    await behind.set_aside(3)

    ids = ["leads-1", "customers-3", "customers-1", "customers-2"]
    told = await said(door, "/v1/dead-letters/discard", ids=ids, limit=1)

    assert [(each["id"], each["became"]) for each in told["data"]] == [
        ("customers-1", "discarded"),
        ("customers-2", "discarded"),
        ("customers-3", "discarded"),
        ("leads-1", "unknown"),
    ]


async def test_letters_are_given_up_with_a_word_why(door: Door, behind: Behind) -> None:
    await behind.publish(2)
    await behind.set_aside(2)

    told = await said(door, "/v1/dead-letters/discard", ids=["customers-2"], why="tried by hand")

    assert [each["became"] for each in told["data"]] == ["discarded"]
    [discarded] = await letters(door, status="discarded")
    assert (discarded["id"], discarded["note"], discarded["closed_by"][:4]) == ("customers-2", "tried by hand", "key_")
    assert [each["id"] for each in await letters(door)] == ["customers-1"]


async def test_a_service_that_is_away_may_have_letters_too_so_another_is_to_be_named(
    door: Door, behind: Behind
) -> None:
    door.app.state.services.addresses["leads"] = NOWHERE

    unclear = await door.client.post("/v1/dead-letters/requeue", json={})
    named = await said(door, "/v1/dead-letters/requeue", service="customers")

    assert (unclear.status_code, unclear.json()["services"]) == (503, ["leads"])
    assert named["data"] == []
    assert (await door.client.get("/v1/dead-letters")).json()["unavailable"] == ["leads"]


async def test_a_replay_tells_how_far_it_is_and_what_the_service_refuses_is_passed_on(
    door: Door, behind: Behind
) -> None:
    await behind.publish(3)
    await behind.fetch(
        behind.customers,
        "UPDATE consumer_offset SET seq = 1 WHERE topic = 'leads.lead.events.v1'",
    )

    answer = await door.client.post("/v1/replays", json={"service": "customers", "since": "2020-01-01T00:00:00Z"})
    refused = await door.client.post("/v1/replays", json={"service": "leads", "since": "2020-01-01T00:00:00Z"})

    assert answer.text.splitlines()[-1] == (
        f'{{"events":{len(behind.handler.seen)},"unreadable":0,"refused":0,"done":true}}'
    )
    assert behind.handler.seen
    assert (refused.status_code, refused.json()["code"]) == (422, "nothing_to_replay")


async def test_nobody_replays_a_service_that_is_not_there(door: Door) -> None:
    answer = await door.client.post("/v1/replays", json={"service": "", "since": "2020-01-01T00:00:00Z"})

    assert (answer.status_code, answer.json()["code"]) == (404, "service_not_found")
    assert "customers" in answer.json()["services"]


async def drained(door: Door, waiting: dict[str, int]) -> dict[str, Any]:
    """What a drain says once it has been heard of everywhere and only this is on its way."""
    async with asyncio.timeout(60):
        while True:
            asked_at = now()
            told: dict[str, Any] = (await door.client.get("/v1/drain")).json()
            heard = asked_at - datetime.fromisoformat(told["closed_at"]) > timedelta(seconds=2 * FRESH_S)
            if heard and told["waiting"] == waiting:
                return told
            await asyncio.sleep(0.1)


async def test_a_drain_refuses_what_changes_anything_and_lets_read_until_it_is_ended(
    door: Door, behind: Behind
) -> None:
    await said(door, "/v1/drain")

    refused = await door.client.post("/v1/leads", json={})
    imported = await door.client.post("/v1/imports", files={"file": ("a.csv", b"a")}, data={"kind": "purchases"})
    read = await door.client.get("/v1/leads")
    own = await door.client.post("/v1/consumers/resume", json={"service": "customers"})
    await behind.publish(1)
    told = await drained(door, {"unread": 2})
    await behind.fetch(behind.customers, "UPDATE consumer_offset SET seq = 1, epoch = 1")
    await said(door, "/v1/consumers/pause", service="gateway")
    unheard = await drained(door, {"unread": 1})
    await behind.fetch(door.app.state.database, "UPDATE consumer_offset SET seq = 1, epoch = 1")
    quiet = await drained(door, {})
    opened = await said(door, "/v1/drain/resume")
    taken = await door.client.post("/v1/leads", json={})

    assert [(answer.status_code, answer.json()["code"]) for answer in (refused, imported)] == [
        (503, "intake_closed")
    ] * 2
    assert refused.headers["retry-after"] == "30"
    assert (read.status_code, own.status_code) == (200, 200)
    assert (told["quiet"], unheard["quiet"], quiet["quiet"]) == (False, False, True)
    assert (opened["closed_at"], taken.status_code) == (None, 200)


async def test_only_an_operator_asks_and_says_any_of_it(door: Door, behind: Behind) -> None:
    acts: list[tuple[str, str, dict[str, Any] | None]] = [
        ("GET", "/v1/lag", None),
        ("GET", "/v1/topics", None),
        ("GET", "/v1/dead-letters", None),
        ("POST", "/v1/dead-letters/requeue", {}),
        ("POST", "/v1/dead-letters/discard", {}),
        ("POST", "/v1/consumers/pause", {"service": "customers"}),
        ("POST", "/v1/consumers/resume", {"service": "customers"}),
        ("POST", "/v1/replays", {"service": "customers", "since": "2090-01-01T00:00:00Z"}),
        ("GET", "/v1/drain", None),
        ("POST", "/v1/drain", None),
        ("POST", "/v1/drain/resume", None),
    ]
    for role, status in (("reader", 403), ("ingest", 403), ("operator", 200)):
        for method, path, body in acts:
            answer: httpx.Response = await door.client.request(method, path, json=body, headers=door.key(role))
            assert answer.status_code == status, (role, path, answer.text)
