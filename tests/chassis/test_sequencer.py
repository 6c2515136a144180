import asyncio
from collections.abc import Callable
from typing import TypeAlias
from uuid import UUID, uuid4

import asyncpg
import pytest
from aiokafka.partitioner import murmur2
from hypothesis import given
from hypothesis import strategies as st

from chassis import outbox, sequencer
from chassis.clock import now
from chassis.db import Database, connect, plain_url
from contracts.customers import PurchaseCompleted
from contracts.event import Event
from contracts.topics import Topic

Purchase = Callable[..., PurchaseCompleted]
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


async def log_of(connection: Connection) -> list[asyncpg.Record]:
    return await connection.fetch("SELECT * FROM event_log ORDER BY topic, partition, epoch, seq")


async def test_an_event_is_in_the_log_if_and_only_if_its_transaction_committed(
    database: Database, connection: Connection, purchase: Purchase
) -> None:
    async with database.transaction() as session:
        (kept,) = outbox.append(session, purchase())

    async def fail() -> None:
        async with database.transaction() as session:
            outbox.append(session, purchase())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await sequencer.number(connection) == 1
    assert [row["event_id"] for row in await log_of(connection)] == [kept]
    assert database.wake.is_set()


async def test_events_of_one_key_keep_their_order_under_twenty_writers(database: Database, purchase: Purchase) -> None:
    keys = [uuid4() for _ in range(5)]
    written: dict[UUID, list[UUID]] = {key: [] for key in keys}
    locks = {key: asyncio.Lock() for key in keys}

    async def writer(number: int) -> None:
        for turn in range(20):
            key = keys[(number + turn) % 5]
            async with locks[key], database.transaction() as session:
                written[key] += outbox.append(session, purchase(key))

    numbering = asyncio.create_task(sequencer.run(database))
    second = asyncio.create_task(sequencer.run(database))
    await asyncio.gather(*(writer(number) for number in range(20)))
    connection = await asyncpg.connect(plain_url(database.url))
    while await connection.fetchval("SELECT count(*) FROM event_log") < 400:
        await asyncio.sleep(0.02)
    rows = await log_of(connection)
    connection.terminate()
    for task in (numbering, second):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    for key in keys:
        assert [row["event_id"] for row in rows if row["key"] == str(key)] == written[key]
    for partition in {row["partition"] for row in rows}:
        seqs = [row["seq"] for row in rows if row["partition"] == partition]
        assert seqs == list(range(1, len(seqs) + 1))


async def test_an_empty_run_says_how_far_the_log_is_complete(database: Database, connection: Connection) -> None:
    before = now()
    assert await sequencer.number(connection) == 0
    assert await connection.fetchval("SELECT sequenced_until FROM sequencing") >= before


async def test_a_full_run_does_not_claim_to_be_complete(
    database: Database, connection: Connection, purchase: Purchase
) -> None:
    async with database.transaction() as session:
        outbox.append(session, purchase(), purchase())
    await sequencer.number(connection, limit=1)
    unmoved = await connection.fetchval("SELECT sequenced_until FROM sequencing")
    await sequencer.number(connection, limit=2)
    assert await connection.fetchval("SELECT sequenced_until FROM sequencing") > unmoved


async def test_recorded_time_never_goes_back(
    database: Database, connection: Connection, purchase: Purchase, monkeypatch: pytest.MonkeyPatch
) -> None:
    for offset in ("0", "-3600"):
        monkeypatch.setenv("SHUKE_CLOCK_OFFSET", offset)
        async with database.transaction() as session:
            outbox.append(session, purchase())
        await sequencer.number(connection)
    first, second = sorted(row["recorded_at"] for row in await log_of(connection))
    assert second >= first


async def test_recorded_time_does_not_go_back_between_full_runs_either(
    database: Database, connection: Connection, purchase: Purchase, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with database.transaction() as session:
        outbox.append(session, purchase(), purchase())
    for offset in ("0", "-3600"):
        monkeypatch.setenv("SHUKE_CLOCK_OFFSET", offset)
        await sequencer.number(connection, limit=1)
    first, second = await connection.fetch("SELECT recorded_at FROM event_log")
    assert first == second


async def test_a_sequencer_killed_at_any_moment_loses_and_doubles_nothing(
    database: Database, connection: Connection, purchase: Purchase
) -> None:
    written: list[UUID] = []
    for turn in range(60):
        async with database.transaction() as session:
            written += outbox.append(session, *(purchase() for _ in range(5)))
        numbering = asyncio.create_task(sequencer.run(database))
        await asyncio.sleep(turn / 2_000)
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'shuke-sequencer'"
        )
        numbering.cancel()
        await asyncio.gather(numbering, return_exceptions=True)
    await sequencer.number(connection)
    rows = await log_of(connection)
    assert sorted(row["event_id"] for row in rows) == sorted(written)
    for partition in {row["partition"] for row in rows}:
        seqs = [row["seq"] for row in rows if row["partition"] == partition]
        assert seqs == list(range(1, len(seqs) + 1))


