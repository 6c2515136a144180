"""A database that was restored from a backup, behind a real Kafka."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import uuid4

import asyncpg
from aiokafka import AIOKafkaProducer

from bench.faults.wires import Wires
from chassis import outbox, sequencer
from chassis.db import Database, connect, declare_topics, plain_url
from chassis.gate import ProcessGate, gate
from contracts.customers import PurchaseCompleted
from contracts.topics import PURCHASES, STANDING_CHANGES, STANDINGS, topics_of
from deploy.ports import free_port
from tests.chassis.chain import ENOUGH_S, Bus, end, fetch, forget, running

Purchase = Callable[..., PurchaseCompleted]
MakeDatabase = Callable[[str | None], Awaitable[Database]]


async def epochs(database: Database) -> dict[int, int]:
    rows = await fetch(database, "SELECT partition, epoch FROM event_stream WHERE topic = $1", PURCHASES.name)
    return {row["partition"]: row["epoch"] for row in rows}


async def backup_of(database: Database) -> Database:
    """A copy of a database as it is now."""
    await database.close()
    folder, _, name = database.url.rpartition("/")
    connection = await asyncpg.connect(plain_url(f"{folder}/postgres"))
    await connection.execute(f"CREATE DATABASE {name}_backup TEMPLATE {name}")
    await connection.close()
    return connect(f"{folder}/{name}_backup")


async def numbered(database: Database) -> None:
    connection = await asyncpg.connect(plain_url(database.url))
    await sequencer.number(connection)
    await connection.close()


async def test_after_a_restore_new_events_have_places_that_nobody_has_seen(
    bus: Bus, purchase: Purchase, kafka: str
) -> None:
    keys = [uuid4() for _ in range(10)]
    used = {outbox.key_hash(str(key)) % 24 for key in keys}
    reader = bus.start()
    async with running(bus, kafka):
        await bus.publish(purchase, keys, 10)
        await bus.arrived()
    before = await epochs(bus.source)
    backup = await backup_of(bus.source)
    async with running(bus, kafka):
        await bus.publish(purchase, keys, 5)
        await bus.arrived()
    assert await epochs(bus.source) == before

    bus.source = backup
    async with running(bus, kafka):
        await bus.publish(purchase, keys, 3)
        assert await bus.arrived() == bus.sent
    after = await epochs(bus.source)
    assert {partition for partition in after if after[partition] == before[partition] + 1} == used
    async with running(bus, kafka):
        await bus.publish(purchase, keys, 1)
        assert await bus.arrived() == bus.sent
    assert await epochs(bus.source) == after
    await end(reader)
    await backup.close()


async def test_an_unpublished_tail_in_a_backup_does_not_hide_that_it_is_one(
    bus: Bus, purchase: Purchase, kafka: str
) -> None:
    [key] = keys = [uuid4()]
    reader = bus.start()
    async with running(bus, kafka):
        await bus.publish(purchase, keys, 3)
        await bus.arrived()
    await bus.publish(purchase, keys, 2)
    await numbered(bus.source)
    backup = await backup_of(bus.source)
    async with running(bus, kafka):
        await bus.publish(purchase, keys, 4)
        await bus.arrived()

    bus.source = backup
    async with running(bus, kafka):
        tail = bus.sent[key][3:5]
        await bus.publish(purchase, keys, 5)
        # Of the tail nobody can say whether it was sent: it comes again, with its ids.
        bus.sent[key][9:9] = tail
        assert await bus.arrived() == bus.sent
    await end(reader)
    await backup.close()


async def test_what_is_not_published_yet_or_not_known_to_be_is_no_restore(
    bus: Bus, purchase: Purchase, kafka: str
) -> None:
    keys = [uuid4() for _ in range(5)]
    async with running(bus, kafka):
        reader = bus.start()
        await bus.publish(purchase, keys, 5)
        await bus.arrived()
        await end(reader)
    before = await epochs(bus.source)
    await bus.publish(purchase, keys, 5)
    await numbered(bus.source)
    await gate(bus.source, "customers", kafka)
    await fetch(
        bus.source,
        "UPDATE event_stream SET published_seq = 2, published_offset = 0 WHERE published_seq > 2 RETURNING 1",
    )
    await gate(bus.source, "customers", kafka)
    assert await epochs(bus.source) == before

    async with running(bus, kafka):
        reader = bus.start()
        assert await bus.arrived() == bus.sent
        await end(reader)


async def test_where_retention_has_left_nothing_the_last_ack_tells_a_restore(
    bus: Bus, purchase: Purchase, kafka: str
) -> None:
    key = uuid4()
    partition = outbox.key_hash(str(key)) % 24
    async with running(bus, kafka):
        reader = bus.start()
        await bus.publish(purchase, [key], 5)
        await bus.arrived()
        await end(reader)
    before = await epochs(bus.source)
    await forget(kafka, partition)

    await gate(bus.source, "customers", kafka)
    assert await epochs(bus.source) == before
    await fetch(
        bus.source,
        "UPDATE event_stream SET published_offset = published_offset - 2, last_seq = last_seq - 2,"
        " published_seq = published_seq - 2 WHERE topic = $1 AND partition = $2 RETURNING 1",
        PURCHASES.name,
        partition,
    )
    for _ in range(2):
        await gate(bus.source, "customers", kafka)
        assert await epochs(bus.source) == {**before, partition: before[partition] + 1}


async def test_compacted_topics_begin_an_epoch_of_their_own_at_each_restore(
    make_database: MakeDatabase, kafka: str
) -> None:
    database = await make_database(None)
    await declare_topics(database, topics_of("scoring"))
    await gate(database, "scoring", kafka)
    producer = AIOKafkaProducer(bootstrap_servers=kafka)
    await producer.start()

    async def recognised(partition: int) -> tuple[int, int]:
        """The epochs of a partition and of the compacted topic, after a restore that shows there."""
        await producer.send_and_wait(STANDING_CHANGES.name, b"of a former life", partition=partition)
        await gate(database, "scoring", kafka)
        rows = await fetch(database, "SELECT topic, partition, epoch FROM event_stream")
        found = {(row["topic"], row["partition"]): row["epoch"] for row in rows}
        [compacted] = {found[topic, number] for topic, number in found if topic == STANDINGS.name}
        return found[STANDING_CHANGES.name, partition], compacted

    try:
        (before, told), (after, told_then) = [await recognised(partition) for partition in (3, 4)]
    finally:
        await producer.stop()
    assert before == after
    assert told_then > told >= before


async def test_without_a_broker_a_process_goes_on_after_a_lost_session_and_waits_at_a_database_of_another_life(
    bus: Bus, purchase: Purchase, kafka: str
) -> None:
    wires, door = Wires(dict), free_port()
    await wires.door("kafka", [int(kafka.rpartition(":")[2])], at=door)
    gatekeeper = ProcessGate("customers", f"127.0.0.1:{door}")
    numbering = asyncio.create_task(sequencer.run(bus.source, gate=gatekeeper))
    keys = [uuid4()]

    async def numbered_by_itself(database: Database) -> None:
        async with asyncio.timeout(ENOUGH_S):
            while await fetch(database, "SELECT FROM outbox"):
                await asyncio.sleep(0.05)

    try:
        await bus.publish(purchase, keys, 1)
        await numbered_by_itself(bus.source)
        await wires.close()
        assert await fetch(bus.source, LOSE_THE_SEQUENCER)
        await bus.publish(purchase, keys, 1)
        await numbered_by_itself(bus.source)
        await end(numbering)

        bus.source = await backup_of(bus.source)
        numbering = asyncio.create_task(sequencer.run(bus.source, gate=gatekeeper))
        await bus.publish(purchase, keys, 1)
        async with asyncio.timeout(ENOUGH_S):
            while not bus.source.waits_at_gate:
                await asyncio.sleep(0.05)
        await asyncio.sleep(2)
        assert bus.source.waits_at_gate
        assert len(await fetch(bus.source, "SELECT FROM outbox")) == 1
    finally:
        await end(numbering)
        await wires.close()
        await bus.source.close()


LOSE_THE_SEQUENCER = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'shuke-sequencer'
"""
