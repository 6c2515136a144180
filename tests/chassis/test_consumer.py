import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Never, cast
from uuid import UUID

import asyncpg
import pytest
from prometheus_client import REGISTRY
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import outbox, sequencer
from chassis.bus import PartitionSink, Record, TopicPartition
from chassis.clock import now
from chassis.consumer import Delivery, Sink, StartOver, run
from chassis.db import Database, connect, driver, plain_url
from chassis.envelope import finish
from chassis.marks import let_pass, pause
from chassis.source_logs import MOST
from contracts.customers import PurchaseCompleted
from contracts.problems import Problem
from contracts.topics import PURCHASES, STANDINGS
from tests.chassis.chain import grow

Purchase = Callable[..., PurchaseCompleted]
IDENTITY = UUID("00000000-0000-8000-8000-000000000001")
PLACE = TopicPartition(PURCHASES.name, outbox.key_hash(str(IDENTITY)) % 24)


class Bench:
    """A sink whose handler writes amounts into a table, and the log that its records come from."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.poison: set[int] = set()
        self.start_over = 0
        self.fault: str | None = None
        self.batches: list[int] = []
        self.sink = Sink("test", database, self.handle, {"customers": database.url})

    async def handle(self, session: AsyncSession, batch: Sequence[Delivery]) -> None:
        if self.start_over:
            self.start_over -= 1
            raise StartOver
        self.batches.append(len(batch))
        connection = await driver(session)
        if self.fault:
            await connection.execute(f"DO $$ BEGIN RAISE SQLSTATE '{self.fault}'; END $$")
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

    async def take(self, place: TopicPartition, records: Sequence[Record]) -> int:
        return (await self.sink.take({place: records}))[place]

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
    assert await bench.take(PLACE, records) == 3
    assert await bench.take(PLACE, records) == 3
    assert await bench.take(PLACE, [Record(7, records[0].key, records[0].value)]) == 8
    assert await bench.amounts() == [1, 2, 3]


async def test_a_second_owner_cannot_do_the_work_again(bench: Bench, purchase: Purchase) -> None:
    records = await bench.publish(purchase, 20)
    other = Sink("test", bench.database, bench.handle, {})
    await asyncio.gather(*(sink.take({PLACE: records}) for sink in (bench.sink, other, bench.sink, other)))
    assert await bench.amounts() == list(range(1, 21))


async def test_a_handler_that_locked_too_little_starts_over(bench: Bench, purchase: Purchase) -> None:
    bench.start_over = 3
    assert await bench.take(PLACE, await bench.publish(purchase, 2)) == 2
    assert await bench.amounts() == [1, 2]


async def test_what_cannot_be_handled_is_set_aside_and_holds_up_nothing(bench: Bench, purchase: Purchase) -> None:
    bench.poison = {2}
    records = await bench.publish(purchase, 4)
    unreadable = Record(4, records[0].key, b"not an event")
    assert await bench.take(PLACE, [*records, unreadable]) == 5
    assert await bench.amounts() == [1, 3, 4]
    letters = await bench.fetch('SELECT "offset", error_class FROM dead_letter ORDER BY "offset"')
    assert letters == [(1, "Problem"), (4, "Unreadable")]


async def test_an_unreadable_record_stands_for_one_missing_number(bench: Bench, purchase: Purchase) -> None:
    records = await bench.publish(purchase, 3)
    spoilt = Record(1, records[1].key, b"{")
    assert await bench.take(PLACE, [records[0], spoilt, records[2]]) == 3
    assert await bench.amounts() == [1, 3]


async def test_a_gap_is_filled_from_the_log(bench: Bench, purchase: Purchase) -> None:
    records = await bench.publish(purchase, 5)
    assert await bench.take(PLACE, [records[0], records[4]]) == 5
    assert await bench.amounts() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(("size", "pieces"), [(0, [30]), (800_000, [21, 9])], ids=["small", "large"])
async def test_what_fills_a_gap_is_read_in_portions_that_memory_holds(
    bench: Bench, purchase: Purchase, size: int, pieces: list[int]
) -> None:
    records = await bench.publish(purchase, 32)
    await grow(bench.database, size)
    assert await bench.take(PLACE, [records[0], records[-1]]) == 32
    assert bench.batches == [1, *pieces, 1]
    assert await bench.amounts() == list(range(1, 33))


async def test_what_the_log_has_of_a_gap_is_taken_and_only_the_rest_is_missing(
    bench: Bench, purchase: Purchase
) -> None:
    records = await bench.publish(purchase, 5)
    await bench.fetch("DELETE FROM event_log WHERE seq = 4 RETURNING seq")
    assert await bench.take(PLACE, [records[0], records[4]]) == 4
    assert await bench.amounts() == [1, 2, 3]
    assert await bench.fetch("SELECT seq, stopped_reason FROM consumer_offset") == [
        (3, "events 4 to 4 of epoch 1 are missing")
    ]


async def test_what_the_bus_has_dropped_is_caught_up_with_from_the_log(bench: Bench, purchase: Purchase) -> None:
    records = await bench.publish(purchase, 5)
    await bench.take(PLACE, records[:2])
    assert await bench.sink.catch_up(PLACE, 5)
    assert await bench.sink.claim(PLACE) == 5
    assert await bench.sink.catch_up(PLACE, 5)
    assert await bench.amounts() == [1, 2, 3, 4, 5]


async def test_what_the_bus_has_dropped_of_an_epoch_before_the_last_is_caught_up_with_too(
    bench: Bench, purchase: Purchase
) -> None:
    records = await bench.publish(purchase, 5)
    await bench.take(PLACE, records[:2])
    # As the gate does where a database was restored: what was not published yet moves to a new epoch.
    await bench.fetch("WITH moved AS (UPDATE event_log SET epoch = 2, seq = seq - 4 WHERE seq > 4) SELECT 1")
    await bench.fetch("UPDATE event_stream SET epoch = 2, last_seq = 1 WHERE last_seq = 5 RETURNING 1")
    assert await bench.sink.catch_up(PLACE, 5)
    assert await bench.sink.claim(PLACE) == 5
    assert await bench.amounts() == [1, 2, 3, 4, 5]


async def test_a_bus_that_was_made_anew_is_read_from_its_beginning(bench: Bench, purchase: Purchase) -> None:
    records = await bench.publish(purchase, 5)
    await bench.take(PLACE, records[:2])
    await bench.fetch("UPDATE consumer_offset SET next_offset = 1000 RETURNING 1")
    assert await bench.sink.catch_up(PLACE, 0)
    assert await bench.sink.claim(PLACE) == 0
    assert await bench.take(PLACE, records) == 5
    assert await bench.amounts() == [1, 2, 3, 4, 5]


def gaps_met() -> float:
    return REGISTRY.get_sample_value("shuke_gaps_total", {"consumer": "test"}) or 0


@pytest.mark.parametrize("gone", [{4}, {3, 4}, {5}, {3, 4, 5}])
async def test_what_the_log_has_not_either_stops_the_partition_there_and_nothing_else_is_given_up(
    bench: Bench, purchase: Purchase, gone: set[int]
) -> None:
    records = await bench.publish(purchase, 5)
    await bench.take(PLACE, records[:2])
    met = gaps_met()
    await bench.fetch(f"DELETE FROM event_log WHERE seq IN ({', '.join(map(str, gone))}) RETURNING seq")
    # It is tried again and again, and is one gap all the same.
    for _ in range(3):
        assert not await bench.sink.catch_up(PLACE, 5)
    assert gaps_met() == met + 1
    [(reason,)] = await bench.fetch("SELECT stopped_reason FROM consumer_offset")
    assert reason == f"events {min(gone)} to {max(gone)} of epoch 1 are missing"
    assert await bench.sink.claim(PLACE) == 2
    async with bench.database.transaction() as session:
        assert await let_pass(session, "test", PLACE)
    assert await bench.sink.catch_up(PLACE, 5)
    assert await bench.sink.claim(PLACE) == 5
    assert await bench.amounts() == [seq for seq in range(1, 6) if seq not in gone]


async def test_a_reader_that_begins_behind_what_bus_and_log_have_gives_up_that_alone(
    bench: Bench, purchase: Purchase
) -> None:
    records = [*await bench.publish(purchase, MOST), *(await bench.publish(purchase, 200))[MOST:]]
    await bench.fetch(f"DELETE FROM event_log WHERE seq <= {MOST + 100} RETURNING seq")
    assert not await bench.sink.catch_up(PLACE, MOST + 100)
    async with bench.database.transaction() as session:
        assert await let_pass(session, "test", PLACE)
    assert await bench.sink.catch_up(PLACE, MOST + 100)
    assert await bench.take(PLACE, records[MOST + 100 :]) == MOST + 200
    assert await bench.amounts() == list(range(101, 201))


async def test_a_paused_consumer_does_not_catch_up_either(bench: Bench, purchase: Purchase) -> None:
    await bench.publish(purchase, 2)
    async with bench.database.transaction() as session:
        await pause(session, "test", None, now(), "key_1")
    assert not await bench.sink.catch_up(PLACE, 2)
    assert await bench.amounts() == []


async def test_a_gap_that_cannot_be_filled_stops_the_partition_until_it_is_let_pass(
    bench: Bench, purchase: Purchase
) -> None:
    records = await bench.publish(purchase, 4)
    connection = await asyncpg.connect(plain_url(bench.database.url))
    await connection.execute("DELETE FROM event_log WHERE seq = 2")
    connection.terminate()
    assert await bench.take(PLACE, [records[0]]) == 1
    assert await bench.take(PLACE, records[2:]) == 1
    [(reason,)] = await bench.fetch("SELECT stopped_reason FROM consumer_offset")
    assert "events 2 to 2" in str(reason)
    assert await bench.amounts() == [1]
    async with bench.database.transaction() as session:
        assert await let_pass(session, "test", PLACE)
    assert await bench.take(PLACE, records[2:]) == 4
    assert await bench.amounts() == [1, 3, 4]
    assert await bench.fetch("SELECT stopped_reason FROM consumer_offset") == [(None,)]


async def test_a_partition_stops_where_most_records_fail(bench: Bench, purchase: Purchase) -> None:
    bench.poison = set(range(1, 101))
    records = await bench.publish(purchase, 100)
    following = await bench.take(PLACE, records)
    assert following < 100
    assert await bench.take(PLACE, records[following:]) == following
    bench.poison = set()
    assert await bench.take(PLACE, records[following:]) == 100
    assert await bench.amounts() == list(range(following + 1, 101))


async def test_what_fills_a_gap_may_fail_and_nothing_else_is_lost(bench: Bench, purchase: Purchase) -> None:
    bench.poison = {3, 6}
    records = await bench.publish(purchase, 7)
    assert await bench.take(PLACE, [records[0], records[5], records[6]]) == 7
    assert await bench.amounts() == [1, 2, 4, 5, 7]
    assert await bench.fetch("SELECT error_class, status FROM dead_letter") == [("Problem", "open")] * 2


async def test_a_log_that_may_not_be_read_stops_at_a_gap_and_buries_nothing(bench: Bench, purchase: Purchase) -> None:
    records = await bench.publish(purchase, 3)
    connection = await asyncpg.connect(plain_url(bench.database.url))
    await connection.execute("ALTER TABLE event_log RENAME TO hidden")
    connection.terminate()
    assert await bench.take(PLACE, [records[0], records[2]]) == 2
    [(reason,)] = await bench.fetch("SELECT stopped_reason FROM consumer_offset")
    assert "their log cannot be read" in str(reason)
    assert await bench.fetch("SELECT * FROM dead_letter") == []


async def test_an_unreadable_record_stands_for_its_number_in_a_later_batch_too(
    bench: Bench, purchase: Purchase
) -> None:
    records = await bench.publish(purchase, 3)
    await bench.fetch("DELETE FROM event_log WHERE seq = 2 RETURNING seq")
    assert await bench.take(PLACE, [records[0], Record(1, None, b"{")]) == 2
    assert await bench.take(PLACE, [Record(1, None, b"{")]) == 2
    assert await bench.take(PLACE, [records[2]]) == 3
    assert await bench.amounts() == [1, 3]
    assert await bench.fetch("SELECT count(*) FROM dead_letter") == [(1,)]


async def test_a_new_epoch_begins_at_one_and_is_not_taken_for_known(bench: Bench, purchase: Purchase) -> None:
    records = await bench.publish(purchase, 3)
    await bench.take(PLACE, records)
    await bench.fetch("UPDATE event_log SET epoch = 2 RETURNING seq")
    again = [
        Record(place, None, (record.value or b"").replace(b'"0001.', b'"0002.'))
        for place, record in enumerate(records, start=3)
    ]
    assert await bench.take(PLACE, again[1:]) == 6
    assert await bench.amounts() == [1, 2, 3, 1, 2, 3]


async def test_a_compacted_topic_has_gaps_and_tombstones(bench: Bench, purchase: Purchase) -> None:
    place = TopicPartition(STANDINGS.name, 0)
    await bench.sink.claim(place)
    records = await bench.publish(purchase, 5)
    assert await bench.take(place, [records[1], Record(2, "k", None), records[4]]) == 5
    assert await bench.take(place, [Record(9, "k", None)]) == 10
    assert await bench.amounts() == [2, 5]
    assert await bench.fetch("SELECT * FROM dead_letter") == []


async def test_a_record_without_a_value_is_set_aside_where_nothing_is_compacted(
    bench: Bench, purchase: Purchase
) -> None:
    assert await bench.take(PLACE, [Record(0, "k", None)]) == 1
    assert await bench.fetch("SELECT error_class FROM dead_letter") == [("Unreadable",)]


async def test_an_event_of_a_later_version_is_passed_over(bench: Bench, purchase: Purchase) -> None:
    first, second = await bench.publish(purchase, 2)
    newer = Record(0, first.key, (first.value or b"").replace(b"purchase_completed.v1", b"purchase_completed.v9"))
    assert await bench.take(PLACE, [newer, second]) == 2
    assert await bench.amounts() == [2]


@pytest.mark.parametrize("state", ["40P01", "40001", "57014", "08006", "53300"])
async def test_a_transient_error_is_tried_again_and_never_buried(bench: Bench, purchase: Purchase, state: str) -> None:
    bench.fault = state
    records = await bench.publish(purchase, 3)
    taking = asyncio.create_task(bench.take(PLACE, records))
    await asyncio.sleep(0.3)
    assert not taking.done()
    bench.fault = None
    assert await taking == 3
    assert await bench.amounts() == [1, 2, 3]
    assert await bench.fetch("SELECT * FROM dead_letter") == []


async def test_a_worker_killed_at_any_moment_loses_and_doubles_nothing(bench: Bench, purchase: Purchase) -> None:
    records = await bench.publish(purchase, 200)
    following = 0
    for turn in range(400):
        taking = asyncio.create_task(bench.take(PLACE, records[following : following + 10]))
        # Each end falls at another step of the transaction.
        for _ in range(turn % 60):
            await asyncio.sleep(0)
        await asyncio.sleep(turn % 7 / 2_000)
        taking.cancel()
        await asyncio.gather(taking, return_exceptions=True)
        following = await bench.sink.claim(PLACE)
        if following == 200:
            break
    assert await bench.take(PLACE, records[following - 10 :]) == 200
    assert await bench.amounts() == list(range(1, 201))


async def test_a_frozen_owner_is_thrown_out_and_cannot_come_back(
    bench: Bench, database: Database, purchase: Purchase
) -> None:
    records = await bench.publish(purchase, 2)
    frozen, thawed = asyncio.Event(), asyncio.Event()

    async def freeze(session: AsyncSession, batch: Sequence[Delivery]) -> None:
        await bench.handle(session, batch)
        if not frozen.is_set():
            frozen.set()
            await thawed.wait()

    held = connect(database.url, settings={"idle_in_transaction_session_timeout": "300"})
    zombie = asyncio.create_task(Sink("test", held, freeze, {}).take({PLACE: records}))
    await frozen.wait()
    async with asyncio.timeout(60):
        assert await bench.take(PLACE, records) == 2
    thawed.set()
    assert await zombie == {PLACE: 2}
    assert await bench.amounts() == [1, 2]
    await held.close()


async def test_partitions_share_a_transaction_and_none_waits_for_the_fault_of_another(
    bench: Bench, purchase: Purchase
) -> None:
    """Each of three has four events; one meets a poisoned event, one a gap that nothing fills."""
    sound, poisoned, broken = (TopicPartition(PURCHASES.name, number) for number in (0, 1, 2))
    records = await bench.publish(purchase, 4)
    await bench.fetch("DELETE FROM event_log")
    for partition in (sound, poisoned, broken):
        await bench.sink.claim(partition)

    assert await bench.sink.take({sound: records[:2], poisoned: records[:2]}) == {sound: 2, poisoned: 2}
    assert await bench.amounts() == [1, 2, 1, 2]
    bench.poison = {4}
    following = await bench.sink.take({sound: records[2:3], poisoned: records[2:], broken: [records[0], records[2]]})

    assert following == {sound: 3, poisoned: 4, broken: 2}
    assert sorted(map(str, await bench.amounts())) == ["1", "1", "1", "2", "2", "3", "3"]
    assert await bench.fetch('SELECT partition, "offset" FROM dead_letter') == [(1, 3)]
    assert await bench.fetch("SELECT partition FROM consumer_offset WHERE stopped_reason IS NOT NULL") == [(2,)]


async def test_a_consumer_counts_as_behind_in_every_partition_before_it_reads_any(bench: Bench) -> None:
    class Idle:
        async def run(self, consumer: str, topics: Sequence[str], sink: PartitionSink) -> Never:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await run("other", bench.database, Idle(), [PURCHASES.name], bench.handle, {})
    begun = "SELECT count(*), sum(seq) FROM consumer_offset WHERE consumer = 'other'"
    assert await bench.fetch(begun) == [(PURCHASES.partitions, 0)]


async def test_a_partition_keeps_its_order_where_an_epoch_begins_with_events_recorded_earlier(
    bench: Bench, purchase: Purchase
) -> None:
    """As behind a restored backup, whose unpublished events move to the new epoch as they were recorded."""
    records = await bench.publish(purchase, 3)
    payloads = [row for (row,) in await bench.fetch("SELECT payload FROM event_log ORDER BY seq")]
    earlier = now() - timedelta(hours=1)
    moved = Record(2, records[2].key, finish(cast("bytes", payloads[2]), earlier, 2, 1))
    assert await bench.take(PLACE, [records[0], records[1], moved]) == 3
    assert await bench.amounts() == [1, 2, 3]


async def test_an_event_of_an_unknown_type_before_a_gap_leaves_the_gap_to_be_filled(
    bench: Bench, purchase: Purchase
) -> None:
    records = await bench.publish(purchase, 4)
    later = (records[1].value or b"").replace(b"customers.purchase_completed.v1", b"customers.purchase_dreamt_of.v1")
    assert await bench.take(PLACE, records[:1]) == 1
    assert await bench.take(PLACE, [Record(1, records[1].key, later), records[3]]) == 4
    assert await bench.amounts() == [1, 3, 4]


async def test_a_partition_that_stands_costs_those_beside_it_nothing(bench: Bench, purchase: Purchase) -> None:
    sound, broken = TopicPartition(PURCHASES.name, (PLACE.partition + 1) % 24), PLACE
    records = await bench.publish(purchase, 3)
    await bench.sink.claim(sound)
    away = Sink("test", bench.database, bench.handle, {"customers": "postgresql://nobody@127.0.0.1:1/nowhere"})
    async with asyncio.timeout(60):
        following = await away.take({broken: records[2:], sound: records[:2]})
    assert following == {sound: 2, broken: 0}
    assert bench.batches == [2]
    [(reason,)] = await bench.fetch("SELECT stopped_reason FROM consumer_offset WHERE stopped_reason IS NOT NULL")
    assert "events 1 to 2" in str(reason)
    assert await bench.sink.take({broken: records[2:]}) == {broken: 3}
