"""The way from the log to Kafka and its reader, disturbed; on a real Kafka."""

import asyncio
import gc
from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

import pytest
from prometheus_client import REGISTRY

from chassis import outbox, publisher, sequencer
from chassis.gate import gate
from chassis.lag import marks_of, unread_of
from contracts.customers import PurchaseCompleted
from contracts.topics import PURCHASES
from tests.chassis.chain import ENOUGH_S, Bus, end, fetch, forget, grow, published, running

Purchase = Callable[..., PurchaseCompleted]


@pytest.mark.parametrize("later", [0, 1])
async def test_a_reader_that_retention_has_passed_misses_nothing(
    bus: Bus, purchase: Purchase, kafka: str, later: int
) -> None:
    key = uuid4()
    partition = outbox.key_hash(str(key)) % 24
    reader = bus.start()
    async with running(bus, kafka):
        await bus.publish(purchase, [key], 5)
        await bus.arrived()
        await end(reader)
        await bus.publish(purchase, [key], 5)
        await published(bus.source)
        await forget(kafka, partition)
        await bus.publish(purchase, [key], later)
        await published(bus.source)
        reader = bus.start()
        assert await bus.arrived() == bus.sent
        await end(reader)
    assert REGISTRY.get_sample_value("shuke_gaps_total", {"consumer": bus.name}) == 1
    found = await unread_of(await marks_of(bus.target, bus.name), {"customers": bus.source.url})
    assert not any(each.events for each in found["customers"] or pytest.fail("its log was not read"))
    # A partition that begins in the middle would stop the readers of other tests.
    await forget(kafka, partition)


async def test_a_lost_ack_is_sent_again_and_recognised(bus: Bus, purchase: Purchase, kafka: str) -> None:
    keys = [uuid4() for _ in range(5)]
    reader = bus.start()
    async with running(bus, kafka):
        await bus.publish(purchase, keys, 4)
        await bus.arrived()
    await fetch(bus.source, "UPDATE event_stream SET published_seq = least(published_seq, 1) RETURNING 1")
    async with running(bus, kafka):
        await bus.publish(purchase, keys, 2)
        assert await bus.arrived() == bus.sent
    await end(reader)


async def test_a_producer_without_an_answer_is_rebuilt_at_once_on_the_same_session(
    bus: Bus, purchase: Purchase, kafka: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed: list[str] = []
    unheard: list[str] = []
    numbers: set[tuple[int, int]] = set()
    acknowledged = publisher._acknowledged

    async def counted(*what: Any) -> None:
        passed.append(what[1])
        await gate(*what)

    async def unheard_once(*what: Any) -> Any:
        answer = await acknowledged(*what)
        numbers.add((what[0]._txn_manager.producer_id, what[0]._txn_manager.producer_epoch))
        if not unheard:
            unheard.append(what[2])
            raise TimeoutError
        return answer

    monkeypatch.setattr(publisher, "gate", counted)
    monkeypatch.setattr(publisher, "_acknowledged", unheard_once)
    reader = bus.start()
    async with running(bus, kafka):
        await bus.publish(purchase, [uuid4() for _ in range(5)], 4)
        assert await bus.arrived() == bus.sent
    await end(reader)
    assert unheard == ["customers.purchase.events.v1"]
    assert passed == ["customers"]
    (first, _), *_ = numbers
    assert numbers == {(first, 0), (first, 1)}


@pytest.mark.parametrize(("size", "pieces"), [(0, [7]), (400_000, [3, 3, 3, 1])], ids=["small", "large"])
async def test_large_events_are_read_a_few_at_a_time_and_small_ones_by_whole_batches(
    bus: Bus, purchase: Purchase, kafka: str, monkeypatch: pytest.MonkeyPatch, size: int, pieces: list[int]
) -> None:
    read: list[int] = []
    send = publisher._send

    async def counted(producer: Any, rows: Sequence[Any]) -> Any:
        read.append(len(rows))
        return await send(producer, rows)

    monkeypatch.setattr(publisher, "_send", counted)
    numbering = asyncio.create_task(sequencer.run(bus.source))
    await bus.publish(purchase, [uuid4()], 7)
    while await fetch(bus.source, "SELECT FROM outbox"):
        await asyncio.sleep(0.02)
    await grow(bus.source, size)
    publishing = asyncio.create_task(publisher.run(bus.source, "customers", kafka))
    reader = bus.start()
    assert await bus.arrived() == bus.sent
    # What the broker dropped for another test the reader may have had from the log before it was published.
    await published(bus.source)
    assert read == pieces
    await end(reader, publishing, numbering)


async def test_what_left_the_log_before_there_was_kafka_keeps_no_publisher_busy(
    bus: Bus, purchase: Purchase, kafka: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds: list[int] = []
    take_round = publisher._round

    async def counted(connection: Any, producer: Any, pending: Sequence[Any]) -> None:
        rounds.append(len(pending))
        await take_round(connection, producer, pending)

    monkeypatch.setattr(publisher, "_round", counted)
    numbering = asyncio.create_task(sequencer.run(bus.source))
    key = uuid4()
    beside = (outbox.key_hash(str(key)) + 1) % PURCHASES.partitions
    await fetch(bus.source, "UPDATE event_stream SET last_seq = 7 WHERE partition = $1", beside)
    publishing = asyncio.create_task(publisher.run(bus.source, "customers", kafka))
    reader = bus.start()
    await bus.publish(purchase, [key], 3)
    assert await bus.arrived() == bus.sent
    async with asyncio.timeout(ENOUGH_S):
        while not rounds:
            await asyncio.sleep(0.02)
    await end(reader, publishing, numbering)

    assert 0 < len(rounds) <= 3


# A client of aiokafka that is cancelled while it connects leaves its socket to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
async def test_publishers_killed_and_doubled_lose_double_and_mix_nothing(
    bus: Bus, purchase: Purchase, kafka: str
) -> None:
    keys = [uuid4() for _ in range(20)]
    reader = bus.start()
    numbering = asyncio.create_task(sequencer.run(bus.source))
    writing = asyncio.create_task(bus.publish(purchase, keys, 60))
    staying = asyncio.create_task(publisher.run(bus.source, "customers", kafka))
    for turn in range(8):
        passing = asyncio.create_task(publisher.run(bus.source, "customers", kafka))
        await asyncio.sleep(1.2 + turn / 20)
        await fetch(
            bus.source,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND query LIKE '%published_seq%' AND pid <> pg_backend_pid()",
        )
        await end(passing)
    await writing
    await published(bus.source)
    assert await bus.arrived() == bus.sent
    await end(reader, staying, numbering)
    gc.collect()
