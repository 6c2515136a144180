import asyncio
import time
from typing import Any

import pytest
from prometheus_client import REGISTRY

from chassis.db import Database, driver
from chassis.presence import SEEN, beat, leave, tell
from chassis.telemetry import FELL_AT


async def seen(database: Database) -> list[dict[str, Any]]:
    async with database.transaction() as session:
        return [dict(row) for row in await (await driver(session)).fetch(SEEN)]


async def silent_for(database: Database, interval: str) -> None:
    async with database.transaction() as session:
        await (await driver(session)).execute(f"UPDATE process SET seen_at = seen_at - interval '{interval}'")


async def told(database: Database, name: str, *roles: str) -> None:
    await beat(database, name=name, roles=roles, version="1.2.3", since=None)


async def until_seen(database: Database, name: str) -> None:
    async with asyncio.timeout(60):
        while name not in [each["name"] for each in await seen(database)]:
            await asyncio.sleep(0.02)


async def test_a_process_is_there_once_for_each_of_its_roles(database: Database) -> None:
    await told(database, "one", "leads", "leads-worker")
    await told(database, "two", "leads-worker")
    found = await seen(database)
    assert [(each["name"], each["role"], each["state"]) for each in found] == [
        ("one", "leads", "running"),
        ("one", "leads-worker", "running"),
        ("two", "leads-worker", "running"),
    ]
    assert {each["version"] for each in found} == {"1.2.3"}


async def test_one_that_says_nothing_went_away_and_is_forgotten_an_hour_later(database: Database) -> None:
    await told(database, "gone", "leads")
    await silent_for(database, "30 s")
    assert [each["state"] for each in await seen(database)] == ["running"]
    await silent_for(database, "30 s")
    await told(database, "here", "leads")
    assert {each["name"]: each["state"] for each in await seen(database)} == {"gone": "away", "here": "running"}
    await silent_for(database, "59 min")
    await told(database, "here", "leads")
    assert [each["name"] for each in await seen(database)] == ["here"]


async def test_one_that_begins_again_under_its_name_runs_since_then(database: Database) -> None:
    since = await beat(database, name="one", roles=["leads"], version="1", since=None)
    again = await beat(database, name="one", roles=["leads"], version="1", since=since)
    assert again == since
    anew = await beat(database, name="one", roles=["leads"], version="2", since=None)
    assert anew > since
    assert [(each["since"], each["version"]) for each in await seen(database)] == [(anew, "2")]


async def begun(database: Database, *, since: float) -> float:
    """When a process took the place of one that fell, if it did, as Prometheus is told once it has begun."""
    FELL_AT.set(0)
    telling = asyncio.create_task(tell(database, name="one", roles=["leads"], version="1", ordered=asyncio.Event()))
    async with asyncio.timeout(60):
        while not [each for each in await seen(database) if each["since"].timestamp() > since]:
            await asyncio.sleep(0.02)
    telling.cancel()
    await asyncio.gather(telling, return_exceptions=True)
    found = REGISTRY.get_sample_value("shuke_process_fell_timestamp_seconds")
    assert found is not None
    return found


async def test_one_that_takes_the_place_of_one_that_fell_tells_so_until_it_ends(database: Database) -> None:
    first = time.time()
    assert await begun(database, since=first) == 0
    again = time.time()
    assert again <= await begun(database, since=again) <= time.time()
    await leave(database, "one")
    assert await begun(database, since=time.time()) == 0


@pytest.mark.parametrize("in_order", [True, False])
async def test_only_one_that_was_told_to_end_takes_its_leave(database: Database, *, in_order: bool) -> None:
    ordered = asyncio.Event()
    telling = asyncio.create_task(tell(database, name="one", roles=["leads"], version="1", ordered=ordered))
    await until_seen(database, "one")
    if in_order:
        ordered.set()
    telling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await telling
    assert [each["name"] for each in await seen(database)] == ([] if in_order else ["one"])
