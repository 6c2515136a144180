import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
import pytest
from fastapi import FastAPI

from gateway.domain.bulkheads import FAILURES, PAUSE_S, Breaker, Bulkhead, Entry
from gateway.queries import services, slots
from gateway.queries.services import Services

from .conftest import Door, a_socket, serving


@dataclass
class Held:
    """A service that answers when it is told to."""

    asked: int = 0
    most: int = 0
    under_way: int = 0
    go: asyncio.Event = field(default_factory=asyncio.Event)

    def app(self) -> FastAPI:
        app = FastAPI()

        @app.get("/readyz")
        async def readyz() -> dict[str, str]:
            return {"status": "ready"}

        @app.get("/{path:path}")
        async def answer(path: str) -> str:
            self.asked += 1
            self.under_way += 1
            self.most = max(self.most, self.under_way)
            try:
                await self.go.wait()
            finally:
                self.under_way -= 1
            return path

        return app


@asynccontextmanager
async def held(door: Door, most: int, waiting_most: int) -> AsyncIterator[Held]:
    """The customers service held up, behind a bulkhead."""
    state, seen = door.app.state, Held()
    async with serving(seen.app()) as url:
        made = Services(state.services.addresses | {"customers": url}, state.signer, Bulkhead(most, waiting_most))
        await state.services.close()
        state.services = made
        try:
            yield seen
        finally:
            seen.go.set()


async def until(count: int, seen: Held) -> None:
    async with asyncio.timeout(60):
        while seen.asked < count:
            await asyncio.sleep(0.01)


def statuses(answers: Iterable[httpx.Response]) -> list[int]:
    return sorted(answer.status_code for answer in answers)


def test_a_bulkhead_lets_so_many_in_and_so_many_wait() -> None:
    wall = Bulkhead(2, 1)
    assert [wall.entry(*taken) for taken in ((0, 0), (1, 0), (2, 0), (2, 1))] == [
        Entry.GOES,
        Entry.GOES,
        Entry.WAITS,
        Entry.REFUSED,
    ]


def test_a_breaker_opens_after_failures_in_a_row_and_then_one_at_a_time_tries() -> None:
    breaker = Breaker()
    assert [breaker.failed(at) for at in range(FAILURES - 1)] == [False] * (FAILURES - 1)
    breaker.succeeded()
    assert [breaker.failed(10) for _ in range(FAILURES)] == [False] * (FAILURES - 1) + [True]
    assert not breaker.lets_pass(10 + PAUSE_S / 2)
    assert [breaker.lets_pass(10 + PAUSE_S) for _ in range(3)] == [True, False, False]
    assert not breaker.failed(10 + PAUSE_S)
    assert [breaker.lets_pass(10 + 2 * PAUSE_S) for _ in range(2)] == [True, False]
    breaker.succeeded()
    assert [breaker.lets_pass(10 + 2 * PAUSE_S) for _ in range(2)] == [True, True]


async def test_beyond_its_places_and_its_queue_a_service_is_busy_and_others_are_not(door: Door) -> None:
    async with held(door, 2, 3) as seen:
        asked = [asyncio.create_task(door.client.get(f"/v1/parties?n={number}")) for number in range(8)]
        await until(2, seen)
        async with asyncio.timeout(60):
            while len(refused := {each for each in asked if each.done()}) < 3:
                await asyncio.sleep(0.01)
        other = await door.client.get("/v1/standings")
        ready = await door.client.get("/readyz")
        seen.go.set()
        answers = await asyncio.gather(*asked)

    assert (other.status_code, ready.status_code) == (200, 200)
    assert statuses(answers) == [200] * 5 + [503] * 3
    for each in refused:
        answer = each.result()
        assert (answer.json()["code"], answer.json()["service"]) == ("service_busy", "customers")
        assert answer.headers["retry-after"] == "1"
    assert (seen.asked, seen.most) == (5, 2)


async def test_who_waits_too_long_is_told_that_the_service_is_busy(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "WAIT_S", 0.1)
    async with held(door, 1, 5) as seen:
        first = asyncio.create_task(door.client.get("/v1/parties"))
        await until(1, seen)
        late = await door.client.get("/v1/parties")
        seen.go.set()
        assert (await first).status_code == 200
        after = await door.client.get("/v1/parties")

    assert (late.status_code, late.json()["code"]) == (503, "service_busy")
    assert (after.status_code, seen.asked) == (200, 2)


async def test_whoever_gives_up_waiting_takes_no_slot_with_it() -> None:
    taken = slots.Slots("customers", Bulkhead(1, 10))
    await taken.acquire()
    waiting = [asyncio.create_task(taken.acquire()) for _ in range(4)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    # The slot is given to the second in the moment in which it gives up.
    taken.release()
    waiting[1].cancel()
    ended = await asyncio.gather(*waiting[:3], return_exceptions=True)
    assert [isinstance(each, asyncio.CancelledError) for each in ended] == [True, True, False]
    taken.release()
    await waiting[3]
    taken.release()
    assert taken.underway == 0


async def test_a_service_that_nobody_reaches_is_left_alone_and_found_again_by_one_request(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "RETRY_PAUSES_S", ())
    bound = a_socket()
    address, port = f"http://127.0.0.1:{bound.getsockname()[1]}", bound.getsockname()[1]
    bound.close()
    door.app.state.services.addresses["customers"] = address
    for _ in range(FAILURES):
        assert (await door.client.get("/v1/parties")).json()["code"] == "service_unavailable"
    seen = Held()
    seen.go.set()
    again = a_socket(port)
    async with serving(seen.app(), again):
        answer = await door.client.get("/v1/parties")
        assert (answer.status_code, answer.json()["code"]) == (503, "service_unavailable")
        assert (answer.headers["retry-after"], seen.asked) == (str(PAUSE_S), 0)
        async with asyncio.timeout(60):
            while (await door.client.get("/v1/parties")).status_code == 503:
                await asyncio.sleep(0.05)
        assert statuses(await asyncio.gather(*(door.client.get("/v1/parties") for _ in range(10)))) == [200] * 10
    assert (await door.client.get("/v1/standings")).status_code == 200


async def test_a_service_that_does_not_answer_in_time_is_left_alone_and_others_are_asked(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with held(door, 50, 50) as seen:
        # The trail asks for the document of a service once, which is an answer too.
        seen.go.set()
        assert (await door.client.get("/v1/parties")).status_code == 200
        seen.go.clear()
        monkeypatch.setattr(services, "QUICK_S", 0.3)
        slow = await asyncio.gather(*(door.client.get("/v1/parties") for _ in range(FAILURES)))
        monkeypatch.setattr(services, "QUICK_S", 60.0)
        assert statuses(slow) == [504] * FAILURES
        alone = await door.client.get("/v1/parties")
        assert (alone.status_code, alone.json()["code"], seen.asked) == (503, "service_unavailable", FAILURES + 1)
        assert (await door.client.get("/v1/standings")).status_code == 200
        seen.go.set()
        async with asyncio.timeout(60):
            while (await door.client.get("/v1/parties")).status_code == 503:
                await asyncio.sleep(0.05)
