"""The gateway, with authentication and limits on, beside a bare proxy of aiohttp before the same service."""

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from bench.asking import ask
from bench.figures import Figure, percentile
from bench.product import ROOT, cpu_ticks
from deploy import databases, postgres, readiness
from deploy.ports import free_port
from deploy.process import die_with_me
from gateway.queries.keys import create_admin_key

CONNECTIONS = 32
ROUNDS = 5
ROUND_S = 2.0
WARM_S = 0.5
"""At the begin of each round, not measured."""
PATH = "/v1/parties/party_0198c0de0000700080000000000000aa"
CLIENT = {"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": "bench"}
"""What clients send."""
GOAL_RATE, GOAL_ADDED = 0.75, 1.3
"""At least so much of the bare proxy's requests per second, and at most so many times what it adds to one request."""


@dataclass
class Way:
    """A way to the service, and what was measured on it."""

    url: str
    pid: int
    headers: Mapping[str, str] = field(default_factory=dict)
    per_s: list[float] = field(default_factory=list)
    """Of each round with many connections."""
    cpu_ms: list[float] = field(default_factory=list)
    """Processor time a request, of each such round."""
    alone_ms: list[float] = field(default_factory=list)
    """Median of each round with one connection."""

    def measure(self) -> None:
        """A round of each kind."""
        before = cpu_ticks(self.pid)
        many = uvloop.run(
            ask(self.url, PATH, {**CLIENT, **self.headers}, connections=CONNECTIONS, warm_s=WARM_S, s=ROUND_S)
        )
        ticks = cpu_ticks(self.pid) - before
        self.per_s.append(len(many) / ROUND_S)
        asked = len(many) * (WARM_S + ROUND_S) / ROUND_S
        self.cpu_ms.append(ticks / os.sysconf("SC_CLK_TCK") / asked * 1e3)
        one = uvloop.run(ask(self.url, PATH, {**CLIENT, **self.headers}, connections=1, warm_s=WARM_S, s=ROUND_S))
        self.alone_ms.append(percentile(one, 50))


def proxied() -> list[Figure]:
    """The service directly, behind the bare proxy and behind the gateway: in turns, on the same machine."""
    with ways() as (direct, bare, gateway):
        for _ in range(ROUNDS):
            for way in (direct, bare, gateway):
                way.measure()
    per_s, bare_per_s = statistics.median(gateway.per_s), statistics.median(bare.per_s)
    added, bare_added = (
        statistics.median(through - without for through, without in zip(way.alone_ms, direct.alone_ms, strict=True))
        for way in (gateway, bare)
    )
    cpu_ms, bare_cpu_ms = statistics.median(gateway.cpu_ms), statistics.median(bare.cpu_ms)
    how = "GETs of 500 bytes through one process; baseline: a bare aiohttp proxy"
    return [
        Figure("gateway", f"requests at c{CONNECTIONS}", per_s, "/s", None, bare_per_s, how, GOAL_RATE),
        Figure("gateway", "added p50 at c1", added, "ms", None, bare_added, goal_ratio=GOAL_ADDED),
        Figure("gateway", f"processor time a request at c{CONNECTIONS}", cpu_ms, "ms", None, bare_cpu_ms),
    ]


@contextmanager
def ways() -> Iterator[tuple[Way, Way, Way]]:
    """The service, the bare proxy and the gateway, each a process."""
    with tempfile.TemporaryDirectory(prefix="shuke-bench-") as folder, ExitStack() as stack:
        database = postgres.at(Path(folder))
        stack.enter_context(running(database.process().argv, database.url("postgres", role="postgres")))
        url = database.url("gateway", scheme="postgresql+asyncpg")
        key = asyncio.run(prepared(database.url("postgres", role="postgres"), url))
        ports = [free_port() for _ in range(3)]
        service, bare, door = (f"http://127.0.0.1:{port}" for port in ports)
        variables = {
            "GATEWAY_DATABASE_URL": url,
            "GATEWAY_SERVICES": f'{{"customers": "{service}"}}',
            "GATEWAY_PORT": str(ports[2]),
            "GATEWAY_LIMIT_ADMIN": "99999/99999",
            "SHUKE_INTERNAL_SECRET": database.passwords["internal"],
        }
        python = (sys.executable, "-P", "-m")
        processes = [
            stack.enter_context(running((*python, "bench.upstream", str(ports[0])), f"{service}/")),
            stack.enter_context(running((*python, "bench.bare_proxy", str(ports[1]), service), f"{bare}/")),
            stack.enter_context(
                running((*python, "deploy.cli", "serve", "gateway"), f"{door}/healthz", Path(folder) / "log", variables)
            ),
        ]
        authorised = {"Authorization": f"Bearer {key}"}
        yield (
            Way(service, processes[0]),
            Way(bare, processes[1], authorised),
            Way(door, processes[2], authorised),
        )


async def prepared(superuser_url: str, url: str) -> str:
    """Make the gateway's database; an admin key in it."""
    await databases.have(superuser_url, {"gateway": url}, log_reader_password=None)
    await databases.bring_up({"gateway": url})
    return await create_admin_key(url)


@contextmanager
def running(
    argv: tuple[str, ...], ready: str, log: Path = Path(os.devnull), variables: Mapping[str, str] | None = None
) -> Iterator[int]:
    """A process for as long as the block lasts, from when it answers under `ready` on; its id."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("SHUKE_", "GATEWAY_"))}
    environment = {**own, "PYTHONPATH": str(ROOT), **(variables or {})}
    with log.open("w") as out:
        process = subprocess.Popen(argv, cwd=ROOT, env=environment, stdout=out, stderr=out, preexec_fn=die_with_me())
        try:
            asyncio.run(readiness.wait(ready, seconds=60))
            yield process.pid
        finally:
            process.terminate()
            process.wait(30)
