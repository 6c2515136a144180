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
from chassis.db import LOOKUPS

CONNECTIONS, CONNECTIONS_AT_PACE = 2, 4
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
    seconds: float = 0.0
    """Until all was decided."""


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
        watched = have_bought(running, WATCHED)
        spend, shoppers = dict.fromkeys(watched, AMOUNT_MINOR), Shoppers()
        most, paced = Taken(), Taken()
        for taken, per_s in ((most, None), (paced, GOAL_PER_S)):
            began = time.perf_counter()
            asyncio.run(_poured(running, watched, spend, shoppers, taken, per_s))
            with running.client() as client:
                settle(client)
            taken.seconds = time.perf_counter() - began
        raw_per_s, raw_ms = asyncio.run(_raw(running, most.rows))
    return figures_of(row, most, paced, raw_per_s, raw_ms)


def figures_of(row: str, most: Taken, paced: Taken, raw_per_s: float, raw_ms: Sequence[float]) -> list[Figure]:
    """Rows per second, and how long it took from an answer to the standing, beside requests parsed and copied.

    As many as go say how many are taken and decided; who then waits, waits in the queue that this makes. So how fresh
    standings are is judged at the rate that is wanted.
    """
    figures = []
    for taken, load, goal_per_s, goal_ms in (
        (most, f"as many as go, {CONNECTIONS} at once", GOAL_PER_S, None),
        (paced, f"{GOAL_PER_S:,.0f}/s offered", None, GOAL_FRESH_MS),
    ):
        how = f"{load}: {taken.rows:,} rows in requests of {ROWS:,}; baseline: the bodies parsed and copied"
        seen = f"{load}: {len(taken.behind_ms):,} rows watched; baseline: one body parsed, copied and committed"
        what = f"rows per second until all are decided, {load}"
        figures.append(Figure(row, what, taken.rows / taken.seconds, "1/s", goal_per_s, raw_per_s, how))
        for p, goal in ((50, None), (99, goal_ms)):
            ours, least = percentile(taken.behind_ms, p), percentile(raw_ms, p)
            figures.append(Figure(row, f"answer to standing readable, p{p}, {load}", ours, "ms", goal, least, seen))
    return figures


async def _poured(
    running: Running,
    watched: Sequence[UUID],
    spend: dict[UUID, int],
    shoppers: Shoppers,
    taken: Taken,
    per_s: float | None,
) -> None:
    """Until the time is over, at so many rows per second; else each connection sends when it has its answer."""
    waiting, numbers = Waiting(), itertools.count()
    began = time.perf_counter()
    until = began + FOR_S
    connection = await asyncpg.connect(running.database("scoring"), server_settings=LOOKUPS)
    looking = asyncio.create_task(look(connection, waiting, STANDINGS))

    async def pour() -> None:
        while (due := due_at(next(numbers), began, per_s)) < until and time.perf_counter() < until:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
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
        await asyncio.gather(*(pour() for _ in range(CONNECTIONS_AT_PACE if per_s else CONNECTIONS)))
    for answered, readable in looked:
        for when in await asyncio.wait_for(asyncio.gather(*readable), LATEST_S):
            taken.behind_ms.append(max(0.0, when - answered) * 1e3)
    looking.cancel()
    await connection.close()


def due_at(number: int, began_s: float, per_s: float | None) -> float:
    """When a request is due; at once where as many go as can. One that is late does not make the next one late."""
    return began_s + number * ROWS / per_s if per_s else began_s


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
