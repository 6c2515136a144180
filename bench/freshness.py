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
from bench.waiting import Waiting, look
from chassis.db import LOOKUPS

PER_S, FAST_PER_S = 200, 1_000
WARM_S = 5.0
MEASURED_S = 20.0
PARTIES = 4_000
"""Each buys again only when its last purchase was long read."""
AMOUNT_MINOR = 1_000
LATEST_S = 60.0
CLUSTER = ("cluster", "--workers", "2")
UNLIMITED = {"GATEWAY_LIMIT_ADMIN": "99999/99999"}
"""What a key may ask must not be what is measured."""
GOAL_MS = {50: 15.0, 99: 50.0}
"""At 200/s; how it is at 1,000/s is told."""


@dataclass
class Seen:
    """When each purchase was sent, answered and readable."""

    answered_ms: list[float] = field(default_factory=list)
    readable_ms: list[float] = field(default_factory=list)
    """From the request sent."""
    behind_ms: list[float] = field(default_factory=list)
    """From the answer received; 0 where that came later."""

    def add(self, sent: float, answered: float, readable: float) -> None:
        """One more, by `time.perf_counter`."""
        self.answered_ms.append((answered - sent) * 1e3)
        self.readable_ms.append((readable - sent) * 1e3)
        self.behind_ms.append(max(0.0, readable - answered) * 1e3)


def embedded() -> list[Figure]:
    """On the log in PostgreSQL."""
    return _row("freshness", PER_S, "up")


def kafka() -> list[Figure]:
    """On a broker, with two workers."""
    return _row("freshness-kafka", PER_S, *CLUSTER)


def embedded_fast() -> list[Figure]:
    """On the log in PostgreSQL, five times as many."""
    return _row("freshness-1000", FAST_PER_S, "up")


def kafka_fast() -> list[Figure]:
    """On a broker, with two workers, five times as many."""
    return _row("freshness-kafka-1000", FAST_PER_S, *CLUSTER)


def _row(row: str, per_s: int, *words: str) -> list[Figure]:
    with product(*words, variables=UNLIMITED) as running:
        parties = have_bought(running)
        seen = asyncio.run(_measured(running, parties, per_s))
        raw = asyncio.run(_raw(running, per_s))
    return figures_of(row, per_s, seen, raw)


def figures_of(row: str, per_s: int, ours: "Seen", least: "Seen") -> list[Figure]:
    """How long it took at one rate, beside a row committed by one connection and seen by another."""
    load = f"{per_s:,}/s for {MEASURED_S:.0f} s, {len(ours.readable_ms):,} purchases"
    how = f"{load}; baseline: one INSERT committed, seen by another connection"
    figures = []
    for p, goal_ms in GOAL_MS.items():
        goal = goal_ms if per_s == PER_S else None
        spans = (
            ("POST to standing readable", goal, ours.readable_ms, least.readable_ms),
            ("201 to standing readable", goal, ours.behind_ms, least.behind_ms),
            ("POST to 201", None, ours.answered_ms, least.answered_ms),
        )
        figures += [
            Figure(row, f"{what}, p{p}", percentile(mine, p), "ms", goal, percentile(other, p), how)
            for what, goal, mine, other in spans
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


async def _measured(running: Running, parties: list[UUID], per_s: int) -> Seen:
    """What is seen of a load for as long as it is measured."""
    seen = Seen()
    await buying(running, parties, seen, _times(per_s))
    return seen


async def buying(
    running: Running, parties: list[UUID], seen: Seen, times: Iterable[float], warm_s: float = WARM_S
) -> None:
    """Have parties buy at certain seconds from now on, and note when that was readable, but for the first seconds."""
    spend = dict.fromkeys(parties, AMOUNT_MINOR)
    watched = await asyncpg.connect(running.database("scoring"), server_settings=LOOKUPS)
    waiting = Waiting()

    async def one(number: int, measured: bool) -> None:
        customer = number % len(parties)
        party = parties[customer]
        spend[party] += AMOUNT_MINOR
        readable = waiting.until(party, spend[party])
        sent = time.perf_counter()
        async with session.post("/v1/purchases", json=purchase_of(customer)) as response:
            response.raise_for_status()
        answered = time.perf_counter()
        when = await asyncio.wait_for(readable, LATEST_S)
        if measured:
            seen.add(sent, answered, when)

    looking = asyncio.create_task(look(watched, waiting, STANDINGS))
    connector = aiohttp.TCPConnector(limit=64)
    async with aiohttp.ClientSession(running.url, headers=running.headers, connector=connector) as session:
        await _steadily(one, times, warm_s)
    looking.cancel()
    await watched.close()


async def _raw(running: Running, per_s: int) -> Seen:
    """The least that could be done: a row committed by one connection and read by another."""
    pool = await asyncpg.create_pool(running.database("postgres"), min_size=8, max_size=8)
    watched = await asyncpg.connect(running.database("postgres"))
    await watched.execute("CREATE TABLE raw (party_id uuid PRIMARY KEY, spend_minor bigint)")
    waiting, seen = Waiting(), Seen()

    async def one(number: int, measured: bool) -> None:
        id = UUID(int=number)
        readable = waiting.until(id, AMOUNT_MINOR)
        sent = time.perf_counter()
        await pool.execute("INSERT INTO raw VALUES ($1, $2)", id, AMOUNT_MINOR)
        answered = time.perf_counter()
        when = await asyncio.wait_for(readable, LATEST_S)
        if measured:
            seen.add(sent, answered, when)

    looking = asyncio.create_task(look(watched, waiting, _ROWS))
    await _steadily(one, _times(per_s), WARM_S)
    looking.cancel()
    await watched.close()
    await pool.close()
    return seen


async def _steadily(one: Callable[[int, bool], Awaitable[None]], times: Iterable[float], warm_s: float) -> None:
    """Call at certain seconds, whether or not the earlier ones have ended."""
    began = time.perf_counter()
    tasks = []
    for number, due in enumerate(times):
        await asyncio.sleep(max(0.0, began + due - time.perf_counter()))
        tasks.append(asyncio.ensure_future(one(number, due >= warm_s)))
    await asyncio.gather(*tasks)


def _times(per_s: int) -> Iterator[float]:
    for number in range(int((WARM_S + MEASURED_S) * per_s)):
        yield number / per_s


STANDINGS = "SELECT party_id, spend_minor FROM party WHERE party_id = ANY ($1)"
_ROWS = "SELECT party_id, spend_minor FROM raw WHERE party_id = ANY ($1)"
