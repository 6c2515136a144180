"""`shuke bench soak [--minutes N] [--per-s N] [--svg FILE] [--json] [--out FILE]`."""

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

from bench import chart, machine
from bench.figures import Figure, by_row, percentile, table, told
from bench.freshness import AMOUNT_MINOR, CLUSTER, UNLIMITED, Seen, buying, have_bought
from bench.live import NDJSON, PATH, body_of
from bench.posts import bare_handler
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
GROWTH, SLACK_MB = 1.1, 8.0
"""Flat is who holds in the last tenth at most so many times what was held in the first, or so much more."""
POSTGRESQL = "postgres"
BEHIND_S = 1.0
SLOWER, SLACK_MS = 1.5, 100.0
"""Steady is what lags in the last tenth by at most twice the events of the first or so many seconds of the load, and
whose 99th percentile is at most so many times that of the first tenth, or so much more."""
NOT_OURS = (POSTGRESQL, "kafka")
"""Whose memory is told and not judged: they fill caches up to a bound of their own."""


@dataclass
class Sample:
    """What was seen at one time."""

    at_s: float
    memory_mb: dict[str, float]
    """By process; what several share is counted once."""
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
    bare_mb: float = 0.0
    """Memory of a handler of FastAPI that inserts a row, in a process of its own."""
    told_minor: int = 0
    spent_minor: int = 0
    """What all parties have spent at the end."""
    samples: list[Sample] = field(default_factory=list)


def main(
    minutes: Annotated[float, typer.Option(min=1, help="How long the load goes on.")] = 60,
    per_s: Annotated[
        float | None, typer.Option(min=1, help="Rows per second; else half of what the product takes at full load.")
    ] = None,
    svg: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw memory, lag and latency there.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per row: a figure, and the others in `figures`.")
    ] = False,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write all that was seen there.")] = None,
) -> None:
    """Load the distributed product (a broker, two workers) for a long time, and watch memory, lag and latency.

    Ends 1 if what all parties spent is not what was told, if a process of the product grew, or if lag or latency did.
    """
    began, on = datetime.now(UTC), machine.described()
    typer.echo(", ".join(f"{name} {value}" for name, value in on.items()), err=True)
    soaked = soak(minutes, per_s)
    figures = figures_of(soaked, minutes)
    Console(width=160, stderr=as_json).print(table(figures))
    for each in by_row(figures) if as_json else ():
        typer.echo(json.dumps(each))
    title = f"{minutes:g} minutes at {soaked.per_s:,.0f} rows/s" + (", half of what it takes" if per_s is None else "")
    if svg:
        svg.write_text(drawn(soaked, f"{title}; {on['cores']} cores, {began:%d %B %Y}"))
    if out:
        out.write_text(json.dumps(document(soaked, figures, on, began), indent=2) + "\n")
    typer.echo(f"{soaked.rows:,} rows told; spent {soaked.spent_minor:,}, told {soaked.told_minor:,}", err=True)
    if grown := [figure.what for figure in figures if figure.binding and figure.met is False]:
        typer.echo(f"Not flat, or not steady: {'; '.join(grown)}", err=True)
    if grown or soaked.spent_minor != soaked.told_minor:
        raise typer.Exit(1)


def memory(minutes: float) -> list[Figure]:
    """Memory of each process idle, at full load and after so long at half of it; raises unless all was counted."""
    soaked = soak(minutes, None)
    if soaked.spent_minor != soaked.told_minor:
        raise RuntimeError(f"All parties spent {soaked.spent_minor:,} where {soaked.told_minor:,} was told.")
    return [figure for figure in figures_of(soaked, minutes) if figure.row == "memory"]


def soak(minutes: float, per_s: float | None) -> Soaked:
    """Load the distributed product for so long, at so many rows per second or at half of what it takes."""
    with product(*CLUSTER, variables=UNLIMITED) as running:
        with bare_handler(running) as (_, pid):
            bare_mb = memory_kb(pid) / 1024
        soaked = uvloop.run(_soaked(running, minutes * 60, per_s))
        with running.client() as client:
            settle(client, SETTLE_S)
        soaked.bare_mb = bare_mb
        soaked.spent_minor, soaked.told_minor = uvloop.run(_spent(running)), AMOUNT_MINOR * (soaked.rows + WATCHED)
    return soaked


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
            await pour(session, soaked, list(itertools.islice(customers, ROWS * 5)))

    async def watch() -> None:
        while True:
            for name, mb in (await asyncio.to_thread(memory_mb, running)).items():
                most[name] = max(most[name], mb)
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
        await pour(session, soaked, list(itertools.islice(customers, ROWS)))
        due += every_s


