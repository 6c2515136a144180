"""What is let go when it is too old, and what is not, however old it is."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TypeAlias
from uuid import uuid4

import asyncpg
import pytest

from chassis import outbox, publisher, retention, sequencer
from chassis.bus import TopicPartition
from chassis.clock import now
from chassis.db import Database, connect, driver, plain_url
from chassis.gate import gate
from chassis.kafka_topics import ensure_topics, keep_for
from chassis.marks import let_pass
from chassis.settings import ServiceSettings
from contracts.customers import PurchaseCompleted
from contracts.topics import PURCHASES, STANDINGS, Topic
from tests.chassis.chain import Bus, end, fetch, published, running

MakeDatabase = Callable[[str | None], Awaitable[Database]]
Purchase = Callable[..., PurchaseCompleted]
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
DAY_S = 86_400


def settings(database: Database, **kept: int | str) -> ServiceSettings:
    secret = "a secret of at least thirty-two characters"
    return ServiceSettings.model_validate({"database_url": database.url, "internal_secret": secret, **kept})


async def recorded(
    database: Database,
    connection: Connection,
    event: PurchaseCompleted,
    days_ago: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An event that was numbered so many days ago."""
    monkeypatch.setenv("SHUKE_CLOCK_OFFSET", str(-days_ago * DAY_S))
    async with database.transaction() as session:
        outbox.append(session, event)
    await sequencer.number(connection)
    monkeypatch.delenv("SHUKE_CLOCK_OFFSET")


async def ages(database: Database) -> list[int]:
    rows = await fetch(database, "SELECT recorded_at FROM event_log ORDER BY recorded_at")
    return [(now() - row["recorded_at"]).days for row in rows]


async def weeks(database: Database) -> int:
    """How many the log has."""
    [row] = await fetch(database, "SELECT count(*) AS weeks FROM pg_inherits WHERE inhparent = 'event_log'::regclass")
    return int(row["weeks"])


@asynccontextmanager
async def locked(database: Database, mode: str) -> AsyncIterator[None]:
    """Another session holds the log."""
    holder = await asyncpg.connect(plain_url(database.url))
    try:
        await holder.execute(f"BEGIN; LOCK TABLE event_log IN {mode} MODE")
        yield
    finally:
        holder.terminate()


async def test_the_log_drops_the_weeks_that_ended_before_its_retention_began(
    database: Database, connection: Connection, purchase: Purchase, monkeypatch: pytest.MonkeyPatch
) -> None:
    for days_ago in (100, 43, 34, 0):
        await recorded(database, connection, purchase(), days_ago, monkeypatch)

    await retention.sweep(database, settings(database))

    assert await ages(database) == [34, 0]
    # With the one to come.
    assert await weeks(database) == 3


@pytest.mark.parametrize(
    ("made_ahead", "mode"),
    [(False, "ACCESS SHARE"), (True, "ACCESS SHARE"), (True, "SHARE UPDATE EXCLUSIVE")],
    ids=["missing, during a backup", "made ahead, during a backup", "made ahead, during an ANALYZE"],
)
async def test_a_week_begins_while_somebody_is_long_at_the_log(
    database: Database,
    connection: Connection,
    purchase: Purchase,
    monkeypatch: pytest.MonkeyPatch,
    *,
    made_ahead: bool,
    mode: str,
) -> None:
    await recorded(database, connection, purchase(), 0, monkeypatch)
    if made_ahead:
        await retention.sweep(database, settings(database))

    async with asyncio.timeout(20), locked(database, mode):
        await recorded(database, connection, purchase(), -7, monkeypatch)

    assert await ages(database) == [0, -7]


async def test_the_next_week_is_made_once_and_while_the_log_is_read(
    make_database: MakeDatabase, database: Database
) -> None:
    async with asyncio.timeout(20), locked(database, "ACCESS SHARE"):
        await asyncio.gather(*(retention.sweep(database, settings(database)) for _ in range(5)))
    without_streams = await make_database(None)
    await retention.sweep(without_streams, settings(without_streams))

    assert await weeks(database) == 1
    assert await weeks(without_streams) == 0


async def test_the_days_of_the_log_are_a_setting(
    database: Database, connection: Connection, purchase: Purchase, monkeypatch: pytest.MonkeyPatch
) -> None:
    for days_ago in (100, 10, 0):
        await recorded(database, connection, purchase(), days_ago, monkeypatch)

    await retention.sweep(database, settings(database, log_retention_days=200))
    assert await ages(database) == [100, 10, 0]
    await retention.sweep(database, settings(database, log_retention_days=1))
    assert await ages(database) == [0]


