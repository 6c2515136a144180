"""What an event costs, by how much is known of the party and by how many parties there are."""

import asyncio
import gc
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count, islice
from uuid import UUID

import asyncpg

from bench.figures import Figure
from bench.population import identity, load
from bench.product import CURRENCY, Running, product
from bench.standing import QUIET
from chassis.consumer import Delivery
from chassis.db import Database, connect
from chassis.ids import uuid7
from contracts.customers import PurchaseCompleted
from services.scoring.handlers.batches import apply

FEW, MANY = 10, 10_000
"""Facts of a party."""
OVER_DAYS = 3_650
BATCHES, BATCH = 40, 100
"""Each of so many parties, an event a party."""
ONE_BY_ONE = 400
"""Events of one party."""
STEPS = {"event-cost-1m": (100_000, 1_000_000, 0.6), "event-cost-5m": (1_000_000, 5_000_000, 0.9)}
"""Two populations, and at least so much of the events per second of the smaller one in the larger one."""
GOAL_DEEP = 0.9
RAW = f"batches of {BATCH}, a party each; baseline: facts copied and spend added by one UPDATE each batch"


def by_depth(parties: int, times: int) -> list[list[Figure]]:
    """Events per second for short and long histories in one population, so often. 60 s at 200,000, once."""
    with _populated(parties) as running:
        unseen = (identity(number) for number in count(parties))
        runs = []
        for _ in range(times):
            few, many, few_alone, many_alone = (
                asyncio.run(_handled(running, list(islice(unseen, together)), facts, batches))
                for together, batches in ((BATCH, BATCHES), (1, ONE_BY_ONE))
                for facts in (FEW, MANY)
            )
            runs.append(figures_of_depth(parties, few, many, few_alone, many_alone, asyncio.run(_raw(running))))
    return runs


def figures_of_depth(
    parties: int, few: float, many: float, few_alone: float, many_alone: float, raw: float
) -> list[Figure]:
    """Of events per second: of parties with few facts beside the raw form, of those with many beside those with few.

    In batches of many parties, and of one party, one event after the other.
    """
    row, how = "event-cost", f"baseline: with {FEW} facts"
    return [
        Figure(row, f"parties with {FEW} facts of {parties:,}", few, "1/s", None, raw, RAW),
        Figure(row, f"parties with {MANY:,} facts", many, "1/s", None, few, f"likewise; {how}", GOAL_DEEP),
        Figure(
            row, f"one party with {MANY:,} facts", many_alone, "1/s", None, few_alone, f"one by one; {how}", GOAL_DEEP
        ),
    ]


def by_population(row: str, small: int, large: int, goal: float, times: int) -> list[list[Figure]]:
    """Events per second in batches in two populations, in turns, so often.

    Both products run all the time, so that what is compared meets the same machine.
    """
    with _populated(small) as few, _populated(large) as many:
        runs = []
        unseen = [(few, map(identity, count(small))), (many, map(identity, count(large)))]
        for _ in range(times):
            few_per_s, many_per_s = (
                asyncio.run(_handled(running, list(islice(new, BATCH)), FEW, BATCHES)) for running, new in unseen
            )
            figures = figures_of_step(row, small, large, goal, few_per_s, many_per_s, asyncio.run(_raw(many)))
            runs.append(figures)
    return runs


def figures_of_step(row: str, small: int, large: int, goal: float, few: float, many: float, raw: float) -> list[Figure]:
    """Of events per second: in the smaller population beside the raw form, in the larger one beside the smaller."""
    return [
        Figure(row, f"parties with {FEW} facts of {small:,}", few, "1/s", None, raw, RAW),
        Figure(row, f"of {large:,}", many, "1/s", None, few, f"baseline: those of {small:,}", goal),
    ]


@contextmanager
def _populated(parties: int) -> Iterator[Running]:
    with product("up", variables=QUIET) as running:
        asyncio.run(load(running.database("scoring"), parties, datetime.now(UTC).date(), due=True))
        yield running


async def _handled(running: Running, who: Sequence[UUID], facts: int, batches: int) -> float:
    """Events a second through the handler in so many batches: an event of each of some parties, new but for facts."""
    # As in the worker.
    gc.set_threshold(50_000, 20, 20)
    database = connect(running.database("scoring").replace("postgresql://", "postgresql+asyncpg://"), pool_size=1)
    began = datetime.now(UTC) - timedelta(days=OVER_DAYS)
    try:
        for place in range(0, facts, 100):
            at = [began + timedelta(days=OVER_DAYS * nth / facts) for nth in range(place, min(place + 100, facts))]
            for some in range(0, len(who), 10):
                await _take(database, [(party, then) for party in who[some : some + 10] for then in at])
        now, took = datetime.now(UTC), 0.0
        for _ in range(batches):
            began_s = time.perf_counter()
            await _take(database, [(party, now) for party in who])
            took += time.perf_counter() - began_s
    finally:
        await database.close()
    return batches * len(who) / took


async def _take(database: Database, bought: Sequence[tuple[UUID, datetime]]) -> None:
    batch = [
        Delivery(_purchase(party, at), uuid7(), "customers.purchases.v1", 0, 1, number, datetime.now(UTC))
        for number, (party, at) in enumerate(bought)
    ]
    async with database.transaction() as session:
        await apply(session, batch)


def _purchase(party: UUID, at: datetime) -> PurchaseCompleted:
    return PurchaseCompleted(
        subject=party, occurred_at=at, purchase_id=uuid7(), amount_minor=1_000, currency=CURRENCY, source="bench"
    )


async def _raw(running: Running) -> float:
    connection = await asyncpg.connect(running.database("scoring"))
    await connection.execute("DROP TABLE IF EXISTS raw_fact, raw_party")
    await connection.execute(
        "CREATE TABLE raw_fact (id uuid PRIMARY KEY, party_id uuid, at timestamptz, amount bigint)"
    )
    await connection.execute("CREATE TABLE raw_party (party_id uuid PRIMARY KEY, spend bigint)")
    who = [identity(number) for number in range(BATCH)]
    await connection.execute("INSERT INTO raw_party SELECT unnest($1::uuid[]), 0", who)
    began = time.perf_counter()
    for _ in range(BATCHES):
        async with connection.transaction():
            rows = [(uuid7(), party, datetime.now(UTC), 1_000) for party in who]
            await connection.copy_records_to_table("raw_fact", records=rows)
            await connection.execute("UPDATE raw_party SET spend = spend + 1000 WHERE party_id = ANY($1)", who)
    took = time.perf_counter() - began
    await connection.close()
    return BATCHES * BATCH / took
