"""Single commands, each durable when it is answered, beside a bare handler that inserts the same body."""

import asyncio
import itertools
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import aiohttp

from bench.figures import Figure, percentile
from bench.freshness import UNLIMITED, purchase_of
from bench.product import ROOT, Running, product, settle
from chassis.auth import HEADER, Caller, Signer
from deploy import postgres, readiness, supervisor
from deploy.ports import free_port
from deploy.process import die_with_me

CONNECTIONS = 32
ROUNDS = 4
ROUND_S = 3.0
WARM_S = 1.0
"""At the begin of each round, not measured."""
CUSTOMERS = 4_000
GOALS = {"service": 0.6, "gateway": 0.4}
"""At least so much of what the bare handler takes."""
GOAL_P99_MS = 50.0
PATH = "/v1/purchases"


@dataclass
class Taken:
    """What one door took, over its rounds."""

    url: str
    headers: Mapping[str, str]
    answers_ms: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def per_s(self) -> float:
        """Commands answered per second."""
        return len(self.answers_ms) / self.seconds


def posts() -> list[Figure]:
    """On the service itself, through the gateway, and bare: in turns, so that each meets the same machine."""
    with product("up", variables=UNLIMITED) as running, bare_handler(running) as (url, _):
        secret = postgres.passwords(running.folder)["internal"]
        service = supervisor.endpoints(running.folder)["services"]["customers"]
        doors = {
            "bare": Taken(url, {}),
            "service": Taken(service, {HEADER: Signer(secret).sign(Caller("bench", frozenset({"admin"})))}),
            "gateway": Taken(running.url, running.headers),
        }
        customers = itertools.count()
        for _ in range(ROUNDS):
            for door in doors.values():
                asyncio.run(take(door, customers))
                with running.client() as client:
                    settle(client)
    bare = doors.pop("bare")
    figures = []
    for name, door in doors.items():
        figures += figures_of(name, door, bare)
    return figures


def figures_of(name: str, door: Taken, bare: Taken) -> list[Figure]:
    """Of one door beside the bare handler: commands per second, and how long the answer took."""
    what = f"POST at c{CONNECTIONS}, {name}"
    return [
        Figure("post", what, door.per_s, "/s", None, bare.per_s, "baseline: a bare handler", GOALS[name]),
        *(
            Figure("post", f"{what}, p{p}", percentile(door.answers_ms, p), "ms", goal, percentile(bare.answers_ms, p))
            for p, goal in ((50, None), (99, GOAL_P99_MS))
        ),
    ]


@contextmanager
def bare_handler(running: Running) -> Iterator[tuple[str, int]]:
    """The address and the process of the bare handler, on the same PostgreSQL."""
    port = free_port()
    command = (sys.executable, "-P", "-m", "bench.bare", running.database("postgres"), str(port))
    process = subprocess.Popen(command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, preexec_fn=die_with_me())
    try:
        asyncio.run(readiness.wait(f"http://127.0.0.1:{port}/openapi.json", seconds=60))
        yield f"http://127.0.0.1:{port}", process.pid
    finally:
        process.terminate()
        process.wait(30)


async def take(door: Taken, customers: Iterator[int]) -> None:
    """One round: each connection sends its next command when it has the answer to the one before."""
    began = time.perf_counter()
    until = began + WARM_S + ROUND_S

    async def ask() -> None:
        while (sent := time.perf_counter()) < until:
            async with session.post(PATH, json=purchase_of(next(customers) % CUSTOMERS)) as response:
                await response.read()
                response.raise_for_status()
            answered = time.perf_counter()
            if sent > began + WARM_S and answered < until:
                door.answers_ms.append((answered - sent) * 1e3)

    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    async with aiohttp.ClientSession(door.url, headers=door.headers, connector=connector) as session:
        await asyncio.gather(*(ask() for _ in range(CONNECTIONS)))
    door.seconds += ROUND_S
