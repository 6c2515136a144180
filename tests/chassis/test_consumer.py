import asyncio
from collections.abc import Callable, Sequence
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import outbox, sequencer
from chassis.bus import Record, TopicPartition
from chassis.consumer import Delivery, Sink, StartOver, let_pass
from chassis.db import Database, driver, plain_url
from chassis.envelope import finish
from contracts.customers import PurchaseCompleted
from contracts.problems import Problem
from contracts.topics import PURCHASES

Purchase = Callable[..., PurchaseCompleted]
IDENTITY = UUID("00000000-0000-8000-8000-000000000001")
PLACE = TopicPartition(PURCHASES.name, sequencer.partition_of(str(IDENTITY), 24))


class Bench:
    """A sink whose handler writes amounts into a table, and the log that its records come from."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.poison: set[int] = set()
        self.start_over = 0
        self.sink = Sink("test", database, self.handle, {"customers": database.url})

    async def handle(self, session: AsyncSession, batch: Sequence[Delivery]) -> None:
        if self.start_over:
            self.start_over -= 1
            raise StartOver
        connection = await driver(session)
        for delivery in batch:
            assert isinstance(delivery.event, PurchaseCompleted)
            amount = delivery.event.amount_minor
            await connection.execute("INSERT INTO handled (amount) VALUES ($1)", amount)
            if amount in self.poison:
                raise Problem("This one cannot be.")

    async def publish(self, purchase: Purchase, count: int) -> list[Record]:
        """Number events of one identity with the amounts 1, 2, 3 … and return their records."""
        async with self.database.transaction() as session:
            outbox.append(session, *(purchase(IDENTITY, amount) for amount in range(1, count + 1)))
        connection = await asyncpg.connect(plain_url(self.database.url))
        await sequencer.number(connection)
        rows = await connection.fetch("SELECT * FROM event_log ORDER BY seq")
        connection.terminate()
        return [
            Record(row["seq"] - 1, row["key"], finish(row["payload"], row["recorded_at"], row["epoch"], row["seq"]))
            for row in rows
        ]

    async def fetch(self, query: str) -> list[tuple[object, ...]]:
        connection = await asyncpg.connect(plain_url(self.database.url))
        rows = await connection.fetch(query)
        connection.terminate()
        return [tuple(row) for row in rows]

    async def amounts(self) -> list[object]:
        return [amount for (amount,) in await self.fetch("SELECT amount FROM handled ORDER BY id")]


@pytest.fixture
async def bench(database: Database) -> Bench:
    connection = await asyncpg.connect(plain_url(database.url))
    await connection.execute("CREATE TABLE handled (id serial, amount int)")
    connection.terminate()
    made = Bench(database)
    await made.sink.claim(PLACE)
    return made


async def test_records_take_effect_once_however_often_they_come(bench: Bench, purchase: Purchase) -> None:
    records = await bench.publish(purchase, 3)
    assert await bench.sink.take(PLACE, records) == 3
    assert await bench.sink.take(PLACE, records) == 3
    assert await bench.sink.take(PLACE, [Record(7, records[0].key, records[0].value)]) == 8
    assert await bench.amounts() == [1, 2, 3]


async def test_a_second_owner_cannot_do_the_work_again(bench: Bench, purchase: Purchase) -> None:
    records = await bench.publish(purchase, 20)
    other = Sink("test", bench.database, bench.handle, {})
    await asyncio.gather(*(sink.take(PLACE, records) for sink in (bench.sink, other, bench.sink, other)))
    assert await bench.amounts() == list(range(1, 21))


async def test_a_handler_that_locked_too_little_starts_over(bench: Bench, purchase: Purchase) -> None:
    bench.start_over = 3
    assert await bench.sink.take(PLACE, await bench.publish(purchase, 2)) == 2
    assert await bench.amounts() == [1, 2]


async def test_what_cannot_be_handled_is_set_aside_and_holds_up_nothing(bench: Bench, purchase: Purchase) -> None:
    bench.poison = {2}
    records = await bench.publish(purchase, 4)
    unreadable = Record(4, records[0].key, b"not an event")
    assert await bench.sink.take(PLACE, [*records, unreadable]) == 5
    assert await bench.amounts() == [1, 3, 4]
    letters = await bench.fetch('SELECT "offset", error_class FROM dead_letter ORDER BY "offset"')
    assert letters == [(1, "Problem"), (4, "Unreadable")]


async def test_an_unreadable_record_stands_for_one_missing_number(bench: Bench, purchase: Purchase) -> None:
    records = await bench.publish(purchase, 3)
    spoilt = Record(1, records[1].key, b"{")
    assert await bench.sink.take(PLACE, [records[0], spoilt, records[2]]) == 3
    assert await bench.amounts() == [1, 3]


async def test_a_gap_is_filled_from_the_log(bench: Bench, purchase: Purchase) -> None:
    records = await bench.publish(purchase, 5)
    assert await bench.sink.take(PLACE, [records[0], records[4]]) == 1
    assert await bench.sink.take(PLACE, [records[4]]) == 5
    assert await bench.amounts() == [1, 2, 3, 4, 5]


async def test_a_gap_that_cannot_be_filled_stops_the_partition_until_it_is_let_pass(
    bench: Bench, purchase: Purchase
) -> None:
    records = await bench.publish(purchase, 4)
    connection = await asyncpg.connect(plain_url(bench.database.url))
    await connection.execute("DELETE FROM event_log WHERE seq = 2")
    connection.terminate()
    assert await bench.sink.take(PLACE, [records[0]]) == 1
    assert await bench.sink.take(PLACE, records[2:]) == 1
    [(reason,)] = await bench.fetch("SELECT stopped_reason FROM consumer_offset")
    assert "events 2 to 2" in str(reason)
    assert await bench.amounts() == [1]
    async with bench.database.transaction() as session:
        assert await let_pass(session, "test", PLACE)
    assert await bench.sink.take(PLACE, records[2:]) == 4
    assert await bench.amounts() == [1, 3, 4]
    assert await bench.fetch("SELECT stopped_reason FROM consumer_offset") == [(None,)]


async def test_a_partition_stops_where_most_records_fail(bench: Bench, purchase: Purchase) -> None:
    bench.poison = set(range(1, 101))
    records = await bench.publish(purchase, 100)
    following = await bench.sink.take(PLACE, records)
    assert following < 100
    assert await bench.sink.take(PLACE, records[following:]) == following
    bench.poison = set()
    assert await bench.sink.take(PLACE, records[following:]) == 100
    assert await bench.amounts() == list(range(following + 1, 101))
