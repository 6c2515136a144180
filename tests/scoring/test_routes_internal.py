from datetime import UTC, datetime, timedelta

import httpx

from chassis.db import Database, declare_topics, driver
from contracts.topics import PURCHASES, topics_of
from tests.scoring.conftest import MakeDatabase, MakeScoring
from tests.scoring.feeding import JUNE, Feeding, served
from tests.scoring.filed import exported


async def test_the_export_has_a_line_for_each_standing(api: httpx.AsyncClient, feed: Feeding) -> None:
    parties = sorted(feed.identity() for _ in range(3))
    for number, party in enumerate(parties[:2]):
        await feed.bought(party, JUNE - timedelta(days=number), 1_000)
    await feed.withdrawn(parties[2], await feed.bought(parties[2], JUNE, 1_000))

    lines = await exported(api)

    assert [line["party_id"] for line in lines] == [f"party_{party.hex}" for party in parties[:2]]
    columns = (
        "party_id stage tier value currency x tx_days T_days spend since next_change_at policy model p turnover level"
        " satisfaction satisfaction_band loyalty loyalty_band posture treatment flags vip last_contact_day"
        " potential policy_hash"
    )
    assert list(lines[0]) == columns.split()


async def test_the_export_of_a_day_has_the_whole_day_and_nothing_later(api: httpx.AsyncClient, feed: Feeding) -> None:
    early, late = sorted((feed.identity(), feed.identity()))
    await feed.bought(early, datetime(2026, 3, 1, tzinfo=UTC), 1_000)
    await feed.bought(early, datetime(2026, 3, 8, 23, 59, 59, tzinfo=UTC), 2_000)
    await feed.bought(early, datetime(2026, 3, 9, tzinfo=UTC), 4_000)
    await feed.bought(late, datetime(2026, 3, 9, tzinfo=UTC), 4_000)

    [line] = await exported(api, as_of="2026-03-08")

    assert (line["x"], line["tx_days"], line["T_days"], line["spend"]) == ("1", "7", "7", "30.00")
    assert len(await exported(api, as_of="2026-03-09")) == 2
    assert await exported(api, as_of="2026-02-28") == []


async def test_a_local_day_is_one_of_the_installation(make_scoring: MakeScoring) -> None:
    feed = Feeding(await make_scoring(time_zone="Asia/Taipei"))
    party = feed.identity()
    await feed.bought(party, datetime(2026, 3, 8, 16, tzinfo=UTC), 1_000)

    async with served(feed.database) as api:
        assert await exported(api, as_of="2026-03-08") == []
        [line] = await exported(api, as_of="2026-03-09")

    assert (line["since"], line["T_days"]) == ("2026-03-09", "0")


async def test_many_standings_are_exported_whole(api: httpx.AsyncClient, feed: Feeding) -> None:
    parties = sorted(feed.identity() for _ in range(1_203))
    await feed.tell(*(feed.purchase(party, JUNE, 1_000) for party in parties))

    assert [line["party_id"] for line in await exported(api)] == [f"party_{party.hex}" for party in parties]


async def test_status_tells_what_is_unread_what_has_stopped_and_what_holds_time(
    make_database: MakeDatabase, scoring: Database
) -> None:
    source = await make_database(None)
    await declare_topics(source, topics_of("customers"))
    async with source.transaction() as session:
        await (await driver(session)).execute("UPDATE event_stream SET last_seq = 10 WHERE partition < 2")
    async with scoring.transaction() as session:
        connection = await driver(session)
        await connection.execute(
            "INSERT INTO consumer_offset (consumer, topic, partition, seq, stopped_reason, stopped_epoch, stopped_seq)"
            " VALUES ('scoring', $1, 0, 7, 'events 8 to 8 are missing', 1, 9),"
            " ('scoring', $1, 1, 10, NULL, NULL, NULL)",
            PURCHASES.name,
        )
        await connection.execute(
            "INSERT INTO watermark (source, reached, checked_at, held_by) VALUES ('customers', $1, $1, 'a gap')", JUNE
        )
        await connection.execute(
            "INSERT INTO consumer_member (consumer, member, seen_at) VALUES ('scoring', 'worker-1', $1)", JUNE
        )

    async with served(
        scoring, source_urls={"customers": source.url, "leads": "postgresql://nobody@127.0.0.1:1/x"}
    ) as api:
        told = (await api.get("/internal/status")).json()

    lag = {(each["topic"], each["partition"]): each for each in told["lag"]}
    assert len(lag) == sum(topic.partitions for topic in topics_of("customers"))
    assert [lag[PURCHASES.name, partition]["behind"] for partition in (0, 1, 2)] == [3, 0, 0]
    assert lag[PURCHASES.name, 0]["stopped_reason"] == "events 8 to 8 are missing"
    assert told["unreachable_sources"] == ["leads"]
    assert told["watermark"] == [
        {
            "source": "customers",
            "reached": "2026-06-01T12:00:00Z",
            "checked_at": "2026-06-01T12:00:00Z",
            "held_by": "a gap",
        }
    ]
    assert told["members"] == [{"consumer": "scoring", "member": "worker-1", "seen_at": "2026-06-01T12:00:00Z"}]
    assert (told["service"], told["oldest_unsequenced_s"], told["dead_letters"]) == ("scoring", 0.0, [])
    assert {"consumer": "scoring", "stopped_reason": None}.items() <= told["consumers"][1].items()
    assert {stream["topic"] for stream in told["streams"]} == {topic.name for topic in topics_of("scoring")}
    assert (told["ruling_applied"], told["reassessing"]) == (True, 0)


async def test_status_tells_how_many_wait_for_a_new_ruling(api: httpx.AsyncClient, feed: Feeding) -> None:
    for _ in range(3):
        await feed.bought(feed.identity(), JUNE, 1_000)
    await api.post("/v1/tiers/fit")

    told = (await api.get("/internal/status")).json()

    assert (told["ruling_applied"], told["reassessing"]) == (False, 3)


async def test_a_stopped_partition_is_let_pass_its_gap(api: httpx.AsyncClient, scoring: Database) -> None:
    async with scoring.transaction() as session:
        await (await driver(session)).execute(
            "INSERT INTO consumer_offset (consumer, topic, partition, seq, stopped_reason, stopped_epoch, stopped_seq)"
            " VALUES ('scoring', $1, 3, 7, 'events 8 to 11 are missing', 2, 12)",
            PURCHASES.name,
        )
    gap = {"consumer": "scoring", "topic": PURCHASES.name, "partition": 3}

    other = await api.post("/internal/gaps/pass", json={**gap, "consumer": "leads"})
    answer = await api.post("/internal/gaps/pass", json=gap)
    again = await api.post("/internal/gaps/pass", json=gap)

    assert [(each.status_code, each.json()) for each in (other, answer, again)] == [
        (200, {"passed": False}),
        (200, {"passed": True}),
        (200, {"passed": False}),
    ]
    async with scoring.transaction() as session:
        found = await (await driver(session)).fetch("SELECT epoch, seq, stopped_reason FROM consumer_offset")
    assert [tuple(row) for row in found] == [(2, 11, None)]
