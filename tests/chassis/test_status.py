import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeAlias
from uuid import UUID, uuid4

import asyncpg
import httpx
from fastapi import APIRouter

from chassis import outbox, sequencer
from chassis.app import create_app
from chassis.auth import HEADER, Caller, Signer
from chassis.db import Database, driver
from chassis.settings import ServiceSettings
from contracts.customers import PurchaseCompleted
from contracts.topics import LEADS, MEMBERS, PURCHASES, Topic, topics_of
from tests.chassis.chain import fetch

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
SECRET = "a secret of at least thirty-two characters"


@asynccontextmanager
async def served(
    database: Database, hears: Sequence[Topic] = (), bus_url: str = "log://"
) -> AsyncIterator[httpx.AsyncClient]:
    """A service without routes of its own, as the gateway reaches it."""
    settings = ServiceSettings(database_url=database.url, internal_secret=SECRET, bus_url=bus_url)
    app = create_app("customers", router=APIRouter(), settings=settings, hears=hears)
    headers = {HEADER: Signer(SECRET).sign(Caller("gateway", frozenset()))}
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://customers", headers=headers) as client:
            yield client


async def test_a_service_tells_how_far_it_is_to_the_gateway_alone(database: Database) -> None:
    async with served(database) as client:
        refused = await client.get("/internal/status", headers={HEADER: ""})
        answered = await client.get("/internal/status")

    assert refused.status_code == 401
    report = answered.json()
    assert {stream["topic"] for stream in report["streams"]} == {topic.name for topic in topics_of("customers")}
    assert {stream["published_seq"] for stream in report["streams"]} == {None}
    assert (report["oldest_unsequenced_s"], report["oldest_unpublished_s"]) == (0, 0)
    assert (report["consumers"], report["dead_letters"]) == ([], [])


async def test_what_waits_for_kafka_is_told_although_no_broker_has_taken_anything(
    database: Database, connection: Connection, purchase: Callable[[UUID], PurchaseCompleted]
) -> None:
    keys = {outbox.key_hash(str(key)) % PURCHASES.partitions: key for key in (uuid4() for _ in range(1_000))}
    async with database.transaction() as session:
        outbox.append(session, *(purchase(keys[partition]) for partition in (0, 1, 2) for _ in range(3)))
    await sequencer.number(connection)
    # As the log lets go while there is no Kafka: all of the first, some of the second.
    await connection.execute("DELETE FROM event_log WHERE partition = 0 OR partition = 1 AND seq < 3")

    async def waiting(bus_url: str) -> tuple[list[int | None], bool]:
        async with served(database, bus_url=bus_url) as client:
            report = (await client.get("/internal/status")).json()
        streams = [each for each in report["streams"] if each["topic"] == PURCHASES.name and each["partition"] < 3]
        return [each["published_seq"] for each in streams], report["oldest_unpublished_s"] > 0

    assert await waiting("kafka://127.0.0.1:1") == ([3, 2, 0], True)
    assert await waiting("log://") == ([None] * 3, False)


async def test_any_service_tells_who_has_stopped_and_what_was_set_aside_and_lets_one_pass(database: Database) -> None:
    async with database.transaction() as session:
        connection = await driver(session)
        await connection.execute(
            "INSERT INTO consumer_offset (consumer, topic, partition, seq, stopped_reason, stopped_epoch, stopped_seq)"
            " SELECT consumer, topic, 3, 7, 'events 8 to 11 are missing', 2, 12"
            " FROM unnest($1::text[], $2::text[]) AS stopped(consumer, topic)",
            ["customers", "customers", "other"],
            [LEADS.name, MEMBERS.name, LEADS.name],
        )
        await connection.execute(
            'INSERT INTO dead_letter (consumer, topic, partition, "offset", error_class, error, first_failed_at)'
            " VALUES ('customers', $1, 3, 4, 'Unreadable', 'no JSON', '2026-01-01Z')",
            LEADS.name,
        )
    place = {"consumer": "customers", "topic": LEADS.name, "partition": 3}

    async with served(database) as client:
        strange = await client.post("/internal/gaps/pass", json=place, headers={HEADER: ""})
        before = (await client.get("/internal/status")).json()
        passed = await client.post("/internal/gaps/pass", json=place)
        again = await client.post("/internal/gaps/pass", json=place)
        after = (await client.get("/internal/status")).json()

    assert strange.status_code == 401
    assert [(letters["consumer"], letters["topic"], letters["letters"]) for letters in before["dead_letters"]] == [
        ("customers", LEADS.name, 1)
    ]
    assert {each["stopped_reason"] for each in before["consumers"]} == {"events 8 to 11 are missing"}
    assert (passed.json(), again.json()) == ({"passed": True}, {"passed": False})
    assert {
        (each["consumer"], each["topic"]): (each["epoch"], each["seq"], each["stopped_reason"] is None)
        for each in after["consumers"]
    } == {
        ("customers", LEADS.name): (2, 11, True),
        ("customers", MEMBERS.name): (1, 7, False),
        ("other", LEADS.name): (1, 7, False),
    }


async def test_all_that_a_consumer_is_to_read_waits_before_it_has_begun(database: Database) -> None:
    async with served(database, hears=[LEADS, MEMBERS]) as client:
        consumers = (await client.get("/internal/status")).json()["consumers"]

    assert [(each["consumer"], each["topic"], each["partition"], each["seq"]) for each in consumers] == [
        ("customers", topic.name, partition, 0) for topic in (MEMBERS, LEADS) for partition in range(topic.partitions)
    ]


async def test_what_a_handler_makes_of_an_event_while_a_service_tells_how_far_it_is_is_told(
    database: Database, purchase: Callable[[], PurchaseCompleted]
) -> None:
    async with served(database, hears=[LEADS]) as client, asyncio.timeout(60):
        async with database.transaction() as session:
            connection = await driver(session)
            await connection.execute("LOCK TABLE consumer_offset")
            telling = asyncio.create_task(client.get("/internal/status"))
            waits = "SELECT FROM pg_locks WHERE NOT granted AND relation = 'consumer_offset'::regclass"
            while not await fetch(database, waits):
                await asyncio.sleep(0.02)
            await connection.execute("UPDATE consumer_offset SET seq = 1 WHERE partition = 3")
            outbox.append(session, purchase())
        report = (await telling).json()

    assert [each["seq"] for each in report["consumers"] if each["partition"] == 3] == [1]
    assert report["oldest_unsequenced_s"] or sum(each["last_seq"] for each in report["streams"]) == 1
