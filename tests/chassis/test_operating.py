"""What an operator says to a consumer: pause and resume, read again, put back what was set aside, give it up."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import APIRouter
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.app import create_app
from chassis.auth import HEADER, Caller, Signer
from chassis.bus import Record, TopicPartition
from chassis.clock import now
from chassis.consumer import Delivery, Sink
from chassis.db import Database, driver
from chassis.marks import pause, resume
from chassis.settings import ServiceSettings
from contracts.topics import PURCHASES
from tests.chassis.chain import fetch, grow
from tests.chassis.test_consumer import IDENTITY, PLACE, Bench, Purchase

SECRET = "a secret of at least thirty-two characters"
TABLE = "CREATE TABLE handled (id bigserial, amount bigint UNIQUE)"


class Reader(Bench):
    """A bench under the name of a service, whose handler is idempotent, as every one is."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.sink = Sink("customers", database, self.handle, {"customers": database.url})

    async def handle(self, session: AsyncSession, batch: Sequence[Delivery]) -> None:
        for delivery in batch:
            amount = delivery.event.amount_minor  # type: ignore[attr-defined]
            if amount in self.poison:
                raise ValueError(f"{amount} cannot be")
            await (await driver(session)).execute(
                "INSERT INTO handled (amount) VALUES ($1) ON CONFLICT DO NOTHING", amount
            )


@pytest.fixture
async def reader(database: Database) -> Reader:
    await fetch(database, TABLE)
    made = Reader(database)
    await made.sink.claim(PLACE)
    return made


@asynccontextmanager
async def asked(reader: Reader) -> AsyncIterator[httpx.AsyncClient]:
    settings = ServiceSettings(database_url=reader.database.url, internal_secret=SECRET)
    app = create_app(
        "customers",
        router=APIRouter(),
        settings=settings,
        hears=[PURCHASES],
        handler=reader.handle,
        source_urls={"customers": reader.database.url},
    )
    headers = {HEADER: Signer(SECRET).sign(Caller("key_of_ann", frozenset({"operator"})))}
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://customers", headers=headers) as client:
            yield client


async def became(client: httpx.AsyncClient, word: str, **body: Any) -> list[tuple[int, str]]:
    answer = await client.post(f"/internal/dead-letters/{word}", json=body)
    assert answer.status_code == 200, answer.text
    return [(each["id"], each["became"]) for each in answer.json()["data"]]


async def test_nothing_of_a_paused_partition_takes_effect_until_it_is_resumed(
    reader: Reader, purchase: Purchase
) -> None:
    records = await reader.publish(purchase, 5)
    assert await reader.take(PLACE, records[:2]) == 2
    async with reader.database.transaction() as session:
        assert await pause(session, "customers", [PURCHASES.name], now(), "ann") == 1
        assert await pause(session, "customers", None, now(), "ann") == 0

    assert await reader.take(PLACE, records[2:]) == 2
    assert await reader.amounts() == [1, 2]

    async with reader.database.transaction() as session:
        assert await resume(session, "customers", None) == 1
    assert await reader.take(PLACE, records[2:]) == 5
    assert await reader.amounts() == [1, 2, 3, 4, 5]


async def test_the_other_partitions_of_a_batch_go_on_while_one_is_paused(reader: Reader, purchase: Purchase) -> None:
    records = await reader.publish(purchase, 2)
    other = TopicPartition(PURCHASES.name, (PLACE.partition + 1) % 24)
    await reader.sink.claim(other)
    async with reader.database.transaction() as session:
        await (await driver(session)).execute(
            "UPDATE consumer_offset SET paused_at = now() WHERE partition = $1", other.partition
        )

    moved = await reader.sink.take({PLACE: records, other: [Record(0, None, b"no event")]})

    assert moved == {PLACE: 2, other: 0}
    assert await reader.amounts() == [1, 2]
    assert await fetch(reader.database, "SELECT FROM dead_letter") == []


async def test_a_paused_partition_keeps_the_reason_for_which_it_had_stopped(reader: Reader, purchase: Purchase) -> None:
    records = await reader.publish(purchase, 1)
    await fetch(
        reader.database,
        "UPDATE consumer_offset SET paused_at = now(), stopped_reason = 'a gap', stopped_epoch = 1, stopped_seq = 2",
    )

    assert await reader.take(PLACE, records) == 0
    [(reason,)] = await reader.fetch("SELECT stopped_reason FROM consumer_offset WHERE stopped_reason IS NOT NULL")
    assert reason == "a gap"


