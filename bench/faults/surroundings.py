"""What processes stand on: a disk that is full, a clock that jumps."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from bench.faults.ground import POSTGRES, Ground
from deploy import readiness


@dataclass
class FullDisk:
    """No byte more fits under PostgreSQL or under a broker."""

    what: str
    name: str
    """The process whose disk it is."""
    lasts_s: float
    from_beginning: bool = False

    @property
    def kind(self) -> str:
        """As it is told."""
        return f"full disk under {self.what}"

    def _folder(self, ground: Ground) -> Path:
        if self.name == POSTGRES:
            return ground.folder
        return ground.folder / "kafka" / self.name.removeprefix("kafka-")

    async def begin(self, ground: Ground) -> None:
        """Take the room away."""
        await asyncio.to_thread(ground.disks.fill, self._folder(ground))

    async def end(self, ground: Ground) -> None:
        """Give it back, and wait for the process, which may have given up."""
        await asyncio.to_thread(ground.disks.empty, self._folder(ground))
        if self.name != POSTGRES:
            await readiness.wait(ground.brokers.url, seconds=120)


@dataclass
class Jump:
    """The clock of a process is another one for a while, and then right again."""

    name: str
    ahead_s: int
    lasts_s: float
    kind: str = "clock that jumps"
    from_beginning: bool = False

    @property
    def what(self) -> str:
        """Whose."""
        return f"{self.name} by {self.ahead_s} s"

    async def begin(self, ground: Ground) -> None:
        """Set it."""
        ground.set_clock(self.name, self.ahead_s)

    async def end(self, ground: Ground) -> None:
        """Set it right."""
        ground.set_clock(self.name, 0)
