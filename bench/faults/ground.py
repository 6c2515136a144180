"""The distributed product on this machine, with a wire between any two parts and every process within reach."""

import asyncio
import errno
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import UUID

from bench.faults.commands import KEY
from bench.faults.wires import Wires
from bench.product import CURRENCY
from deploy import installation, kafka, postgres, product, readiness, roles, supervisor
from deploy.cluster import cluster
from deploy.ports import free_port
from deploy.postgres import Postgres
from deploy.process import Process, alive
from deploy.product import Options, Parts, Role, Shape
from deploy.supervisor import Supervisor

POSTGRES, GATEWAY = "postgres", "gateway"
WORKERS = "scoring-worker-"
STARTS_S = 120.0
DISK_MB, BROKER_DISK_MB = 4_096, 1_024
MB, PAGE = 1 << 20, 4_096
LEFT_MB = 64
"""By how much a file system that shall be full is left larger than what lies there, before ballast takes that."""
BALLAST = "ballast"


@dataclass
class Disks:
    """File systems in memory, of which each can be made full and have room again."""

    sizes_mb: dict[Path, int] = field(default_factory=dict)
    can: bool = False
    """Whether this machine lets us have them: in a mount namespace of our own."""

    def have(self, folder: Path, size_mb: int) -> None:
        """Put a file system of its own under a folder, where we may."""
        folder.mkdir(parents=True, exist_ok=True)
        if self.can:
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_mb}m", "none", str(folder)], check=True)
            self.sizes_mb[folder] = size_mb

    def fill(self, folder: Path) -> None:
        """Leave no room for anything more."""
        # Others write meanwhile, and a size below what lies there is refused: ballast takes what is left of a little.
        self._resize(folder, shutil.disk_usage(folder).used // MB + LEFT_MB)
        with (folder / BALLAST).open("wb", buffering=0) as ballast:
            try:
                while True:
                    ballast.write(bytes(PAGE))
            except OSError as full:
                if full.errno != errno.ENOSPC:
                    raise

    def empty(self, folder: Path) -> None:
        """Give all room back."""
        (folder / BALLAST).unlink(missing_ok=True)
        self._resize(folder, self.sizes_mb[folder])

    def release(self) -> None:
        """Take them away."""
        for folder in reversed(self.sizes_mb):
            subprocess.run(["umount", "-l", str(folder)], check=False)

    def _resize(self, folder: Path, size_mb: int) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size_mb}m", str(folder)], check=True)


@dataclass
class Ground:
    """What runs, and how it is reached past the wires."""

    folder: Path
    keeper: Supervisor
    server: Postgres
    brokers: kafka.Cluster
    wires: Wires
    disks: Disks
    options: Options
    variables: dict[str, str]
    processes: dict[str, Process]
    doors: dict[str, int]
    """Ports of the gateways to the services, by service."""
    front: int
    """The port at which clients reach the gateway, through a wire."""
    clocks: Path
    """A folder with a file for each process: by how many seconds its clock is ahead."""
    offset_s: int
    """By how many seconds the clock of every process is ahead where none jumps."""
    expected_letters: list[str] = field(default_factory=list)
    """Dead letters that a fault made on purpose, by what they are."""
    planted: set[UUID] = field(default_factory=set)
    """Events in a log that a fault put there and no client told of."""

    @property
    def url(self) -> str:
        """Where the product answers."""
        return f"http://127.0.0.1:{self.front}"

    @property
    def headers(self) -> dict[str, str]:
        """What a client with every right sends."""
        return {"Authorization": f"Bearer {(self.folder / 'admin.key').read_text().strip()}"}

    @property
    def servers(self) -> str:
        """The brokers, as clients name them."""
        return self.brokers.url.removeprefix("kafka://")

    def database(self, name: str) -> str:
        """The address of a database, past the wires, as the one who may do everything."""
        return self.server.url(name, role="postgres")

    def pids(self) -> dict[str, int]:
        """Of what runs, by name."""
        return {name: child.pid for name, child in self.keeper.running.items() if child.returncode is None}

    def names(self, *beginnings: str) -> list[str]:
        """The processes that are kept running and whose name begins so."""
        return sorted(name for name in self.processes if name.startswith(beginnings))

    def send(self, name: str, sent: signal.Signals) -> None:
        """Send a signal to a process; of PostgreSQL a freeze and a thaw go to all of its processes."""
        pids = [self.pids()[name]] if name in self.pids() else []
        if name == POSTGRES and sent in (signal.SIGSTOP, signal.SIGCONT):
            pids = postgres.of_folder(self.server.data)
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, sent)

    async def ready(self, name: str, seconds: float = STARTS_S) -> None:
        """Wait until a process answers that does."""
        process = self.processes[name]
        url = process.ready
        if url is None and (port := process.env.get("SHUKE_PROBE_PORT")):
            url = f"http://127.0.0.1:{port}/readyz"
        if url is not None:
            await readiness.wait(url, seconds=seconds)

    async def restart(self, name: str) -> None:
        """End a process in order and wait until the next one is there."""
        before = self.pids().get(name)
        self.send(name, self.processes[name].stop)
        async with asyncio.timeout(STARTS_S):
            while (pid := self.pids().get(name)) in (before, None) or not alive(int(pid or 0)):
                await asyncio.sleep(0.05)
        await self.ready(name)

    async def set_workers(self, count: int) -> None:
        """Have so many scoring workers."""
        present = self.names(WORKERS)
        for name in present[count:]:
            await self.keeper.remove(self.processes.pop(name))
        for number in range(1, count + 1):
            if (name := f"{WORKERS}{number}") not in self.processes:
                await self.add(product.role("scoring-worker", name=name))

    async def add(self, one: Role) -> None:
        """Keep another process running."""
        self.processes[one.name] = self.process(one)
        await self.keeper.start(self.processes[one.name])

    def process(self, one: Role) -> Process:
        """A process of the product, with a clock of its own."""
        self.set_clock(one.name, 0)
        variables = self.variables | {"SHUKE_CLOCK_OFFSET": f"file:{self.clocks / one.name}"}
        answers = set(roles.HTTP).intersection(one.plays)
        return product.process(one, variables, probe=None if answers else free_port())

    def set_clock(self, name: str, ahead_s: int) -> None:
        """Have the clock of a process jump."""
        supervisor.put(self.clocks / name, str(self.offset_s + ahead_s))

    def controller(self) -> str:
        """The broker that leads the quorum."""
        import json

        for node in self.brokers.nodes:
            state = node.folder / "data" / "__cluster_metadata-0" / "quorum-state"
            with suppress(OSError, ValueError):
                leader = json.loads(state.read_text())["leaderId"]
                if leader > 0:
                    return f"kafka-{leader}"
        return "kafka-1"


