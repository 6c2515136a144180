"""A backlog of purchases on the bus, and those parts of the product that work it off, each as a process of its own."""

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import asyncpg
import numpy as np
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from bench.population import BEFORE, activated, identity
from bench.product import CURRENCY
from chassis import marks, outbox, publisher, sequencer
from chassis.db import connect, declare_topics, driver
from chassis.ids import uuid7
from contracts.customers import PurchaseCompleted
from contracts.topics import PURCHASES, topics_of
from deploy import databases, installation, kafka, postgres, product
from deploy.ports import free_port
from deploy.postgres import Postgres
from deploy.process import Process
from deploy.product import Options, Shape, role
from deploy.supervisor import Supervisor
from services.scoring.app import HEARD
from services.scoring.queries.rulings import Connection, open_installation

DAYS = 28
"""Over which the purchases are spread: shorter than any retention."""
CHUNK = 2_000
"""Events that are recorded at one instant."""
SEED = 20_260_101
STILL_S = 60.0
"""So long nothing may move before it is given up; how long a backlog takes goes by its size."""
LOOK_S = 0.02


@dataclass
class Parts:
    """PostgreSQL with the databases of the product and, where asked for, a broker; no process of a service runs."""

    folder: Path
    keeper: Supervisor
    server: Postgres
    variables: dict[str, str]
    """The settings of the product's processes."""
    bus_url: str

    def url(self, database: str) -> str:
        """The address of a database, as the one who may do everything."""
        return self.server.url(database, role="postgres")

    def postgres_s(self) -> float:
        """Processor seconds of PostgreSQL until now, of the sessions that ended too."""
        return sum(sum(processor_s(pid)) for pid in postgres.of_folder(self.server.data))


def processor_s(pid: int) -> tuple[float, float]:
    """Processor seconds of a process until now, and of those that it started and saw end (proc_pid_stat(5))."""
    try:
        ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]
    except OSError:
        return 0.0, 0.0
    own, own_system, children, children_system = (int(each) / os.sysconf("SC_CLK_TCK") for each in ticks)
    return own + own_system, children + children_system


@dataclass(frozen=True)
class Backlog:
    """What waits to be read."""

    parties: int
    events: int
    spend_minor: int
    """All amounts together."""


@asynccontextmanager
async def full(parties: int, each: int, *, brokers: int, model: bool) -> AsyncIterator[tuple[Parts, Backlog]]:
    """The parts with a backlog, and a database of scoring that has read nothing yet, for as long as the block lasts."""
    async with parts(brokers=brokers) as at:
        backlog = await fill(at, parties, each)
        await have_scoring(at, model=model)
        yield at, backlog


@asynccontextmanager
async def parts(*, brokers: int) -> AsyncIterator[Parts]:
    """The parts on a fresh folder for as long as the block lasts; without brokers the log is the bus."""
    with tempfile.TemporaryDirectory(prefix="shuke-bench-") as place, product.cancelled_by_signals():
        folder = Path(place) / "data"
        folder.mkdir()
        keeper = Supervisor(folder)
        try:
            yield await _started(folder, keeper, brokers)
        finally:
            await keeper.stop()


async def _started(folder: Path, keeper: Supervisor, brokers: int) -> Parts:
    await keeper.forge.open()
    options = Options(folder, port=free_port(), empty=True, currency=CURRENCY)
    server = await asyncio.to_thread(postgres.at, folder)
    await keeper.start(replace(server.process(), outlives=False))
    bus_url = "log://"
    if brokers:
        made = await asyncio.to_thread(kafka.at, folder, brokers=brokers)
        await keeper.start(*made.processes())
        bus_url = made.url

    async def bus(_: product.Parts) -> str:
        return bus_url

    await product.prepare(server, folder)
    settled = await product.settle(options, server)
    key_file = installation.identity_key(folder, None)
    shape = Shape("bench", options, bus=bus, services=())
    return Parts(folder, keeper, server, product.environment(shape, server, bus_url, settled, key_file), bus_url)


