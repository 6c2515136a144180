import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest

from bench.backlog import moved_on
from bench.waiting import Waiting

ANNA, BORIS = UUID(int=1), UUID(int=2)


async def test_two_purchases_of_one_party_each_have_the_time_at_which_their_spend_was_seen() -> None:
    waiting = Waiting()
    first, second = waiting.until(ANNA, 2_000), waiting.until(ANNA, 3_000)

    waiting.seen(ANNA, 2_000, 10.0)
    assert not second.done()
    waiting.seen(ANNA, 3_000, 25.0)

    assert (await first, await second) == (10.0, 25.0)


async def test_a_purchase_that_is_not_seen_yet_goes_on_waiting() -> None:
    waiting = Waiting()
    readable = waiting.until(ANNA, 2_000)

    waiting.seen(ANNA, 1_999, 10.0)

    assert not readable.done()
    assert waiting.parties() == [ANNA]


async def test_a_standing_that_shows_several_at_once_ends_the_wait_of_all() -> None:
    waiting = Waiting()
    readable = [waiting.until(ANNA, 2_000), waiting.until(ANNA, 3_000)]
    waiting.until(BORIS, 1_000)

    waiting.seen(ANNA, 5_000, 10.0)

    assert await asyncio.gather(*readable) == [10.0, 10.0]
    assert waiting.parties() == [BORIS]


async def test_a_wait_that_was_given_up_does_not_hinder_the_next() -> None:
    waiting = Waiting()
    given_up, readable = waiting.until(ANNA, 2_000), waiting.until(ANNA, 3_000)
    given_up.cancel()

    waiting.seen(ANNA, 3_000, 10.0)

    assert await readable == 10.0


def looks(counts: list[int]) -> Callable[[], Awaitable[tuple[bool, int]]]:
    """One count after the other; done when there are no more."""

    async def look() -> tuple[bool, int]:
        return (False, counts.pop(0)) if counts else (True, 0)

    return look


async def test_a_backlog_may_take_far_longer_than_the_time_in_which_nothing_may_move() -> None:
    began = asyncio.get_running_loop().time()

    await moved_on(looks(list(range(30))), rest_s=0.01, still_s=0.1)

    assert asyncio.get_running_loop().time() - began > 0.2


async def test_a_backlog_of_which_nothing_moves_is_given_up_with_where_it_stands() -> None:
    with pytest.raises(TimeoutError, match="at 1,200"):
        await moved_on(looks([1_200] * 1_000_000), rest_s=0.001, still_s=0.02)
