"""Changes that are made on purpose: everything restarted, workers that come and go, a next version beside the old."""

import asyncio
import sys
from dataclasses import dataclass, field, replace

from bench.faults.ground import GATEWAY, POSTGRES, WORKERS, Ground
from deploy import product
from deploy.ports import free_port
from deploy.process import Process


@dataclass
class RollingRestart:
    """One part after the other is ended in order and comes back before the next one."""

    kind: str = "rolling restart of everything"
    what: str = "everything"
    lasts_s: float = 0.0
    from_beginning: bool = False

    async def begin(self, ground: Ground) -> None:
        """Restart all that belongs together side by side, and brokers one by one."""
        for service in ("customers", "leads", "community", "scoring", GATEWAY):
            await asyncio.gather(*(ground.restart(name) for name in ground.names(service)))
        for name in ground.names("kafka-"):
            await ground.restart(name)
        await ground.restart(POSTGRES)

    async def end(self, ground: Ground) -> None:
        """Nothing is left to be done."""


@dataclass
class WorkersComeAndGo:
    """One scoring worker, then three, then one, then as many as there were."""

    each_s: float
    kind: str = "workers 1, 3, 1"
    what: str = "scoring workers"
    lasts_s: float = 0.0
    from_beginning: bool = False

    async def begin(self, ground: Ground) -> None:
        """Change their number, and let them share the work for a while each time."""
        before = len(ground.names(WORKERS))
        for count in (1, 3, 1, before):
            await ground.set_workers(count)
            await asyncio.sleep(self.each_s)

    async def end(self, ground: Ground) -> None:
        """Nothing is left to be done."""


@dataclass
class NextVersion:
    """A service answers in two versions at the same time; the next one says more than anybody knows how to read."""

    service: str
    lasts_s: float
    kind: str = "next version beside the old"
    from_beginning: bool = False
    old: list[int] = field(default_factory=list)
    beside: Process | None = None

    @property
    def what(self) -> str:
        """Which service."""
        return self.service

    async def begin(self, ground: Ground) -> None:
        """Start the next version, and have every second connection end there."""
        port, name = free_port(), f"{self.service}-next"
        variables = ground.variables | {f"{self.service.upper()}_PORT": str(port)}
        made = product.process(product.role(self.service, name=name), variables)
        command = (sys.executable, "-P", "-m", "bench.faults.next_version", self.service)
        self.beside = replace(made, argv=command, forked=False)
        await ground.keeper.start(self.beside, seconds=120)
        self.old = list(ground.wires.ports[self.service])
        ground.wires.ports[self.service] = [*self.old, port]
        ground.wires.reset(self.meant)
        ground.wires.heal(self.meant)

    def meant(self, client: str, target: str) -> bool:
        """The connections to the service: they are opened anew, half of them to the other version."""
        return target == self.service

    async def end(self, ground: Ground) -> None:
        """Go back to the old one."""
        ground.wires.ports[self.service] = self.old
        if self.beside:
            await ground.keeper.remove(self.beside)
