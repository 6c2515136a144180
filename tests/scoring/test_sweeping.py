import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import structlog

from chassis import outbox, sequencer
from chassis.bus import TopicPartition
from chassis.consumer import Sink
from chassis.db import Database, declare_topics, driver, plain_url
from chassis.pressure import Backlogged
from contracts.scoring import MoveKind
from contracts.topics import topics_of
from services.scoring.app import TOPICS
from services.scoring.handlers import sweeping
from services.scoring.handlers.assessing import assess_again
from services.scoring.handlers.batches import apply
from services.scoring.handlers.renewing import renew
from services.scoring.handlers.sweeping import Followed, sweep, sweep_once, take_some_due
from services.scoring.queries import standings
from services.scoring.queries.parties import pass_barrier
from services.scoring.queries.rulings import BARRIER, Connection, add_rates, new_ruling
from services.scoring.queries.standings import summary
from services.scoring.queries.sweeping import Part, lock_as_read
from services.scoring.queries.watermark import Source, move_watermark, wait_for, watermark
from tests.scoring.feeding import JUNE, Feeding

MakeDatabase = Callable[[str | None], Awaitable[Database]]


async def read_until(database: Database, until: datetime) -> None:
    """Every event was read up to an instant."""
    async with database.transaction() as session:
        await move_watermark(await driver(session), "customers", until, until, None)


async def rows(database: Database, query: str, *values: Any) -> list[asyncpg.Record]:
    async with database.transaction() as session:
        return await (await driver(session)).fetch(query, *values)


async def told(database: Database, party: UUID) -> list[tuple[str, str, datetime]]:
    found = await rows(database, "SELECT * FROM lived_move WHERE party_id = $1 ORDER BY revision", party)
    return [(move["kind"], move["cause"], move["occurred_at"]) for move in found]


async def moves(database: Database, party: UUID) -> list[tuple[str, str, datetime]]:
    """What was told of stage and tier."""
    return [change for change in await told(database, party) if change[0] != "regraded"]


FADED = ("faded", "clock", datetime(2026, 8, 31, tzinfo=UTC))
LOST = ("lost", "clock", datetime(2027, 6, 2, tzinfo=UTC))
APPEARED = ("appeared", "fact", JUNE)


async def test_each_stage_changes_once_and_on_its_computed_day(scoring: Database, feed: Feeding) -> None:
    somebody = feed.identity()
    await feed.bought(somebody, JUNE, 1_000)

    for days in range(0, 400):
        await read_until(scoring, JUNE + timedelta(days=days))
        await sweep_once(scoring)

    assert await moves(scoring, somebody) == [APPEARED, FADED, LOST]


async def test_the_clock_waits_for_as_long_as_nothing_may_be_announced(scoring: Database, feed: Feeding) -> None:
    somebody = feed.identity()
    await feed.bought(somebody, JUNE, 1_000)
    await read_until(scoring, JUNE + timedelta(days=400))
    scoring.refusal = Backlogged(2, 1)
    with pytest.raises(Backlogged):
        await sweep_once(scoring)
    async with asyncio.TaskGroup() as tasks:
        with structlog.testing.capture_logs() as lines:
            sweeping = tasks.create_task(sweep(scoring, {}, ()))
            await asyncio.sleep(1.5)
        assert await moves(scoring, somebody) == [APPEARED]
        # Nothing was tried in vain.
        assert [line["event"] for line in lines] == []
        scoring.refusal = None
        async with asyncio.timeout(20):
            while await moves(scoring, somebody) != [APPEARED, FADED, LOST]:
                await asyncio.sleep(0.05)
        sweeping.cancel()


async def test_what_else_is_graded_changes_once_and_on_its_computed_day(scoring: Database, feed: Feeding) -> None:
    somebody = feed.identity()
    await feed.bought(somebody, JUNE, 1_000)

    for days in range(0, 400):
        await read_until(scoring, JUNE + timedelta(days=days))
        await sweep_once(scoring)

    # The purchase leaves the window of the posture; a year later comes its anniversary, which is evidence.
    out, anniversary = (("regraded", "clock", datetime(*day, tzinfo=UTC)) for day in ((2026, 8, 30), (2027, 6, 1)))
    assert await told(scoring, somebody) == [APPEARED, out, FADED, anniversary, LOST]


