import asyncio
from random import Random
from typing import Any
from uuid import UUID

import httpx
import pytest

from chassis.clock import now
from chassis.db import Database, driver
from contracts.customers import PartyKind, PartyRegistered
from services.scoring.handlers import rebuilding
from services.scoring.handlers.rebuilding import carry_out_rebuilds, move_on
from services.scoring.handlers.sweeping import sweep_once
from services.scoring.queries.asking import ask_for_rebuild
from services.scoring.queries.reading import snapshot
from services.scoring.queries.rulings import decided_for_good, open_installation
from tests.scoring.feeding import JUNE, Feeding
from tests.scoring.stories import Story, disagreements, give
from tests.scoring.test_handlers import batches, rows


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebuilding, "PAGE", 2)
    monkeypatch.setattr(rebuilding, "FEW", 1)
    monkeypatch.setattr(rebuilding, "REST_S", 0.01)
    monkeypatch.setattr(rebuilding, "LOCK_TIMEOUT_S", 0.1)


async def ask(database: Database, time_zone: str | None = None) -> UUID:
    rebuild_id = Feeding.identity()
    async with database.transaction() as session:
        await ask_for_rebuild(await driver(session), rebuild_id, time_zone, now())
    return rebuild_id


async def rebuild(database: Database, rebuild_id: UUID) -> Any:
    return (await rows(database, "SELECT * FROM rebuild WHERE id = $1", rebuild_id))[0]


async def calendars(database: Database) -> list[Any]:
    return [tuple(row) for row in await rows(database, "SELECT * FROM calendar ORDER BY identity_id, year")]


async def test_a_rebuild_repairs_what_was_corrupted(scoring: Database, feed: Feeding) -> None:
    somebody, other = feed.identity(), feed.identity()
    await feed.bought(somebody, JUNE, 1_000)
    await feed.withdrawn(other, await feed.bought(other, JUNE, 1_000))
    right = await calendars(scoring)
    await rows(scoring, "UPDATE calendar SET days = '\\x90'")
    await rows(scoring, "UPDATE party SET stage = 'lost_customer' WHERE party_id = $1", somebody)

    rebuild_id = await ask(scoring)
    while await move_on(scoring):
        pass
    await sweep_once(scoring)

    assert await calendars(scoring) == right
    assert [row["stage"] for row in await rows(scoring, "SELECT stage FROM party WHERE stage IS NOT NULL")] == [
        "customer"
    ]
    done = await rebuild(scoring, rebuild_id)
    assert (done["state"], done["identities"], done["folded"]) == ("done", 2, 2)
    assert not (await rows(scoring, "SELECT rebuilding FROM installation"))[0]["rebuilding"]


async def test_a_registration_kept_without_its_kind_is_of_a_person_until_it_is_told_anew(
    scoring: Database, feed: Feeding, api: httpx.AsyncClient
) -> None:
    company = feed.identity()

    async def kind() -> str:
        reasons = (await api.get(f"/v1/standings/party_{company.hex}")).json()["reasons"]
        return str(reasons["kind"])

    registered = PartyRegistered(subject=company, occurred_at=JUNE, kind=PartyKind.ORGANISATION)
    (old,) = await feed.tell(registered)
    assert await kind() == "organisation"
    await rows(scoring, "UPDATE fact SET detail = ''")
    await ask(scoring)
    while await move_on(scoring):
        pass
    await feed.bought(company, JUNE, 1_000)
    assert await kind() == "person"

    await feed.withdrawn(company, old)
    await feed.tell(registered)

    assert await kind() == "organisation"


@pytest.mark.parametrize("seed", range(6))
async def test_a_rebuild_beside_the_workers_changes_nothing(scoring: Database, seed: int) -> None:
    random = Random(seed)
    story = Story(random)
    story.go_on(150)
    waiting = batches(story.told, random)
    for _ in range(len(waiting) // 3):
        await give(scoring, waiting.pop())

    async def work() -> None:
        while waiting:
            await give(scoring, waiting.pop())
            await asyncio.sleep(0)

    rebuild_id = await ask(scoring)
    async with asyncio.TaskGroup() as tasks:
        carrying = tasks.create_task(carry_out_rebuilds(scoring))
        workers = [tasks.create_task(work()) for _ in range(2)]
        await asyncio.wait(workers)
        while (await rebuild(scoring, rebuild_id))["state"] != "done":
            await asyncio.sleep(0.01)
        carrying.cancel()

    assert await disagreements(scoring, story.told) == []


async def test_a_killed_rebuild_goes_on_where_it_was(scoring: Database) -> None:
    story = Story(Random(1))
    story.go_on(120)
    half = len(story.told) // 2
    await give(scoring, story.told[:half])
    rebuild_id = await ask(scoring)
    for _ in range(3):
        await move_on(scoring)
    folded = (await rebuild(scoring, rebuild_id))["folded"]
    await give(scoring, story.told[half:])

    while await move_on(scoring):
        pass

    done = await rebuild(scoring, rebuild_id)
    assert (folded, done["state"], done["folded"]) == (4, "done", 6)
    assert await disagreements(scoring, story.told) == []


async def test_another_time_zone_moves_facts_to_other_days(scoring: Database) -> None:
    story = Story(Random(2))
    story.go_on(80)
    await give(scoring, story.told)

    await ask(scoring, "Asia/Taipei")
    while await move_on(scoring):
        pass
    await sweep_once(scoring)

    assert (await rows(scoring, "SELECT time_zone FROM installation"))[0]["time_zone"] == "Asia/Taipei"
    assert await disagreements(scoring, story.told) == []


async def test_after_a_rebuild_a_start_goes_on_in_the_zone_of_the_calendars(scoring: Database) -> None:
    await ask(scoring, "Asia/Taipei")
    while await move_on(scoring):
        pass

    async with scoring.transaction() as session:
        connection = await driver(session)
        assert await open_installation(connection, "UTC", "EUR", now()) == "Asia/Taipei"
        assert await decided_for_good(connection) == ("Asia/Taipei", "EUR")


async def test_calendars_wait_for_their_readers_before_they_change_places(scoring: Database, feed: Feeding) -> None:
    await feed.bought(feed.identity(), JUNE, 1_000)
    rebuild_id = await ask(scoring)

    carrying = asyncio.create_task(carry_out_rebuilds(scoring))
    async with snapshot(scoring) as connection:
        await asyncio.sleep(0.5)
        assert (await rebuild(scoring, rebuild_id))["state"] == "running"
        assert await connection.fetchval("SELECT count(*) FROM calendar") == 1
    while (await rebuild(scoring, rebuild_id))["state"] != "done":
        await asyncio.sleep(0.01)
    carrying.cancel()


async def test_a_fault_ends_the_rebuild_without_an_effect(scoring: Database, feed: Feeding) -> None:
    await feed.bought(feed.identity(), JUNE, 1_000)
    right = await calendars(scoring)
    rebuild_id = await ask(scoring)
    await rows(scoring, "UPDATE fact SET kind = 99")

    carrying = asyncio.create_task(carry_out_rebuilds(scoring))
    while (await rebuild(scoring, rebuild_id))["state"] in ("waiting", "running"):
        await asyncio.sleep(0.01)
    carrying.cancel()

    failed = await rebuild(scoring, rebuild_id)
    assert failed["state"] == "failed"
    assert "99 is not a valid Kind" in failed["error"]
    assert await calendars(scoring) == right
    assert not (await rows(scoring, "SELECT rebuilding FROM installation"))[0]["rebuilding"]
