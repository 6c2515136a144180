"""However many standings are written at once, they are the same."""

import contextlib
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from services.scoring.handlers.batches import apply
from services.scoring.queries import standings
from tests.scoring.feeding import JUNE, Feeding
from tests.scoring.stories import give
from tests.scoring.test_sweeping import rows, summed


class Undone(Exception):
    """Rolls a transaction back."""


async def test_many_standings_are_written_as_few_are_also_twice_in_a_transaction_and_after_a_rollback(
    make_scoring: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = []
    for many in (1, 1_000_000):
        monkeypatch.setattr(standings, "MANY", many)
        database = await make_scoring()
        feed = Feeding(database, JUNE + timedelta(days=9))
        people = [UUID(int=number) for number in range(1, 40)]
        first, second = (
            [feed.delivered(feed.purchase(who, at, 1_000 + place)) for place, who in enumerate(some)]
            for some, at in ((people, JUNE), (people[20:], JUNE + timedelta(days=3)))
        )
        with contextlib.suppress(Undone):
            async with database.transaction() as session:
                await apply(session, first)
                raise Undone
        async with database.transaction() as session:
            await apply(session, first)
            await apply(session, second)
        await give(database, [feed.delivered(feed.purchase(people[0], JUNE + timedelta(days=5), 1_000))])
        parties = [dict(row) for row in await rows(database, "SELECT * FROM party ORDER BY party_id")]
        stored.append((parties, await summed(database)))
    assert stored[0] == stored[1]
    assert len(stored[0][0]) == len(people)