async def test_numbering_goes_on_where_it_was_after_all_was_dropped(
    database: Database, connection: Connection, purchase: Purchase, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = uuid4()
    for _ in range(3):
        await recorded(database, connection, purchase(key), 100, monkeypatch)
    await retention.sweep(database, settings(database))
    assert await ages(database) == []

    await recorded(database, connection, purchase(key), 0, monkeypatch)

    assert [row["seq"] for row in await fetch(database, "SELECT seq FROM event_log")] == [4]


async def test_what_kafka_lacks_stays_however_old_it_is(
    database: Database, connection: Connection, purchase: Purchase, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = uuid4()
    for days_ago in (100, 80, 60):
        await recorded(database, connection, purchase(key), days_ago, monkeypatch)
    on_kafka = settings(database, bus_url="kafka://127.0.0.1:1")

    await retention.sweep(database, on_kafka)
    assert await ages(database) == [100, 80, 60]
    await fetch(database, "UPDATE event_stream SET published_seq = 1 WHERE last_seq = 3 RETURNING 1")
    await retention.sweep(database, on_kafka)
    assert await ages(database) == [80, 60]
    await fetch(database, "UPDATE event_stream SET published_seq = 3 WHERE last_seq = 3 RETURNING 1")
    await retention.sweep(database, on_kafka)
    assert await ages(database) == []


@pytest.mark.parametrize("later", [[0], []], ids=["a later event is there", "none is"])
async def test_a_reader_behind_the_log_stops_with_an_alarm_and_skips_nothing(
    make_database: MakeDatabase,
    database: Database,
    connection: Connection,
    purchase: Purchase,
    monkeypatch: pytest.MonkeyPatch,
    later: list[int],
) -> None:
    target = await make_database(None)
    await fetch(target, "CREATE TABLE handled (id bigserial, key uuid, event_id uuid)")
    key = uuid4()
    for days_ago in [100, 99, *later]:
        await recorded(database, connection, purchase(key), days_ago, monkeypatch)
    await retention.sweep(database, settings(database))
    bus = Bus(database, target, "log://")

    reader = bus.start()
    async with asyncio.timeout(60):
        while not (rows := await fetch(target, "SELECT * FROM consumer_offset WHERE stopped_reason IS NOT NULL")):
            await asyncio.sleep(0.02)
        stopped = [(row["stopped_reason"], row["seq"], await handled(target)) for row in rows]
        async with target.transaction() as session:
            assert await let_pass(session, bus.name, TopicPartition(rows[0]["topic"], rows[0]["partition"]))
        while not await fetch(target, "SELECT FROM consumer_offset WHERE next_offset >= 2"):
            await asyncio.sleep(0.02)
        await recorded(database, connection, purchase(key), 0, monkeypatch)
        while await handled(target) <= len(later):
            await asyncio.sleep(0.02)
    await end(reader)

    assert stopped == [("events 1 to 2 of epoch 1 are missing", 0, 0)]


async def handled(database: Database) -> int:
    return len(await fetch(database, "SELECT FROM handled"))


async def test_one_who_reads_the_log_for_long_delays_the_drop_and_nobody_else(
    database: Database, connection: Connection, purchase: Purchase, monkeypatch: pytest.MonkeyPatch
) -> None:
    await recorded(database, connection, purchase(), 100, monkeypatch)
    retaining = asyncio.create_task(retention.run(database, settings(database), rest_s=0.05))
    async with connection.transaction():
        await connection.fetch("SELECT FROM event_log")
        await asyncio.sleep(2.5)
        assert not retaining.done()
    async with asyncio.timeout(60):
        while await ages(database):
            await asyncio.sleep(0.05)
    await end(retaining)


async def test_it_rests_before_it_lets_anything_go(
    database: Database, connection: Connection, purchase: Purchase, monkeypatch: pytest.MonkeyPatch
) -> None:
    await recorded(database, connection, purchase(), 100, monkeypatch)

    retaining = asyncio.create_task(retention.run(database, settings(database)))
    await asyncio.sleep(0.3)
    await end(retaining)

    assert await ages(database) == [100]


async def test_it_outlives_a_database_that_is_away() -> None:
    away = connect("postgresql+asyncpg://nobody@127.0.0.1:1/nothing")
    retaining = asyncio.create_task(retention.run(away, settings(away), rest_s=0.05))
    await asyncio.sleep(0.3)
    assert not retaining.done()
    await end(retaining)
    await away.close()


async def test_a_closed_dead_letter_goes_and_an_open_one_stays(database: Database) -> None:
    async with database.transaction() as session:
        await (await driver(session)).executemany(
            'INSERT INTO dead_letter ("offset", first_failed_at, status,'
            " topic, partition, consumer, error, error_class)"
            " VALUES ($1, $2, $3, '', 0, '', '', '')",
            [
                (offset, now() - timedelta(days=days), status)
                for offset, (days, status) in enumerate(
                    [(1_000, "open"), (91, "open"), (91, "requeued"), (91, "discarded"), (89, "discarded")]
                )
            ],
        )

    await retention.sweep(database, settings(database))
    left = await fetch(database, 'SELECT "offset" FROM dead_letter ORDER BY "offset"')
    assert [row["offset"] for row in left] == [0, 1, 4]

    await retention.sweep(database, settings(database, dead_letter_retention_days=10))
    left = await fetch(database, 'SELECT "offset" FROM dead_letter ORDER BY "offset"')
    assert [row["offset"] for row in left] == [0, 1]


async def test_an_answer_under_an_idempotency_key_goes_after_its_hours(database: Database) -> None:
    async with database.transaction() as session:
        await (await driver(session)).executemany(
            "INSERT INTO idempotency_key VALUES ('key_1', $1, 'POST /', '', 201, '{}', '', $2)",
            [(str(hours), now() - timedelta(hours=hours)) for hours in (1, 23, 25)],
        )

    await retention.sweep(database, settings(database))
    left = await fetch(database, "SELECT key FROM idempotency_key")
    assert {row["key"] for row in left} == {"1", "23"}

    await retention.sweep(database, settings(database, idempotency_retention_hours=2))
    assert [row["key"] for row in await fetch(database, "SELECT key FROM idempotency_key")] == ["1"]


async def test_a_log_that_was_let_go_before_kafka_s_is_no_restored_backup(
    bus: Bus, purchase: Purchase, kafka: str
) -> None:
    before = await fetch(bus.source, "SELECT topic, partition, epoch FROM event_stream ORDER BY topic, partition")
    async with running(bus, kafka):
        await bus.publish(purchase, [uuid4() for _ in range(5)], 2)
        await published(bus.source)
    await fetch(bus.source, "DELETE FROM event_log RETURNING 1")

    await gate(bus.source, "customers", kafka)

    after = await fetch(bus.source, "SELECT topic, partition, epoch FROM event_stream ORDER BY topic, partition")
    assert after == before


async def topic_settings(kafka: str, topic: Topic) -> dict[str, str]:
    """What was set on a topic itself."""
    from aiokafka.admin import AIOKafkaAdminClient
    from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        [answer] = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic.name)])
    finally:
        await admin.close()
    return {entry[0]: entry[1] for entry in answer.resources[0][4] if entry[3] == 1}