async def fill(at: Parts, parties: int, each: int) -> Backlog:
    """Have so many parties have bought so often, in the order of time, on the topic of purchases.

    The events pass through outbox, sequencer and, where there is a broker, publisher, as in the product.
    """
    chance, events = np.random.default_rng(SEED), parties * each
    whose = chance.permutation(np.repeat(np.arange(parties), each))
    seconds = np.sort(chance.uniform(0, DAYS * 86_400, events))
    paid = np.maximum(1, np.rint(chance.gamma(2, 3_000, events))).astype(int)
    database = connect(at.url("customers").replace("postgresql://", "postgresql+asyncpg://"), pool_size=2)
    try:
        await declare_topics(database, topics_of("customers"))
        connection = await asyncpg.connect(at.url("customers"))
        began = datetime.now(UTC) - timedelta(days=DAYS)
        for place in range(0, events, CHUNK):
            chunk = [column[place : place + CHUNK].tolist() for column in (whose, seconds, paid)]
            told = [
                _purchase(party, began + timedelta(seconds=then), amount)
                for party, then, amount in zip(*chunk, strict=True)
            ]
            with _clock(told[-1].occurred_at):
                async with database.transaction() as session:
                    outbox.append(session, *told)
                await sequencer.number(connection, CHUNK)
        if at.bus_url != "log://":
            await _publish(database.url, connection, at.bus_url.removeprefix("kafka://"))
        await connection.execute("VACUUM ANALYZE")
        await connection.execute("CHECKPOINT")
        await connection.close()
    finally:
        await database.close()
    return Backlog(parties, events, int(paid.sum()))


def _purchase(party: int, at: datetime, amount_minor: int) -> PurchaseCompleted:
    return PurchaseCompleted(
        subject=identity(party),
        occurred_at=at,
        purchase_id=uuid7(),
        amount_minor=amount_minor,
        currency=CURRENCY,
        source="bench",
    )


@contextmanager
def _clock(at: datetime) -> Iterator[None]:
    """Set the product's clock in this process, so that what happened long ago was recorded long ago too."""
    os.environ["SHUKE_CLOCK_OFFSET"] = str((at - datetime.now(UTC)).total_seconds())
    try:
        yield
    finally:
        del os.environ["SHUKE_CLOCK_OFFSET"]


async def _publish(url: str, connection: Connection, servers: str) -> None:
    database = connect(url, pool_size=2)
    publishing = asyncio.create_task(publisher.run(database, "customers", servers))

    async def published() -> tuple[bool, int]:
        if publishing.done():
            await publishing
        done, count = tuple(await connection.fetchrow(_PUBLISHED) or (False, 0))
        return done, count

    try:
        await moved_on(published, rest_s=0.1)
    finally:
        publishing.cancel()
        with suppress(asyncio.CancelledError):
            await publishing
        await database.close()


async def moved_on(look: Callable[[], Awaitable[tuple[bool, int]]], *, rest_s: float, still_s: float = STILL_S) -> None:
    """Look again and again until it is done. Raises `TimeoutError` when what is counted has long stayed the same."""
    most, moved = -1, time.perf_counter()
    while True:
        done, count = await look()
        if done:
            return
        if count != most:
            most, moved = count, time.perf_counter()
        elif time.perf_counter() > moved + still_s:
            raise TimeoutError(f"Nothing has moved for {still_s:.0f} s, at {count:,}.")
        await asyncio.sleep(rest_s)


async def have_scoring(at: Parts, *, model: bool) -> None:
    """Open the database of scoring as its processes would, with a fitted model in force where one is wanted."""
    database = connect(at.url("scoring").replace("postgresql://", "postgresql+asyncpg://"), pool_size=1)
    try:
        await declare_topics(database, topics_of("scoring"))
        then = datetime.now(UTC) - timedelta(days=DAYS + 1)
        async with database.transaction() as session:
            await open_installation(await driver(session), "UTC", CURRENCY, then)
        await marks.declare(database, "scoring", HEARD)
    finally:
        await database.close()
    if model:
        connection = await asyncpg.connect(at.url("scoring"))
        await activated(connection, *BEFORE, at=then)
        await connection.execute("UPDATE ruling SET applied_at = active_from, currency = $1", CURRENCY)
        await connection.close()


@dataclass(frozen=True)
class Cost:
    """What it took to read a backlog."""

    events: int
    seconds: float
    worker_s: float
    """Processor seconds of the processes that read."""
    postgres_s: float
    """Processor seconds of PostgreSQL meanwhile."""

    @property
    def per_s(self) -> float:
        """Events per second."""
        return self.events / self.seconds

    def ms_per_1000(self, processor_s: float) -> float:
        """Processor milliseconds per 1,000 events."""
        return processor_s * 1e6 / self.events


_copies = count(1)