async def test_a_backlog_is_numbered_without_a_plan_for_an_empty_outbox(
    database: Database, connection: Connection, purchase: Purchase
) -> None:
    numbering = asyncio.create_task(sequencer.run(database))
    async with asyncio.timeout(60):
        while not await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'shuke-sequencer'"
            " AND datname = current_database()"
        ):
            await asyncio.sleep(0.02)
        for _ in range(10):
            database.wake.set()
            await asyncio.sleep(0.02)
        async with database.transaction() as session:
            outbox.append(session, *(purchase() for _ in range(10_000)))
        while await connection.fetchval("SELECT count(*) FROM event_log") < 10_000:
            await asyncio.sleep(0.02)
    numbering.cancel()
    await asyncio.gather(numbering, return_exceptions=True)


async def test_what_others_append_is_looked_for_soon_although_this_process_appends_too(
    database: Database, connection: Connection, purchase: Purchase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sequencer, "IDLE_REST_S", 3_600)
    monkeypatch.setattr(sequencer, "BUSY_REST_S", 3)
    other = connect(database.url, pool_size=1)

    async def append(by: Database) -> None:
        async with by.transaction() as session:
            outbox.append(session, purchase())

    async def numbered(count: int) -> None:
        while await connection.fetchval("SELECT count(*) FROM event_log") < count:
            await asyncio.sleep(0.02)

    numbering = asyncio.create_task(sequencer.run(database))
    async with asyncio.timeout(60):
        await append(database)
        await numbered(1)
        await append(other)
        await append(database)
        await numbered(3)
        await append(other)
        await numbered(4)
    numbering.cancel()
    await asyncio.gather(numbering, return_exceptions=True)
    await other.close()


async def test_a_second_sequencer_finds_nothing_and_rests(database: Database, connection: Connection) -> None:
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(hashtext('sequencer'))")
        other = await asyncpg.connect(plain_url(database.url))
        assert await sequencer.number(other) is None
        other.terminate()


async def test_an_undeclared_topic_is_refused_when_the_row_is_written(database: Database, purchase: Purchase) -> None:
    class Stray(Event, type="test.stray.v1", topic=Topic("test.stray.events.v1")):
        """An event of nobody."""

    async with database.transaction() as session:
        with pytest.raises(outbox.UnpublishableEvent):
            outbox.append(session, Stray(subject=uuid4(), occurred_at=now()))


@given(st.text(max_size=60))
def test_a_key_has_the_partition_that_kafka_clients_give_it(key: str) -> None:
    assert outbox.key_hash(key) == murmur2(key.encode()) & 0x7FFFFFFF


async def test_who_listens_hears_up_to_where_which_partitions_grew(
    database: Database, connection: Connection, purchase: Purchase
) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()
    await connection.add_listener(sequencer.CHANNEL, lambda *said: heard.put_nowait(str(said[-1])))
    async with database.transaction() as session:
        outbox.append(session, *(purchase() for _ in range(50)))
    await sequencer.number(connection)
    told = sequencer.grown(await asyncio.wait_for(heard.get(), 60))
    streams = await connection.fetch("SELECT topic, partition, epoch, last_seq FROM event_stream WHERE last_seq > 0")
    assert told is not None
    assert sorted(told) == sorted(tuple(row) for row in streams)


async def test_many_and_few_events_are_numbered_alike(
    database: Database, connection: Connection, purchase: Purchase
) -> None:
    subject = uuid4()
    ids: list[UUID] = []
    for count in (sequencer.FEW, 1, sequencer.FEW + 1, 2, 0, 3):
        async with database.transaction() as session:
            ids += outbox.append(session, *(purchase(subject) for _ in range(count)))
        assert await sequencer.number(connection) == count
    rows = await log_of(connection)
    assert [row["event_id"] for row in rows] == ids
    assert [row["seq"] for row in rows] == list(range(1, len(ids) + 1))


async def test_each_row_is_read_a_few_times_also_where_the_outbox_was_vacuumed_while_it_was_empty(
    database: Database, connection: Connection, purchase: Purchase
) -> None:
    async def fill(rows: int) -> None:
        async with database.transaction() as session:
            outbox.append(session, *(purchase() for _ in range(rows)))

    async def read() -> int:
        await connection.execute("SELECT pg_stat_force_next_flush()")
        return int(await connection.fetchval(_READ))

    await fill(3_000)
    await connection.execute("DELETE FROM outbox")
    # As it is where somebody waits for the table: its pages stay, and the planner thinks that they are empty.
    await connection.execute("VACUUM (ANALYZE, TRUNCATE false) outbox")
    assert await connection.fetchval(_THOUGHT)
    await fill(2_000)
    before = await read()

    assert await sequencer.number(connection, limit=1_000) == 1_000
    assert await sequencer.number(connection, limit=1_000) == 1_000

    assert await read() - before < 20 * 2_000


_READ = (
    "SELECT coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) FROM pg_stat_user_tables WHERE relname = 'outbox'"
)
_THOUGHT = "SELECT reltuples = 0 AND relpages > 0 FROM pg_class WHERE relname = 'outbox'"
