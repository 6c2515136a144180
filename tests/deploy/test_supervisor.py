import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from deploy import supervisor
from deploy.process import Process, alive, marked
from deploy.supervisor import AlreadyRuns, Supervisor

SLEEP = (sys.executable, "-c", "import time; time.sleep(60)")
STUBBORN = (
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)",
)


@pytest.fixture
async def keeper(tmp_path: Path) -> AsyncIterator[Supervisor]:
    made = Supervisor(tmp_path)
    yield made
    await made.stop()


async def until(true: Callable[[], bool], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.02)


async def pid_of(keeper: Supervisor, name: str) -> int:
    path = keeper.run / f"{name}.pid"
    await until(lambda: path.exists() and bool(path.read_text()))
    return int(path.read_text())


async def test_what_dies_starts_again_under_a_new_pid(keeper: Supervisor) -> None:
    await keeper.start(Process("sleeper", SLEEP))
    first = await pid_of(keeper, "sleeper")

    os.kill(first, signal.SIGKILL)
    await until(lambda: supervisor.pids(keeper.run.parent).get("sleeper") not in (None, first))

    assert not alive(first)
    assert alive(await pid_of(keeper, "sleeper"))


async def test_stopping_ends_the_last_group_first_and_leaves_no_pid_file(keeper: Supervisor, tmp_path: Path) -> None:
    order = tmp_path / "order"
    script = f"trap 'echo $0 >> {order}; exit' TERM; while :; do sleep 0.02; done"
    await keeper.start(Process("ground", ("sh", "-c", script, "ground")))
    await keeper.start(Process("door", ("sh", "-c", script, "door")))
    await pid_of(keeper, "door")
    await asyncio.sleep(0.2)

    await keeper.stop()

    assert order.read_text().split() == ["door", "ground"]
    assert supervisor.pids(tmp_path) == {}


async def test_one_that_does_not_listen_is_killed_in_time(keeper: Supervisor) -> None:
    await keeper.start(Process("deaf", STUBBORN, stop_s=0.3))
    pid = await pid_of(keeper, "deaf")
    await until(lambda: "deaf" in (keeper.logs / "deaf.log").read_text())
    began = time.monotonic()

    await keeper.stop()

    assert not alive(pid)
    assert time.monotonic() - began < 3


async def test_one_that_dies_at_once_is_started_less_and_less_often(keeper: Supervisor) -> None:
    await keeper.start(Process("broken", ("sh", "-c", "echo once; exit 3")))
    await asyncio.sleep(1.5)

    assert 2 <= (keeper.logs / "broken.log").read_text().count("once") <= 5
    assert "ended with 3" in (keeper.logs / "supervisor.log").read_text()


async def test_a_second_supervisor_of_a_folder_is_told_who_has_it(tmp_path: Path) -> None:
    with supervisor.only_one(tmp_path):
        supervisor.announce(tmp_path, {"url": "http://127.0.0.1:8000"})

        with (
            pytest.raises(AlreadyRuns, match=rf"pid {os.getpid()}, http://127.0.0.1:8000"),
            supervisor.only_one(tmp_path),
        ):
            pass

    with supervisor.only_one(tmp_path):
        assert supervisor.endpoints(tmp_path) == {}


async def test_what_a_killed_supervisor_left_is_found_without_its_pid_file_and_ended(tmp_path: Path) -> None:
    first = Supervisor(tmp_path)
    left = subprocess.Popen(SLEEP, env={**os.environ, "SHUKE_RUN": str(first.run.resolve())}, start_new_session=True)
    stranger = subprocess.Popen(SLEEP, start_new_session=True)
    (first.run / "sleeper.pid").write_text(f"{stranger.pid}\n")
    try:
        await until(lambda: left.pid in marked(first.run))

        Supervisor(tmp_path).clear()

        assert left.poll() == -signal.SIGTERM or left.wait(60) == -signal.SIGTERM
        assert stranger.poll() is None
        assert supervisor.pids(tmp_path) == {}
    finally:
        stranger.kill()
        stranger.wait()


async def test_children_end_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    script = (
        "import asyncio, pathlib, sys\n"
        "from deploy.process import Process\n"
        "from deploy.supervisor import Supervisor\n"
        "async def main():\n"
        f"    await Supervisor(pathlib.Path(sys.argv[1])).start(Process('sleeper', {SLEEP!r}))\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    parent = subprocess.Popen((sys.executable, "-c", script, str(tmp_path)))
    await until(lambda: bool(supervisor.pids(tmp_path)) if (tmp_path / "run" / "sleeper.pid").exists() else False)
    child = supervisor.pids(tmp_path)["sleeper"]

    parent.kill()
    parent.wait()

    await until(lambda: not alive(child))


async def test_a_process_is_kept_running_though_nothing_can_be_written_about_it(keeper: Supervisor) -> None:
    in_the_way = keeper.run / "sleeper.pid.new"
    in_the_way.mkdir()
    (keeper.logs / "supervisor.log").mkdir()
    await keeper.start(Process("sleeper", SLEEP))
    await until(lambda: "sleeper" in keeper.running)
    first = keeper.running["sleeper"].pid

    os.kill(first, signal.SIGKILL)
    await until(lambda: keeper.running["sleeper"].pid != first)
    in_the_way.rmdir()
    os.kill(keeper.running["sleeper"].pid, signal.SIGKILL)

    assert await pid_of(keeper, "sleeper") == keeper.running["sleeper"].pid


async def test_a_process_that_cannot_be_started_is_tried_again(keeper: Supervisor, tmp_path: Path) -> None:
    program = tmp_path / "late"
    await keeper.start(Process("late", (str(program),)))
    await until(lambda: keeper.deaths["late"] > 0)
    program.symlink_to("/bin/sleep")
    # Without an argument it ends, which it could not if it had not begun.
    await until(lambda: "ended with" in (keeper.logs / "supervisor.log").read_text())


async def test_a_process_that_is_removed_does_not_come_back(keeper: Supervisor) -> None:
    gone, stays = Process("gone", SLEEP), Process("stays", SLEEP)
    await keeper.start(gone, stays)
    pid = await pid_of(keeper, "gone")

    await keeper.remove(gone)

    assert not alive(pid)
    assert not (keeper.run / "gone.pid").exists()
    assert keeper.groups == [[stays]]
    assert alive(await pid_of(keeper, "stays"))
