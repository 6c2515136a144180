"""Decisions over a whole population: another policy, a trial, an export, pages, the clock."""

import asyncio
import io
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import httpx

from bench.figures import Figure, percentile
from bench.freshness import Seen, buying, have_bought
from bench.journey import peak_of
from bench.population import AFTER, DECIDED, activated, load, load_ids
from bench.product import Running, product
from services.scoring.domain.calendar import unpack
from services.scoring.queries.rulings import Connection

DEFAULT_PARTIES = 200_000
EVENTS_PER_S = 200
BUYERS = 4_000
"""Each buys again only when its last purchase was long read."""
QUIET: Mapping[str, str] = {"SCORING_VERIFY_EVERY_S": "0", "SCORING_MODEL_EVERY_DAYS": "0"}
"""What goes on in the background of its own is left out."""
DUE = 100_000
AGED_DAYS = 400
"""So old are the standings of a population of the usual size whose parties become due. Those of a larger one are less
old: of more parties as many are due sooner, and each goes a step or two, as whoever the clock reaches, and not those of
a year at once."""
PAGES = 400
SUMS: Mapping[str, str] = {"summary": "standings/summary", "digest": "digest"}
GOAL_EXPORT_PER_S, GOAL_PAGE_MS, GOAL_FRESH_MS, GOAL_DUE_S = 50_000, 20.0, 250.0, 10.0
GOAL_ACTIVATION_S, GOAL_TRIAL_S, GOAL_PARTIES = 30.0, 60.0, 1_000_000


def activation(parties: int) -> list[Figure]:
    """From another policy and model in force to the last readable standing, while events flow. 40 s at 200,000."""
    with _populated(parties) as running:
        bought = have_bought(running, BUYERS)
        figures, seen = asyncio.run(_activation(running, parties, bought))
    return [*figures, _fresh("activation", seen)]


async def _activation(running: Running, parties: int, bought: list[UUID]) -> tuple[list[Figure], Seen]:
    async with _scoring(running) as connection:
        raw_s = await _updated(connection)
        began, seen = time.perf_counter(), Seen()

        async def applied() -> bool:
            return bool(await connection.fetchval("SELECT applied_at IS NOT NULL FROM ruling ORDER BY id DESC LIMIT 1"))

        ruling_id = await activated(connection, *AFTER, at=datetime.now(UTC))
        took_s = await _while_buying(running, bought, seen, applied) - began
        told = await connection.fetchval("SELECT count(*) FROM lived_move WHERE ruling = $1", ruling_id)
    how = f"{parties:,} parties, {told:,} changes told; baseline: one UPDATE of all rows from arrays"
    goal = GOAL_ACTIVATION_S * parties / GOAL_PARTIES
    return [
        Figure("activation", "to the last readable standing", took_s, "s", goal, raw_s, how),
        Figure("activation", "parties per second", parties / took_s, "1/s"),
    ], seen


