"""What a restored installation makes of its logs and marks, so that its former life on a broker is void."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import uuid4

import asyncpg
import pytest

from chassis import epochs, outbox
from chassis.db import plain_url
from chassis.epochs import FIRST, Place, Tail, restored_epoch
from chassis.gate import gate
from tests.chassis.chain import Bus, Purchase, end, fetch, forget, published, running
from tests.chassis.test_gate import backup_of, numbered
from tests.conftest import MakeDatabase

AT = datetime(2026, 11, 26, 4, 30, tzinfo=UTC)
TOPIC = "customers.purchase.events.v1"


def test_the_tail_of_a_partition_keeps_its_order_and_its_gaps() -> None:
    tail = Tail(Place(1, 7), {1: 12, 3: 5})

    assert [tail.renumbered(Place(1, seq)) for seq in (3, 7, 8, 12)] == [0, 0, 1, 5]
    assert [tail.renumbered(Place(3, seq)) for seq in (0, 1, 5)] == [5, 6, 10]
    assert tail.length == 10


def test_a_mark_in_an_epoch_before_the_tail_is_before_its_first_event() -> None:
    assert Tail(Place(2, 4), {2: 4}).renumbered(Place(1, 99)) == 0


def test_an_epoch_of_a_restore_is_above_all_and_sorts_as_text_behind_them() -> None:
    earlier = restored_epoch(datetime(2026, 1, 1, tzinfo=UTC), 7)

    assert restored_epoch(AT, 7) > earlier >= FIRST
    assert restored_epoch(AT, restored_epoch(AT, 7)) == restored_epoch(AT, 7) + 1
    assert sorted(f"{epoch:04}" for epoch in (1, 12, earlier, restored_epoch(AT, 7))) == [
        f"{epoch:04}" for epoch in (1, 12, earlier, restored_epoch(AT, 7))
    ]


class Restored:
    """Two databases: one that writes the purchases, and one that has a consumer of them."""

    def __init__(self, source: asyncpg.Connection, reader: asyncpg.Connection) -> None:
        self.source, self.reader = source, reader

    async def stream(self, partition: int, *, last: int, published: int, offset: int) -> list[str]:
        """Events 1 to `last` of epoch 1; their ids."""
        ids = [str(uuid4()) for _ in range(last)]
        await self.source.execute(
            "INSERT INTO event_stream (topic, partition, partitions, last_seq, published_seq, published_offset)"
            " VALUES ($1, $2, 24, $3, $4, $5)", TOPIC, partition, last, published, offset,
        )  # fmt: skip
        await self.source.executemany(
            "INSERT INTO event_log SELECT $1, $2, 1, $3, $4, 'key', 'type', '{}', now(), now()",
            [(TOPIC, partition, number, id) for number, id in enumerate(ids, 1)],
        )
        return ids

    async def mark(self, consumer: str, partition: int, seq: int, *, unreadable: int = 0) -> None:
        await self.reader.execute(
            "INSERT INTO consumer_offset (consumer, topic, partition, next_offset, seq, unreadable, stopped_reason)"
            " VALUES ($1, $2, $3, 77, $4, $5, 'why')", consumer, TOPIC, partition, seq, unreadable,
        )  # fmt: skip

    async def begin(self) -> int | None:
        return await epochs.begin({"customers": self.source, "scoring": self.reader}, AT)

    async def marks(self) -> dict[tuple[str, int], tuple[int, int, int, str | None]]:
        rows = await self.reader.fetch("SELECT * FROM consumer_offset")
        return {
            (row["consumer"], row["partition"]): (row["epoch"], row["seq"], row["next_offset"], row["stopped_reason"])
            for row in rows
        }

    async def logged(self, partition: int, epoch: int) -> list[str]:
        query = "SELECT event_id::text FROM event_log WHERE partition = $1 AND epoch = $2 ORDER BY seq"
        return [row["event_id"] for row in await self.source.fetch(query, partition, epoch)]

    async def head(self, partition: int) -> tuple[int, ...]:
        query = "SELECT epoch, last_seq, published_seq, published_offset FROM event_stream WHERE partition = $1"
        [row] = await self.source.fetch(query, partition)
        return tuple(row)


@pytest.fixture
async def restored(make_database: MakeDatabase) -> AsyncIterator[Restored]:
    opened = [await asyncpg.connect(plain_url((await make_database(None)).url)) for _ in range(2)]
    await opened[0].execute("CREATE TABLE event_log_all PARTITION OF event_log DEFAULT")
    yield Restored(*opened)
    for connection in opened:
        await connection.close()


async def test_what_anybody_lacks_comes_again_and_each_goes_on_from_its_own_place(restored: Restored) -> None:
    ids = await restored.stream(3, last=10, published=9, offset=20)
    await restored.mark("scoring", 3, 6)
    await restored.mark("leads", 3, 8, unreadable=1)

    epoch = await restored.begin()

    assert epoch == restored_epoch(AT, 1)
    assert await restored.head(3) == (epoch, 4, 0, -1)
    assert (await restored.logged(3, 1), await restored.logged(3, epoch)) == (ids[:6], ids[6:])
    assert await restored.marks() == {("scoring", 3): (epoch, 0, 77, None), ("leads", 3): (epoch, 3, 77, None)}


async def test_what_everybody_has_stays_where_it_is_and_every_stream_begins_the_epoch(restored: Restored) -> None:
    ids = await restored.stream(3, last=5, published=5, offset=4)
    await restored.stream(4, last=0, published=0, offset=-1)
    await restored.mark("scoring", 3, 5)
    await restored.mark("scoring", 4, 0)

    epoch = await restored.begin()

    assert await restored.logged(3, 1) == ids
    assert [await restored.head(partition) for partition in (3, 4)] == [(epoch, 0, 0, -1)] * 2
    assert {mark[:2] for mark in (await restored.marks()).values()} == {(epoch, 0)}


async def test_events_that_the_log_lost_before_a_consumer_read_them_stay_a_gap(restored: Restored) -> None:
    await restored.stream(3, last=10, published=10, offset=9)
    await restored.source.execute("DELETE FROM event_log WHERE seq <= 8")
    await restored.mark("scoring", 3, 6)

    epoch = await restored.begin()

    assert [row["seq"] for row in await restored.source.fetch("SELECT seq FROM event_log ORDER BY seq")] == [3, 4]
    assert (await restored.head(3))[:2] == (epoch, 4)


async def test_an_installation_that_no_broker_knows_stays_as_it_is(restored: Restored) -> None:
    await restored.stream(3, last=10, published=0, offset=-1)
    await restored.mark("scoring", 3, 6)

    assert await restored.begin() is None
    assert await restored.head(3) == (1, 10, 0, -1)
    assert await restored.marks() == {("scoring", 3): (1, 6, 77, "why")}


async def test_a_former_life_on_a_broker_is_passed_over_and_what_nobody_had_comes_once(
    bus: Bus, purchase: Purchase, kafka: str
) -> None:
    keys = [uuid4() for _ in range(5)]
    reader = bus.start()
    async with running(bus, kafka):
        await bus.publish(purchase, keys, 4)
        assert await bus.arrived() == bus.sent
    await end(reader)
    await bus.publish(purchase, keys, 2)
    await numbered(bus.source)
    again = Bus(await backup_of(bus.source), await backup_of(bus.target), bus.url)
    again.name, again.sent = bus.name, {key: list(ids) for key, ids in bus.sent.items()}
    reader = bus.start()
    async with running(bus, kafka):
        await bus.publish(purchase, keys, 3)
        assert await bus.arrived() == bus.sent
    await end(reader)

    connections = {
        name: await asyncpg.connect(plain_url(database.url))
        for name, database in (("customers", again.source), ("scoring", again.target))
    }
    assert await epochs.begin(connections, AT) == restored_epoch(AT, 1)
    for connection in connections.values():
        await connection.close()

    reader = again.start()
    async with running(again, kafka):
        await again.publish(purchase, keys, 3)
        assert await again.arrived() == again.sent
    await end(reader)
    assert await fetch(again.target, "SELECT FROM consumer_offset WHERE stopped_reason IS NOT NULL") == []
    await again.source.close()
    await again.target.close()


async def test_the_gate_leaves_a_restored_epoch_alone_where_retention_has_emptied_kafka(
    bus: Bus, purchase: Purchase, kafka: str
) -> None:
    key = uuid4()
    partition = outbox.key_hash(str(key)) % 24
    async with running(bus, kafka):
        await bus.publish(purchase, [key], 3)
        await published(bus.source)
    await forget(kafka, partition)
    connection = await asyncpg.connect(plain_url(bus.source.url))
    epoch = await epochs.begin({"customers": connection}, AT)

    await gate(bus.source, "customers", kafka)

    query = "SELECT epoch FROM event_stream WHERE topic = $1 AND partition = $2"
    assert await connection.fetchval(query, TOPIC, partition) == epoch
    await connection.close()
