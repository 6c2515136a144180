from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
from fastapi import APIRouter

from chassis.app import create_app
from chassis.db import Database, declare_topics, driver
from chassis.settings import ServiceSettings
from contracts.topics import LEADS, PARTIES, topics_of
from gateway.queries import services

from .conftest import SECRET, Door, MakeDatabase, serving

STOPPED = {
    "customers": ["customers"],
    "leads": ["leads", "second"],
}
"""The consumers of each service that have stopped at partition 4 of the parties."""


@pytest.fixture
async def databases(
    door: Door, make_database: MakeDatabase, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[dict[str, Database]]:
    """Services with nothing but what each has, behind the door in the place of the others. None is ever too late."""
    monkeypatch.setattr(services, "EACH_S", 120)
    made = {name: await make_database(None) for name in STOPPED}
    async with AsyncExitStack() as stack:
        door.app.state.services.addresses.clear()
        for name, database in made.items():
            await declare_topics(database, topics_of(name))
            for consumer in STOPPED[name]:
                await stop(database, consumer, PARTIES.name, 4)
            settings = ServiceSettings(database_url=database.url, internal_secret=SECRET)
            app = create_app(name, router=APIRouter(), settings=settings)
            door.app.state.services.addresses[name] = await stack.enter_async_context(serving(app))
        yield made


async def stop(database: Database, consumer: str, topic: str, partition: int) -> None:
    async with database.transaction() as session:
        await (await driver(session)).execute(
            "INSERT INTO consumer_offset (consumer, topic, partition, stopped_reason, stopped_epoch, stopped_seq)"
            " VALUES ($1, $2, $3, 'event 1 is missing', 1, 2)",
            consumer,
            topic,
            partition,
        )


async def let_pass(door: Door, topic: str = PARTIES.name, partition: int = 4, **named: str) -> httpx.Response:
    return await door.client.post("/v1/gaps/pass", json={"topic": topic, "partition": partition, **named})


async def stopped(door: Door) -> list[tuple[str, str]]:
    gaps = (await door.client.get("/v1/status")).json()["gaps"]
    return sorted((gap["service"], gap["consumer"]) for gap in gaps)


def choices(answer: httpx.Response) -> list[tuple[str, str]]:
    problem: dict[str, Any] = answer.json()
    assert (answer.status_code, problem["code"]) == (409, "several_stopped")
    found = [(choice["service"], choice["consumer"]) for choice in problem["choices"]]
    assert all(f"{consumer} of {service}" in problem["detail"] for service, consumer in found)
    return sorted(found)


async def test_where_several_have_stopped_one_is_to_be_named_and_alone_goes_on(
    door: Door, databases: dict[str, Database]
) -> None:
    everybody = [("customers", "customers"), ("leads", "leads"), ("leads", "second")]

    assert choices(await let_pass(door)) == everybody
    assert choices(await let_pass(door, service="leads")) == everybody[1:]
    assert await stopped(door) == everybody
    passed = await let_pass(door, service="leads", consumer="second")

    assert passed.status_code == 200
    assert passed.json() == {
        "service": "leads",
        "consumer": "second",
        "topic": PARTIES.name,
        "partition": 4,
        "reason": "event 1 is missing",
    }
    assert await stopped(door) == everybody[:2]
    assert (await let_pass(door, consumer="leads")).json()["service"] == "leads"
    assert (await let_pass(door)).json()["service"] == "customers"
    assert await stopped(door) == []


async def test_the_feed_is_let_pass_as_any_service_that_reads(door: Door, databases: dict[str, Database]) -> None:
    async with door.app.state.database.transaction() as session:
        await (await driver(session)).execute(
            "UPDATE consumer_offset SET stopped_reason = 'event 1 is missing', stopped_epoch = 1, stopped_seq = 2"
            " WHERE consumer = 'gateway' AND topic = $1 AND partition = 4",
            PARTIES.name,
        )

    assert ("gateway", "gateway") in await stopped(door)
    assert ("gateway", "gateway") in choices(await let_pass(door))
    assert (await let_pass(door, service="gateway")).json()["consumer"] == "gateway"
    assert ("gateway", "gateway") not in await stopped(door)


async def test_where_nobody_has_stopped_it_is_told_who_has_elsewhere(
    door: Door, databases: dict[str, Database]
) -> None:
    for answer in (
        await let_pass(door, partition=5),
        await let_pass(door, topic=LEADS.name),
        await let_pass(door, service="nobody"),
        await let_pass(door, service="customers", consumer="second"),
    ):
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (409, "partition_not_stopped")
        assert len(problem["stopped"]) == 3
    assert len(await stopped(door)) == 3


async def test_a_service_that_is_away_may_have_stopped_too_so_another_is_to_be_named(
    door: Door, databases: dict[str, Database]
) -> None:
    door.app.state.services.addresses["community"] = "http://127.0.0.1:1"

    unclear = await let_pass(door, consumer="customers")
    named = await let_pass(door, service="customers")

    assert (unclear.status_code, unclear.json()["services"]) == (503, ["community"])
    assert (named.status_code, named.json()["consumer"]) == (200, "customers")


async def test_the_same_word_twice_under_one_key_is_one(door: Door, databases: dict[str, Database]) -> None:
    gap = {"topic": PARTIES.name, "partition": 4, "service": "customers"}
    answers = [await door.client.post("/v1/gaps/pass", json=gap, headers={"Idempotency-Key": "once"}) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()


async def test_only_an_operator_gives_the_word(door: Door, databases: dict[str, Database]) -> None:
    gap = {"topic": PARTIES.name, "partition": 4, "service": "customers"}
    for role, status in (("reader", 403), ("ingest", 403), ("operator", 200)):
        answer = await door.client.post("/v1/gaps/pass", json=gap, headers=door.key(role))
        assert answer.status_code == status, role
