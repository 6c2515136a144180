"""What is told of how late the facts were recorded that a standing rests on."""

from datetime import timedelta
from uuid import UUID

from chassis.db import Database
from contracts.customers import FactWithdrawn
from tests.scoring.feeding import JUNE, Feeding
from tests.scoring.test_handlers import announced, bought


async def late_days(database: Database, party_id: UUID) -> list[tuple[str, float | None]]:
    changes = await announced(database, party_id)
    return [(change["kind"], change["late_s"] / 86_400 if "late_s" in change else None) for change in changes]


async def test_a_late_fact_says_how_late_it_was_recorded_and_one_taken_back_how_late_that_had_been(
    scoring: Database, feed: Feeding
) -> None:
    somebody = feed.identity()
    timely = await feed.bought(somebody, JUNE, 1_000)
    feed.at = JUNE + timedelta(days=60)
    late = await feed.bought(somebody, JUNE - timedelta(days=100), 200_000)
    await feed.withdrawn(somebody, timely)
    await feed.withdrawn(somebody, late)

    assert await late_days(scoring, somebody) == [
        ("appeared", None),
        ("revised", 160),
        ("revised", 0),
        ("vanished", 160),
    ]


async def test_what_was_recorded_in_time_and_put_right_long_after_moves_a_standing_in_time_again_and_again(
    scoring: Database, feed: Feeding
) -> None:
    somebody = feed.identity()
    first = await feed.bought(somebody, JUNE, 200_000)
    feed.at = JUNE + timedelta(days=60)
    [second] = await feed.tell(bought(somebody, JUNE, 1_000, replaces=first, late_s=0))
    feed.at += timedelta(days=1)
    [third] = await feed.tell(bought(somebody, JUNE, 200_000, replaces=second, late_s=0))
    feed.at += timedelta(days=1)
    await feed.tell(FactWithdrawn(subject=somebody, occurred_at=feed.at, fact_id=third, late_s=0))

    assert await late_days(scoring, somebody) == [
        ("appeared", None),
        ("revised", 0),
        ("revised", 0),
        ("vanished", 0),
    ]


async def test_what_is_put_right_for_another_customer_is_as_late_there_as_it_was(
    scoring: Database, feed: Feeding
) -> None:
    wrong, right = feed.identity(), feed.identity()
    first = await feed.bought(wrong, JUNE, 200_000)
    feed.at = JUNE + timedelta(days=60)
    await feed.tell(bought(right, JUNE, 200_000, replaces=first, replaced_subject=wrong, late_s=0))

    assert await late_days(scoring, wrong) == [("appeared", None), ("vanished", 0)]
    assert await late_days(scoring, right) == [("appeared", 0)]
