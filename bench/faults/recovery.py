"""When the product is itself again: a purchase on every partition was acknowledged and can be read in the standing."""

import asyncio
import time
from contextlib import suppress
from datetime import UTC, datetime
from itertools import count
from uuid import UUID

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from bench.faults.clients import Client, Journal
from bench.faults.commands import SYSTEM, Command, identifier, identity_of
from bench.faults.ground import Ground
from bench.product import CURRENCY
from chassis.kafka_client import drop
from chassis.outbox import key_hash
from contracts.topics import PURCHASES

EVERY_S = 0.5
AT_ONCE = 6
LONGEST_S = 180.0
LOOK_S = 0.02
AT = datetime(2026, 1, 1, tzinfo=UTC)


class Stuck(Exception):
    """The product was not itself again after a long time."""


def on_every_partition(name: str) -> list[str]:
    """Customers of whom nothing was told yet, one for each partition of the purchases."""
    found: dict[int, str] = {}
    for number in count():
        who = f"{name} {number}"
        found.setdefault(key_hash(str(identity_of(who))) % PURCHASES.partitions, who)
        if len(found) == PURCHASES.partitions:
            break
    return list(found.values())


class Probe:
    """Asks by buying: one after the other until the first of them can be read."""

    def __init__(self, ground: Ground, client: Client, journal: Journal) -> None:
        self._ground, self._client, self._journal = ground, client, journal
        self._number = count()
        self._lag: set[asyncio.Task[float]] = set()
        self._turn = asyncio.Lock()
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None

    async def itself_again(self) -> float:
        """The instant (monotonic) at which the first of those that are begun from now on can be read; `Stuck`."""
        until = time.monotonic() + LONGEST_S
        tasks: set[asyncio.Task[float]] = set()
        while time.monotonic() < until:
            if len(tasks) < AT_ONCE:
                tasks.add(asyncio.create_task(self._bought()))
            done, _ = await asyncio.wait(tasks, timeout=EVERY_S, return_when=asyncio.FIRST_COMPLETED)
            if done:
                self._lag |= tasks - done
                return min(task.result() for task in done)
        self._lag |= tasks
        raise Stuck(f"nothing can be read after {LONGEST_S:.0f} s")

    async def brokers_agree(self) -> None:
        """Wait until every broker holds what its leaders do: more than may fail at once would fail before."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self._ground.servers, request_timeout_ms=5_000)
        try:
            while True:
                with suppress(KafkaError, OSError):
                    await admin.start()
                    told = await admin.describe_topics()
                    if all(
                        len(partition["isr"]) == len(partition["replicas"])
                        for topic in told
                        for partition in topic["partitions"]
                    ):
                        return
                await asyncio.sleep(0.2)
        finally:
            await drop(admin.close())

    async def settle(self) -> None:
        """Wait until what was begun and not waited for is acknowledged and readable, too."""
        if self._lag:
            await asyncio.wait(self._lag, timeout=LONGEST_S)
            for task in self._lag:
                task.cancel()

    async def _bought(self) -> float:
        name = f"probe {next(self._number)}"
        who = on_every_partition(name)
        rows = [
            {
                "identifier": identifier(each),
                "source": SYSTEM,
                "source_id": each,
                "occurred_at": AT.isoformat(),
                "currency": CURRENCY,
                "amount_minor": 100,
            }
            for each in who
        ]
        command = Command(name, "/v1/purchases/bulk", rows=rows, tells="customers.purchase_completed.v1")
        await self._client.tell(command, self._journal)
        parties = list(map(identity_of, who))
        while not await self._readable(parties):
            await asyncio.sleep(LOOK_S)
        return time.monotonic()

    async def _readable(self, parties: list[UUID]) -> bool:
        try:
            async with asyncio.timeout(5), self._turn:
                if self._connection is None or self._connection.is_closed():
                    self._connection = await asyncpg.connect(self._ground.database("scoring"))
                return bool(await self._connection.fetchval(_READABLE, parties, len(parties)))
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
            if self._connection is not None:
                self._connection.terminate()
            self._connection = None
        return False


_READABLE = "SELECT count(*) = $2 FROM party WHERE party_id = ANY ($1) AND spend_minor > 0"
