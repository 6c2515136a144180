"""Pages of a large population: what each weighs, when it is painted, and what axe finds."""

import asyncio
import statistics
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import httpx
from playwright.sync_api import Browser, CDPSession, Page

from bench.console.browser import CHROMIUM, barriers, chromium, looking, owner_of
from bench.console.catalogue import OPEN_TO_ALL, pages
from bench.console.furnished import VARIABLES, fail, furnish
from bench.figures import Figure, percentile
from bench.population import identity, load, load_ids
from bench.product import CURRENCY, Running, product, settle

LOADS = 20
WARM = 2
"""Loads before the first that counts: a process that has just begun still imports and prepares its statements."""
GOAL_PAINT_MS, GOAL_WEIGHT_KB = 300.0, 60.0
BUYERS = 200
"""Of the population, so many buy by the API, so that they have a timeline."""
BARE = b"<!doctype html><html lang=en><meta charset=utf-8><title>Bare</title><h1>Bare</h1><p>Nothing else.</html>"
_PAINTED = """
() => new Promise((done) => new PerformanceObserver((list, observer) => {
  const found = list.getEntriesByName("first-contentful-paint");
  if (!found.length) return;
  observer.disconnect();
  const [way] = performance.getEntriesByType("navigation");
  done([found[0].startTime, way.responseStart - way.requestStart]);
}).observe({ type: "paint", buffered: true }))
"""


@dataclass
class Visited:
    """What was seen of one page."""

    weight_kb: float = 0.0
    """All that came over the wire into an empty cache, headers with it, in 1,000 bytes."""
    painted_ms: list[float] = field(default_factory=list)
    """From the begin of the navigation to the first contentful paint."""
    answered_ms: list[float] = field(default_factory=list)
    """From the request of the page to the first byte of its answer."""
    findings: list[str] = field(default_factory=list)
    """What axe finds: rule and place."""


def visited(parties: int) -> list[Figure]:
    """Every page, 20 times with an empty cache. 10 min at 1,000,000."""
    with product("up", variables=VARIABLES) as running, running.client() as client:
        asyncio.run(_populated(running, parties))
        _buy(client)
        furnish(client)
        asyncio.run(fail(running))
        token = owner_of(client)
        with chromium() as browser, _bare() as bare_url:
            bare = _bare_ms(browser, bare_url)
            with looking(browser, running, token) as context:
                seen = {name: _look(context.new_page(), path) for name, path in pages(client, whole=True).items()}
            with looking(browser, running, "") as context:
                seen |= {name: _look(context.new_page(), path) for name, path in OPEN_TO_ALL.items()}
    return _figures(seen, bare, parties)


async def _populated(running: Running, parties: int) -> None:
    today = datetime.now(UTC).date()
    await load(running.database("scoring"), parties, today, due=True)
    await load_ids(running.database("customers"), parties)


def _buy(client: httpx.Client) -> None:
    for number in range(BUYERS):
        purchase = {
            "party_id": f"party_{identity(number).hex}",
            "occurred_at": (datetime.now(UTC) - timedelta(days=number % 50)).isoformat(),
            "currency": CURRENCY,
            "amount_minor": 4_000,
        }
        client.post("/v1/purchases", json=purchase).raise_for_status()
    settle(client)


def _look(page: Page, path: str) -> Visited:
    """Load a page so many times; what it says to axe at the end."""
    seen = Visited()
    wire = page.context.new_cdp_session(page)
    wire.send("Network.enable")
    wire.send("Network.setCacheDisabled", {"cacheDisabled": True})
    bytes_of = _weighing(wire)
    for number in range(WARM + LOADS):
        bytes_of.clear()
        page.goto(path, wait_until="load")
        painted, answered = page.evaluate(_PAINTED)
        # What a page asks for when it has been painted is not to be in the way of the next, and is looked at too.
        page.wait_for_selector(".htmx-request", state="detached")
        if number >= WARM:
            seen.painted_ms.append(painted)
            seen.answered_ms.append(answered)
    seen.weight_kb = (sum(bytes_of) + _worker_bytes(page)) / 1e3
    seen.findings = barriers(page)
    page.close()
    return seen


def _weighing(wire: CDPSession) -> list[int]:
    found: list[int] = []
    wire.on("Network.loadingFinished", lambda told: found.append(int(told["encodedDataLength"])))
    return found


def _worker_bytes(page: Page) -> int:
    """The script of the worker that all pages share is loaded past the page that asks for it."""
    worker = page.locator("meta[name=live]")
    if not worker.count():
        return 0
    address = str(worker.get_attribute("content"))
    answer = page.request.get(address, headers={"Accept-Encoding": "gzip"})
    return int(answer.headers.get("content-length", len(answer.body())))


class _Bare(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(BARE)))
        self.end_headers()
        self.wfile.write(BARE)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


@contextmanager
def _bare() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _Bare)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _bare_ms(browser: Browser, url: str) -> list[float]:
    page = browser.new_page()
    took = []
    for _ in range(WARM + LOADS):
        page.goto(url)
        took.append(float(page.evaluate(_PAINTED)[0]))
    page.close()
    return took[WARM:]


def _figures(seen: Mapping[str, Visited], bare: list[float], parties: int) -> list[Figure]:
    figures = []
    for name, one in seen.items():
        how = f"answered in {statistics.median(one.answered_ms):.0f} ms, p95 {percentile(one.answered_ms, 95):.0f} ms"
        found = ", ".join([*one.findings, f"{parties:,} parties, {CHROMIUM.name}"])
        figures += [
            Figure("console", f"{name}: weight", one.weight_kb, "kB", GOAL_WEIGHT_KB, how=found),
            Figure("console", f"{name}: paint p50", percentile(one.painted_ms, 50), "ms", None, percentile(bare, 50)),
            Figure(
                "console", f"{name}: paint p95", percentile(one.painted_ms, 95), "ms", GOAL_PAINT_MS,
                percentile(bare, 95), how,
            ),
            Figure("console", f"{name}: axe findings", len(one.findings), "", 0, how=found),
        ]  # fmt: skip
    return figures