def sweeper(parties: int) -> list[Figure]:
    """From so many parties due to the last readable standing, while events flow. 40 s at 200,000."""
    aged_days = max(30, min(AGED_DAYS, AGED_DAYS * DEFAULT_PARTIES // parties))
    with _populated(parties, aged_days=aged_days) as running:
        bought = have_bought(running, BUYERS)
        figures, seen = asyncio.run(_sweeper(running, parties, aged_days, bought))
    return [*figures, _fresh("sweeper", seen)]


async def _sweeper(running: Running, parties: int, aged_days: int, bought: list[UUID]) -> tuple[list[Figure], Seen]:
    async with _scoring(running) as connection:
        due = await connection.fetchval(_BECOME_DUE, min(DUE, parties // 2))
        began, seen = time.perf_counter(), Seen()
        now = datetime.now(UTC)

        async def looked_at() -> bool:
            return not await connection.fetchval("SELECT EXISTS (SELECT FROM party WHERE next_change_at <= $1)", now)

        took_s = await _while_buying(running, bought, seen, looked_at) - began
        told = await connection.fetchval("SELECT count(*) FROM lived_move WHERE cause = 'clock'")
        raw_s = await _updated(connection, due)
    how = (
        f"{due:,} parties due within {aged_days} days, {told:,} changes told; baseline: one UPDATE of so many rows from"
        " arrays"
    )
    return [
        Figure("sweeper", "to the last readable standing", took_s, "s", GOAL_DUE_S * due / DUE, raw_s, how),
        Figure("sweeper", "parties per second", due / took_s, "1/s"),
    ], seen


def trial(parties: int) -> list[Figure]:
    """A draft over the whole history beside the active policy, then with its moves kept. 60 s at 200,000."""
    with _populated(parties) as running, running.client() as client:
        draft, _ = AFTER
        made = client.post("/v1/policies", json={"document": draft.model_dump(mode="json")}).raise_for_status().json()
        used_s = running.cpu_s()
        took_s, _ = _tried(client, made["hash"], keep_moves=False)
        used_s = running.cpu_s() - used_s
        raw_s = asyncio.run(_decoded(running))
        idle_mb = running.resident_mb()
        with peak_of(running) as keeping_mb:
            keeping_s, kept = _tried(client, made["hash"], keep_moves=True)
        with peak_of(running) as telling_mb:
            began, lines = time.perf_counter(), -1
            with client.stream("GET", f"/v1/trials/{kept['id']}/moves", timeout=None) as answer:
                lines += sum(chunk.count(b"\n") for chunk in answer.raise_for_status().iter_bytes())
            telling_s = time.perf_counter() - began
    how = f"{parties:,} parties; baseline: every calendar read and decoded"
    goal = GOAL_TRIAL_S * parties / GOAL_PARTIES
    return [
        Figure("trial", "over the whole history, both sides", took_s, "s", goal, raw_s, how),
        Figure("trial", "parties per second", parties / took_s, "1/s"),
        Figure("trial", "processor time per party", used_s / parties * 1e6, "µs", how="of all processes"),
        Figure("trial", "the same, with its moves kept", keeping_s, "s", how=f"{lines:,} moves"),
        Figure("trial", "memory beyond that of the idle product", max(keeping_mb) - idle_mb, "MB"),
        Figure("trial", "moves per second as CSV", lines / telling_s, "1/s", how="through the gateway"),
        # Until then the processes of the trial may not have ended.
        Figure("trial", "memory, in the second half", max(telling_mb[len(telling_mb) // 2 :]) - idle_mb, "MB"),
    ]


def _tried(client: httpx.Client, policy: str, *, keep_moves: bool) -> tuple[float, dict[str, Any]]:
    """How long a trial took, and what came of it."""
    began = time.perf_counter()
    asked = client.post(f"/v1/policies/{policy}/trials", json={"keep_moves": keep_moves}).raise_for_status()
    job: dict[str, Any] = asked.json()
    while job["state"] != "done":
        time.sleep(0.2)
        job = client.get(f"/v1/trials/{job['id']}").raise_for_status().json()
        if job["state"] in ("failed", "cancelled"):
            raise RuntimeError(f"The trial ended: {job}")
    return time.perf_counter() - began, job


def export(parties: int) -> list[Figure]:
    """All standings as of a day half a year ago, as CSV with external ids, and two sums over them. 20 s at 200,000."""
    asked = {"as_of": str(datetime.now(UTC).date() - timedelta(days=180))}
    with _populated(parties) as running, running.client() as client:
        asyncio.run(load_ids(running.database("customers"), parties))
        idle_mb = running.resident_mb()
        (first_s, lines), (took_s, _) = _exported(client, asked), _exported(client, asked)
        sums = {name: _took_s(client, f"/v1/{path}", asked) for name, path in SUMS.items()}
        # Apart, for a look at the memory of all processes takes from their time.
        with peak_of(running) as peak_mb:
            _exported(client, asked)
        raw_s, rows = asyncio.run(_copied(running))
    how = f"{lines:,} rows; baseline: COPY of the party rows as CSV"
    return [
        Figure("export", "rows per second as of a day", lines / took_s, "1/s", GOAL_EXPORT_PER_S, rows / raw_s, how),
        Figure("export", "the same while its processes begin", lines / first_s, "1/s"),
        Figure("export", "memory beyond that of the idle product", max(peak_mb) - idle_mb, "MB"),
        *(Figure("export", f"{name} as of a day", seconds, "s") for name, seconds in sums.items()),
    ]


def _exported(client: httpx.Client, asked: Mapping[str, str]) -> tuple[float, int]:
    began, lines = time.perf_counter(), -1
    with client.stream("GET", "/v1/standings/export", params=asked) as answer:
        lines += sum(chunk.count(b"\n") for chunk in answer.raise_for_status().iter_bytes())
    return time.perf_counter() - began, lines


def _took_s(client: httpx.Client, path: str, asked: Mapping[str, str]) -> float:
    began = time.perf_counter()
    client.get(path, params=asked).raise_for_status()
    return time.perf_counter() - began


def pages(parties: int) -> list[Figure]:
    """Pages of the list by value, anywhere in it, of any cell or of those marked, and the summary. 20 s at 200,000."""
    with _populated(parties) as running, running.client() as client:
        # Not counted: what was just loaded is read from the disk once.
        _pages_ms(client, seed=0)
        took = {"list": _pages_ms(client, seed=1), "summary": _each_ms(client, "/v1/standings/summary")}
        raw = asyncio.run(_asked(running))
    return [
        Figure("pages", f"{what}, p{p}", percentile(took[what], p), "ms", goal, percentile(raw[what], p), how)
        for what, how in (
            ("list", f"pages of 50 of {parties:,}, through the gateway; baseline: 50 rows of the index by SQL"),
            ("summary", f"of {parties:,}, through the gateway; baseline: one GROUP BY by SQL"),
        )
        for p, goal in ((50, None), (99, GOAL_PAGE_MS))
    ]


def _pages_ms(client: httpx.Client, seed: int) -> list[float]:
    chance, took = random.Random(seed), []
    stages, tiers = ("customer", "dormant_customer", "lost_customer"), ("top", "high", "mid", "low")
    treatments = ("recover", "care", "develop", "serve")
    asked: dict[str, Any] = {}
    for _ in range(PAGES):
        began = time.perf_counter()
        answer = client.get("/v1/standings", params=asked).raise_for_status().json()
        took.append((time.perf_counter() - began) * 1e3)
        if answer["has_more"] and chance.random() < 0.8:
            asked = {**asked, "cursor": answer["next_cursor"]}
        else:
            asked = chance.choice(
                (
                    {"stage": chance.choice(stages)},
                    {"max_value": 10 ** chance.randint(2, 5)},
                    {"treatment": chance.choice(treatments)},
                    chance.choice(({"vip": True}, {"satisfaction": "low"}, {"loyalty": "low"})),
                )
            )
            asked |= {"tier": chance.choice(tiers)} if chance.random() < 0.5 else {}
    return took


def _each_ms(client: httpx.Client, path: str) -> list[float]:
    took = []
    for _ in range(PAGES // 4):
        began = time.perf_counter()
        client.get(path).raise_for_status()
        took.append((time.perf_counter() - began) * 1e3)
    return took


@contextmanager
def _populated(parties: int, *, aged_days: int = 0) -> Iterator[Running]:
    """A product with a population as it stood at the begin of today, or some days ago with nobody due since."""
    with product("up", variables=QUIET) as running:
        today = datetime.now(UTC).date()
        asyncio.run(load(running.database("scoring"), parties, today - timedelta(days=aged_days), due=not aged_days))
        yield running


@asynccontextmanager
async def _scoring(running: Running) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(running.database("scoring"))
    try:
        yield connection
    finally:
        await connection.close()


async def _while_buying(
    running: Running, parties: list[UUID], seen: Seen, ended: Callable[[], Awaitable[bool]]
) -> float:
    """Have parties buy until something has ended; when that was."""
    over: list[float] = []

    async def look() -> None:
        while not await ended():
            await asyncio.sleep(0.05)
        over.append(time.perf_counter())

    def times() -> Iterator[float]:
        number = 0
        while not over:
            yield number / EVENTS_PER_S
            number += 1

    looking = asyncio.create_task(look())
    await buying(running, parties, seen, times(), warm_s=0)
    await looking
    return over[0]


def _fresh(row: str, seen: Seen) -> Figure:
    how = f"{EVENTS_PER_S} events/s meanwhile, {len(seen.readable_ms):,} in all"
    took = percentile(seen.readable_ms, 99)
    return Figure(row, "POST to standing readable meanwhile, p99", took, "ms", GOAL_FRESH_MS, how=how)


async def _updated(connection: Connection, limit: int | None = None) -> float:
    """The least that writes every standing: one statement from arrays, with values that move as a refit moves them."""
    names = ("party_id", *DECIDED)
    rows = await connection.fetch(f"SELECT {', '.join(names)} FROM party ORDER BY party_id LIMIT $1", limit)
    columns = [[row[name] for row in rows] for name in names]
    columns[names.index("value_minor")] = [value + 1 for value in columns[names.index("value_minor")]]
    columns[names.index("flags")] = [" ".join(flags) for flags in columns[names.index("flags")]]
    kinds = {row["attname"]: row["kind"] for row in await connection.fetch(_KINDS)}
    arrays = ", ".join(
        f"${place}::{'text' if name == 'flags' else kinds[name]}[]" for place, name in enumerate(names, 1)
    )
    sets = ", ".join(
        f"{name} = {'string_to_array(new.flags, chr(32))' if name == 'flags' else f'new.{name}'}" for name in DECIDED
    )
    written = f"UPDATE party SET {sets} FROM unnest({arrays}) AS new({', '.join(names)})"
    async with connection.transaction():
        began = time.perf_counter()
        await connection.execute(f"{written} WHERE party.party_id = new.party_id", *columns)
    return time.perf_counter() - began


async def _decoded(running: Running) -> float:
    async with _scoring(running) as connection, connection.transaction():
        began = time.perf_counter()
        async for _, years in connection.cursor(
            "SELECT identity_id, array_agg(days) FROM calendar GROUP BY identity_id ORDER BY identity_id", prefetch=500
        ):
            unpack(years)
    return time.perf_counter() - began


async def _copied(running: Running) -> tuple[float, int]:
    async with _scoring(running) as connection:
        began, out = time.perf_counter(), io.BytesIO()
        await connection.copy_from_table("party", output=out, format="csv")
        took_s = time.perf_counter() - began
        return took_s, out.getvalue().count(b"\n")


async def _asked(running: Running) -> dict[str, list[float]]:
    took: dict[str, list[float]] = {"list": [], "summary": []}
    async with _scoring(running) as connection:
        for what, query, times in (("list", _FIFTY, PAGES), ("summary", _GROUPED, PAGES // 4)):
            for _ in range(times):
                began = time.perf_counter()
                await connection.fetch(query)
                took[what].append((time.perf_counter() - began) * 1e3)
    return took


_BECOME_DUE = """
WITH due AS (
    UPDATE party SET next_change_at = first.at
    FROM (SELECT * FROM would_be_due ORDER BY at, party_id LIMIT $1) AS first
    WHERE party.party_id = first.party_id RETURNING 1
)
SELECT count(*) FROM due
"""
_KINDS = """
SELECT attname, format_type(atttypid, NULL) AS kind FROM pg_attribute WHERE attrelid = 'party'::regclass AND attnum > 0
"""
_FIFTY = (
    "SELECT * FROM party WHERE stage = 'customer' AND tier = 'low' ORDER BY value_minor DESC, party_id DESC LIMIT 50"
)
_GROUPED = "SELECT stage, tier, count(*), sum(value_minor) FROM party WHERE stage IS NOT NULL GROUP BY 1, 2"
