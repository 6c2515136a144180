"""A database that was restored from a backup, behind a real Kafka."""

from collections.abc import Callable
from uuid import uuid4

import asyncpg

from chassis import outbox, sequencer
from chassis.db import Database, connect, plain_url
from chassis.gate import gate
from contracts.customers import PurchaseCompleted
from contracts.topics import PURCHASES
from tests.chassis.chain import Bus, end, fetch, forget, running

Purchase = Callable[..., PurchaseCompleted]


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
