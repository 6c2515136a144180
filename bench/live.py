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
from bench.freshness import AMOUNT_MINOR, CLUSTER, STANDINGS, UNLIMITED, have_bought, purchase_of
from bench.product import Running, product, settle
from bench.waiting import Waiting, look

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


class Shoppers:
    """Whose purchases a request holds: of the watched and of the others the next ones in turn.

    Nobody is left out because an earlier purchase of theirs is still waited for: where scoring falls behind, the latest
    of all would be missing from what is seen.
    """

    def __init__(self) -> None:
        self._watched, self._others = itertools.cycle(range(WATCHED)), itertools.cycle(range(WATCHED, CUSTOMERS))

    def next(self) -> tuple[list[int], list[int]]:
        """The watched ones of the next request, and all of it."""
        watched = list(itertools.islice(self._watched, SEEN_EACH))
        return watched, [*watched, *itertools.islice(self._others, ROWS - SEEN_EACH)]


def embedded() -> list[Figure]:
    """On the log in PostgreSQL. 60 s where scoring is slower than the intake."""
    return _row("live", "up")


def kafka() -> list[Figure]:
    """On a broker, with two workers."""
    return _row("live-kafka", *CLUSTER)


def _row(row: str, *words: str) -> list[Figure]:
    with product(*words, variables=UNLIMITED) as running:
        watched, taken = have_bought(running, WATCHED), Taken()
        began = time.perf_counter()
        asyncio.run(_poured(running, watched, taken))
        with running.client() as client:
            settle(client)
        per_s = taken.rows / (time.perf_counter() - began)
        raw_per_s, raw_ms = asyncio.run(_raw(running, taken.rows))
    return figures_of(row, taken, per_s, raw_per_s, raw_ms)


def figures_of(row: str, taken: Taken, per_s: float, raw_per_s: float, raw_ms: Sequence[float]) -> list[Figure]:
    """Rows per second, and how long it took from an answer to the standing, beside a request parsed and copied."""
    how = f"{taken.rows:,} rows in requests of {ROWS:,}, {CONNECTIONS} at once; baseline: the bodies parsed and copied"
    seen = f"{len(taken.behind_ms):,} rows watched; baseline: one body parsed, copied and committed"
    return [
        Figure(row, "rows per second, until all are decided", per_s, "1/s", GOAL_PER_S, raw_per_s, how),
        *(
            Figure(
                row,
                f"answer to standing readable, p{p}",
                percentile(taken.behind_ms, p),
                "ms",
                goal,
                percentile(raw_ms, p),
                seen,
            )
            for p, goal in ((50, None), (99, GOAL_FRESH_MS))
        ),
    ]


async def _poured(running: Running, watched: Sequence[UUID], taken: Taken) -> None:
    """Each connection sends its next request when it has the answer to the one before, until the time is over."""
    spend = dict.fromkeys(watched, AMOUNT_MINOR)
    waiting, shoppers = Waiting(), Shoppers()
    until = time.perf_counter() + FOR_S
    connection = await asyncpg.connect(running.database("scoring"))
    looking = asyncio.create_task(look(connection, waiting, STANDINGS))

    async def pour() -> None:
        while time.perf_counter() < until:
            seen, customers = shoppers.next()
            readable: list[asyncio.Future[float]] = []
            for party in (watched[place] for place in seen):
                spend[party] += AMOUNT_MINOR
                readable.append(waiting.until(party, spend[party]))
            async with session.post(PATH, data=body_of(customers)) as answer:
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


async def _raw(running: Running, rows: int) -> tuple[float, list[float]]:
    """Rows per second of the least that keeps them, and how long each request's took."""
    bodies = [body_of(range(place, place + ROWS)) for place in range(0, rows, ROWS)]
    connection = await asyncpg.connect(running.database("postgres"))
    await connection.execute("CREATE TABLE raw_row (customer text, at text, currency text, amount bigint)")
    took_s = []
    for body in bodies:
        began = time.perf_counter()
        await connection.copy_records_to_table("raw_row", records=list(_parsed(body)))
        took_s.append(time.perf_counter() - began)
    await connection.close()
    return len(bodies) * ROWS / sum(took_s), [seconds * 1e3 for seconds in took_s]


def _parsed(body: bytes) -> Iterator[tuple[str, str, str, int]]:
    for line in body.split(b"\n"):
        row = json.loads(line)
        yield row["identifier"]["value"], row["occurred_at"], row["currency"], row["amount_minor"]


PATH, NDJSON = "/v1/purchases/bulk", "application/x-ndjson"