async def test_a_letter_is_handled_once_however_often_it_is_put_back(reader: Reader, purchase: Purchase) -> None:
    reader.poison = {2}
    await reader.take(PLACE, await reader.publish(purchase, 3))
    assert await reader.amounts() == [1, 3]

    async with asked(reader) as client:
        [letter] = (await client.get("/internal/dead-letters")).json()["data"]
        assert await became(client, "requeue", ids=[letter["id"]]) == [(letter["id"], "failed")]
        again = (await client.get(f"/internal/dead-letters/{letter['id']}")).json()
        reader.poison = set()
        handled = await became(client, "requeue")
        twice = await became(client, "requeue", ids=[letter["id"], 99])
        closed = (await client.get(f"/internal/dead-letters/{letter['id']}")).json()
        opened = (await client.get("/internal/dead-letters")).json()["data"]

    assert (letter["reason"], letter["detail"], letter["attempts"]) == ("ValueError", "2 cannot be", 1)
    assert (again["status"], again["attempts"]) == ("open", 2)
    assert json.loads(again["payload"])["data"]["amount_minor"] == 2
    assert handled == [(letter["id"], "handled")]
    assert twice == [(letter["id"], "was_requeued"), (99, "unknown")]
    assert (closed["status"], closed["closed_by"], closed["attempts"]) == ("requeued", "key_of_ann", 3)
    assert opened == []
    assert await reader.amounts() == [1, 3, 2]


async def test_what_cannot_be_read_stays_open_until_it_is_given_up(
    reader: Reader, capsys: pytest.CaptureFixture[str]
) -> None:
    await reader.take(PLACE, [Record(0, None, b"no event")])

    async with asked(reader) as client:
        [letter] = (await client.get("/internal/dead-letters", params={"reason": "Unreadable"})).json()["data"]
        none = (await client.get("/internal/dead-letters", params={"reason": "ValueError"})).json()["data"]
        failed = await became(client, "requeue", topic=PURCHASES.name)
        given_up = await became(client, "discard", ids=[letter["id"]], why="a test record")
        after = await became(client, "requeue", ids=[letter["id"]])
        closed = (await client.get("/internal/dead-letters", params={"status": "any"})).json()["data"]

    assert none == []
    assert failed == [(letter["id"], "failed")]
    assert given_up == [(letter["id"], "discarded")]
    assert after == [(letter["id"], "was_discarded")]
    assert [(each["status"], each["note"]) for each in closed] == [("discarded", "a test record")]
    said = capsys.readouterr().out
    assert "administrative act" in said
    assert "dead letters discarded" in said
    assert "key_of_ann" in said


async def test_many_letters_are_put_back_in_their_order_and_in_parts(reader: Reader, purchase: Purchase) -> None:
    reader.poison = {1, 2, 3}
    await reader.take(PLACE, await reader.publish(purchase, 4))
    reader.poison = set()

    async with asked(reader) as client:
        first = (await client.post("/internal/dead-letters/requeue", json={"limit": 2})).json()
        rest = (await client.post("/internal/dead-letters/requeue", json={"after": first["data"][-1]["id"]})).json()

    assert (len(first["data"]), first["has_more"], len(rest["data"]), rest["has_more"]) == (2, True, 1, False)
    assert await reader.amounts() == [4, 1, 2, 3]