async def test_a_prospect_fades_and_is_lost_once_and_on_the_computed_days(scoring: Database, feed: Feeding) -> None:
    somebody = feed.identity()
    await feed.inquired(somebody, JUNE)

    for days in range(0, 200):
        await read_until(scoring, JUNE + timedelta(days=days))
        await sweep_once(scoring)

    assert await moves(scoring, somebody) == [
        APPEARED,
        ("faded", "clock", datetime(2026, 7, 2, tzinfo=UTC)),
        ("lost", "clock", datetime(2026, 11, 29, tzinfo=UTC)),
    ]
    (row,) = await rows(scoring, "SELECT stage, loss_reason, next_change_at FROM party")
    assert tuple(row) == ("lost_prospect", "unknown", None)


async def test_time_waits_for_every_service_that_is_to_be_read_and_for_no_other(
    scoring: Database, feed: Feeding
) -> None:
    somebody = feed.identity()
    await feed.inquired(somebody, JUNE)
    await read_until(scoring, datetime(2026, 7, 2, tzinfo=UTC))
    async with scoring.transaction() as session:
        await wait_for(await driver(session), ["customers", "leads"], JUNE)

    await sweep_once(scoring)
    assert await moves(scoring, somebody) == [APPEARED]

    async with scoring.transaction() as session:
        await wait_for(await driver(session), ["customers"], JUNE)
    await sweep_once(scoring)
    assert len(await moves(scoring, somebody)) == 2


async def test_a_day_before_its_instant_nothing_happens(scoring: Database, feed: Feeding) -> None:
    somebody = feed.identity()
    await feed.bought(somebody, JUNE, 1_000)

    await read_until(scoring, FADED[2] - timedelta(microseconds=1))
    await sweep_once(scoring)
    assert await moves(scoring, somebody) == [APPEARED]

    await read_until(scoring, FADED[2])
    await sweep_once(scoring)
    assert await moves(scoring, somebody) == [APPEARED, FADED]


async def test_after_two_years_switched_off_the_moves_are_the_same(scoring: Database, feed: Feeding) -> None:
    people = [feed.identity() for _ in range(1_203)]
    for person in people[:3]:
        await feed.bought(person, JUNE, 40_000)
    for start in range(3, 1_203, 400):
        await feed.tell(*(feed.purchase(person, JUNE, 1_000) for person in people[start : start + 400]))

    await read_until(scoring, JUNE + timedelta(days=731))
    await sweep_once(scoring)

    # The window of turnover closes a day before the customer is lost.
    retiered = ("retiered", "clock", datetime(2027, 6, 1, tzinfo=UTC))
    assert await moves(scoring, people[0]) == [APPEARED, FADED, retiered, LOST]
    assert await moves(scoring, people[700]) == [APPEARED, FADED, LOST]
    counts = await rows(scoring, "SELECT kind, count(*) AS n FROM lived_move GROUP BY kind")
    assert {row["kind"]: row["n"] for row in counts} == {
        MoveKind.APPEARED: 1_203,
        MoveKind.FADED: 1_203,
        MoveKind.RETIERED: 3,
        MoveKind.LOST: 1_203,
    }


async def test_two_sweepers_and_a_buyer_at_once_move_everybody_once(scoring: Database, feed: Feeding) -> None:
    people = [feed.identity() for _ in range(900)]
    await feed.tell(*(feed.purchase(person, JUNE, 1_000) for person in people))
    await read_until(scoring, FADED[2])
    feed.at = FADED[2] + timedelta(days=1, hours=1)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(sweep_once(scoring))
        tasks.create_task(sweep_once(scoring))
        for person in people[:40]:
            tasks.create_task(feed.bought(person, feed.at, 1_000))

    for person in people:
        expected = [APPEARED, FADED, ("returned", "fact", feed.at)]
        assert await moves(scoring, person) == (expected if person in people[:40] else expected[:2])


