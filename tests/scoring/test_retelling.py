"""How parties stand, told anew after a restore."""

import json
from datetime import UTC, datetime
from typing import Any

from chassis.db import Database
from contracts.topics import STANDINGS
from services.scoring.handlers.retelling import REVISIONS, tell_again
from tests.scoring.feeding import Feeding
from tests.scoring.test_handlers import rows

EPOCH = 10_486_000


Told = dict[str, dict[str, Any] | None]


async def told(scoring: Database) -> Told:
    """What was told of each party last; None for a tombstone."""
    found = await rows(scoring, "SELECT key, payload FROM outbox WHERE topic = $1 ORDER BY id", STANDINGS.name)
    return {row["key"]: row["payload"] and json.loads(row["payload"])["data"] for row in found}


async def test_each_party_is_told_as_it_stands_by_a_revision_above_all_others(scoring: Database, feed: Feeding) -> None:
    parties = sorted(feed.identity() for _ in range(5))
    for number, party in enumerate(parties):
        await feed.bought(party, datetime(2026, 1, 1 + number, 12, tzinfo=UTC), 1_000 * (number + 1))
    await feed.assigned({parties[1]: [(parties[0], None)]}, {parties[1]: parties[0]})
    before = await told(scoring)
    await rows(scoring, "DELETE FROM outbox")

    assert await tell_again(scoring, EPOCH, batch=2) == 5

    after = await told(scoring)
    assert alike(after) == alike(before)
    assert [key for key, each in after.items() if each is None] == [str(parties[1])]
    assert {each["revision"] for each in after.values() if each} == {EPOCH * REVISIONS + 1}
    await rows(scoring, "DELETE FROM outbox")
    await tell_again(scoring, EPOCH)
    assert {each["revision"] for each in (await told(scoring)).values() if each} == {EPOCH * REVISIONS + 2}


def alike(told: Told) -> Told:
    return {key: each and {**each, "revision": 0, "occurred_at": ""} for key, each in told.items()}