@asynccontextmanager
async def scored(at: Parts, backlog: Backlog, workers: int) -> AsyncIterator[tuple[Cost, Connection]]:
    """Have workers read the backlog into a copy of the database of scoring; what it took, and the copy.

    They are let go all at once, when each has its partitions. Over when all is read, decided and announced.
    """
    name = f"scoring_{next(_copies)}"
    postmaster = await asyncpg.connect(at.url("postgres"))
    await postmaster.execute(f"CREATE DATABASE {name} TEMPLATE scoring OWNER scoring")
    await postmaster.close()
    url = at.server.url(name, role="scoring", scheme="postgresql+asyncpg")
    own = at.variables | {databases.variable("scoring"): url}
    processes = [product.process(role("scoring-worker", name=f"scoring-worker-{n + 1}"), own) for n in range(workers)]
    connection, held = await asyncpg.connect(at.url(name)), await asyncpg.connect(at.url(name))
    try:
        # A worker that claims a partition waits for this lock.
        transaction = held.transaction()
        await transaction.start()
        await held.execute("SELECT FROM consumer_offset ORDER BY topic, partition FOR UPDATE")
        await at.keeper.start(*processes)
        async with asyncio.timeout(60):
            await _have_shares(connection, at.bus_url, workers)
        pids = [at.keeper.running[each.name].pid for each in processes]
        before = _processor_s(at, pids)
        began = time.perf_counter()
        await transaction.rollback()
        await moved_on(lambda: _read(connection, backlog), rest_s=LOOK_S)
        took_s = time.perf_counter() - began
        worker_s, postgres_s = (after - first for after, first in zip(_processor_s(at, pids), before, strict=True))
        if at.keeper.deaths:
            raise RuntimeError(f"{dict(at.keeper.deaths)} ended meanwhile")
        await _stop(at.keeper, processes)
        yield Cost(backlog.events, took_s, worker_s, postgres_s), connection
    finally:
        await held.close()
        await connection.close()
        await _stop(at.keeper, processes)
        await _dropped(at, name)


async def _read(connection: Connection, backlog: Backlog) -> tuple[bool, int]:
    done, count = tuple(await connection.fetchrow(_DONE, PURCHASES.name, backlog.events) or (False, 0))
    return done, count


async def _dropped(at: Parts, name: str) -> None:
    """A copy more per run would fill the disk."""
    postmaster = await asyncpg.connect(at.url("postgres"))
    await postmaster.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await postmaster.close()


def _processor_s(at: Parts, pids: Sequence[int]) -> tuple[float, float]:
    return sum(processor_s(pid)[0] for pid in pids), at.postgres_s()


async def _stop(keeper: Supervisor, processes: Sequence[Process]) -> None:
    for each in processes:
        if keeping := keeper.keepers.pop(each.name, None):
            keeping.cancel()
            await asyncio.wait({keeping})
    await asyncio.gather(*(keeper.end(each) for each in processes))


async def _have_shares(connection: Connection, bus_url: str, workers: int) -> None:
    """Return when each worker knows which partitions are its own and waits for the first of them."""
    if bus_url == "log://":
        while await connection.fetchval("SELECT count(*) FROM consumer_member") < workers:
            await asyncio.sleep(LOOK_S)
        # Each hears of the others with its own next word.
        all_there = await connection.fetchval("SELECT clock_timestamp()")
        while await connection.fetchval("SELECT min(seen_at) FROM consumer_member") < all_there:
            await asyncio.sleep(LOOK_S)
    else:
        await _grouped(bus_url.removeprefix("kafka://"), workers)
    while await connection.fetchval(_WAITING) < workers:
        await asyncio.sleep(LOOK_S)


async def _grouped(servers: str, workers: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        while True:
            # The first group on a broker has no coordinator until the broker has made the topic of their offsets.
            with suppress(KafkaError):
                [found] = await admin.describe_consumer_groups(["scoring"])
                for _, _, state, _, _, members, *_ in found.groups:
                    if state == "Stable" and len(members) == workers:
                        return
            await asyncio.sleep(0.1)
    finally:
        await admin.close()


async def checked(connection: Connection, backlog: Backlog) -> None:
    """Raise `RuntimeError` unless every purchase stands in facts and standings, once."""
    found = tuple(await connection.fetchrow(_STANDS) or ())
    if found != (wanted := (backlog.events, backlog.parties, backlog.spend_minor)):
        raise RuntimeError(f"Facts, parties and spend are {found} where {wanted} were told.")


_PUBLISHED = "SELECT bool_and(published_seq >= last_seq), sum(published_seq)::bigint FROM event_stream"
_DONE = """
SELECT of_topic.read >= $2 AND NOT EXISTS (SELECT FROM outbox), of_topic.read + numbered.count
FROM (
    SELECT coalesce(sum(seq), 0)::bigint AS read FROM consumer_offset WHERE consumer = 'scoring' AND topic = $1
) AS of_topic, (SELECT coalesce(sum(last_seq), 0)::bigint AS count FROM event_stream) AS numbered
"""
_WAITING = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
"""
_STANDS = """
SELECT (SELECT count(*) FROM fact), count(*), sum(spend_minor)::bigint FROM party WHERE stage IS NOT NULL
"""