@asynccontextmanager
async def started(place: Path, *, brokers: int, workers: int, disks: Disks, offset_s: int = 0) -> AsyncIterator[Ground]:
    """The product on a fresh folder for as long as the block lasts."""
    folder = place / "data"
    disks.have(folder, DISK_MB)
    keeper = Supervisor(folder)
    wires = Wires(lambda: {name: child.pid for name, child in keeper.running.items() if child.returncode is None})
    try:
        yield await _started(place, folder, keeper, wires, disks, brokers, workers, offset_s)
    finally:
        await keeper.stop()
        await wires.close()
        disks.release()


async def _started(
    place: Path,
    folder: Path,
    keeper: Supervisor,
    wires: Wires,
    disks: Disks,
    brokers: int,
    workers: int,
    offset_s: int,
) -> Ground:
    clocks = place / "clocks"
    clocks.mkdir()
    for number in range(1, brokers + 1):
        disks.have(folder / "kafka" / str(number), BROKER_DISK_MB)
    await keeper.forge.open()
    options = Options(folder, port=free_port(), empty=True, currency=CURRENCY)
    key = place / "identity.key"
    key.write_text(KEY)
    key_file = installation.identity_key(folder, key)
    server = await asyncio.to_thread(postgres.at, folder)
    database = replace(server.process(), outlives=False)
    await keeper.start(database)
    doors = [free_port() for _ in range(brokers)]
    made = await asyncio.to_thread(kafka.at, folder, brokers=brokers, doors=doors)
    for node, door in zip(made.nodes, doors, strict=True):
        await wires.door(f"kafka-{node.number}", [node.port], at=door)
    await asyncio.gather(keeper.start(*made.processes(), seconds=STARTS_S), product.prepare(server, folder))
    settled = await product.settle(options, server)

    async def bus(_: Parts) -> str:
        return made.url

    shape = Shape("faults", options, bus=bus, services=())
    before = free_port()
    await wires.door(POSTGRES, [server.port], at=before)
    bus_url = "kafka://" + ",".join(f"127.0.0.1:{door}" for door in doors)
    variables = product.environment(shape, replace(server, port=before), bus_url, settled, key_file)
    variables |= {"GATEWAY_LIMIT_ADMIN": "5000/5000", "GATEWAY_WEBHOOK_ALLOW": "127.0.0.1/32"}
    services, front = await _service_doors(variables, wires), free_port()
    await wires.door(GATEWAY, [options.port], at=front)
    kept = {POSTGRES: database} | {each.name: each for each in made.processes()}
    ground = Ground(
        folder, keeper, server, made, wires, disks, options, variables, kept, services, front, clocks, offset_s
    )  # fmt: skip
    parts = [*cluster(options, brokers=brokers, workers=workers).services, product.role(GATEWAY)]
    processes = [ground.process(one) for one in parts]
    for process in processes:
        ground.processes[process.name] = process
    await keeper.start(*processes, seconds=STARTS_S)
    await readiness.wait(f"{options.url}/readyz", seconds=STARTS_S)
    return ground


async def _service_doors(variables: dict[str, str], wires: Wires) -> dict[str, int]:
    """Have the gateway find each service behind a wire."""
    import json

    addresses: Mapping[str, str] = json.loads(variables["GATEWAY_SERVICES"])
    doors = {}
    for name, address in addresses.items():
        doors[name] = free_port()
        await wires.door(name, [int(address.rpartition(":")[2])], at=doors[name])
    variables["GATEWAY_SERVICES"] = json.dumps({name: f"http://127.0.0.1:{port}" for name, port in doors.items()})
    return doors


def services_of(names: Sequence[str]) -> list[str]:
    """Those of the names that answer HTTP, but for the gateway."""
    return [name for name in names if name in roles.HTTP and name != GATEWAY]
