"""The life of the product on one machine: parts in order, the first start, ready, and the orderly end."""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from deploy import databases, installation, ports, postgres, restoring, roles, supervisor
from deploy.installation import Installation
from deploy.postgres import Postgres
from deploy.process import Process
from deploy.supervisor import Supervisor

STOP_S = 6.0
"""Seconds that a process has to end: longer than requests under way have (`chassis.app`)."""


class PortTaken(Exception):
    """Somebody else listens on the port asked for."""


@dataclass(frozen=True)
class Options:
    """What a person chooses at a start."""

    folder: Path
    port: int = 8000
    host: str = "127.0.0.1"
    empty: bool = False
    currency: str | None = None
    time_zone: str | None = None
    identity_key: Path | None = None

    @property
    def url(self) -> str:
        """Where the product answers."""
        host = "127.0.0.1" if self.host == "0.0.0.0" else self.host
        return f"http://{host}:{self.port}"


@dataclass(frozen=True)
class Parts:
    """What runs before the services do."""

    supervisor: Supervisor
    postgres: Postgres


@dataclass(frozen=True)
class Role:
    """A process of the product: its name and the roles it plays."""

    name: str
    plays: tuple[str, ...]


def role(*plays: str, name: str | None = None) -> Role:
    """A process named for its first role unless told otherwise."""
    return Role(name or plays[0], plays)


@dataclass(frozen=True)
class Shape:
    """Which processes the product is made of; the gateway is always there."""

    name: str
    options: Options
    bus: Callable[[Parts], Awaitable[str]]
    """Starts what carries the events, and gives its URL."""
    services: tuple[Role, ...]


FirstStart = Callable[[str, str], Awaitable[None]]
"""Called with the address and the admin key to load the example into the running product."""


async def run(shape: Shape, *, example: FirstStart, say: Callable[[str], None]) -> None:
    """Bring the product up, say that it is ready, keep it running until SIGTERM or SIGINT, end it in order."""
    options = shape.options
    options.folder.mkdir(parents=True, exist_ok=True)
    keeper = Supervisor(options.folder)
    with supervisor.only_one(options.folder):
        await asyncio.to_thread(keeper.clear)
        if restoring.unfinished(options.folder):
            again = f"shuke restore BACKUP --data {options.folder}"
            raise installation.Refused(f"{options.folder} was not restored to its end. Begin it again: {again}")
        refuse_taken_port(options)
        with cancelled_by_signals():
            try:
                await start(shape, keeper, example=example, say=say)
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                say("stopping")
            finally:
                await keeper.stop()


async def start(shape: Shape, keeper: Supervisor, *, example: FirstStart, say: Callable[[str], None]) -> None:
    """PostgreSQL, then its databases beside the bus, then the processes, then what only a first start does."""
    options = shape.options
    # At once, so that it imports while PostgreSQL starts.
    await keeper.forge.open()
    key_file = installation.identity_key(options.folder, options.identity_key)
    server = await asyncio.to_thread(postgres.at, options.folder)
    await keeper.start(server.process())
    bus_url, (admin_key, first_link) = await asyncio.gather(
        shape.bus(Parts(keeper, server)), prepare(server, options.folder)
    )
    settled = await settle(options, server)
    variables = environment(shape, server, bus_url, settled, key_file)
    probes = {one.name: ports.free_port() for one in shape.services if not set(roles.HTTP).intersection(one.plays)}
    services = [process(one, variables, probe=probes.get(one.name)) for one in shape.services]
    gateway = replace(process(role("gateway"), variables), ready=f"{options.url}/readyz")
    await asyncio.gather(keeper.start(*services), keeper.start(gateway))
    supervisor.announce(
        options.folder,
        {
            "pid": os.getpid(),
            "shape": shape.name,
            "url": options.url,
            "postgres": {name: f"127.0.0.1:{server.port}/{name}" for name in roles.PACKAGES},
            "bus": bus_url,
            "services": json.loads(variables["GATEWAY_SERVICES"]),
            "probes": {name: f"http://127.0.0.1:{port}" for name, port in probes.items()},
        },
    )
    if settled.example == "wanted":
        await example(options.url, admin_key)
        installation.keep(options.folder, replace(settled, example="loaded"))
    if first_link:
        say(f"The first person comes in once, within 7 days, by {options.url}{first_link}")
    say(f"ready {options.url}")


