"""Processes that are killed, ended and frozen."""

import asyncio
import os
import signal
from contextlib import suppress
from dataclasses import dataclass

from bench.faults.ground import POSTGRES, Ground
from deploy import postgres


@dataclass
class Killed:
    """Processes end at once and without a word; what keeps them running starts them again."""

    what: str
    names: tuple[str, ...]
    lasts_s: float = 0.0
    from_beginning: bool = True

    @property
    def kind(self) -> str:
        """As it is told."""
        return f"killed {self.what}"

    async def begin(self, ground: Ground) -> None:
        """Kill them."""
        for name in self.names:
            ground.send(name, signal.SIGKILL)

    async def end(self, ground: Ground) -> None:
        """Nothing is left to be done."""


@dataclass
class Ended(Killed):
    """Processes are told to end."""

    @property
    def kind(self) -> str:
        """As it is told."""
        return f"ended {self.what}"

    async def begin(self, ground: Ground) -> None:
        """Send them what ends them in order, and wait until they are gone: until then they may go on serving."""
        before = {name: pid for name, pid in ground.pids().items() if name in self.names}
        for name in self.names:
            ground.send(name, ground.processes[name].stop)
        while any(ground.pids().get(name) == pid for name, pid in before.items()):
            await asyncio.sleep(0.02)


@dataclass
class Frozen:
    """Processes stand still, and go on where they were."""

    what: str
    names: tuple[str, ...]
    lasts_s: float
    brief: bool
    from_beginning: bool = False

    @property
    def kind(self) -> str:
        """As it is told: for less than a session, or for longer."""
        return f"frozen {self.what}{', briefly' if self.brief else ''}"

    async def begin(self, ground: Ground) -> None:
        """Freeze them."""
        for name in self.names:
            ground.send(name, signal.SIGSTOP)

    async def end(self, ground: Ground) -> None:
        """Thaw them."""
        for name in self.names:
            ground.send(name, signal.SIGCONT)


@dataclass
class CrashedDatabase:
    """A session of PostgreSQL is killed: the server ends all others and recovers from its log."""

    kind: str = "crashed PostgreSQL"
    what: str = POSTGRES
    lasts_s: float = 0.0
    from_beginning: bool = True

    async def begin(self, ground: Ground) -> None:
        """Kill one that serves the product."""
        above = ground.pids().get(POSTGRES)
        # The postmaster has the smallest number of all, the sessions of the product larger ones than its helpers.
        pids = [pid for pid in postgres.of_folder(ground.server.data) if pid != above]
        with suppress(ProcessLookupError):
            os.kill(pids[-1], signal.SIGKILL)

    async def end(self, ground: Ground) -> None:
        """Nothing is left to be done."""
