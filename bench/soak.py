"""`shuke bench soak [--minutes N] [--per-s N] [--svg FILE] [--json FILE]`."""

import asyncio
import itertools
import json
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import aiohttp
import asyncpg
import typer
import uvloop
from rich.console import Console
from rich.table import Table

from bench import chart, machine
from bench.figures import percentile
from bench.freshness import AMOUNT_MINOR, Seen, buying, have_bought
from bench.live import NDJSON, PATH, body_of
from bench.product import Running, memory_kb, product, settle
from deploy import postgres, supervisor

WATCHED = 2_000
WATCHED_PER_S = 10
"""Purchases alone, of which it is seen when they can be read."""
CUSTOMERS = 100_000
ROWS = 200
"""Of one request in bulk."""
FULL_S = 60.0
FULL_CONNECTIONS = 2
SAMPLE_S = 10.0
SETTLE_S = 3_600.0
PART = 0.1
"""The first and the last tenth of the time are compared."""


@dataclass
class Sample:
    """What was seen at one time."""

    at_s: float
    memory_mb: dict[str, float]
    """By part of the product; what processes share is counted once."""
    lag: int
    """Events that are not read yet, over all consumers."""
    readable_ms: list[float]
    """Of the purchases since the sample before."""


@dataclass
class Soaked:
    """All that was seen."""

    idle_mb: dict[str, float] = field(default_factory=dict)
    full_mb: dict[str, float] = field(default_factory=dict)
    """The most at full load."""
    full_per_s: float = 0.0
    """Rows that were taken and decided per second at full load."""
    per_s: float = 0.0
    rows: int = 0
    samples: list[Sample] = field(default_factory=list)


def main(
    minutes: Annotated[float, typer.Option(min=1, help="How long the load goes on.")] = 60,
    per_s: Annotated[
        float | None, typer.Option(min=1, help="Rows per second; else half of what the product takes at full load.")
    ] = None,
    svg: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw memory, lag and latency there.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write what was seen there.")] = None,
) -> None:
    """Load the distributed product (a broker, two workers) for a long time, and watch memory, lag and latency.

    Ends 1 if what all parties spent is not what was told.
    """
    began, on = datetime.now(UTC), machine.described()
    typer.echo(", ".join(f"{name} {value}" for name, value in on.items()), err=True)
    with product("cluster", "--workers", "2") as running:
        soaked = uvloop.run(_soaked(running, minutes * 60, per_s))
        with running.client() as client:
            settle(client, SETTLE_S)
        spent, told = uvloop.run(_spent(running)), AMOUNT_MINOR * (soaked.rows + WATCHED)
    title = (
        f"{minutes:g} minutes at {soaked.per_s:,.0f} rows/s, half of what it takes"
        if per_s is None
        else (f"{minutes:g} minutes at {soaked.per_s:,.0f} rows/s")
    )
    Console(width=120).print(table(soaked, title))
    if svg:
        svg.write_text(drawn(soaked, f"{title}; {on['cores']} cores, {began:%d %B %Y}"))
    if json_file:
        json_file.write_text(json.dumps(document(soaked, on, began, told, spent), indent=2) + "\n")
    typer.echo(f"{soaked.rows:,} rows told; spent {spent:,}, told {told:,}")
    if spent != told:
        raise typer.Exit(1)


async def _soaked(running: Running, last_s: float, per_s: float | None) -> Soaked:
    soaked = Soaked()
    parties = await asyncio.to_thread(have_bought, running, WATCHED)
    await asyncio.sleep(SAMPLE_S)
    soaked.idle_mb = memory_mb(running)
    headers = running.headers | {"Content-Type": NDJSON}
    async with aiohttp.ClientSession(running.url, headers=headers) as session:
        await _full(running, session, soaked)
        soaked.per_s = per_s or soaked.full_per_s / 2
        typer.echo(f"full load {soaked.full_per_s:,.0f} rows/s; going on at {soaked.per_s:,.0f}", err=True)
        seen, began = Seen(), time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            pouring = tasks.create_task(_pour(session, soaked, began + last_s))
            watching = tasks.create_task(buying(running, parties, seen, _times(last_s), warm_s=0.0))
            looking = tasks.create_task(_look(running, session, soaked, seen, began))
            await asyncio.wait({pouring, watching})
            looking.cancel()
        soaked.rows += int(last_s * WATCHED_PER_S)
    return soaked


