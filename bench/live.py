"""Purchases taken in bulk through the gateway, as many as go, until each is decided."""

import asyncio
import itertools
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import aiohttp
import asyncpg

from bench.figures import Figure, percentile
from bench.freshness import AMOUNT_MINOR, STANDINGS, have_bought, look, purchase_of
from bench.product import Running, product, settle

CONNECTIONS = 2
ROWS = 1_000
"""Of one request."""
FOR_S = 15.0
LATEST_S = 300.0
"""Scoring may be far behind."""
CUSTOMERS = 20_000
WATCHED, SEEN_EACH = 1_000, 10
"""Customers of whom it is seen when they are decided, and how many of them are in a request."""
GOAL_PER_S, GOAL_FRESH_MS = 12_000.0, 500.0


@dataclass
class Taken:
    """What went in, and when what was watched of it could be read."""

    rows: int = 0
    behind_ms: list[float] = field(default_factory=list)
    """From the answer to the standing readable; 0 where that was earlier."""


def embedded() -> list[Figure]:
    """On the log in PostgreSQL. 60 s where scoring is slower than the intake."""
    with product("up") as running:
        watched, taken = have_bought(running, WATCHED), Taken()
        began = time.perf_counter()
        asyncio.run(_poured(running, watched, taken))
        with running.client() as client:
            settle(client)
        per_s = taken.rows / (time.perf_counter() - began)
        raw_per_s = asyncio.run(_raw(running, taken.rows))
    how = f"{taken.rows:,} rows in requests of {ROWS:,}, {CONNECTIONS} at once; baseline: the bodies parsed and copied"
    seen, behind_ms = f"{len(taken.behind_ms):,} rows watched", taken.behind_ms
    return [
        Figure("live", "rows per second, until all are decided", per_s, "1/s", GOAL_PER_S, raw_per_s, how),
        Figure("live", "answer to standing readable, p50", percentile(behind_ms, 50), "ms", how=seen),
        Figure("live", "answer to standing readable, p99", percentile(behind_ms, 99), "ms", GOAL_FRESH_MS, how=seen),
    ]


async def _poured(running: Running, watched: Sequence[UUID], taken: Taken) -> None:
    """Each connection sends its next request when it has the answer to the one before, until the time is over."""
    spend = dict.fromkeys(watched, AMOUNT_MINOR)
    waiting: dict[UUID, tuple[int, asyncio.Future[float]]] = {}
    places, others = itertools.cycle(range(WATCHED)), itertools.cycle(range(WATCHED, CUSTOMERS))
    until = time.perf_counter() + FOR_S
    connection = await asyncpg.connect(running.database("scoring"))
    looking = asyncio.create_task(look(connection, waiting, STANDINGS))

    async def pour() -> None:
        while time.perf_counter() < until:
            seen = [place for place in itertools.islice(places, SEEN_EACH) if watched[place] not in waiting]
            readable: list[asyncio.Future[float]] = []
            for party in (watched[place] for place in seen):
                spend[party] += AMOUNT_MINOR
                readable.append(asyncio.get_running_loop().create_future())
                waiting[party] = spend[party], readable[-1]
            async with session.post(PATH, data=body_of([*seen, *itertools.islice(others, ROWS - len(seen))])) as answer:
                told = await answer.json()
                answer.raise_for_status()
            answered = time.perf_counter()
            taken.rows += told["accepted"]
            looked.append((answered, readable))

    looked: list[tuple[float, list[asyncio.Future[float]]]] = []
    async with aiohttp.ClientSession(running.url, headers=running.headers | {"Content-Type": NDJSON}) as session:
        await asyncio.gather(*(pour() for _ in range(CONNECTIONS)))
    for answered, readable in looked:
        for when in await asyncio.wait_for(asyncio.gather(*readable), LATEST_S):
            taken.behind_ms.append(max(0.0, when - answered) * 1e3)
    looking.cancel()
    await connection.close()


def body_of(customers: Sequence[int]) -> bytes:
    """A purchase of each of these customers, in bulk."""
    return "\n".join(json.dumps(purchase_of(customer)) for customer in customers).encode()


async def _raw(running: Running, rows: int) -> float:
    """Rows per second of the least that keeps them."""
    bodies = [body_of(range(place, place + ROWS)) for place in range(0, rows, ROWS)]
    connection = await asyncpg.connect(running.database("postgres"))
    await connection.execute("CREATE TABLE raw_row (customer text, at text, currency text, amount bigint)")
    began = time.perf_counter()
    for body in bodies:
        await connection.copy_records_to_table("raw_row", records=list(_parsed(body)))
    took_s = time.perf_counter() - began
    await connection.close()
    return len(bodies) * ROWS / took_s


def _parsed(body: bytes) -> Iterator[tuple[str, str, str, int]]:
    for line in body.split(b"\n"):
        row = json.loads(line)
        yield row["identifier"]["value"], row["occurred_at"], row["currency"], row["amount_minor"]


PATH, NDJSON = "/v1/purchases/bulk", "application/x-ndjson"
