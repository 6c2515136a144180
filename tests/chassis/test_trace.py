"""One trace through HTTP, the outbox, Kafka and whoever reads it."""

import asyncio
from collections.abc import Callable, Sequence

import httpx
import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as KafkaPartition
from fastapi import APIRouter
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import outbox, publisher
from chassis.app import create_app
from chassis.auth import HEADER, Caller, Signer
from chassis.consumer import Delivery
from chassis.envelope import sampled_trace
from chassis.http import Session, TransactionalRoute
from chassis.settings import ServiceSettings
from contracts.customers import PurchaseCompleted
from contracts.topics import PURCHASES
from tests.chassis.chain import Bus, end, fetch

SECRET = "a secret of at least thirty-two characters"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
Purchase = Callable[..., PurchaseCompleted]


class Announcing(Bus):
    """A reader that announces something because of what it reads."""

    purchase: Purchase

    async def handle(self, session: AsyncSession, batch: Sequence[Delivery]) -> None:
        await super().handle(session, batch)
        outbox.append(session, self.purchase())


async def headers_of(kafka: str, partition: int, event_id: str) -> dict[str, bytes]:
    reader = AIOKafkaConsumer(bootstrap_servers=kafka, enable_auto_commit=False, auto_offset_reset="earliest")
    await reader.start()
    try:
        reader.assign([KafkaPartition(PURCHASES.name, partition)])
        await reader.seek_to_beginning()
        async with asyncio.timeout(60):
            async for message in reader:
                if event_id.encode() in message.value:
                    return dict(message.headers)
    finally:
        await reader.stop()
    raise AssertionError("unreachable")


async def test_a_trace_goes_from_the_request_over_kafka_into_the_log_of_the_reader_and_on(
    bus: Bus, kafka: str, purchase: Purchase
) -> None:
    router = APIRouter(route_class=TransactionalRoute)

    @router.post("/v1/purchases")
    async def buy(session: Session) -> dict[str, str]:
        """Announce a purchase."""
        event = purchase()
        [event_id] = outbox.append(session, event)
        bus.sent[event.subject] = [event_id]
        return {"event_id": str(event_id), "partition": str(outbox.key_hash(str(event.subject)) % 24)}

    settings = ServiceSettings(database_url=bus.source.url, internal_secret=SECRET, bus_url=bus.url)
    app = create_app("customers", router=router, settings=settings)
    reading = Announcing(bus.source, bus.target, bus.url)
    reading.purchase, reading.sent = purchase, bus.sent
    sent = {HEADER: Signer(SECRET).sign(Caller("key_1", frozenset()))}
    followed, quiet = f"00-{TRACE}-00f067aa0ba902b7-01", f"00-{TRACE[::-1]}-00f067aa0ba902b7-00"

    with structlog.testing.capture_logs() as logged:
        async with app.router.lifespan_context(app):
            publishing = asyncio.create_task(publisher.run(bus.source, "customers", kafka))
            reader = reading.start()
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://customers", headers=sent) as client:
                first = await client.post("/v1/purchases", headers={"traceparent": followed})
                await reading.arrived()
                second = await client.post("/v1/purchases", headers={"traceparent": quiet})
                await reading.arrived()
            await end(publishing, reader)

    assert first.headers["traceparent"][3:35] == TRACE
    header = (await headers_of(kafka, int(first.json()["partition"]), first.json()["event_id"]))["traceparent"]
    assert header.decode() == first.headers["traceparent"]
    assert "traceparent" not in await headers_of(kafka, int(second.json()["partition"]), second.json()["event_id"])
    handled = [line for line in logged if line["event"] == "event handled"]
    assert [(line["event_id"], line["traceparent"]) for line in handled] == [
        (first.json()["event_id"], first.headers["traceparent"])
    ]
    announced = [bytes(row["payload"]) for row in await fetch(bus.target, "SELECT payload FROM outbox ORDER BY id")]
    # Others had the broker before, and what they left is read, too.
    followed_on, quietly_on = (
        [each for each in announced if whose in each] for whose in (TRACE.encode(), TRACE[::-1].encode())
    )
    assert [sampled_trace(payload) is not None for payload in (*followed_on, *quietly_on)] == [True, False]


def test_only_a_sampled_trace_of_the_envelope_is_one_to_follow() -> None:
    trace = b"00-" + b"a" * 32 + b"-" + b"b" * 16
    sampled, not_sampled = b'{"traceparent":"%s-01","data":{}}' % trace, b'{"traceparent":"%s-00","data":{}}' % trace

    assert sampled_trace(sampled) == trace + b"-01"
    assert sampled_trace(not_sampled) is None
    assert sampled_trace(b'{"id":"1","data":{"traceparent":"%s-01"}}' % trace) is None
