"""A process as plain data, and how one of ours is recognised after its supervisor died."""

import ctypes
import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

MARK = "SHUKE_RUN"
"""Environment variable that names the run folder a process belongs to."""

PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15
libc = ctypes.CDLL(None)


@dataclass(frozen=True)
class Process:
    """What is run, under which name, and when it counts as ready."""

    name: str
    argv: tuple[str, ...]
    """A command or, where it is forked, the roles that it plays."""
    env: Mapping[str, str] = field(default_factory=dict)
    ready: str | None = None
    """`http://…`, `postgresql://…` or `kafka://…`, asked until it answers (readiness.py)."""
    stop: signal.Signals = signal.SIGTERM
    stop_s: float = 2.5
    """Seconds to end by itself after `stop`, before `kill`."""
    kill: signal.Signals = signal.SIGKILL
    forked: bool = False
    """Whether it comes from the forge, where all that it needs is imported already."""
    outlives: bool = False
    """Whether it stays when its supervisor is killed and its own `before` knows what it left."""
    before: Callable[[], None] | None = None
    """Called before each start, for example to clear what a killed predecessor left."""


def die_with(parent: int) -> None:
    """Have the kernel end this process when its parent dies; one that is dead by now has left it to another."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(1)


def die_with_me() -> Callable[[], None]:
    """What a child of this process calls between fork and exec."""
    return partial(die_with, os.getpid())


def called(name: str) -> None:
    """Have this process shown under a name, of which the kernel keeps 15 bytes."""
    libc.prctl(PR_SET_NAME, name.encode())


def environment(process: Process, run: Path) -> dict[str, str]:
    """The whole environment of a process, marked with the run folder unless it outlives it."""
    mark = {} if process.outlives else {MARK: str(run.resolve())}
    return {**os.environ, **process.env, **mark}


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def marked(run: Path) -> list[int]:
    """The living processes of a run folder, however they were started, except this one.

    The mark in /proc/PID/environ is the identity: a pid file may name a stranger that got the number later.
    """
    mark = f"{MARK}={run.resolve()}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            variables = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if mark in variables and int(folder.name) != os.getpid():
            found.append(int(folder.name))
    return sorted(found)


def end(pids: Iterable[int], *steps: tuple[signal.Signals, float]) -> None:
    """End processes with each signal in turn, going on to the next when its seconds are over."""
    left = [pid for pid in pids if alive(pid)]
    for sent, seconds in steps:
        for pid in left:
            try:
                os.kill(pid, sent)
            except ProcessLookupError:
                continue
        until = time.monotonic() + seconds
        while (left := [pid for pid in left if alive(pid)]) and time.monotonic() < until:
            time.sleep(0.02)
        if not left:
            return
