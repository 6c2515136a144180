"""However many standings are written at once, they are the same."""

import contextlib
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from chassis.db import driver
from chassis.writes import carry_out
from services.scoring.handlers.batches import apply
from services.scoring.queries import copying, standings
from tests.scoring.feeding import JUNE, Feeding
from tests.scoring.stories import give
from tests.scoring.test_sweeping import rows, summed

STORED = (
    "SELECT * FROM party ORDER BY party_id",
    "SELECT identity_id, kind, occurred_at, amount_minor, detail, channel, topic, partition, epoch FROM fact"
    " ORDER BY identity_id, occurred_at",
    "SELECT party_id, revision, cause, kind, from_stage, to_stage, from_tier, to_tier, value_minor, occurred_at"
    " FROM lived_move ORDER BY party_id, revision",
)


class Undone(Exception):
    """Rolls a transaction back."""


async def test_many_standings_are_written_as_few_are_also_twice_in_a_transaction_and_after_a_rollback(
    make_scoring: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = []
    for many in (1, 1_000_000):
        for module in (standings, copying):
            monkeypatch.setattr(module, "MANY", many)
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
            await carry_out(session, await driver(session))
            await apply(session, second)
        await give(database, [feed.delivered(feed.purchase(people[0], JUNE + timedelta(days=5), 1_000))])
        tables = [[dict(row) for row in await rows(database, query)] for query in STORED]
        stored.append((tables, await summed(database)))
    assert stored[0] == stored[1]
    assert [len(table) for table in stored[0][0]] == [len(people), len(people) + 20, len(people) + 20]
