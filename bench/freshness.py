"""From a purchase posted to its standing readable, under a steady load."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import aiohttp
import asyncpg

from bench.figures import Figure, percentile
from bench.product import CURRENCY, Running, product, settle

PER_S = 200
WARM_S = 5.0
MEASURED_S = 20.0
PARTIES = 4_000
"""Each buys again only when its last purchase was long read."""
AMOUNT_MINOR = 1_000
LATEST_S = 60.0
GOAL_MS = {50: 15.0, 99: 50.0}


@dataclass
class Seen:
    """When each purchase was sent, answered and readable."""

    answered_ms: list[float] = field(default_factory=list)
    readable_ms: list[float] = field(default_factory=list)
    """From the request sent."""
    behind_ms: list[float] = field(default_factory=list)
    """From the answer received."""


def embedded() -> list[Figure]:
    """On the log in PostgreSQL."""
    return _row("freshness", "up")


def kafka() -> list[Figure]:
    """On a broker, with two workers."""
    return _row("freshness-kafka", "cluster", "--workers", "2")


def _row(row: str, *words: str) -> list[Figure]:
    with product(*words) as running:
        parties = have_bought(running)
        seen = asyncio.run(_measured(running, parties))
        raw = asyncio.run(_raw(running))
    load = f"{PER_S}/s for {MEASURED_S:.0f} s, {len(seen.readable_ms)} purchases"
    raw_how = f"{load}; baseline: one INSERT committed, seen by another connection"
    figures = []
    for p, goal_ms in GOAL_MS.items():
        readable, least = percentile(seen.readable_ms, p), percentile(raw, p)
        figures += [
            Figure(row, f"POST to standing readable, p{p}", readable, "ms", goal_ms, least, raw_how),
            Figure(row, f"201 to standing readable, p{p}", percentile(seen.behind_ms, p), "ms", how=load),
            Figure(row, f"POST to 201, p{p}", percentile(seen.answered_ms, p), "ms", how=load),
        ]
    return figures


def purchase_of(customer: int) -> dict[str, Any]:
    """The body of a purchase now."""
    return {
        "identifier": {"scheme": "external", "system": "bench", "value": str(customer)},
        "occurred_at": datetime.now(UTC).isoformat(),
        "currency": CURRENCY,
        "amount_minor": AMOUNT_MINOR,
    }


def have_bought(running: Running, count: int = PARTIES) -> list[UUID]:
    """Have so many parties bought once, and give their ids."""
    with running.client() as client:
        parties = []
        for customer in range(count):
            made = client.post("/v1/purchases", json=purchase_of(customer)).raise_for_status().json()
            parties.append(UUID(made["party_id"].removeprefix("party_")))
        settle(client)
    return parties


async def _measured(running: Running, parties: list[UUID]) -> Seen:
    """What is seen of a load for as long as it is measured."""
    seen = Seen()
    await buying(running, parties, seen, _times())
    return seen


async def buying(
    running: Running, parties: list[UUID], seen: Seen, times: Iterable[float], warm_s: float = WARM_S
) -> None:
    """Have parties buy at certain seconds from now on, and note when that was readable, but for the first seconds."""
    spend = dict.fromkeys(parties, AMOUNT_MINOR)
    watched = await asyncpg.connect(running.database("scoring"))
    waiting: dict[UUID, tuple[int, asyncio.Future[float]]] = {}

    async def one(number: int, measured: bool) -> None:
        customer = number % len(parties)
        party = parties[customer]
        spend[party] += AMOUNT_MINOR
        readable: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        waiting[party] = spend[party], readable
        sent = time.perf_counter()
        async with session.post("/v1/purchases", json=purchase_of(customer)) as response:
            response.raise_for_status()
        answered = time.perf_counter()
        when = await asyncio.wait_for(readable, LATEST_S)
        if measured:
            seen.answered_ms.append((answered - sent) * 1e3)
            seen.readable_ms.append((when - sent) * 1e3)
            seen.behind_ms.append(max(0.0, when - answered) * 1e3)

    looking = asyncio.create_task(look(watched, waiting, STANDINGS))
    connector = aiohttp.TCPConnector(limit=64)
    async with aiohttp.ClientSession(running.url, headers=running.headers, connector=connector) as session:
        await _steadily(one, times, warm_s)
    looking.cancel()
    await watched.close()


async def _raw(running: Running) -> list[float]:
    """The least that could be done: a row committed by one connection and read by another."""
    pool = await asyncpg.create_pool(running.database("postgres"), min_size=8, max_size=8)
    watched = await asyncpg.connect(running.database("postgres"))
    await watched.execute("CREATE TABLE raw (party_id uuid PRIMARY KEY, spend_minor bigint)")
    waiting: dict[UUID, tuple[int, asyncio.Future[float]]] = {}
    took: list[float] = []

    async def one(number: int, measured: bool) -> None:
        id = UUID(int=number)
        readable: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        waiting[id] = AMOUNT_MINOR, readable
        sent = time.perf_counter()
        await pool.execute("INSERT INTO raw VALUES ($1, $2)", id, AMOUNT_MINOR)
        when = await asyncio.wait_for(readable, LATEST_S)
        if measured:
            took.append((when - sent) * 1e3)

    looking = asyncio.create_task(look(watched, waiting, _ROWS))
    await _steadily(one, _times(), WARM_S)
    looking.cancel()
    await watched.close()
    await pool.close()
    return took


async def _steadily(one: Callable[[int, bool], Awaitable[None]], times: Iterable[float], warm_s: float) -> None:
    """Call at certain seconds, whether or not the earlier ones have ended."""
    began = time.perf_counter()
    tasks = []
    for number, due in enumerate(times):
        await asyncio.sleep(max(0.0, began + due - time.perf_counter()))
        tasks.append(asyncio.ensure_future(one(number, due >= warm_s)))
    await asyncio.gather(*tasks)


def _times() -> Iterator[float]:
    for number in range(int((WARM_S + MEASURED_S) * PER_S)):
        yield number / PER_S


async def look(
    connection: "asyncpg.Connection[asyncpg.Record]",
    waiting: dict[UUID, tuple[int, "asyncio.Future[float]"]],
    statement: str,
) -> None:
    """Look every millisecond which of those waited for are there; where many are waited for, a fifth of the time."""
    while True:
        began = now = time.perf_counter()
        if waiting:
            rows = await connection.fetch(statement, list(waiting))
            now = time.perf_counter()
            for party, spend_minor in rows:
                wanted, readable = waiting[party]
                if spend_minor >= wanted:
                    del waiting[party]
                    readable.set_result(now)
        await asyncio.sleep(max(0.001, 4 * (now - began)))


STANDINGS = "SELECT party_id, spend_minor FROM party WHERE party_id = ANY ($1)"
_ROWS = "SELECT party_id, spend_minor FROM raw WHERE party_id = ANY ($1)"
