import asyncio
import os
from concurrent.futures import BrokenExecutor
from contextlib import suppress
from multiprocessing import active_children

from chassis.processes import Processes


async def test_processes_end_when_nothing_came_for_a_while_and_begin_again() -> None:
    processes = Processes(rest_s=0.05)
    before = set(active_children())

    assert await processes.begin(abs, -1) == 1
    begun = set(active_children()) - before
    async with asyncio.timeout(60):
        while any(process.is_alive() for process in begun):
            await asyncio.sleep(0.01)

    assert begun
    assert await processes.begin(abs, -2) == 2
    processes.close()


async def test_where_a_process_is_killed_others_begin_with_the_next_work() -> None:
    processes = Processes()
    before = set(active_children())
    assert await processes.begin(abs, -1) == 1
    for process in set(active_children()) - before:
        process.kill()
        process.join()

    with suppress(BrokenExecutor):
        await processes.begin(abs, -1)
    assert await processes.begin(abs, -2) == 2
    processes.close()


async def test_arithmetic_has_no_threads_of_its_own() -> None:
    processes = Processes()
    assert await processes.begin(os.getenv, "OPENBLAS_NUM_THREADS") == "1"
    processes.close()
