"""Calendars that a worker remembers: read once, and never taken for what the database has where others wrote it."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from random import Random
from typing import Any
from uuid import UUID

import pytest

from chassis.db import Database, connect
from services.scoring.domain.calendar import Calendar
from services.scoring.domain.history import History
from services.scoring.handlers import batches, remembering
from services.scoring.handlers.remembering import Long, Remembered
from services.scoring.queries.parties import opened
from tests.scoring.feeding import JUNE, Feeding
from tests.scoring.stories import Story, disagreements, give
from tests.scoring.test_domain_standing import DEFAULT
from tests.scoring.test_handlers import batches as batches_of
from tests.scoring.test_handlers import party


@pytest.fixture(autouse=True)
def everything_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "LONG", 1)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[set[UUID]]:
    """Whose calendars were read, batch by batch."""
    found: list[set[UUID]] = []

    def noted(years: Mapping[UUID, Mapping[int, bytes]]) -> dict[UUID, Calendar]:
        found.append(set(years))
        return opened(years)

    monkeypatch.setattr("services.scoring.handlers.batches.opened", noted)
    return found


async def test_a_calendar_is_read_once_and_again_where_another_process_wrote_it(
    scoring: Database, feed: Feeding, read: list[set[UUID]]
) -> None:
    somebody, other = feed.identity(), connect(scoring.url, pool_size=2)
    for days in range(4):
        await feed.bought(somebody, JUNE - timedelta(days=40 - days), 1_000)
    elsewhere = Feeding(other, feed.at, feed.numbers)
    await elsewhere.bought(somebody, JUNE - timedelta(days=3), 30_000)
    await elsewhere.bought(somebody, JUNE - timedelta(days=2), 1_000)
    await feed.bought(somebody, JUNE, 1_000)
    await feed.owned(somebody, 1, feed.identity())
    await feed.bought(somebody, JUNE, 1_000)
    await other.close()

    # Not there at first, remembered as it was written; read by whoever did not write it last.
    assert read == [set(), set(), set(), set(), {somebody}, set(), {somebody}, set()]
    row = await party(scoring, somebody)
    assert (row["value_minor"], row["purchase_days"]) == (37_000, 7)


async def test_what_was_rolled_back_is_not_remembered(scoring: Database, feed: Feeding, read: list[set[UUID]]) -> None:
    somebody = feed.identity()
    await feed.bought(somebody, JUNE, 1_000)
    with suppress(ZeroDivisionError):
        async with scoring.transaction() as session:
            await batches.apply(session, [feed.delivered(feed.purchase(somebody, JUNE, 50_000))])
            raise ZeroDivisionError
    await feed.bought(somebody, JUNE, 1_000)

    assert read == [set(), set(), {somebody}]
    assert (await party(scoring, somebody))["value_minor"] == 2_000


@pytest.mark.parametrize("seed", range(16))
async def test_processes_that_take_turns_come_to_the_plain_recomputation(make_scoring: Any, seed: int) -> None:
    random = Random(f"turns {seed}")
    scoring = await make_scoring(random.choice(["UTC", "Asia/Taipei"]))
    processes = [scoring, connect(scoring.url, pool_size=2)]
    story = Story(random)
    story.go_on(90)

    for batch in batches_of(story.told, random):
        await give(random.choice(processes), batch)
    await processes[1].close()

    assert await disagreements(scoring, story.told) == []


def long(entries: int) -> Long:
    calendar = Calendar(tuple((740_000 + day, 2, "EUR", 1, 100) for day in range(entries)))
    return Long({2027: 1}, calendar, History(calendar, DEFAULT))


def test_those_used_least_recently_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembering, "MOST", 10)
    memory, one, two, three = Remembered(), *(UUID(int=number) for number in range(3))
    memory.keep(one, long(4))
    memory.keep(two, long(4))
    known = memory.take(one)
    assert known is not None
    memory.keep(one, known)

    memory.keep(three, long(5))

    assert [memory.take(each) is not None for each in (one, two, three)] == [True, False, True]
    assert memory.take(one) is None