async def test_nothing_passes_before_anything_was_read(scoring: Database, feed: Feeding) -> None:
    somebody = feed.identity()
    await feed.bought(somebody, JUNE, 1_000)

    await sweep_once(scoring)

    assert await moves(scoring, somebody) == [APPEARED]


async def test_a_new_ruling_reaches_everybody_by_policy(scoring: Database, feed: Feeding) -> None:
    people = [feed.identity() for _ in range(1_100)]
    await feed.tell(*(feed.purchase(person, JUNE, 50_000, "USD") for person in people))
    async with scoring.transaction() as session:
        await add_rates(await driver(session), [(date(2026, 1, 1), "USD", "0.9")], JUNE)

    await sweep_once(scoring)

    found = await rows(scoring, "SELECT tier, value_minor, assessed_at, count(*) AS n FROM party GROUP BY 1, 2, 3")
    assert [tuple(row) for row in found] == [("high", 45_000, JUNE, 1_100)]
    assert [move[:2] for move in await moves(scoring, people[0])] == [("appeared", "fact"), ("revised", "policy")]
    assert not await rows(scoring, "SELECT FROM ruling WHERE applied_at IS NULL")


async def test_a_pass_that_broke_off_is_gone_on_with(scoring: Database, feed: Feeding) -> None:
    people = sorted(feed.identity() for _ in range(40))
    await feed.tell(*(feed.purchase(person, JUNE, 50_000, "USD") for person in people))
    async with scoring.transaction() as session:
        await add_rates(await driver(session), [(date(2026, 1, 1), "USD", "0.9")], JUNE)
    async with scoring.transaction() as session:
        await assess_again(session, people[:7], None)

    await sweep_once(scoring)

    assert {len(await moves(scoring, person)) for person in people} == {2}


async def test_stored_values_are_refreshed_within_the_week(scoring: Database, feed: Feeding) -> None:
    somebody = feed.identity()
    await feed.bought(somebody, JUNE - timedelta(days=360), 300)
    await feed.bought(somebody, JUNE, 500)

    for days in range(14):
        await read_until(scoring, JUNE + timedelta(days=days))
        await sweep_once(scoring)

    (row,) = await rows(scoring, "SELECT value_minor, assessed_at FROM party")
    assert row["value_minor"] == 500
    assert row["assessed_at"] > JUNE + timedelta(days=6)


