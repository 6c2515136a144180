"""Services that publish, what takes their events into the feed, and clients that follow it."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self
from uuid import UUID

import asyncpg
import httpx

from chassis import outbox, sequencer
from chassis.clock import now
from chassis.db import Database, declare_topics, driver, plain_url
from chassis.ids import uuid7
from contracts.customers import PurchaseCompleted
from contracts.event import Event
from contracts.scoring import Cause, MoveKind, Stage, StandingChanged, Tier
from contracts.topics import topics_of

from .conftest import SECRET, MakeDatabase

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("customers", "leads", "community", "scoring")
POLICY = "a" * 64


def moved(party: UUID, revision: int, **told: Any) -> StandingChanged:
    """A standing that has changed just now."""
    given: dict[str, Any] = {
        "occurred_at": now(),
        "cause": Cause.FACT,
        "kind": MoveKind.RETIERED,
        "from_stage": Stage.CUSTOMER,
        "to_stage": Stage.CUSTOMER,
        "from_tier": Tier.LOW,
        "to_tier": Tier.MID,
        "policy": POLICY,
    }
    return StandingChanged(subject=party, revision=revision, **(given | told))


def bought(subject: UUID, **told: Any) -> PurchaseCompleted:
    """A purchase of just now."""
    given: dict[str, Any] = {
        "occurred_at": now(),
        "purchase_id": uuid7(),
        "amount_minor": 1_00,
        "currency": "EUR",
        "source": "shop",
    }
    return PurchaseCompleted(subject=subject, **(given | told))


@dataclass
class Sources:
    """The logs of the services."""

    databases: dict[str, Database]
    connections: dict[str, Any] = field(default_factory=dict)

    @classmethod
    async def made(cls, make_database: MakeDatabase) -> Self:
        databases = {name: await make_database(None) for name in SERVICES}
        for name, database in databases.items():
            await declare_topics(database, topics_of(name))
        return cls(databases)

    @property
    def urls(self) -> str:
        return json.dumps({name: plain_url(database.url) for name, database in self.databases.items()})

    async def tell(self, *events: Event) -> None:
        """Have services publish events, in this order."""
        for service in dict.fromkeys(event.topic.service for event in events):
            database = self.databases[service]
            async with database.transaction() as session:
                outbox.append(session, *(event for event in events if event.topic.service == service))
            if service not in self.connections:
                self.connections[service] = await asyncpg.connect(plain_url(database.url))
            while await sequencer.number(self.connections[service]) is None:
                await asyncio.sleep(0.01)

    async def close(self) -> None:
        for connection in self.connections.values():
            await connection.close()


class Worker:
    """The role that fills the feed, in a process of its own."""

    def __init__(self, role: str, env: dict[str, str], log: Path) -> None:
        self.role, self.env, self.log = role, env, log
        self.child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.child = subprocess.Popen(
                (sys.executable, "-P", "-m", "deploy.cli", "serve", self.role),
                cwd=ROOT,
                env={**os.environ, **self.env},
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        if self.child is not None:
            self.child.kill()
            self.child.wait()
            self.child = None


@contextmanager
def workers(
    role: str, database: Database, urls: str, folder: Path, *, count: int = 1, **env: str
) -> Iterator[list[Worker]]:
    """Processes of a role of the gateway, to be started and killed."""
    settings = {
        "GATEWAY_DATABASE_URL": database.url,
        "GATEWAY_SERVICES": "{}",
        "GATEWAY_SOURCE_URLS": urls,
        "SHUKE_INTERNAL_SECRET": SECRET,
        **env,
    }
    made = [
        Worker(role, settings | {"SHUKE_MEMBER": f"{role}-{number}"}, folder / f"{role}-{number}.log")
        for number in range(count)
    ]
    try:
        yield made
    finally:
        for worker in made:
            worker.kill()


@dataclass(frozen=True)
class Heard:
    """A block of a stream."""

    id: int | None
    event: str | None
    data: Any
    comment: bool


class Listener:
    """A client of the stream that remembers what it saw last."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.last: int | None = None
        self._lines = response.aiter_lines()

    async def block(self) -> Heard:
        """The next block; `StopAsyncIteration` at the end."""
        found: dict[str, str] = {}
        comment = False
        async for line in self._lines:
            if not line:
                if "id" in found:
                    self.last = int(found["id"])
                data = json.loads(found["data"]) if "data" in found else None
                return Heard(int(found["id"]) if "id" in found else None, found.get("event"), data, comment)
            name, _, value = line.partition(":")
            comment = comment or not name
            if name:
                found[name] = value.removeprefix(" ")
        raise StopAsyncIteration

    async def events(self, count: int, *, within_s: float = 20) -> list[dict[str, Any]]:
        """The next events that carry anything."""
        found: list[dict[str, Any]] = []
        async with asyncio.timeout(within_s):
            while len(found) < count:
                block = await self.block()
                if block.data is not None:
                    found.append(block.data)
        return found


@asynccontextmanager
async def listening(client: httpx.AsyncClient, last: int | None = None, **params: Any) -> AsyncIterator[Listener]:
    """A stream that has begun."""
    headers = {} if last is None else {"Last-Event-ID": str(last)}
    async with client.stream("GET", "/v1/stream", params=params, headers=headers, timeout=60) as response:
        if response.status_code != 200:
            await response.aread()
        assert response.status_code == 200, response.text
        listener = Listener(response)
        if last is None and "after" not in params:
            await listener.block()
        yield listener


async def fed(database: Database, until: int) -> None:
    """Wait until the feed has so many events."""
    async with asyncio.timeout(60):
        while True:
            async with database.transaction() as session:
                if await (await driver(session)).fetchval("SELECT last_seq FROM feed_reach") >= until:
                    return
            await asyncio.sleep(0.02)


LONG_AGO = datetime(2019, 1, 1, tzinfo=UTC)
