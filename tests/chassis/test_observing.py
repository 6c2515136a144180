"""What Prometheus and a supervisor are told by a process, and what is refused before a disk or an outbox is full."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TypeAlias
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from fastapi import APIRouter
from prometheus_client import REGISTRY
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import marks, outbox, pressure, retention, sequencer
from chassis.app import create_app, probe
from chassis.auth import HEADER, Caller, Signer
from chassis.consumer import Delivery
from chassis.db import Database, connect, declare_topics, plain_url
from chassis.freshness import FRESHNESS
from chassis.http import Session, TransactionalRoute
from chassis.ids import uuid7
from chassis.observing import observe
from chassis.settings import ServiceSettings
from chassis.telemetry import CONNECTED, measure_loop
from contracts.customers import PurchaseCompleted
from contracts.topics import MEMBERS, PURCHASES, Topic
from tests.chassis.chain import fetch
from tests.chassis.test_consumer import PLACE, Bench
from tests.chassis.test_retention import DAY_S, recorded

SECRET = "a secret of at least thirty-two characters"
Purchase = Callable[..., PurchaseCompleted]
MakeDatabase = Callable[[str | None], Awaitable[Database]]
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


def chosen(database: Database, **more: object) -> ServiceSettings:
    return ServiceSettings(database_url=database.url, internal_secret=SECRET, **more)  # type: ignore[arg-type]


@asynccontextmanager
async def served(database: Database, purchase: Purchase, **more: object) -> AsyncIterator[httpx.AsyncClient]:
    """A service that announces a purchase where it is told to."""
    router = APIRouter(route_class=TransactionalRoute)

    @router.post("/v1/purchases")
    async def buy(session: Session) -> dict[str, str]:
        """Announce one."""
        outbox.append(session, purchase())
        return {"bought": "yes"}

    @router.post("/v1/nothing")
    async def do_nothing(session: Session) -> dict[str, str]:
        """Announce nothing."""
        return {"done": "yes"}

    app = create_app(
        "customers",
        router=router,
        settings=chosen(database, **more),
        hears=[PURCHASES],
        source_urls={"customers": database.url},
    )
    headers = {HEADER: Signer(SECRET).sign(Caller("key_1", frozenset()))}
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://customers", headers=headers) as client:
            client.app = app  # type: ignore[attr-defined]
            yield client


def told(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


async def test_metrics_tell_lag_by_partition_open_letters_and_what_stands(
    database: Database, purchase: Purchase
) -> None:
    async with served(database, purchase) as client:
        for _ in range(3):
            await client.post("/v1/purchases")
        while await fetch(database, "SELECT FROM outbox"):
            pass
        await fetch(
            database,
            'INSERT INTO dead_letter (consumer, topic, partition, "offset", error_class, error, first_failed_at)'
            " VALUES ('customers', $1, 3, 4, 'Unreadable', 'no JSON', now())",
            PURCHASES.name,
        )
        await fetch(database, "UPDATE consumer_offset SET paused_at = now() WHERE partition < 5")
        await fetch(database, "UPDATE consumer_offset SET stopped_reason = 'a gap' WHERE partition = 7")
        text = (await client.get("/metrics")).text

    lag = [
        told("shuke_lag_events", consumer="customers", topic=PURCHASES.name, partition=str(number))
        for number in range(24)
    ]
    assert sum(filter(None, lag)) == 3
    assert "shuke_lag_seconds{" in text
    assert told("shuke_dead_letters_open", consumer="customers", topic=PURCHASES.name) == 1
    paused = [
        told("shuke_partitions_paused", consumer="customers", topic=PURCHASES.name, partition=str(number))
        for number in range(24)
    ]
    assert paused == [1] * 5 + [0] * 19
    assert told("shuke_partitions_stopped", consumer="customers") == 1
    assert told("shuke_database_up", service="customers") == 1
    assert told("shuke_outbox_events", service="customers") == 0


@asynccontextmanager
async def listening_in_silence(database: Database) -> AsyncIterator[str]:
    ended = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await ended.wait()
        writer.close()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as server:
        yield f"postgresql://nobody@127.0.0.1:{server.sockets[0].getsockname()[1]}/nothing"
        ended.set()


@asynccontextmanager
async def not_listening(database: Database) -> AsyncIterator[str]:
    yield "postgresql://nobody@127.0.0.1:1/nothing"


@asynccontextmanager
async def refusing(database: Database) -> AsyncIterator[str]:
    yield f"{database.url}_that_is_not_there"


@pytest.mark.parametrize("away", [not_listening, refusing, listening_in_silence])
async def test_a_source_that_cannot_be_read_is_told_and_hides_no_other(
    make_database: MakeDatabase,
    database: Database,
    connection: Connection,
    purchase: Purchase,
    away: Callable[[Database], AbstractAsyncContextManager[str]],
) -> None:
    community = await make_database(None)
    await declare_topics(community, [MEMBERS])
    await marks.declare(database, "reader", [MEMBERS, PURCHASES])

    def lag(topic: Topic) -> list[float | None]:
        places = {"consumer": "reader", "topic": topic.name}
        return [told("shuke_lag_events", **places, partition=str(number)) for number in range(24)]

    def age(topic: Topic) -> list[float | None]:
        places = {"consumer": "reader", "topic": topic.name}
        return [told("shuke_lag_seconds", **places, partition=str(number)) for number in range(24)]

    def up() -> list[float | None]:
        return [told("shuke_source_up", consumer="reader", source=name) for name in ("community", "customers")]

    async def observed(url: str) -> None:
        await observe(database, "reader", {"community": url, "customers": database.url}, chosen(database))

    await observed(community.url)
    assert (up(), lag(MEMBERS), lag(PURCHASES)) == ([1, 1], [0] * 24, [0] * 24)

    async with database.transaction() as session:
        outbox.append(session, *(purchase() for _ in range(3)))
    await sequencer.number(connection)
    async with away(community) as url:
        await observed(url)
    assert (up(), lag(MEMBERS), age(MEMBERS)) == ([0, 1], [None] * 24, [None] * 24)
    assert sum(filter(None, lag(PURCHASES))) == 3
    assert max(filter(None, age(PURCHASES))) > 0

    await observed(community.url)
    assert (up(), lag(MEMBERS)) == ([1, 1], [0] * 24)


async def test_what_left_the_log_unread_is_as_old_as_events_that_it_keeps(
    database: Database, connection: Connection, purchase: Purchase, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = uuid4()
    place = {"topic": PURCHASES.name, "partition": str(outbox.key_hash(str(key)) % PURCHASES.partitions)}
    await marks.declare(database, "late", [PURCHASES])

    async def age_when_read(seq: int) -> float | None:
        await fetch(database, "UPDATE consumer_offset SET seq = $1 WHERE consumer = 'late'", seq)
        await observe(database, "late", {"customers": database.url}, chosen(database))
        return told("shuke_lag_seconds", consumer="late", **place)

    for days_ago in (100, 99):
        await recorded(database, connection, purchase(key), days_ago, monkeypatch)
    assert await age_when_read(0) == pytest.approx(100 * DAY_S, abs=60)
    await retention.sweep(database, chosen(database))
    assert await age_when_read(0) == 35 * DAY_S
    assert await age_when_read(2) == 0

    await recorded(database, connection, purchase(key), 1, monkeypatch)
    assert await age_when_read(1) == 35 * DAY_S
    assert await age_when_read(2) == pytest.approx(DAY_S, abs=60)
    assert await age_when_read(3) == 0


@pytest.mark.parametrize(("bus_url", "events", "hours"), [("kafka://127.0.0.1:1", 2, 3), ("log://", 0, 0)])
async def test_what_waits_for_kafka_is_told_before_any_broker_has_taken_anything(
    database: Database,
    connection: Connection,
    purchase: Purchase,
    monkeypatch: pytest.MonkeyPatch,
    bus_url: str,
    events: int,
    hours: int,
) -> None:
    settings = chosen(database, bus_url=bus_url)
    for hours_ago in (3, 1):
        await recorded(database, connection, purchase(), hours_ago / 24, monkeypatch)
    app = probe("customers-worker", settings, host="127.0.0.1", port=0)

    await observe(database, "customers", {}, settings)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://worker") as client:
        ready = (await client.get("/readyz")).json()
    await app.state.database.close()

    assert told("shuke_unpublished_events", service="customers") == events
    for age_s in (told("shuke_unpublished_age_seconds", service="customers"), ready["oldest_unpublished_s"]):
        assert age_s == pytest.approx(hours * 3_600, abs=60)


async def test_metrics_are_told_although_the_database_is_away(database: Database, purchase: Purchase) -> None:
    async with served(database, purchase) as client:
        app = client.app  # type: ignore[attr-defined]
        await app.state.database.close()
        app.state.database = connect("postgresql+asyncpg://nobody@127.0.0.1:1/nothing")
        answer = await client.get("/metrics")
        ready = await client.get("/readyz")

    assert answer.status_code == 200
    assert told("shuke_database_up", service="customers") == 0
    assert (ready.status_code, ready.json()["status"]) == (503, "the database does not answer")


async def test_freshness_counts_every_event_by_the_time_since_its_command() -> None:
    made = UUID(int=((time.time_ns() // 1_000_000 - 2_000) << 80) | 0x7 << 76 | 0b10 << 62)

    FRESHNESS.note("reader of a test", [made, made, uuid7(), UUID(int=4)])

    assert told("shuke_freshness_seconds_bucket", consumer="reader of a test", le="1.0") == 1
    assert told("shuke_freshness_seconds_bucket", consumer="reader of a test", le="2.5") == 3
    assert told("shuke_freshness_seconds_count", consumer="reader of a test") == 3
    total = told("shuke_freshness_seconds_sum", consumer="reader of a test")
    assert total is not None
    assert 4 <= total < 5


async def test_a_loop_that_is_held_up_is_seen() -> None:
    before = told("shuke_event_loop_lag_seconds_sum") or 0
    measuring = asyncio.create_task(measure_loop(0.01))
    await asyncio.sleep(0)
    time.sleep(0.2)  # noqa: ASYNC251
    await asyncio.sleep(0.05)
    measuring.cancel()

    assert (told("shuke_event_loop_lag_seconds_sum") or 0) - before > 0.15


async def test_a_deep_outbox_refuses_what_announces_anything_and_nothing_else(
    database: Database, purchase: Purchase
) -> None:
    settings = chosen(database, outbox_limit=2)
    async with database.transaction() as session:
        outbox.append(session, *(purchase() for _ in range(3)))
    async with served(database, purchase) as client:
        app = client.app  # type: ignore[attr-defined]
        # Read before the sequencer of the app has emptied it.
        app.state.database.refusal = pressure.Backlogged(3, 2)
        refused = await client.post("/v1/purchases")
        other = await client.post("/v1/nothing")
        while await fetch(database, "SELECT FROM outbox"):
            pass
        await pressure.look(app.state.database, service="customers", settings=settings)
        taken = await client.post("/v1/purchases")

    assert (refused.status_code, refused.json()["code"], refused.json()["limit"]) == (503, "backlogged", 2)
    assert refused.headers["retry-after"] == "5"
    assert (other.status_code, taken.status_code) == (200, 200)


async def test_a_full_disk_refuses_whatever_may_change_anything_and_nothing_else(
    database: Database, purchase: Purchase
) -> None:
    async with served(database, purchase) as client:
        app = client.app  # type: ignore[attr-defined]
        app.state.database.refusal = pressure.DiskFull(100, 500)
        refused = await client.post("/v1/nothing", content=b"{}")
        seen = await client.get("/v1/nothing")
        alive = await client.get("/healthz")
        app.state.database.refusal = None
        taken = await client.post("/v1/nothing", content=b"{}")

    assert (refused.status_code, refused.json()["code"], refused.json()["least_mb"]) == (503, "disk_full", 500)
    assert refused.headers["retry-after"] == "60"
    assert (seen.status_code, alive.status_code, taken.status_code) == (405, 200, 200)


async def test_what_comes_beyond_the_requests_that_a_process_may_hold_is_refused_until_one_has_ended(
    database: Database, purchase: Purchase
) -> None:
    connection = await asyncpg.connect(plain_url(database.url))
    async with served(database, purchase, underway=2) as client:
        async with connection.transaction():
            await connection.execute("LOCK TABLE outbox")
            sent = [asyncio.create_task(client.post("/v1/purchases")) for _ in range(3)]
            [first], others = await asyncio.wait(sent, return_when=asyncio.FIRST_COMPLETED)
            asked = await client.get("/healthz")
        taken = await asyncio.gather(*others)
        again = await client.post("/v1/purchases")
    await connection.close()

    refused = first.result()
    assert (refused.status_code, refused.json()["code"], refused.json()["most"]) == (503, "crowded", 2)
    assert refused.headers["retry-after"] == "1"
    assert [each.status_code for each in (asked, *taken, again)] == [200] * 4


async def test_depth_of_the_outbox_and_room_on_the_disk_decide_and_never_what_is_unpublished(
    database: Database, purchase: Purchase, tmp_path: Path
) -> None:
    await fetch(database, "UPDATE event_stream SET published_offset = 0, last_seq = 1000000")
    async with database.transaction() as session:
        outbox.append(session, *(purchase() for _ in range(3)))

    async def refusal(**settings: object) -> str | None:
        await pressure.look(database, service="customers", settings=chosen(database, **settings))
        problem, database.refusal = database.refusal, None
        return None if problem is None else problem.code()

    assert await refusal(outbox_limit=3) is None
    assert await refusal(outbox_limit=2) == "backlogged"
    assert told("shuke_intake_refused", service="customers") == 1
    assert await refusal(disk_folder=tmp_path, disk_least_mb=0) is None
    assert await refusal(disk_folder=tmp_path, disk_least_mb=2**40) == "disk_full"
    assert told("shuke_disk_free_bytes", service="customers")
    # That of the disk refuses more, and needs no database.
    assert await refusal(outbox_limit=2, disk_folder=tmp_path, disk_least_mb=2**40) == "disk_full"
    away = connect("postgresql+asyncpg://nobody@127.0.0.1:1/none")
    with pytest.raises(OSError, match="Connect"):
        await pressure.look(
            away, service="customers", settings=chosen(database, disk_folder=tmp_path, disk_least_mb=2**40)
        )
    assert pressure.full(away)
    await away.close()


async def test_a_transaction_that_is_refused_leaves_nothing(database: Database, purchase: Purchase) -> None:
    database.refusal = pressure.Backlogged(3, 2)

    with pytest.raises(pressure.Backlogged):
        async with database.transaction() as session:
            outbox.append(session, purchase())
    database.refusal = None

    assert await fetch(database, "SELECT FROM outbox") == []


async def test_a_process_without_http_is_ready_while_it_has_its_database_and_its_bus(database: Database) -> None:
    app = probe("customers-worker", chosen(database), host="127.0.0.1", port=0)
    transport = httpx.ASGITransport(app)
    CONNECTED.clear()
    async with httpx.AsyncClient(transport=transport, base_url="http://worker") as client:
        alive, ready = await client.get("/healthz"), await client.get("/readyz")
        CONNECTED.labels("customers", "kafka").set(0)
        cut = await client.get("/readyz")
        CONNECTED.labels("customers", "kafka").set(1)
        again = await client.get("/readyz")
        metrics = await client.get("/metrics")
    CONNECTED.clear()
    await app.state.database.close()

    assert [answer.status_code for answer in (alive, ready, cut, again)] == [200, 200, 503, 200]
    assert cut.json()["status"] == "not connected: customers from kafka"
    assert "shuke_bus_connected" in metrics.text


class Announcing(Bench):
    """A reader that announces something because of what it reads."""

    def __init__(self, database: Database, purchase: Purchase) -> None:
        super().__init__(database)
        self.purchase = purchase

    async def handle(self, session: AsyncSession, batch: Sequence[Delivery]) -> None:
        await super().handle(session, batch)
        outbox.append(session, self.purchase())


async def test_a_worker_whose_outbox_is_too_deep_waits_and_sets_nothing_aside(
    database: Database, purchase: Purchase
) -> None:
    await fetch(database, "CREATE TABLE handled (id bigserial, amount bigint)")
    bench = Announcing(database, purchase)
    await bench.sink.claim(PLACE)
    records = await bench.publish(purchase, 2)
    database.refusal = pressure.Backlogged(3, 2)

    taking = asyncio.create_task(bench.take(PLACE, records))
    await asyncio.sleep(0.3)
    assert not taking.done()
    assert await bench.amounts() == []
    database.refusal = None
    async with asyncio.timeout(60):
        assert await taking == 2

    assert await bench.amounts() == [1, 2]
    assert await fetch(database, "SELECT FROM dead_letter") == []
