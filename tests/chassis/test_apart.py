"""Work in processes of its own: its answers, its faults, and that it ends with whoever asked."""

import asyncio
import multiprocessing
import os
import signal
import time
from collections.abc import AsyncIterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import ClientDisconnect, Request

from chassis.apart import Killed, apart, while_awaited


def told(*words: str) -> tuple[int, int, tuple[str, ...]]:
    return os.getpid(), os.nice(0), words


def failed(why: str) -> None:
    raise ValueError(why)


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def for_ever(mark: Path) -> None:
    mark.write_text(str(os.getpid()))
    time.sleep(600)


@pytest.fixture(autouse=True)
async def nothing_is_left() -> AsyncIterator[None]:
    yield
    assert not multiprocessing.active_children()


def told_by(mark: Path) -> int:
    while not mark.exists() or not mark.read_text():
        time.sleep(0.01)
    return int(mark.read_text())


async def begun(mark: Path) -> int:
    """The process that works for ever, once it does."""
    async with asyncio.timeout(60):
        return await asyncio.to_thread(told_by, mark)


def request(receive: Any) -> Request:
    return Request({"type": "http", "method": "GET", "path": "/", "headers": []}, receive)


async def test_work_is_done_by_a_process_that_steps_back_and_its_answer_comes() -> None:
    process, nice, words = await apart(told, "one", "two")

    assert process != os.getpid()
    assert nice == min(19, os.nice(0) + 10)
    assert words == ("one", "two")


async def test_what_work_raises_is_raised() -> None:
    with pytest.raises(ValueError, match="too little"):
        await apart(failed, "too little")


async def test_a_process_that_is_killed_is_told_and_not_waited_for() -> None:
    async with asyncio.timeout(60):
        with pytest.raises(Killed, match="killed"):
            await apart(killed)


async def test_who_is_cancelled_ends_the_process(tmp_path: Path) -> None:
    waiting = asyncio.create_task(apart(for_ever, tmp_path / "mark"))
    process = await begun(tmp_path / "mark")

    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


async def test_a_client_that_leaves_ends_the_work_for_it(tmp_path: Path) -> None:
    gone = asyncio.Event()

    async def receive() -> MutableMapping[str, Any]:
        await gone.wait()
        return {"type": "http.disconnect"}

    waiting = asyncio.create_task(while_awaited(request(receive), apart(for_ever, tmp_path / "mark")))
    process = await begun(tmp_path / "mark")
    gone.set()
    with pytest.raises(ClientDisconnect):
        await waiting

    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


async def test_a_client_that_waits_has_the_answer_or_the_fault() -> None:
    async def receive() -> MutableMapping[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    assert (await while_awaited(request(receive), apart(told, "one")))[2] == ("one",)
    with pytest.raises(ValueError, match="too little"):
        await while_awaited(request(receive), apart(failed, "too little"))
