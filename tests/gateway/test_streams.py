import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.queries.streams import each_asked


class Asked:
    """Answers when it is let, and tells what it was asked and what it gave up."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.given_up: list[int] = []
        self.lets, self.fails = asyncio.Event(), asyncio.Event()

    async def of(self, item: int) -> int:
        self.begun.append(item)
        try:
            await (self.fails if item < 0 else self.lets).wait()
        except asyncio.CancelledError:
            self.given_up.append(item)
            raise
        if item < 0:
            raise ValueError(item)
        return item * item


async def numbers(*told: int) -> AsyncIterator[int]:
    for number in told:
        yield number


async def test_each_item_comes_with_its_answer_in_order_the_next_one_asked_for_meanwhile() -> None:
    asked = Asked()
    asked.lets.set()
    seen = []
    async for told in each_asked(numbers(3, 1, 2), asked.of):
        await asyncio.sleep(0)
        seen.append((told, asked.begun[:]))
    assert seen == [((3, 9), [3, 1]), ((1, 1), [3, 1, 2]), ((2, 4), [3, 1, 2])]
    assert [told async for told in each_asked(numbers(), asked.of)] == []
    assert [told async for told in each_asked(numbers(5), asked.of)] == [(5, 25)]


async def test_what_fails_gives_up_what_is_asked_for_behind_it() -> None:
    asked = Asked()
    answered = each_asked(numbers(-1, 2, 3), asked.of)
    first = asyncio.create_task(anext(answered))
    while len(asked.begun) < 2:
        await asyncio.sleep(0)
    asked.fails.set()
    with pytest.raises(ValueError, match="-1"):
        await first
    assert asked.given_up == [2]


async def test_nothing_goes_on_when_nobody_takes_more() -> None:
    asked = Asked()
    answered = each_asked(numbers(1, 2, 3), asked.of)
    first = asyncio.create_task(anext(answered))
    while len(asked.begun) < 2:
        await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert sorted(asked.given_up) == [1, 2]
