"""A year of a grocery's baskets imported, until every standing is current."""

import asyncio
import csv
import gzip
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from bench.figures import Figure
from bench.product import CURRENCY, ROOT, Running, product, settle

FILE = ROOT.parent / "shared" / "data" / "complete_journey" / "orders.csv.gz"
"""Complete Journey: 155,848 baskets of 2,469 households."""
COLUMNS = {"party": "customer_id", "order_id": "order_id", "occurred_at": "ts", "amount": "amount"}
GOAL_S = 25.0


def imported() -> list[Figure]:
    """Seconds until all standings are current, and what memory it took."""
    if not FILE.exists():
        raise FileNotFoundError(f"Needs {FILE}")
    with product("up") as running, running.client() as client:
        idle_mb = running.resident_mb()
        with peak_of(running) as peak_mb:
            began = time.perf_counter()
            form = {"kind": "purchases", "source": "bench", "currency": CURRENCY, "mapping": json.dumps(COLUMNS)}
            with FILE.open("rb") as content:
                sent = client.post("/v1/imports", data=form, files={"file": (FILE.name, content)})
            job = sent.raise_for_status().json()
            while job["state"] != "done":
                time.sleep(0.05)
                job = client.get(f"/v1/imports/{job['id']}").raise_for_status().json()
                if job["state"] == "failed":
                    raise RuntimeError(f"The import failed: {job}")
            recorded_s = time.perf_counter() - began
            settle(client)
            current_s = time.perf_counter() - began
        raw_s = asyncio.run(_raw(running))
    how = f"{job['accepted']:,} purchases; baseline: the file parsed and copied into one table"
    return [
        Figure("journey", "until every standing is current", current_s, "s", GOAL_S, raw_s, how),
        Figure("journey", "until every row is recorded", recorded_s, "s", how=how),
        Figure("journey", "purchases per second, current", job["accepted"] / current_s, "1/s"),
        Figure("journey", "peak memory of all processes", max(peak_mb), "MB", how=f"{idle_mb:,.0f} MB before"),
    ]


@contextmanager
def peak_of(running: Running) -> Iterator[list[float]]:
    """The memory of a product, looked at four times a second."""
    found, done = [0.0], threading.Event()

    def look() -> None:
        while not done.wait(0.25):
            found.append(running.resident_mb())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        done.set()
        thread.join()


async def _raw(running: Running) -> float:
    connection = await asyncpg.connect(running.database("postgres"))
    await connection.execute("CREATE TABLE raw_order (customer text, id text PRIMARY KEY, at text, amount text)")
    began = time.perf_counter()
    with gzip.open(FILE, "rt", newline="") as file:
        rows = [tuple(row[name] for name in COLUMNS.values()) for row in csv.DictReader(file)]
    await connection.copy_records_to_table("raw_order", records=rows)
    took = time.perf_counter() - began
    await connection.close()
    return took