async def test_a_long_refresh_goes_on_where_it_was_and_lets_others_come_first(
    scoring: Database, feed: Feeding, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        await feed.bought(feed.identity(), JUNE, 500)
    until = JUNE + timedelta(days=10)
    await read_until(scoring, until)
    monkeypatch.setattr(sweeping, "BATCH", 1)
    monkeypatch.setattr(sweeping, "REST_S", 0.0)
    refresh, looked_at = sweeping.Refresh(), []

    for _ in range(5):
        await refresh.go_on(scoring, until)
        (row,) = await rows(scoring, f"SELECT count(*) FROM party WHERE assessed_at = '{until}'")
        looked_at.append(row["count"])

    assert looked_at == [1, 2, 3, 3, 3]
    (row,) = await rows(scoring, "SELECT refreshed_at FROM installation")
    assert row["refreshed_at"] == until


@pytest.fixture
async def customers(make_database: MakeDatabase) -> Database:
    database = await make_database("services.customers")
    await declare_topics(database, topics_of("customers"))
    return database


async def number(customers: Database) -> None:
    connection = await asyncpg.connect(plain_url(customers.url))
    await sequencer.number(connection)
    await connection.close()


async def held(scoring: Database, customers: Database, followed: Followed | None = None) -> str | None:
    followed = followed or Followed(Source("customers", customers.url))
    await followed.follow(scoring, TOPICS)
    followed.source.close()
    (row,) = await rows(scoring, "SELECT held_by FROM watermark")
    held_by: str | None = row["held_by"]
    return held_by


async def reached(scoring: Database) -> datetime | None:
    async with scoring.transaction() as session:
        return await watermark(await driver(session))


async def test_time_waits_for_unread_events(scoring: Database, customers: Database, feed: Feeding) -> None:
    await number(customers)
    assert await held(scoring, customers) is None
    before = await reached(scoring)
    async with customers.transaction() as session:
        outbox.append(session, feed.purchase(feed.identity(), JUNE, 1_000))
    await number(customers)

    followed = Followed(Source("customers", customers.url))
    assert "unread events" in (await held(scoring, customers, followed) or "")
    assert await reached(scoring) == before

    (stream,) = await rows(customers, "SELECT * FROM event_stream WHERE last_seq > 0")
    partition = TopicPartition(stream["topic"], stream["partition"])
    await Sink("scoring", scoring, apply, {}).claim(partition)
    mark = "UPDATE consumer_offset SET seq = $1"
    await rows(scoring, mark, 1)
    # More came meanwhile: what was to be read then is what counts.
    async with customers.transaction() as session:
        outbox.append(session, *(feed.purchase(feed.identity(), JUNE, 1_000) for _ in range(50)))
    await number(customers)

    assert before is not None
    assert await held(scoring, customers, followed) is None
    assert (await reached(scoring) or before) > before
    assert "unread events" in (await held(scoring, customers, followed) or "")


async def test_a_stopped_partition_and_a_service_that_is_away_hold_time(
    scoring: Database, customers: Database, feed: Feeding
) -> None:
    async with customers.transaction() as session:
        outbox.append(session, feed.purchase(feed.identity(), JUNE, 1_000))
    await number(customers)
    (stream,) = await rows(customers, "SELECT * FROM event_stream WHERE last_seq > 0")
    await Sink("scoring", scoring, apply, {}).claim(TopicPartition(stream["topic"], stream["partition"]))
    await rows(scoring, "UPDATE consumer_offset SET stopped_reason = 'events 1 to 2 are missing'")

    assert "has stopped: events 1 to 2" in (await held(scoring, customers) or "")

    away = Followed(Source("customers", "postgresql://nobody@127.0.0.1:1/nothing"))
    assert "customers does not answer" in (await held(scoring, customers, away) or "")
    assert await reached(scoring) is None


async def have_bought(feed: Feeding, count: int) -> list[UUID]:
    """So many who bought for 10 in June, and nothing since."""
    parties = [feed.identity() for _ in range(count)]
    await feed.tell(*(feed.purchase(party, JUNE, 1_000) for party in parties))
    return parties


async def another_ruling(scoring: Database) -> int:
    async with scoring.transaction() as session:
        connection = await driver(session)
        await connection.execute("SELECT pg_advisory_xact_lock($1)", BARRIER)
        return await new_ruling(connection, "rebuild", JUNE)


async def test_many_who_are_due_are_taken_by_processes_of_their_own(
    scoring: Database, feed: Feeding, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "MANY", 20)
    everybody = await have_bought(feed, 30)
    await read_until(scoring, FADED[2])

    await sweep_once(scoring)

    assert [await moves(scoring, somebody) for somebody in everybody] == [[APPEARED, FADED]] * 30


async def test_each_part_of_those_who_are_due_is_taken_once(
    scoring: Database, feed: Feeding, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "BATCH_APART", 7)
    everybody = await have_bought(feed, 60)
    faded = "SELECT party_id FROM lived_move WHERE kind = 'faded'"

    assert await take_some_due(scoring, FADED[2], Part(0, 2))
    first = {row["party_id"] for row in await rows(scoring, faded)}
    assert not await take_some_due(scoring, FADED[2], Part(0, 2))
    assert await take_some_due(scoring, FADED[2], Part(1, 2))

    assert 7 < len(first) < len(everybody) - 7
    assert [await moves(scoring, somebody) for somebody in everybody] == [[APPEARED, FADED]] * len(everybody)
    before = await told(scoring, everybody[0])
    async with scoring.transaction() as session:
        await assess_again(session, everybody, FADED[2])
    assert await told(scoring, everybody[0]) == before


async def test_news_between_deciding_and_writing_is_not_undone(
    scoring: Database, feed: Feeding, monkeypatch: pytest.MonkeyPatch
) -> None:
    everybody = await have_bought(feed, 30)
    buyers, held = everybody[::7], everybody[1]

    async def late(connection: Connection, found: Sequence[asyncpg.Record]) -> set[UUID]:
        for each in buyers:
            await feed.bought(each, JUNE, 70_000)
        async with scoring.transaction() as session:
            await (await driver(session)).execute("SELECT FROM party WHERE party_id = $1 FOR UPDATE", held)
            return await lock_as_read(connection, found)

    monkeypatch.setattr(sweeping, "lock_as_read", late)

    assert await take_some_due(scoring, FADED[2], Part(0, 1))

    stay = {held, *buyers}
    faded = [FADED in await moves(scoring, somebody) for somebody in everybody]
    assert faded == [somebody not in stay for somebody in everybody]
    spent = await rows(scoring, "SELECT spend_minor FROM party WHERE party_id = ANY($1)", buyers)
    assert [row["spend_minor"] for row in spent] == [71_000] * len(buyers)
    monkeypatch.undo()
    await read_until(scoring, FADED[2])
    await sweep_once(scoring)
    assert await moves(scoring, held) == [APPEARED, FADED]


async def test_what_was_decided_by_an_older_ruling_is_not_written(
    scoring: Database, feed: Feeding, monkeypatch: pytest.MonkeyPatch
) -> None:
    everybody = await have_bought(feed, 30)

    async def late(connection: Connection) -> None:
        await another_ruling(scoring)
        await pass_barrier(connection)

    monkeypatch.setattr(sweeping, "pass_barrier", late)

    assert await take_some_due(scoring, FADED[2], Part(0, 1))
    assert [await moves(scoring, somebody) for somebody in everybody] == [[APPEARED]] * len(everybody)
    monkeypatch.undo()
    assert await take_some_due(scoring, FADED[2], Part(0, 1))
    assert [await moves(scoring, somebody) for somebody in everybody] == [[APPEARED, FADED]] * len(everybody)


async def test_whom_somebody_holds_is_left_by_processes_of_their_own_and_taken_behind_them(
    scoring: Database, feed: Feeding, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "MANY", 20)
    everybody = await have_bought(feed, 30)
    ruling = await another_ruling(scoring)
    left = "SELECT party_id FROM party WHERE ruling < $1"

    async with scoring.transaction() as session:
        await (await driver(session)).execute("SELECT FROM party WHERE party_id = $1 FOR UPDATE", everybody[0])
        await renew(scoring, JUNE)
        assert [row["party_id"] for row in await rows(scoring, left, ruling)] == [everybody[0]]
    await sweep_once(scoring)

    assert not await rows(scoring, left, ruling)
    assert await rows(scoring, "SELECT FROM ruling WHERE id = $1 AND applied_at IS NOT NULL", ruling)


GROUPED = """
SELECT stage, tier, count(*), sum(value_minor)::bigint FROM party WHERE stage IS NOT NULL GROUP BY stage, tier
"""


async def summed(scoring: Database) -> dict[tuple[str, str], tuple[int, int]]:
    async with scoring.transaction() as session:
        return {(stage, tier): cell for (stage, tier), cell in (await summary(await driver(session))).items()}


async def test_the_summary_is_the_sum_over_all_parties_whatever_moves_them(
    scoring: Database, feed: Feeding, monkeypatch: pytest.MonkeyPatch
) -> None:
    everybody = [feed.identity() for _ in range(30)]
    await feed.tell(*(feed.purchase(each, JUNE, 100 << place) for place, each in enumerate(everybody)))
    await feed.bought(feed.identity(), JUNE, 5_000)
    await feed.inquired(feed.identity(), JUNE)
    await read_until(scoring, FADED[2])
    for most in (1_000, 1):
        monkeypatch.setattr(standings, "MOST_CHANGES", most)
        await sweep_once(scoring)
        await feed.tell(*(feed.purchase(each, JUNE + timedelta(days=1), 900) for each in everybody[:7]))
        grouped = {(row[0], row[1]): (row[2], row[3]) for row in await rows(scoring, GROUPED)}
        assert await summed(scoring) == grouped
    assert sum(count for count, _ in (await summed(scoring)).values()) == 32
