"""What an event costs, by how much is known of the party and by how many parties there are."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg

from bench.figures import Figure
from bench.population import identity, load
from bench.product import CURRENCY, Running, product
from chassis.consumer import Delivery
from chassis.db import Database, connect
from chassis.ids import uuid7
from contracts.customers import PurchaseCompleted
from services.scoring.handlers.batches import apply

FEW, MANY = 10, 10_000
"""Facts of a party."""
OVER_DAYS = 3_650
PARTIES, EVENTS, BATCH = 100, 4_000, 100
SMALLER = 5
"""So many times smaller is the population beside the one asked for."""
GOAL = 0.9


def of_events(parties: int) -> list[Figure]:
    """Events per second in batches, for short and long histories, in two populations. 90 s at 200,000."""
    per_s: dict[tuple[int, int], float] = {}
    raw_per_s = 0.0
    for size in (parties // SMALLER, parties):
        with _populated(size) as running:
            for facts in (FEW, MANY) if size == parties else (FEW,):
                per_s[size, facts] = asyncio.run(_handled(running, size, facts))
            raw_per_s = asyncio.run(_raw(running))
    small, large, deep = per_s[parties // SMALLER, FEW], per_s[parties, FEW], per_s[parties, MANY]
    how = f"batches of {BATCH}, a party each; baseline: facts copied and spend added by one UPDATE each batch"
    return [
        Figure("event-cost", f"parties with {FEW} facts of {parties:,}", large, "1/s", None, raw_per_s, how),
        Figure("event-cost", f"parties with {MANY:,} facts", deep, "1/s", large * GOAL, raw_per_s, "at least the goal"),
        Figure("event-cost", f"parties with {FEW} facts of {parties // SMALLER:,}", small, "1/s", how=how),
        Figure("event-cost", "long by short history", deep / large, "", GOAL, how="at least the goal"),
        Figure("event-cost", "large by small population", large / small, "", GOAL, how="at least the goal"),
    ]


@contextmanager
def _populated(parties: int) -> Iterator[Running]:
    with product("up") as running:
        asyncio.run(load(running.database("scoring"), parties, datetime.now(UTC).date(), due=True))
        yield running


async def _handled(running: Running, size: int, facts: int) -> float:
    """Events a second through the handler, each with its transaction's other events, on new parties of that depth."""
    database = connect(running.database("scoring").replace("postgresql://", "postgresql+asyncpg://"), pool_size=1)
    who = [identity(size + facts + number) for number in range(PARTIES)]
    began = datetime.now(UTC) - timedelta(days=OVER_DAYS)
    try:
        for place in range(0, facts, 100):
            at = [began + timedelta(days=OVER_DAYS * nth / facts) for nth in range(place, min(place + 100, facts))]
            for some in range(0, PARTIES, 10):
                await _take(database, [(party, then) for party in who[some : some + 10] for then in at])
        now, took = datetime.now(UTC), 0.0
        for _ in range(EVENTS // BATCH):
            began_s = time.perf_counter()
            await _take(database, [(party, now) for party in who[:BATCH]])
            took += time.perf_counter() - began_s
    finally:
        await database.close()
    return EVENTS / took


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
    await connection.execute(
        "CREATE TABLE raw_fact (id uuid PRIMARY KEY, party_id uuid, at timestamptz, amount bigint)"
    )
    await connection.execute("CREATE TABLE raw_party (party_id uuid PRIMARY KEY, spend bigint)")
    who = [identity(number) for number in range(BATCH)]
    await connection.execute("INSERT INTO raw_party SELECT unnest($1::uuid[]), 0", who)
    began = time.perf_counter()
    for _ in range(EVENTS // BATCH):
        async with connection.transaction():
            rows = [(uuid7(), party, datetime.now(UTC), 1_000) for party in who]
            await connection.copy_records_to_table("raw_fact", records=rows)
            await connection.execute("UPDATE raw_party SET spend = spend + 1000 WHERE party_id = ANY($1)", who)
    took = time.perf_counter() - began
    await connection.close()
    return EVENTS / took
