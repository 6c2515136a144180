"""One contract for both adapters of the bus."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from itertools import pairwise
from uuid import uuid4

import asyncpg
import pytest
from prometheus_client import REGISTRY
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import log_transport, publisher, sequencer
from chassis.consumer import Delivery
from chassis.db import Database, declare_topics, plain_url
from chassis.gate import gate
from contracts.customers import PurchaseCompleted
from contracts.topics import LEADS, PURCHASES, topics_of
from tests.chassis.chain import ENOUGH_S, Bus, end, fetch

Purchase = Callable[..., PurchaseCompleted]
MakeDatabase = Callable[[str | None], Awaitable[Database]]

END_A_READER_THAT_WAITS = """
SELECT bool_or(pg_terminate_backend(pid)) AS ended FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'shuke-reader' AND wait_event_type = 'Lock'
"""

A_READER_WAITS = """
SELECT count(*) > 0 AS waits FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'shuke-reader' AND wait_event_type = 'Lock'
"""
HELD = 4_711
"""An advisory lock that a question for the heads of the log waits for, once it has seen what it will answer."""


@pytest.fixture(params=["log", "kafka"])
async def bus(request: pytest.FixtureRequest, make_database: MakeDatabase) -> AsyncIterator[Bus]:
    source, target = await make_database(None), await make_database(None)
    await declare_topics(source, topics_of("customers"))
    connection = await asyncpg.connect(plain_url(target.url))
    await connection.execute("CREATE TABLE handled (id bigserial, key uuid, event_id uuid)")
    connection.terminate()
    running = []
    if request.param == "kafka":
        servers = request.getfixturevalue("kafka")
        url = f"kafka://{servers}"
        await gate(source, "customers", servers)
        running.append(asyncio.create_task(publisher.run(source, "customers", servers)))
    else:
        url = "log://"
    running.append(asyncio.create_task(sequencer.run(source)))
    yield Bus(source, target, url)
    await end(*running)


async def test_every_event_arrives_once_and_in_order_of_its_key(bus: Bus, purchase: Purchase) -> None:
    reader = bus.start()
    await bus.publish(purchase, [uuid4() for _ in range(30)], 20)
    assert await bus.arrived() == bus.sent
    await end(reader)


async def test_topics_of_a_service_that_is_not_installed_do_not_keep_a_reader_from_the_others(
    bus: Bus, purchase: Purchase
) -> None:
    reader = bus.start(LEADS.name, PURCHASES.name)
    await bus.publish(purchase, [uuid4() for _ in range(3)], 2)
    assert await bus.arrived() == bus.sent
    await end(reader)


async def test_a_reader_that_was_away_goes_on_where_it_was(bus: Bus, purchase: Purchase) -> None:
    keys = [uuid4() for _ in range(10)]
    reader = bus.start()
    await bus.publish(purchase, keys, 5)
    await bus.arrived()
    await end(reader)
    await bus.publish(purchase, keys, 5)
    reader = bus.start()
    assert await bus.arrived() == bus.sent
    await end(reader)


async def test_readers_that_come_and_go_lose_and_double_nothing(bus: Bus, purchase: Purchase) -> None:
    keys = [uuid4() for _ in range(20)]
    # Of what the broker dropped for another test a new consumer learns at its first look, and has it from the log.
    first = bus.start()
    await bus.publish(purchase, keys, 1)
    await bus.arrived()
    await end(first)
    gaps = REGISTRY.get_sample_value("shuke_gaps_total", {"consumer": bus.name})
    writing = asyncio.create_task(bus.publish(purchase, keys, 40))
    readers = [bus.start()]
    for _ in range(3):
        await asyncio.sleep(0.5)
        readers.append(bus.start())
        await asyncio.sleep(0.5)
        await end(readers.pop(0))
    await writing
    assert await bus.arrived() == bus.sent
    await end(*readers)
    # What another has read, or is just being numbered, is not taken for lost.
    assert REGISTRY.get_sample_value("shuke_gaps_total", {"consumer": bus.name}) == gaps


async def test_a_lost_connection_of_the_reader_is_made_good(bus: Bus, purchase: Purchase) -> None:
    keys = [uuid4() for _ in range(5)]
    reader = bus.start()
    await bus.publish(purchase, keys, 3)
    await bus.arrived()
    connection = await asyncpg.connect(plain_url(bus.target.url))
    for database in (bus.source, bus.target):
        with contextlib.suppress(asyncpg.PostgresError):
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()",
                database.url.rpartition("/")[2],
            )
    connection.terminate()
    # The pool still holds the ended connections: fresh ones take their place.
    await bus.source.engine.dispose()
    await bus.publish(purchase, keys, 3)
    assert await bus.arrived() == bus.sent
    await end(reader)


@pytest.mark.parametrize("bus", ["log"], indirect=True)
async def test_a_connection_that_is_lost_in_the_middle_of_reading_is_made_good(bus: Bus, purchase: Purchase) -> None:
    await bus.publish(purchase, [uuid4() for _ in range(5)], 3)
    connection = await asyncpg.connect(plain_url(bus.source.url))
    async with asyncio.timeout(ENOUGH_S):
        while await connection.fetchval("SELECT count(*) FROM outbox"):
            await asyncio.sleep(0.02)
        async with connection.transaction():
            await connection.execute("LOCK TABLE event_log IN ACCESS EXCLUSIVE MODE")
            reader = bus.start()
            # What a transaction sees of other sessions stays as it was at first.
            while not (await fetch(bus.source, END_A_READER_THAT_WAITS))[0]["ended"]:
                await asyncio.sleep(0.02)
    connection.terminate()
    assert await bus.arrived() == bus.sent
    await end(reader)


@pytest.mark.parametrize("bus", ["log"], indirect=True)
@pytest.mark.parametrize(("at_once", "pieces"), [(1, [1] * 20), (2_000_000, [20])], ids=["little", "much"])
async def test_no_more_bytes_are_read_at_once_than_there_is_room_for(
    bus: Bus, purchase: Purchase, monkeypatch: pytest.MonkeyPatch, at_once: int, pieces: list[int]
) -> None:
    monkeypatch.setattr(log_transport, "BYTES", at_once)
    taken: list[int] = []

    class Counting(Bus):
        async def handle(self, session: AsyncSession, batch: Sequence[Delivery]) -> None:
            taken.append(len(batch))
            await super().handle(session, batch)

    reading = Counting(bus.source, bus.target, bus.url)
    await reading.publish(purchase, [uuid4()], 20)
    while await fetch(bus.source, "SELECT FROM outbox"):
        await asyncio.sleep(0.02)
    reader = reading.start()
    assert await reading.arrived() == reading.sent
    assert taken == pieces
    await end(reader)


@pytest.mark.parametrize("bus", ["log"], indirect=True)
async def test_an_event_that_is_heard_of_while_the_heads_are_asked_for_is_read_at_once(
    bus: Bus, purchase: Purchase, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = log_transport._HEADS.replace("last_seq", f"last_seq, (SELECT pg_advisory_xact_lock_shared({HELD}))", 1)
    monkeypatch.setattr(log_transport, "_HEADS", held)
    monkeypatch.setattr(log_transport, "POLL_S", 0.05)
    key = uuid4()
    reader = bus.start()
    await bus.publish(purchase, [key], 1)
    await bus.arrived()
    connection = await asyncpg.connect(plain_url(bus.source.url))
    async with asyncio.timeout(ENOUGH_S), connection.transaction():
        await connection.execute(f"SELECT pg_advisory_xact_lock({HELD})")
        while not (await fetch(bus.source, A_READER_WAITS))[0]["waits"]:
            await asyncio.sleep(0.02)
        monkeypatch.setattr(log_transport, "POLL_S", ENOUGH_S * 2)
        await bus.publish(purchase, [key], 1)
        while await fetch(bus.source, "SELECT FROM outbox"):
            await asyncio.sleep(0.02)
    connection.terminate()
    assert await bus.arrived() == bus.sent
    await end(reader)


@pytest.mark.parametrize("bus", ["log"], indirect=True)
async def test_a_patient_reader_gathers_also_what_came_while_it_handled_a_batch(bus: Bus, purchase: Purchase) -> None:
    patience_s = 0.3
    begun: list[float] = []

    class Slow(Bus):
        async def handle(self, session: AsyncSession, batch: Sequence[Delivery]) -> None:
            begun.append(time.monotonic())
            await asyncio.sleep(0.05)
            await super().handle(session, batch)

    reading = Slow(bus.source, bus.target, bus.url)
    reader = reading.start(patience_s=patience_s)
    for _ in range(50):
        await reading.publish(purchase, [uuid4()], 1)
        await asyncio.sleep(0.02)
    assert await reading.arrived() == reading.sent
    await end(reader)
    assert len(begun) > 2
    assert min(after - before for before, after in pairwise(begun)) >= patience_s
