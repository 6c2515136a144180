"""A full topic worked off into facts and standings, beside the least that reads it and the plainest that does it."""

import asyncio
import sys
import time
from collections.abc import Sequence

import asyncpg

from bench import naive, raw
from bench.backlog import Backlog, Cost, Parts, checked, full, processor_s, scored
from bench.figures import Figure
from bench.population import identity
from bench.product import ROOT
from chassis.envelope import finish
from contracts.topics import PURCHASES
from deploy.process import die_with_me
from services.scoring.queries.rulings import Connection

DEFAULT_PARTIES = 20_000
LARGE, MILLION = 200_000, 1_000_000
EACH = 5
"""Purchases of a party."""
WORKERS = (1, 2)
NAIVE_PARTIES = 400
"""Of whom the naive form takes all events."""
GOAL_OF_RAW, GOAL_OF_NAIVE = 0.5, 100.0


def embedded(parties: int, times: int, row: str = "drain") -> list[list[Figure]]:
    """The log in PostgreSQL, by one and two workers, so often. 70 s at 20,000 parties, once."""
    return asyncio.run(_drained(row, parties, times, brokers=0))


def kafka(parties: int, times: int, row: str = "drain-kafka") -> list[list[Figure]]:
    """The same from a broker. 60 s at 20,000 parties, once."""
    return asyncio.run(_drained(row, parties, times, brokers=1))


def beside_naive(parties: int, times: int) -> list[list[Figure]]:
    """The log in PostgreSQL by one worker, and a session per event for some of the parties, with the same result."""
    return asyncio.run(_beside_naive(parties, times))


async def _drained(row: str, parties: int, times: int, *, brokers: int) -> list[list[Figure]]:
    runs: list[list[Figure]] = []
    async with full(parties, EACH, brokers=brokers, model=True) as (at, backlog):
        for _ in range(times):
            figures = []
            for workers in WORKERS:
                least = await _raw(at, backlog, workers)
                async with scored(at, backlog, workers) as (ours, connection):
                    await checked(connection, backlog)
                figures += figures_of(row, f"{workers} worker{'s' * (workers > 1)}", ours, least, backlog)
            runs.append(figures)
    return runs


def figures_of(row: str, who: str, ours: Cost, least: Cost, backlog: Backlog) -> list[Figure]:
    """What a backlog took, beside the least that reads it."""
    how = f"{backlog.parties:,} parties, {backlog.events:,} events; baseline: decoded, one upsert each batch"
    worker, server = (
        (ours.ms_per_1000(mine), least.ms_per_1000(other))
        for mine, other in ((ours.worker_s, least.worker_s), (ours.postgres_s, least.postgres_s))
    )
    return [
        Figure(row, f"events per second, {who}", ours.per_s, "1/s", None, least.per_s, how, GOAL_OF_RAW),
        Figure(row, f"processor per 1,000 events, {who}, workers", worker[0], "ms", None, worker[1]),
        Figure(row, f"processor per 1,000 events, {who}, PostgreSQL", server[0], "ms", None, server[1]),
    ]


async def _beside_naive(parties: int, times: int) -> list[list[Figure]]:
    runs: list[list[Figure]] = []
    async with full(parties, EACH, brokers=0, model=False) as (at, backlog):
        how = f"{backlog.events:,} events; baseline: a session each, {NAIVE_PARTIES * EACH:,} events, same standings"
        for _ in range(times):
            async with scored(at, backlog, 1) as (ours, connection):
                await checked(connection, backlog)
                naive_per_s = await _naive(at, connection)
            what = "events per second, 1 worker"
            runs.append(
                [Figure("drain-naive", what, ours.per_s, "1/s", None, naive_per_s, how, goal_ratio=GOAL_OF_NAIVE)]
            )
    return runs


async def _raw(at: Parts, backlog: Backlog, processes: int) -> Cost:
    """The backlog read by so many processes into one table."""
    connection = await asyncpg.connect(at.url("postgres"))
    await connection.execute(f"DROP TABLE IF EXISTS raw_party; {raw.TABLE}")
    urls = at.bus_url, at.url("customers"), at.url("postgres")
    readers = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "bench.raw", *urls, str(rank), str(processes)),
            env={"PYTHONPATH": str(ROOT)},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            preexec_fn=die_with_me(),
        )
        for rank in range(processes)
    ]
    try:
        await _said(readers, b"ready\n")
        worker_s, postgres_s = sum(processor_s(each.pid)[0] for each in readers), at.postgres_s()
        began = time.perf_counter()
        _go_on(readers)
        await _said(readers, b"done\n")
        took_s = time.perf_counter() - began
        worker_s = sum(processor_s(each.pid)[0] for each in readers) - worker_s
        postgres_s = at.postgres_s() - postgres_s
        _go_on(readers)
        await asyncio.gather(*(each.wait() for each in readers))
    finally:
        for each in readers:
            if each.returncode is None:
                each.kill()
                await each.wait()
    found = tuple(await connection.fetchrow(_RAW) or ())
    await connection.close()
    if found != (wanted := (backlog.events, backlog.parties, backlog.spend_minor)):
        raise RuntimeError(f"Purchases, parties and spend are {found} where {wanted} were told.")
    return Cost(backlog.events, took_s, worker_s, postgres_s)


async def _said(readers: Sequence[asyncio.subprocess.Process], word: bytes) -> None:
    for each in readers:
        assert each.stdout
        if (said := await each.stdout.readline()) != word:
            raise RuntimeError(f"A reader said {said!r} where {word!r} was waited for.")


def _go_on(readers: Sequence[asyncio.subprocess.Process]) -> None:
    for each in readers:
        assert each.stdin
        each.stdin.write(b"\n")


async def _naive(at: Parts, scoring: Connection) -> float:
    """Events per second of the naive form, for some parties from their first event to their last."""
    some = [identity(number) for number in range(NAIVE_PARTIES)]
    log = await asyncpg.connect(at.url("customers"))
    rows = await log.fetch(_OF_PARTIES, PURCHASES.name, list(map(str, some)))
    await log.close()
    values = [finish(row["payload"], row["recorded_at"], row["epoch"], row["seq"]) for row in rows]
    url = at.url("postgres").replace("postgresql://", "postgresql+asyncpg://")
    await naive.have_tables(url)
    began = time.perf_counter()
    await naive.take(url, values)
    took_s = time.perf_counter() - began
    connection = await asyncpg.connect(at.url("postgres"))
    theirs = await connection.fetch(_THEIR_STANDINGS)
    await connection.close()
    if theirs != await scoring.fetch(_OUR_STANDINGS, some):
        raise RuntimeError("The naive form gives other standings.")
    return len(values) / took_s


_RAW = "SELECT sum(purchases)::bigint, count(*), sum(spend_minor)::bigint FROM raw_party"
_OF_PARTIES = """
SELECT payload, recorded_at, epoch, seq FROM event_log WHERE topic = $1 AND key = ANY($2)
ORDER BY recorded_at, partition, epoch, seq
"""
_THEIR_STANDINGS = """
SELECT party_id, lower(stage::text) AS stage, lower(tier::text) AS tier, spend_minor, purchase_days, last_day
FROM naivestanding ORDER BY party_id
"""
_OUR_STANDINGS = """
SELECT party_id, stage, tier, spend_minor, purchase_days, last_day FROM party WHERE party_id = ANY($1) ORDER BY party_id
"""