def _times(last_s: float) -> Iterator[float]:
    return (number / WATCHED_PER_S for number in range(int(last_s * WATCHED_PER_S)))


async def _full(running: Running, session: aiohttp.ClientSession, soaked: Soaked) -> None:
    """As much as goes for a minute, until all is decided."""
    began, most = time.perf_counter(), defaultdict[str, float](float)
    customers = itertools.cycle(range(WATCHED, WATCHED + CUSTOMERS))

    async def one() -> None:
        while time.perf_counter() < began + FULL_S:
            # Two of these count: what is added to is read when the answer is there.
            accepted = await _told(session, list(itertools.islice(customers, ROWS * 5)))
            soaked.rows += accepted

    async def watch() -> None:
        while True:
            for part, mb in (await asyncio.to_thread(memory_mb, running)).items():
                most[part] = max(most[part], mb)
            await asyncio.sleep(2)

    watching = asyncio.create_task(watch())
    await asyncio.gather(*(one() for _ in range(FULL_CONNECTIONS)))
    with running.client() as client:
        await asyncio.to_thread(settle, client)
    watching.cancel()
    soaked.full_per_s = soaked.rows / (time.perf_counter() - began)
    soaked.full_mb = dict(most)


async def _pour(session: aiohttp.ClientSession, soaked: Soaked, until: float) -> None:
    """Requests at a steady pace. One that is late does not make the next one late."""
    customers = itertools.cycle(range(WATCHED, WATCHED + CUSTOMERS))
    due, every_s = time.perf_counter(), ROWS / soaked.per_s
    while due < until:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        soaked.rows += await _told(session, list(itertools.islice(customers, ROWS)))
        due += every_s


async def _told(session: aiohttp.ClientSession, customers: Sequence[int]) -> int:
    """Have these customers buy; how many purchases were accepted. A service that asks to wait is waited for."""
    body = body_of(customers)
    while True:
        async with session.post(PATH, data=body) as answer:
            told = await answer.json()
            if answer.status == 503:
                await asyncio.sleep(float(answer.headers["Retry-After"]))
                continue
            answer.raise_for_status()
            accepted: int = told["accepted"]
            return accepted


async def _look(running: Running, session: aiohttp.ClientSession, soaked: Soaked, seen: Seen, began: float) -> None:
    """Note memory, lag and what became readable, again and again."""
    for number in itertools.count(1):
        await asyncio.sleep(max(0.0, began + number * SAMPLE_S - time.perf_counter()))
        async with session.get("/v1/status") as answer:
            status = await answer.json()
        lag = sum(each["events"] for each in status["lag"])
        readable_ms, seen.readable_ms = seen.readable_ms, []
        used = await asyncio.to_thread(memory_mb, running)
        soaked.samples.append(Sample(time.perf_counter() - began, used, lag, readable_ms))
        if number % 6 == 0:
            typer.echo(
                f"{number * SAMPLE_S / 60:.0f} min: {sum(used.values()):,.0f} MB, {lag:,} events behind,"
                f" p99 {percentile(readable_ms or [0.0], 99):.0f} ms",
                err=True,
            )


def memory_mb(running: Running) -> dict[str, float]:
    """Memory by part of the product: the processes of a service together, PostgreSQL and Kafka as a whole."""
    used: dict[str, float] = defaultdict(float)
    for name, pid in supervisor.pids(running.folder).items():
        part = {"postgres": "PostgreSQL", "kafka": "Kafka"}.get(name.split("-")[0], name.split("-")[0])
        if part != "PostgreSQL":
            used[part] += memory_kb(pid) / 1024
    used["PostgreSQL"] = sum(map(memory_kb, postgres.of_folder(running.folder / "postgres"))) / 1024
    return dict(used)