async def until_set(kafka: str, topic: Topic, wanted: dict[str, str]) -> None:
    """Wait until a broker says what the controller has taken in."""
    async with asyncio.timeout(60):
        while await topic_settings(kafka, topic) != wanted:
            await asyncio.sleep(0.1)


async def test_kafka_keeps_events_as_long_as_the_log_and_loses_no_other_setting(kafka: str) -> None:
    topics = [PURCHASES, STANDINGS]
    await ensure_topics(kafka, topics)
    purchases, standings = [await topic_settings(kafka, topic) for topic in topics]
    assert purchases.keys() == {"cleanup.policy", "min.insync.replicas", "retention.ms"}

    await keep_for(kafka, topics, 7)

    await until_set(kafka, PURCHASES, purchases | {"retention.ms": str(7 * DAY_S * 1_000)})
    assert await topic_settings(kafka, STANDINGS) == standings
    await keep_for(kafka, topics, 35)
    await until_set(kafka, PURCHASES, purchases)


async def test_the_publisher_tells_kafka_how_long_events_stay(bus: Bus, kafka: str) -> None:
    before = await topic_settings(kafka, PURCHASES)
    publishing = asyncio.create_task(publisher.run(bus.source, "customers", kafka, retention_days=9))
    await until_set(kafka, PURCHASES, before | {"retention.ms": str(9 * DAY_S * 1_000)})
    await end(publishing)
    await keep_for(kafka, [PURCHASES], 35)
    await until_set(kafka, PURCHASES, before)
