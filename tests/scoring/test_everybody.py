import asyncio
from collections.abc import Callable, MutableMapping, Sequence
from contextlib import aclosing
from datetime import timedelta
from multiprocessing import active_children
from random import Random
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI

from chassis.auth import HEADER, Caller
from chassis.db import Database, driver
from chassis.processes import Processes
from services.scoring.domain.moment import Moment
from services.scoring.queries import everybody
from services.scoring.queries.clocks import parties
from services.scoring.queries.everybody import Population, of_everybody
from services.scoring.queries.overall import values_now
from services.scoring.queries.reading import Found, moment, snapshot
from tests.scoring.feeding import JUNE, Feeding, served
from tests.scoring.filed import exported
from tests.scoring.handmade import MODEL
from tests.scoring.stories import Story, give
from tests.scoring.test_known import have_model


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From then on everybody is read by processes, a few parties at a time."""

    def set_apart() -> None:
        monkeypatch.setattr(everybody, "MANY", 0)
        monkeypatch.setattr(everybody, "LENGTH", 7)

    return set_apart


async def told(api: httpx.AsyncClient, **query: Any) -> tuple[str, Any, Any]:
    file = await api.get("/internal/standings/export", params=query)
    summary = await api.get("/v1/standings/summary", params=query)
    digest = await api.get("/v1/digest", params=query)
    assert {file.status_code, summary.status_code, digest.status_code} == {200}
    return file.text, summary.json(), digest.json()


@pytest.mark.parametrize("seed", range(2))
async def test_processes_tell_of_everybody_what_is_told_without_them(
    scoring: Database, feed: Feeding, api: httpx.AsyncClient, apart: Callable[[], None], seed: int
) -> None:
    story = Story(Random(seed))
    story.go_on(250)
    await give(scoring, story.told)
    feed.at = latest = max(delivery.recorded_at for delivery in story.told)
    await feed.tell(*(feed.purchase(feed.identity(), latest - timedelta(days=day), 100 * day) for day in range(60)))
    await feed.reached(latest)
    await set_by_hand(api)
    async with scoring.transaction() as session:
        await have_model(await driver(session))
    middle = sorted(delivery.recorded_at for delivery in story.told)[len(story.told) // 2]
    asked: Sequence[dict[str, Any]] = (
        {"as_of": latest.date().isoformat()},
        {"as_of": (latest - timedelta(days=200)).date().isoformat(), "horizon_days": 30},
        {"as_of": (latest + timedelta(days=400)).date().isoformat(), "model": MODEL.content_hash},
        {"as_of": latest.date().isoformat(), "known_at": middle.isoformat()},
    )

    here = [await told(api, **query) for query in asked]
    worth = await values(scoring)
    apart()

    assert [await told(api, **query) for query in asked] == here
    assert await values(scoring) == worth
    assert active_children()
    assert len({file for file, _, _ in here}) == len(asked)
    assert [file.count("\n") > 30 for file, _, _ in here] == [True, False, True, False]
    assert all(digest["parties"] for _, _, digest in here)


async def set_by_hand(api: httpx.AsyncClient) -> None:
    """Some parties are of the top tier because somebody says so."""
    found = [line["party_id"] for line in await exported(api)]
    for party in found[::5]:
        body = {"field": "tier", "value": "top", "why": "Their director called.", "until": None}
        assert (await api.post(f"/v1/standings/{party}/overrides", json=body)).is_success


async def values(database: Database) -> list[int]:
    processes = Processes()
    async with snapshot(database) as connection:
        found = await values_now(Population(connection, database.url, processes), JUNE)
    processes.close()
    return found


class Counted(Processes):
    """Knows how much was begun."""

    begun = 0

    def begin(self, work: Any, *arguments: object) -> Any:
        self.begun += 1
        return super().begin(work, *arguments)

    async def over(self) -> None:
        """Nothing is at work any more."""
        while self._under_way:
            await asyncio.sleep(0.01)


@pytest.fixture
def counted() -> Any:
    processes = Counted()
    yield processes
    processes.close()


def ids(found: Sequence[Found], then: Moment) -> list[UUID]:
    return [each.party_id for each in found]


def fails(found: Sequence[Found], then: Moment) -> list[UUID]:
    raise ValueError("as it was told to")


@pytest.fixture
async def many(feed: Feeding) -> list[UUID]:
    """So many parties that a few stretches are few of them."""
    known = sorted(feed.identity() for _ in range(300))
    await feed.tell(*(feed.purchase(party, JUNE, 1_000) for party in known))
    return known


async def test_no_more_is_begun_than_somebody_takes(
    scoring: Database, many: list[UUID], counted: Counted, apart: Callable[[], None]
) -> None:
    apart()
    async with snapshot(scoring) as connection:
        everyone = Population(connection, scoring.url, counted)
        then = await moment(connection, None, JUNE)
        async with aclosing(of_everybody(everyone, then, parties, ids)) as answers:
            assert await anext(answers) == many[:7]
            few = counted.begun
        await asyncio.wait_for(counted.over(), 60)
        whole = [party async for some in of_everybody(everyone, then, parties, ids) for party in some]

    assert few <= 2 * counted.count + 1
    assert whole == many
    assert counted.begun > 300 / 7


async def test_who_goes_away_ends_the_work_and_gives_the_state_of_the_database_back(
    scoring: Database, many: list[UUID], counted: Counted, apart: Callable[[], None]
) -> None:
    apart()
    async with served(scoring) as api:
        app: FastAPI = api._transport.app  # type: ignore[attr-defined]
        app.state.processes = counted
        await goes_away(app, "/internal/standings/export")

        await asyncio.wait_for(counted.over(), 60)
        async with asyncio.timeout(60):
            while await reading(scoring):
                await asyncio.sleep(0.01)

    assert 0 < counted.begun < 20


async def reading(database: Database) -> bool:
    async with database.transaction() as session:
        return bool(await (await driver(session)).fetchval(_READING))


async def goes_away(app: FastAPI, path: str) -> None:
    """Ask for a file, take its header, and hang up with the first piece of the rest."""
    taken, asked = asyncio.Event(), [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> MutableMapping[str, Any]:
        if asked:
            return asked.pop()
        await taken.wait()
        return {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        if message.get("body", b"").startswith(b"party_0"):
            taken.set()
            await asyncio.Event().wait()

    signed = (HEADER.lower().encode(), app.state.signer.sign(Caller("tests", frozenset({"admin"}))).encode())
    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": "GET",
        "scheme": "http", "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "",
        "headers": [signed], "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2),
    }  # fmt: skip
    await asyncio.wait_for(app(scope, receive, send), 60)


async def test_what_goes_wrong_in_a_process_is_told_and_the_next_work_is_done(
    scoring: Database, many: list[UUID], counted: Counted, apart: Callable[[], None]
) -> None:
    apart()
    async with snapshot(scoring) as connection:
        everyone = Population(connection, scoring.url, counted)
        then = await moment(connection, None, JUNE)
        with pytest.raises(ValueError, match="as it was told to"):
            await anext(of_everybody(everyone, then, parties, fails))
        await asyncio.wait_for(counted.over(), 60)

        assert await anext(of_everybody(everyone, then, parties, ids)) == many[:7]


_READING = """
SELECT EXISTS (
    SELECT FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'
)
"""