async def prepare(server: Postgres, folder: Path) -> tuple[str, str | None]:
    """Databases, tables, the log reader's rights, and what the first start makes.

    That is the admin key, and where the first person comes in, behind the address; None at later starts.
    """
    urls = {name: server.url(name, scheme="postgresql+asyncpg") for name in roles.PACKAGES}
    superuser = server.url("postgres", role="postgres")
    await databases.have(superuser, urls, log_reader_password=server.passwords[databases.LOG_READER])
    await databases.bring_up(urls)
    path, first_link = folder / "admin.key", None
    if not path.exists():
        from gateway.domain.invitations import NobodyToInvite
        from gateway.queries.invitations import create_owner_link
        from gateway.queries.keys import create_admin_key

        # A backup of databases alone brings people and no key.
        with contextlib.suppress(NobodyToInvite):
            first_link = await create_owner_link(urls["gateway"])
        postgres.write_secret(path, f"{await create_admin_key(urls['gateway'])}\n")
    return path.read_text().strip(), first_link


async def settle(options: Options, server: Postgres) -> Installation:
    """What the installation is, by what was asked for and what its standings already hang on."""
    from services.scoring.app import decided

    kept_zone, fixed_currency = await decided(server.url("scoring", scheme="postgresql+asyncpg"))
    return installation.opened(
        options.folder,
        time_zone=options.time_zone,
        currency=options.currency,
        empty=options.empty,
        kept_zone=kept_zone,
        fixed_currency=fixed_currency,
    )


def environment(shape: Shape, server: Postgres, bus_url: str, settled: Installation, key_file: Path) -> dict[str, str]:
    """The settings of all processes: the same for each, which takes those of its own prefix."""
    options = shape.options
    services = [each for each in roles.SERVICES if each.name != "gateway"]
    listening = {each.name: ports.free_port() for each in services} | {"gateway": options.port}
    temporary = options.folder / "tmp"
    temporary.mkdir(exist_ok=True)
    variables = {
        "SHUKE_BUS_URL": bus_url,
        "SHUKE_INTERNAL_SECRET": server.passwords["internal"],
        "SHUKE_IDENTITY_KEY_FILE": str(key_file.resolve()),
        "SHUKE_TIME_ZONE": settled.time_zone,
        "GATEWAY_SERVICES": json.dumps({each.name: f"http://127.0.0.1:{listening[each.name]}" for each in services}),
        "GATEWAY_HOST": options.host,
        "PYTHONPATH": str(Path(__file__).resolve().parent.parent),
        "TMPDIR": str(temporary.resolve()),
        "SHUKE_DISK_FOLDER": str(options.folder.resolve()),
    }
    for name, port in listening.items():
        variables[f"{name.upper()}_PORT"] = str(port)
        variables[databases.variable(name)] = server.url(name, scheme="postgresql+asyncpg")
    for each in roles.SERVICES:
        if each.reads:
            logs = {name: server.url(name, role=databases.LOG_READER) for name in each.reads}
            variables[f"{each.name.upper()}_SOURCE_URLS"] = json.dumps(logs)
    return variables | ({"SHUKE_CURRENCY": settled.currency} if settled.currency else {})


def process(one: Role, variables: dict[str, str], *, probe: int | None = None) -> Process:
    """A process of the product; one that answers HTTP is ready when it says so. `probe` is where others are asked."""
    answering = [name for name in one.plays if name in roles.HTTP]
    ready = f"http://127.0.0.1:{variables[f'{answering[0].upper()}_PORT']}/readyz" if answering else None
    # Under a name that stays, a restarted consumer is the one that left: no partition of another one moves.
    own = {"SHUKE_MEMBER": one.name} | ({"SHUKE_PROBE_PORT": str(probe)} if probe else {})
    return Process(one.name, one.plays, variables | own, ready=ready, stop_s=STOP_S, forked=True)


def refuse_taken_port(options: Options) -> None:
    """`PortTaken` before anything is started."""
    try:
        ports.keep(options.host, options.port)
    except OSError as error:
        raise PortTaken(f"Port {options.port} cannot be used ({error.strerror}); choose one by --port.") from None


@contextlib.contextmanager
def cancelled_by_signals() -> Iterator[None]:
    """Cancel the current task at the first SIGTERM or SIGINT; later ones wait for the orderly end."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    told: list[bool] = []

    def stop() -> None:
        if not told:
            told.append(True)
            task.cancel()

    for sent in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sent, stop)
    try:
        yield
    finally:
        for sent in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(sent)
