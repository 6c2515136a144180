"""From an outbox to the effects of a consumer, for tests of what lies between."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import asyncpg
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import consumer, outbox, publisher, sequencer
from chassis.bus import connect_bus, restore_gate
from chassis.consumer import Delivery
from chassis.db import Database, driver, plain_url
from contracts.customers import PurchaseCompleted
from contracts.topics import PURCHASES

Purchase = Callable[..., PurchaseCompleted]
ENOUGH_S = 60


async def end(*tasks: "asyncio.Task[object]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class Bus:
    """A publishing and a consuming database with the transport between them."""

    def __init__(self, source: Database, target: Database, url: str) -> None:
        self.source, self.target, self.url = source, target, url
        self.name = f"reader-{uuid4().hex[:8]}"
        self.sent: dict[UUID, list[UUID]] = {}

    async def publish(self, purchase: Purchase, keys: Sequence[UUID], count: int) -> None:
        for number in range(count):
            async with self.source.transaction() as session:
                for key in keys:
                    self.sent.setdefault(key, []).extend(outbox.append(session, purchase(key, number)))

    async def handle(self, session: AsyncSession, batch: Sequence[Delivery]) -> None:
        connection = await driver(session)
        await connection.executemany(
            "INSERT INTO handled (key, event_id) VALUES ($1, $2)",
            [(delivery.event.subject, delivery.event_id) for delivery in batch],
        )

    def start(self, *topics: str, patience_s: float = 0) -> "asyncio.Task[object]":
        urls = {"customers": self.source.url}
        transport = connect_bus(self.url, self.target, urls, patience_s=patience_s)
        return asyncio.create_task(
            consumer.run(self.name, self.target, transport, topics or [PURCHASES.name], self.handle, urls)
        )

    async def arrived(self) -> dict[UUID, list[UUID]]:
        wanted = sum(map(len, self.sent.values()))
        connection = await asyncpg.connect(plain_url(self.target.url))
        async with asyncio.timeout(ENOUGH_S):
            while (
                await connection.fetchval("SELECT count(*) FROM handled WHERE key = ANY($1)", list(self.sent)) < wanted
            ):
                await asyncio.sleep(0.02)
        await asyncio.sleep(0.3)
        found: dict[UUID, list[UUID]] = {}
        # The broker keeps the events of other tests too.
        for row in await connection.fetch("SELECT * FROM handled WHERE key = ANY($1) ORDER BY id", list(self.sent)):
            found.setdefault(row["key"], []).append(row["event_id"])
        connection.terminate()
        return found


async def fetch(database: Database, query: str, *values: object) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(plain_url(database.url))
    try:
        return await connection.fetch(query, *values)
    finally:
        await connection.close()


async def grow(database: Database, size: int) -> None:
    """Have every event of a log say so much more, in a field that nobody knows."""
    await fetch(database, _GROW, size)


@asynccontextmanager
async def running(bus: Bus, kafka: str) -> AsyncIterator[None]:
    """What a service runs between its outbox and Kafka, in two processes; the publisher is first at the gate."""
    publishing = asyncio.create_task(publisher.run(bus.source, "customers", kafka))
    await asyncio.sleep(0.5)
    passed = restore_gate(bus.url, "customers")
    numbering = [asyncio.create_task(sequencer.run(bus.source, gate=passed)) for _ in range(2)]
    yield
    await end(publishing, *numbering)


async def published(database: Database) -> None:
    """Wait until Kafka has acknowledged all that was written."""
    async with asyncio.timeout(ENOUGH_S):
        while await fetch(database, "SELECT FROM outbox") or await fetch(
            database, "SELECT FROM event_stream WHERE published_seq < last_seq"
        ):
            await asyncio.sleep(0.05)


async def forget(kafka: str, partition: int) -> None:
    """Have Kafka drop what it holds of a partition of the purchases, as retention does."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    await admin.delete_records({TopicPartition(PURCHASES.name, partition): RecordsToDelete(before_offset=-1)})
    await admin.close()


_GROW = """
UPDATE event_log SET payload = convert_to(
    replace(convert_from(payload, 'UTF8'), '"currency"', '"more":"' || repeat('x', $1) || '","currency"'), 'UTF8'
)
"""
