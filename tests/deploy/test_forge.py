"""Processes that are forked from one that has imported everything: real roles, on a real database."""

import asyncio
import json
import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from chassis.db import Database
from deploy import readiness, supervisor
from deploy.ports import free_port
from deploy.process import Process, alive, marked
from deploy.supervisor import Supervisor

MakeDatabase = Callable[[str | None], Awaitable[Database]]


@pytest.fixture
async def keeper(tmp_path: Path) -> AsyncIterator[Supervisor]:
    made = Supervisor(tmp_path)
    yield made
    await made.stop()
    assert marked(made.run) == []


@pytest.fixture
async def gateway(make_database: MakeDatabase) -> Callable[[str], Process]:
    """A gateway with no service behind it, which needs nothing but its database."""
    database = await make_database("gateway")

    def made(name: str) -> Process:
        port = free_port()
        variables = {
            "GATEWAY_DATABASE_URL": database.url,
            "GATEWAY_SERVICES": "{}",
            "GATEWAY_PORT": str(port),
            "SHUKE_INTERNAL_SECRET": "a secret of at least thirty-two characters",
        }
        return Process(name, ("gateway",), variables, ready=f"http://127.0.0.1:{port}/readyz", forked=True)

    return made


async def until(true: Callable[[], bool], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.02)


def called(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


async def restarted(keeper: Supervisor, process: Process, before: int) -> int:
    """The pid of a process that has taken the place of another and answers."""
    folder = keeper.run.parent
    await until(lambda: supervisor.pids(folder).get(process.name) not in (None, before))
    assert process.ready
    await readiness.wait(process.ready, seconds=60)
    return supervisor.pids(folder)[process.name]


async def test_each_is_a_process_of_its_own_and_restarts_alone(
    keeper: Supervisor, gateway: Callable[[str], Process], tmp_path: Path
) -> None:
    one, other = gateway("one"), gateway("other")
    await keeper.start(one, other)
    before = supervisor.pids(tmp_path)
    assert os.getsid(before["one"]) == before["one"]
    assert called(before["one"]) == "one"

    os.kill(before["one"], signal.SIGKILL)
    await restarted(keeper, one, before["one"])

    after = supervisor.pids(tmp_path)
    assert (after["other"], after["forge"]) == (before["other"], before["forge"])
    assert "one ended with -9" in (keeper.logs / "supervisor.log").read_text()


async def test_nothing_runs_or_is_open_in_the_forge_that_its_children_would_share(
    keeper: Supervisor, gateway: Callable[[str], Process], tmp_path: Path
) -> None:
    await keeper.start(gateway("one"))
    pid = supervisor.pids(tmp_path)["forge"]

    opened = {os.readlink(f"/proc/{pid}/fd/{number}") for number in os.listdir(f"/proc/{pid}/fd")}

    assert len(os.listdir(f"/proc/{pid}/task")) == 1
    assert {name.partition(":")[0] for name in opened} == {"socket", "anon_inode", str(keeper.logs / "forge.log")}
    assert sum(name.startswith("socket") for name in opened) == 1


async def test_one_that_cannot_begin_says_why_in_its_own_log(keeper: Supervisor) -> None:
    await keeper.start(Process("broken", ("gateway",), {"GATEWAY_SERVICES": "no JSON"}, forked=True))

    noted = keeper.logs / "supervisor.log"
    await until(lambda: noted.exists() and "broken ended with 1" in noted.read_text())

    assert "SettingsError" in (keeper.logs / "broken.log").read_text()


async def test_a_killed_forge_takes_its_children_along_and_all_come_back(
    keeper: Supervisor, gateway: Callable[[str], Process], tmp_path: Path
) -> None:
    one = gateway("one")
    await keeper.start(one)
    before = supervisor.pids(tmp_path)

    os.kill(before["forge"], signal.SIGKILL)
    pid = await restarted(keeper, one, before["one"])

    assert not alive(before["one"])
    assert alive(pid)
    assert supervisor.pids(tmp_path)["forge"] != before["forge"]


async def test_one_that_does_not_end_with_its_forge_is_killed_and_holds_up_no_other(
    keeper: Supervisor, gateway: Callable[[str], Process], tmp_path: Path
) -> None:
    stopped, other = gateway("stopped"), gateway("other")
    await keeper.start(stopped, other)
    before = supervisor.pids(tmp_path)

    os.kill(before["stopped"], signal.SIGSTOP)
    os.kill(before["forge"], signal.SIGKILL)
    await restarted(keeper, other, before["other"])
    await restarted(keeper, stopped, before["stopped"])

    assert not alive(before["stopped"])
    noted = (keeper.logs / "supervisor.log").read_text()
    assert 0 < noted.index("other ended") < noted.index("stopped ended")


def test_a_process_tells_of_itself_before_it_does_anything(tmp_path: Path) -> None:
    log = tmp_path / "a pipe that nobody reads holds up who opens it"
    os.mkfifo(log)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    ours.settimeout(60)
    with ours, theirs:
        forge = subprocess.Popen((sys.executable, "-P", "-m", "deploy.forge"), stdin=theirs.fileno())
        theirs.close()
        ours.send(json.dumps({"name": "one", "roles": [], "variables": {}, "log": str(log)}).encode())
        message, ancillary, _, _ = ours.recvmsg(1_000, socket.CMSG_SPACE(12))
    teller, _, _ = struct.unpack("3i", ancillary[0][2])
    assert json.loads(message) == {"pid": teller}
    assert teller != forge.pid
    assert forge.wait(60) == 0


def test_a_child_whose_parent_died_before_it_could_say_so_does_not_live_on() -> None:
    script = (
        "import os, signal, sys, time\n"
        "from deploy.process import die_with\n"
        "parent = os.getpid()\n"
        "if os.fork():\n"
        "    os.kill(parent, signal.SIGKILL)\n"
        "while os.getppid() == parent:\n"
        "    time.sleep(0.01)\n"
        "die_with(parent)\n"
        "print('lives on')\n"
    )
    ran = subprocess.run((sys.executable, "-c", script), capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stdout, ran.stderr) == (-signal.SIGKILL, "", "")


async def test_what_is_forked_ends_with_a_supervisor_that_is_killed(
    gateway: Callable[[str], Process], tmp_path: Path
) -> None:
    process = gateway("one")
    script = (
        "import asyncio, pathlib, sys\n"
        "from deploy.process import Process\n"
        "from deploy.supervisor import Supervisor\n"
        "async def main():\n"
        f"    process = Process('one', ('gateway',), {dict(process.env)!r}, ready={process.ready!r}, forked=True)\n"
        "    await Supervisor(pathlib.Path(sys.argv[1])).start(process)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    parent = subprocess.Popen((sys.executable, "-c", script, str(tmp_path)))
    assert process.ready
    await readiness.wait(process.ready, seconds=60)
    left = marked(tmp_path / "run")
    assert len(left) == 2

    parent.kill()
    parent.wait()

    await until(lambda: not any(map(alive, left)))