async def _spent(running: Running) -> int:
    connection = await asyncpg.connect(running.database("scoring"))
    try:
        spent: int = await connection.fetchval("SELECT sum(spend_minor)::bigint FROM party")
    finally:
        await connection.close()
    return spent


def parts(samples: Sequence[Sample]) -> tuple[Sequence[Sample], Sequence[Sample]]:
    """The first and the last tenth of the time."""
    few = max(1, int(len(samples) * PART))
    return samples[:few], samples[-few:]


def table(soaked: Soaked, title: str) -> Table:
    """For people: memory by part, then lag and latency."""
    first, last = parts(soaked.samples)
    shown = Table("what", "idle", "full load, most", "first tenth", "last tenth", "last by first", title=title)
    for part in sorted(soaked.idle_mb):
        before, after = (statistics.median(each.memory_mb.get(part, 0.0) for each in some) for some in (first, last))
        cells = soaked.idle_mb[part], soaked.full_mb.get(part, 0.0), before, after
        shown.add_row(f"{part}, MB", *(f"{cell:,.0f}" for cell in cells), f"{after / before:.2f}" if before else "")
    before, after = (statistics.median(each.lag for each in some) for some in (first, last))
    shown.add_row("events behind", "", "", f"{before:,.0f}", f"{after:,.0f}", "")
    for percent in (50, 99):
        before, after = (
            percentile([ms for each in some for ms in each.readable_ms] or [0.0], percent) for some in (first, last)
        )
        ratio = f"{after / before:.2f}" if before else ""
        shown.add_row(f"POST to readable, p{percent}, ms", "", "", f"{before:,.0f}", f"{after:,.0f}", ratio)
    return shown


def drawn(soaked: Soaked, title: str) -> str:
    """The same as a drawing over time."""
    names = sorted(soaked.idle_mb)
    samples = soaked.samples
    memory = {name: [(each.at_s, each.memory_mb.get(name, 0.0)) for each in samples] for name in names}
    latency = {
        f"p{percent}": [(each.at_s, percentile(each.readable_ms, percent)) for each in samples if each.readable_ms]
        for percent in (50, 99)
    }
    lag = {"events": [(each.at_s, float(each.lag)) for each in samples]}
    return chart.svg(
        title,
        [
            chart.Panel("Memory, MB", memory),
            chart.Panel("From a purchase posted to its standing readable, ms, of 10 s", latency),
            chart.Panel("Events not read yet, of all consumers", lag),
        ],
    )


def document(soaked: Soaked, on: Mapping[str, str | int], began: datetime, told: int, spent: int) -> dict[str, object]:
    """For programs."""
    return {
        "began": began.isoformat(timespec="seconds"),
        "machine": dict(on),
        "full_per_s": round(soaked.full_per_s, 1),
        "per_s": round(soaked.per_s, 1),
        "rows": soaked.rows,
        "told_minor": told,
        "spent_minor": spent,
        "idle_mb": _rounded(soaked.idle_mb),
        "full_mb": _rounded(soaked.full_mb),
        "samples": [
            {
                "at_s": round(each.at_s, 1),
                "lag": each.lag,
                "p50_ms": round(percentile(each.readable_ms, 50), 1) if each.readable_ms else None,
                "p99_ms": round(percentile(each.readable_ms, 99), 1) if each.readable_ms else None,
                "memory_mb": _rounded(each.memory_mb),
            }
            for each in soaked.samples
        ],
    }


def _rounded(mb: Mapping[str, float]) -> dict[str, float]:
    return {part: round(used, 1) for part, used in mb.items()}


app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
app.command()(main)

if __name__ == "__main__":
    app(prog_name="shuke bench soak")
