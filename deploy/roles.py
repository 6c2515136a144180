"""What the product is made of: its services, whose events each reads, and the roles that a process can play."""

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pkgutil import resolve_name

from contracts.topics import topics_of
from deploy import VERSION


@dataclass(frozen=True)
class Service:
    """A service with a database of its own."""

    name: str
    package: str
    """Where its `app` module and its migrations are."""
    processes: tuple[tuple[str, ...], ...]
    """Its parts, each a function of its `app` module, as the embedded shape puts them together into processes."""
    reads: tuple[str, ...]
    """The services whose events it reads."""

    @property
    def parts(self) -> tuple[str, ...]:
        """All parts; where it writes events, what hands them to Kafka too, which `log://` has no need of."""
        publisher = ("publisher",) if topics_of(self.name) else ()
        return tuple(part for process in self.processes for part in process) + publisher

    def role(self, part: str) -> str:
        """A part as `shuke serve` and the documentation call it."""
        return self.name if part == "app" else f"{self.name}-{part}"


def service(name: str, *processes: str, reads: tuple[str, ...] = (), package: str | None = None) -> Service:
    """A service, each process written as its parts with spaces between them."""
    return Service(name, package or f"services.{name}", tuple(tuple(each.split()) for each in processes), reads)


SERVICES = (
    service("customers", "app", "importer worker", reads=("leads", "community")),
    service("leads", "app importer worker", reads=("customers",)),
    service("community", "app importer worker", reads=("customers",)),
    service("scoring", "app", "worker sweeper", reads=("customers", "leads", "community")),
    service(
        "gateway", "app", "feed deliverer", reads=("customers", "leads", "community", "scoring"), package="gateway"
    ),
)
"""The product in one table: databases, ports, addresses, processes and logs to read all follow from it."""

ROLES = {each.role(part): f"{each.package}.app:{part}" for each in SERVICES for part in each.parts}
"""Where each role begins: an app to serve, or a coroutine function that never returns."""

HTTP = tuple(each.name for each in SERVICES)
"""The roles that answer HTTP: one of each service, under its name."""

MANY = ("scoring-worker",)
"""The roles of which there are several in the distributed shape."""

LONGEST_END_S = 10.0
"""Seconds after which a process that was told to end is ended, whatever it waits for."""

PACKAGES = {each.name: each.package for each in SERVICES}
"""The package whose migrations make each database."""


async def run(name: str) -> None:
    """Be one role until cancelled. Its settings come from the environment."""
    begin = resolve_name(ROLES[name])
    if name in HTTP:
        from chassis.app import serve

        await serve(begin())
    else:
        await begin()
        raise RuntimeError(f"{name} ended, and it never should.")


async def answer_probes(name: str) -> None:
    """Answer a supervisor and Prometheus beside roles that have no HTTP of their own, where a port is set for it."""
    from chassis.app import probe, serve

    port, host = os.environ["SHUKE_PROBE_PORT"], os.environ.get("SHUKE_PROBE_HOST", "127.0.0.1")
    [package] = {each.package for each in SERVICES if name in map(each.role, each.parts)}
    await serve(probe(name, resolve_name(f"{package}.app:Settings")(), host=host, port=int(port)))


async def tell_presence(names: Sequence[str], ordered: asyncio.Event) -> None:
    """Say in the databases of the services whose roles these are that this process plays them."""
    from chassis.db import SILENCE_S, connect
    from chassis.presence import own_name, tell

    async with contextlib.AsyncExitStack() as stack, asyncio.TaskGroup() as telling:
        for each in SERVICES:
            if played := [name for name in names if name in map(each.role, each.parts)]:
                url = resolve_name(f"{each.package}.app:Settings")().database_url
                database = connect(url, pool_size=1, silence_s=SILENCE_S)
                stack.push_async_callback(database.close)
                said = tell(database, name=own_name(), roles=played, version=VERSION, ordered=ordered)
                telling.create_task(said)


async def run_all(names: Sequence[str]) -> None:
    """Be several roles in one process: when one fails all end with it; SIGTERM and SIGINT let all finish."""
    from chassis.telemetry import configure_logging, measure_loop

    configure_logging(os.environ.get("SHUKE_LOG_LEVEL", "INFO"))
    loop, ordered = asyncio.get_running_loop(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(run(name), name=name) for name in names]
        tasks.append(group.create_task(measure_loop()))
        tasks.append(group.create_task(tell_presence(names, ordered)))
        if os.environ.get("SHUKE_PROBE_PORT") and not set(HTTP).intersection(names):
            tasks.append(group.create_task(answer_probes(names[0])))

        def end() -> None:
            ordered.set()
            for task in tasks:
                task.cancel()
            # A connection whose far side is gone without a word is waited for while it is closed.
            watch = threading.Timer(LONGEST_END_S, _give_up)
            watch.daemon = True
            watch.start()

        for sent in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(sent, end)


def _give_up() -> None:
    import structlog

    try:
        structlog.get_logger().error("did not end when it was told to, and is ended", after_s=LONGEST_END_S)
    finally:
        os._exit(1)


def serve(names: Sequence[str]) -> None:
    """Run roles until they are told to end, on the fast event loop."""
    import uvloop

    with contextlib.suppress(asyncio.CancelledError, KeyboardInterrupt):
        uvloop.run(run_all(names))