async def replayed(client: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    answer = await client.post("/internal/replays", json=body)
    assert answer.status_code == 200, answer.text
    last: dict[str, Any] = json.loads(answer.text.splitlines()[-1])
    return last


async def test_a_replay_brings_what_was_given_up_and_changes_nothing_else(reader: Reader, purchase: Purchase) -> None:
    records = await reader.publish(purchase, 6)
    await reader.take(PLACE, records[:5])
    await fetch(reader.database, "DELETE FROM handled WHERE amount = 2")
    before = await reader.fetch("SELECT * FROM consumer_offset")

    async with asked(reader) as client:
        told = await replayed(client, topic=PURCHASES.name, partition=PLACE.partition, seq=2)
        again = await replayed(client, since="2020-01-01T00:00:00Z")
        nothing = await replayed(client, since="2090-01-01T00:00:00Z")

    assert told == {"events": 4, "unreadable": 0, "refused": 0, "done": True}
    assert again["events"] == 5
    assert nothing["events"] == 0
    assert sorted(await reader.amounts()) == [1, 2, 3, 4, 5]  # type: ignore[type-var]
    assert [row for row in await reader.fetch("SELECT * FROM consumer_offset") if row[5]] == before


async def test_a_replay_that_is_only_tried_keeps_nothing_and_one_of_a_key_reads_no_other(
    reader: Reader, purchase: Purchase
) -> None:
    await reader.take(PLACE, await reader.publish(purchase, 5))
    await fetch(reader.database, "DELETE FROM handled")
    reader.poison = {4}
    since = "2020-01-01T00:00:00Z"

    async with asked(reader) as client:
        tried = await replayed(client, since=since, dry_run=True)
        kept = await reader.amounts()
        of_nobody = await replayed(client, since=since, key=str(uuid4()))
        told = await replayed(client, since=since, key=str(IDENTITY))

    assert (tried["events"], tried["refused"], kept) == (5, 1, [])
    assert (of_nobody["events"], told["events"], told["refused"]) == (0, 5, 1)
    assert await reader.amounts() == [1, 2, 3, 5]


@pytest.mark.parametrize(("size", "told"), [(0, [30, 30]), (800_000, [21, 30, 30])], ids=["small", "large"])
async def test_a_replay_reads_in_portions_that_memory_holds(
    reader: Reader, purchase: Purchase, size: int, told: list[int]
) -> None:
    await reader.take(PLACE, await reader.publish(purchase, 30))
    await fetch(reader.database, "DELETE FROM handled")
    await grow(reader.database, size)

    async with asked(reader) as client:
        answer = await client.post("/internal/replays", json={"since": "2020-01-01T00:00:00Z"})

    assert [json.loads(line)["events"] for line in answer.text.splitlines()] == told
    assert await reader.amounts() == list(range(1, 31))


async def test_a_replay_counts_what_is_refused_and_goes_on(reader: Reader, purchase: Purchase) -> None:
    await reader.take(PLACE, await reader.publish(purchase, 3))
    reader.poison = {2}

    async with asked(reader) as client:
        told = await replayed(client, since="2020-01-01T00:00:00Z")
        unknown = await client.post(
            "/internal/replays", json={"topic": "nobody.events.v1", "since": "2020-01-01T00:00:00Z"}
        )
        nowhere = await client.post("/internal/replays", json={"seq": 3})

    assert (told["events"], told["refused"]) == (3, 1)
    assert [answer.json()["code"] for answer in (unknown, nowhere)] == ["nothing_to_replay"] * 2


async def test_a_service_tells_what_of_its_log_is_unread_behind_a_mark(reader: Reader, purchase: Purchase) -> None:
    await reader.publish(purchase, 3)
    mark = {"topic": PURCHASES.name, "partition": PLACE.partition, "epoch": 1}

    async with asked(reader) as client:
        some = (await client.post("/internal/unread", json={"marks": [{**mark, "seq": 1}]})).json()["data"]
        none = (await client.post("/internal/unread", json={"marks": [{**mark, "seq": 3}]})).json()["data"]
        topics = (await client.get("/internal/topics")).json()["data"]
        await fetch(reader.database, "DELETE FROM event_log WHERE seq = 2")
        lost = (await client.post("/internal/unread", json={"marks": [{**mark, "seq": 1}]})).json()["data"]

    assert (lost[0]["events"], lost[0]["oldest_s"]) == (2, 35 * 86_400)
    assert (some[0]["events"], none[0]["events"], none[0]["oldest_s"]) == (2, 0, 0)
    assert some[0]["oldest_s"] > 0
    [purchases] = [topic for topic in topics if topic["topic"] == PURCHASES.name]
    [filled] = [each for each in purchases["partitions"] if each["events"]]
    assert (filled["partition"], filled["first_seq"], filled["last_seq"], filled["events"]) == (
        PLACE.partition,
        1,
        3,
        3,
    )
