"""Keeps processes running: pid files, logs, restarts with back-off, an orderly end, and a clean start after a kill."""

import asyncio
import fcntl
import json
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from deploy import readiness
from deploy.forge import Forge, Forked
from deploy.process import Process, die_with_me, end, environment, marked

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0
SETTLED_S = 10.0
"""A process that lived so long is restarted without back-off."""


class AlreadyRuns(Exception):
    """Another supervisor holds the data folder."""


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold the data folder for this process; `AlreadyRuns` when another one does.

    The kernel gives the lock back at death, so nothing is left after a SIGKILL.
    """
    run = folder / "run"
    run.mkdir(parents=True, exist_ok=True)
    with (run / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            url = endpoints(folder).get("url", "an address that is not known yet")
            raise AlreadyRuns(f"Shuke already runs on {folder}: pid {lock.read().strip()}, {url}") from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        (run / "endpoints.json").unlink(missing_ok=True)
        try:
            yield
        finally:
            (run / "endpoints.json").unlink(missing_ok=True)
            lock.truncate(0)


def endpoints(folder: Path) -> dict[str, Any]:
    """Where the product of a data folder is found; empty while it does not run."""
    try:
        found: dict[str, Any] = json.loads((folder / "run" / "endpoints.json").read_text())
    except FileNotFoundError:
        return {}
    return found


def announce(folder: Path, found: dict[str, Any]) -> None:
    """Write the addresses for other commands."""
    put(folder / "run" / "endpoints.json", json.dumps(found, indent=2) + "\n")


def put(path: Path, text: str) -> None:
    """Write a file that others read at any moment, all at once."""
    beside = path.with_name(path.name + ".new")
    beside.write_text(text)
    beside.replace(path)


def pids(folder: Path) -> dict[str, int]:
    """The process id by name, from the pid files. What just ended is left out."""
    found = {}
    for path in sorted((folder / "run").glob("*.pid")):
        with suppress(FileNotFoundError):
            found[path.stem] = int(path.read_text())
    return found


class Supervisor:
    """Processes in groups: started in order, each restarted when it dies, stopped in the opposite order."""

    def __init__(self, folder: Path) -> None:
        self.run = folder / "run"
        self.logs = folder / "logs"
        self.run.mkdir(parents=True, exist_ok=True)
        self.logs.mkdir(parents=True, exist_ok=True)
        self.groups: list[list[Process]] = []
        self.forge = Forge(self.run, self.logs / "forge.log")
        self.keepers: dict[str, asyncio.Task[None]] = {}
        self.running: dict[str, asyncio.subprocess.Process | Forked] = {}
        self.deaths: Counter[str] = Counter()

    def clear(self) -> None:
        """End what a killed supervisor left running, and forget its pid files."""
        end(marked(self.run), (signal.SIGTERM, 2), (signal.SIGKILL, 2))
        for path in self.run.glob("*.pid"):
            path.unlink(missing_ok=True)

    async def start(self, *processes: Process, seconds: float = 60) -> None:
        """Start a group and return when all of it is ready."""
        self.groups.append(list(processes))
        for process in processes:
            self.keepers[process.name] = asyncio.create_task(self.keep(process), name=process.name)
        ready = [readiness.wait(process.ready, seconds=seconds) for process in processes if process.ready]
        try:
            await asyncio.gather(*ready)
        except readiness.NotReady as error:
            dying = [f"{name} ended {times} times." for name, times in self.deaths.items()]
            raise readiness.NotReady(" ".join([str(error), *dying, f"Read the logs under {self.logs}."])) from None

    async def keep(self, process: Process) -> None:
        """Run the process for ever, waiting longer between starts the more often it dies at once."""
        pause = FIRST_PAUSE_S
        while True:
            began = time.monotonic()
            if process.before:
                await asyncio.to_thread(process.before)
            try:
                ended = f"ended with {await self.once(process)}"
            except OSError as error:
                ended = f"could not be started ({error})"
            self.deaths[process.name] += 1
            pause = FIRST_PAUSE_S if time.monotonic() - began > SETTLED_S else min(pause * 2, LONGEST_PAUSE_S)
            self.note(process, f"{ended}, starts again in {pause:.1f} s")
            await asyncio.sleep(pause)

    async def once(self, process: Process) -> int:
        pid_file = self.run / f"{process.name}.pid"
        child = await self.spawn(process, self.logs / f"{process.name}.log")
        self.running[process.name] = child
        # Where the disk is full it runs all the same; its supervisor knows it, and its mark tells others.
        with suppress(OSError):
            put(pid_file, f"{child.pid}\n")
        try:
            return await child.wait()
        finally:
            if child.returncode is not None:
                pid_file.unlink(missing_ok=True)

    async def spawn(self, process: Process, log: Path) -> asyncio.subprocess.Process | Forked:
        if process.forked:
            return await self.forge.start(process.name, process.argv, process.env, log)
        with log.open("ab") as output:
            return await asyncio.create_subprocess_exec(
                *process.argv,
                env=environment(process, self.run),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=None if process.outlives else die_with_me(),
            )

    def note(self, process: Process, text: str) -> None:
        with suppress(OSError), (self.logs / "supervisor.log").open("a") as log:
            log.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {process.name} {text}\n")

    async def stop(self) -> None:
        """End all groups, the last started first. Restarting ends before anything is told to stop."""
        for keeper in self.keepers.values():
            keeper.cancel()
        await asyncio.gather(*self.keepers.values(), return_exceptions=True)
        for group in reversed(self.groups):
            await asyncio.gather(*(self.end(process) for process in group))
        await self.forge.close()

    async def remove(self, process: Process) -> None:
        """End a process and do not start it again."""
        if keeper := self.keepers.pop(process.name, None):
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
        await self.end(process)
        self.running.pop(process.name, None)
        for group in self.groups:
            if process in group:
                group.remove(process)

    async def end(self, process: Process) -> None:
        child = self.running.get(process.name)
        if child is None:
            return
        if child.returncode is None:
            child.send_signal(process.stop)
            try:
                await asyncio.wait_for(child.wait(), process.stop_s)
            except TimeoutError:
                self.note(process, f"did not end within {process.stop_s:.0f} s and is killed")
                child.send_signal(process.kill)
                await child.wait()
        (self.run / f"{process.name}.pid").unlink(missing_ok=True)