async def pour(session: aiohttp.ClientSession, soaked: Soaked, customers: Sequence[int]) -> None:
    """Have these customers buy, and count what was accepted. A service that asks to wait is waited for."""
    body = body_of(customers)
    while True:
        async with session.post(PATH, data=body) as answer:
            said = await answer.json()
            if answer.status == 503:
                await asyncio.sleep(float(answer.headers["Retry-After"]))
                continue
            answer.raise_for_status()
            # Not with the await in the addition: what another connection adds meanwhile would be lost.
            soaked.rows += said["accepted"]
            return


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
    """Memory by process; that of PostgreSQL with all its sessions."""
    used = {name: memory_kb(pid) / 1024 for name, pid in supervisor.pids(running.folder).items() if name != POSTGRESQL}
    used["supervisor"] = memory_kb(running.process.pid) / 1024
    used[POSTGRESQL] = sum(map(memory_kb, postgres.of_folder(running.folder / "postgres"))) / 1024
    return used


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


def figures_of(soaked: Soaked, minutes: float) -> list[Figure]:
    """What was seen: memory of each process, then lag and latency, each of the last tenth beside the first.

    These goals bind: `most_mb` of what a process of the product held in the first tenth, `most_behind`, and `most_ms`
    of the 99th percentile.
    """
    load, first, last = f"{soaked.per_s:,.0f} rows/s", *parts(soaked.samples)
    figures = [Figure("soak", "rows per second at full load, all decided", soaked.full_per_s, "1/s")]
    for name, idle_mb in sorted(soaked.idle_mb.items()):
        before, after = (statistics.median(each.memory_mb.get(name, 0.0) for each in some) for some in (first, last))
        ours = name.split("-")[0] not in NOT_OURS
        how = f"{load}; baseline: its first tenth" + ("" if ours else "; it fills a cache, and is not judged")
        bare_mb = soaked.bare_mb if ours else None
        figures += [
            Figure("memory", f"{name}, idle", idle_mb, "MB", None, bare_mb, "baseline: a bare handler" * ours),
            Figure(
                "memory",
                f"{name}, full load, most",
                soaked.full_mb.get(name, 0.0),
                "MB",
                None,
                idle_mb,
                "baseline: idle",
            ),
            Figure(
                *("memory", f"{name}, last tenth of {minutes:g} min", after, "MB"),
                goal=most_mb(before) if ours else None,
                baseline=before,
                how=how,
                binding=ours,
            ),
        ]
    behind, behind_at_last = (statistics.median(each.lag for each in some) for some in (first, last))
    goal: float | None = most_behind(behind, per_s=soaked.per_s)
    figures.append(Figure("soak", "events behind", behind_at_last, "", goal, behind, load, binding=True))
    begun, ended = ([ms for each in some for ms in each.readable_ms] for some in (first, last))
    for percent in (50, 99):
        before = percentile(begun or [0.0], percent)
        # Where nothing came to be readable all that time, it took so long at least.
        after = percentile(ended or [len(last) * SAMPLE_S * 1e3], percent)
        goal = most_ms(before) if percent == 99 else None
        what = f"POST to standing readable, p{percent}"
        figures.append(Figure("soak", what, after, "ms", goal, before, load, binding=goal is not None))
    return figures


def most_mb(before_mb: float) -> float:
    """What a process may hold in the last tenth of the time that held so much in the first, to be called flat."""
    return max(before_mb * GROWTH, before_mb + SLACK_MB)


def most_behind(before: float, *, per_s: float) -> float:
    """How many events may be unread in the last tenth of the time, where so many were in the first, at a load."""
    return max(before * 2, per_s * BEHIND_S)


def most_ms(before_ms: float) -> float:
    """How long the slowest of a hundred may take in the last tenth of the time that took so long in the first."""
    return max(before_ms * SLOWER, before_ms + SLACK_MS)


def by_part(memory_mb: Mapping[str, float]) -> dict[str, float]:
    """Memory of processes as that of parts: those of one service together."""
    used: dict[str, float] = defaultdict(float)
    for name, mb in memory_mb.items():
        used[name.split("-")[0]] += mb
    return dict(used)


def drawn(soaked: Soaked, title: str) -> str:
    """The same as a drawing over time."""
    samples = soaked.samples
    names = sorted(by_part(soaked.idle_mb))
    memory = {name: [(each.at_s, by_part(each.memory_mb).get(name, 0.0)) for each in samples] for name in names}
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


def document(
    soaked: Soaked, figures: Sequence[Figure], on: Mapping[str, str | int], began: datetime
) -> dict[str, object]:
    """For programs."""
    return {
        "began": began.isoformat(timespec="seconds"),
        "machine": dict(on),
        "full_per_s": round(soaked.full_per_s, 1),
        "per_s": round(soaked.per_s, 1),
        "rows": soaked.rows,
        "told_minor": soaked.told_minor,
        "spent_minor": soaked.spent_minor,
        "figures": [told(figure) for figure in figures],
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
