"""Purchases imported from a file until every standing is current: a year of a grocery's baskets, a million rows."""

import asyncio
import csv
import gzip
import json
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import numpy as np

from bench.figures import Figure
from bench.product import CURRENCY, ROOT, Running, product, settle

FILE = ROOT.parent / "shared" / "data" / "complete_journey" / "orders.csv.gz"
"""Complete Journey: 155,848 baskets of 2,469 households."""
COLUMNS = {"party": "customer_id", "order_id": "order_id", "occurred_at": "ts", "amount": "amount"}
GOAL_S, GOAL_PER_S = 25.0, 12_000.0
ROWS, EACH = 1_000_000, 5
"""Of the file that is made, and about how many of them a customer has."""
OVER_DAYS = 730
SEED = 20_260_901
CHUNK = 50_000


@dataclass(frozen=True)
class Imported:
    """What an import took."""

    accepted: int
    recorded_s: float
    """Until every row was recorded."""
    current_s: float
    """Until every standing was current."""
    raw_s: float
    """The file parsed and copied into one table."""
    idle_mb: float
    peak_mb: float
    """Of all processes."""


def baskets() -> list[Figure]:
    """The grocery's file: seconds until all standings are current, and what memory it took."""
    if not FILE.exists():
        raise FileNotFoundError(f"Needs {FILE}")
    return figures_of("journey", _imported(FILE), goal_s=GOAL_S)


def million() -> list[Figure]:
    """A file of a million rows that is made: rows per second until all standings are current, and memory."""
    with tempfile.TemporaryDirectory(prefix="shuke-bench-") as folder:
        file = Path(folder) / "orders.csv"
        write_orders(file, ROWS)
        took = _imported(file)
    if took.accepted != ROWS:
        raise RuntimeError(f"{took.accepted:,} rows were accepted where {ROWS:,} were sent.")
    return figures_of("import-1m", took, goal_per_s=GOAL_PER_S)


def figures_of(
    row: str, took: Imported, *, goal_s: float | None = None, goal_per_s: float | None = None
) -> list[Figure]:
    """The same of any file."""
    how = f"{took.accepted:,} purchases; baseline: the file parsed and copied into one table"
    per_s, raw_per_s = took.accepted / took.current_s, took.accepted / took.raw_s
    before = f"{took.idle_mb:,.0f} MB before"
    return [
        Figure(row, "until every standing is current", took.current_s, "s", goal_s, took.raw_s, how),
        Figure(row, "until every row is recorded", took.recorded_s, "s", None, took.raw_s, how),
        Figure(row, "rows per second, current", per_s, "1/s", goal_per_s, raw_per_s, how),
        Figure(row, "peak memory of all processes", took.peak_mb, "MB", how=before),
    ]


def write_orders(file: Path, rows: int, *, until: datetime | None = None) -> None:
    """A CSV of purchases in the order of time over two years until then (else now), the same for the same instant."""
    chance, until = np.random.default_rng(SEED), until or datetime.now(UTC)
    whose = chance.integers(0, max(1, rows // EACH), rows)
    ago_s = np.sort(chance.uniform(1, OVER_DAYS * 86_400, rows))[::-1]
    paid = np.maximum(1, np.rint(chance.gamma(2, 1_500, rows))).astype(int)
    with file.open("w", newline="") as out:
        written = csv.writer(out)
        written.writerow(COLUMNS.values())
        for first in range(0, rows, CHUNK):
            chunk = (column[first : first + CHUNK].tolist() for column in (whose, ago_s, paid))
            written.writerows(
                (
                    f"C-{customer:07}",
                    f"O-{number:08}",
                    (until - timedelta(seconds=ago)).isoformat(timespec="seconds"),
                    f"{minor / 100:.2f}",
                )
                for number, (customer, ago, minor) in enumerate(zip(*chunk, strict=True), first)
            )


def _imported(file: Path) -> Imported:
    with product("up") as running, running.client() as client:
        idle_mb = running.resident_mb()
        with peak_of(running) as peak_mb:
            began = time.perf_counter()
            job = _sent(client, file)
            recorded_s = time.perf_counter() - began
            settle(client)
            current_s = time.perf_counter() - began
        raw_s = asyncio.run(_raw(running, file))
    return Imported(job["accepted"], recorded_s, current_s, raw_s, idle_mb, max(peak_mb))


def _sent(client: httpx.Client, file: Path) -> dict[str, Any]:
    form = {"kind": "purchases", "source": "bench", "currency": CURRENCY, "mapping": json.dumps(COLUMNS)}
    with file.open("rb") as content:
        sent = client.post("/v1/imports", data=form, files={"file": (file.name, content)})
    job: dict[str, Any] = sent.raise_for_status().json()
    while job["state"] != "done":
        time.sleep(0.05)
        job = client.get(f"/v1/imports/{job['id']}").raise_for_status().json()
        if job["state"] == "failed":
            raise RuntimeError(f"The import failed: {job}")
    return job


@contextmanager
def peak_of(running: Running) -> Iterator[list[float]]:
    """The memory of a product, looked at four times a second at most.

    Where PostgreSQL shares much a look takes long: it has a twentieth of the time, and no core of what is measured.
    """
    found, done = [0.0], threading.Event()

    def look() -> None:
        took_s = 0.0
        while not done.wait(max(0.25, 20 * took_s)):
            began = time.perf_counter()
            found.append(running.resident_mb())
            took_s = time.perf_counter() - began

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        done.set()
        thread.join()


async def _raw(running: Running, file: Path) -> float:
    connection = await asyncpg.connect(running.database("postgres"))
    await connection.execute("CREATE TABLE raw_order (customer text, id text PRIMARY KEY, at text, amount text)")
    began = time.perf_counter()
    with gzip.open(file, "rt", newline="") if file.suffix == ".gz" else file.open(newline="") as content:
        rows = [tuple(row[name] for name in COLUMNS.values()) for row in csv.DictReader(content)]
    await connection.copy_records_to_table("raw_order", records=rows)
    took = time.perf_counter() - began
    await connection.close()
    return took
