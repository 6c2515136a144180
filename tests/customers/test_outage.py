"""Hours without a broker: what comes is taken in and numbered all the while, and goes out once there is one again."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import count
from uuid import UUID

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as KafkaPartition
from prometheus_client import REGISTRY

from bench.faults.wires import Wires
from chassis import pressure
from chassis.db import Database
from chassis.envelope import open_envelope
from chassis.kafka_topics import ensure_topics
from contracts.topics import topics_of
from deploy.ports import free_port
from services.customers.app import app, publisher
from tests.chassis.chain import end, fetch, published
from tests.customers.test_interactions_routes import called
from tests.customers.test_purchases_routes import bought
from tests.serving import asked_by_admin

HOURS_S = 6 * 3_600
ENOUGH_S = 60
PARTITIONS = [
    KafkaPartition(topic.name, number) for topic in topics_of("customers") for number in range(topic.partitions)
]


@asynccontextmanager
async def a_broker(kafka: str, port: int) -> AsyncIterator[None]:
    """For as long as the block lasts, whoever asks at a port finds the broker; before and after it, nobody."""
    wires = Wires(dict)
    await wires.door("kafka", [int(kafka.rpartition(":")[2])], at=port)
    try:
        yield
    finally:
        await wires.close()


@asynccontextmanager
async def publishing() -> AsyncIterator[None]:
    running = asyncio.create_task(publisher())
    try:
        yield
    finally:
        await end(running)


@asynccontextmanager
async def reading(kafka: str) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign(PARTITIONS)
        yield consumer
    finally:
        await consumer.stop()


async def ends(kafka: str) -> Mapping[KafkaPartition, int]:
    """Where each partition ends."""
    async with reading(kafka) as consumer:
        return await consumer.end_offsets(PARTITIONS)


async def on_kafka(kafka: str, since: Mapping[KafkaPartition, int]) -> dict[tuple[str, int], list[UUID]]:
    """The ids of all events behind some offsets, as they stand in each partition that has any.

    What was sent again for want of an ack has the place that it had, and is known by that.
    """
    found: dict[KafkaPartition, dict[tuple[int, int], UUID]] = defaultdict(dict)
    until = await ends(kafka)
    left = {partition for partition in PARTITIONS if since[partition] < until[partition]}
    async with asyncio.timeout(ENOUGH_S), reading(kafka) as consumer:
        for partition in left:
            consumer.seek(partition, since[partition])
        while left:
            for partition, messages in (await consumer.getmany(*left, timeout_ms=200)).items():
                for envelope in (open_envelope(message.value) for message in messages):
                    assert found[partition].setdefault(envelope.place, envelope.id) == envelope.id
                if messages[-1].offset + 1 == until[partition]:
                    left.discard(partition)
    return {tuple(partition): [*places.values()] for partition, places in found.items()}


async def in_the_log(database: Database) -> dict[tuple[str, int], list[UUID]]:
    """The ids of all events, as they were numbered in each partition that has any."""
    found: dict[tuple[str, int], list[UUID]] = defaultdict(list)
    for row in await fetch(database, "SELECT topic, partition, event_id FROM event_log ORDER BY epoch, seq"):
        found[row["topic"], row["partition"]].append(row["event_id"])
    return found


def figure(name: str, **labels: str) -> float:
    found = REGISTRY.get_sample_value(f"shuke_{name}", labels)
    assert found is not None, name
    return found


async def test_hours_without_a_broker_refuse_nothing_and_then_all_goes_out_in_order_and_once(
    make_database, kafka, tmp_path, monkeypatch
):
    database, port, numbers = await make_database("services.customers"), free_port(), count()
    (tmp_path / "identity.key").write_text("5c" * 32)
    for name, value in {
        "CUSTOMERS_DATABASE_URL": database.url,
        "SHUKE_BUS_URL": f"kafka://127.0.0.1:{port}",
        "SHUKE_INTERNAL_SECRET": "a secret of at least thirty-two characters",
        "SHUKE_IDENTITY_KEY_FILE": str(tmp_path / "identity.key"),
        "SHUKE_CLOCK_OFFSET": str(-HOURS_S),
    }.items():
        monkeypatch.setenv(name, value)
    await ensure_topics(kafka, topics_of("customers"))
    began, service = await ends(kafka), app()

    async def all_is_taken() -> None:
        for number in (next(numbers) for _ in range(6)):
            customer, told = f"c{number % 3}", {"source_id": str(number)}
            for path, body in (("purchases", bought(customer, **told)), ("interactions", called(customer, **told))):
                answer = await client.post(f"/v1/{path}", json=body)
                assert answer.status_code == 201, answer.text
        await pressure.look(service.state.database, service="customers", settings=service.state.settings)
        assert figure("intake_refused", service="customers") == 0
        async with asyncio.timeout(ENOUGH_S):
            while (await client.get("/readyz")).status_code != 200:
                await asyncio.sleep(0.1)

    async def all_is_taken_and_numbered() -> None:
        await all_is_taken()
        async with asyncio.timeout(ENOUGH_S):
            while await fetch(database, "SELECT FROM outbox"):
                await asyncio.sleep(0.02)
        assert (await client.get("/metrics")).status_code == 200

    async with service.router.lifespan_context(service), asked_by_admin(service, "customers") as client:
        # Nothing may be numbered before there was one.
        await all_is_taken()
        assert len(await fetch(database, "SELECT FROM outbox")) == 12
        async with a_broker(kafka, port), publishing():
            await published(database)
        with structlog.testing.capture_logs() as logged:
            async with publishing():
                await all_is_taken_and_numbered()
                monkeypatch.delenv("SHUKE_CLOCK_OFFSET")
                await all_is_taken_and_numbered()
                assert figure("unpublished_age_seconds", service="customers") >= HOURS_S
                assert figure("unpublished_events", service="customers") == 24
                async with asyncio.timeout(ENOUGH_S):
                    while not any(line["event"] == "topics not ensured yet" for line in logged):
                        await asyncio.sleep(0.02)
                assert figure("bus_connected", part="customers-publisher", peer="kafka") == 0

                async with a_broker(kafka, port):
                    await published(database)
                    await all_is_taken_and_numbered()
                    await published(database)
        await client.get("/metrics")

    assert figure("unpublished_age_seconds", service="customers") == 0
    arrived = await on_kafka(kafka, began)
    assert sum(map(len, arrived.values())) == 2 * next(numbers)
    assert arrived == await in_the_log(database)
