"""Entries of docs/operating.md, tried: what breaks raises the figure of the alert, what the entry says lowers it."""

import json
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from threading import Thread
from typing import Any

import httpx
import pytest

from chassis.outbox import key_hash
from contracts.topics import STANDING_CHANGES
from services.scoring.domain.policy import Policy
from tests.system.conftest import Start
from tests.system.product import PATIENCE_S, Product, party_of

AT = "2025-01-01T12:00:00Z"


class Receiver(ThreadingHTTPServer):
    """A system that is called, and is gone until it is mended."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Taking)
        self.mended = False
        self.told: list[dict[str, Any]] = []


class Taking(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.mended:
            self.server.told.append(json.loads(body))
        self.send_response(204 if self.server.mended else 410)
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as made:
        serving = Thread(target=made.serve_forever)
        serving.start()
        yield made
        made.shutdown()
        serving.join()


@pytest.fixture(scope="module")
def product(start: Start) -> Iterator[Product]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GATEWAY_WEBHOOK_ALLOW", "127.0.0.1/32")
        with start("up") as started:
            yield started


def figures(product: Product, name: str) -> list[float]:
    """What all processes tell of a metric, of each of its labels unless one is named."""
    pattern = re.escape(name) if name.endswith("}") else rf"{name}(?:{{[^}}]*}})?"
    endpoints = json.loads((product.folder / "run" / "endpoints.json").read_text())
    found = list[float]()
    for address in (endpoints["url"], *endpoints["services"].values(), *endpoints["probes"].values()):
        with suppress(httpx.TransportError):
            page = httpx.get(f"{address}/metrics", timeout=PATIENCE_S).text
            found += [float(value) for value in re.findall(rf"^{pattern} (\S+)$", page, re.MULTILINE)]
    return found


def figure(product: Product, name: str) -> float:
    """The largest value that any process tells of a metric."""
    return max(figures(product, name), default=0.0)


def await_that(true: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < until
        time.sleep(0.1)


def test_a_webhook_whose_receiver_is_gone_stops_and_tells_what_waited_when_it_is_resumed(
    product: Product, receiver: Receiver
) -> None:
    wanted = {"url": f"http://127.0.0.1:{receiver.server_address[1]}/", "historic": True, "types": [BOUGHT]}
    webhook = product.post("/v1/webhooks", json=wanted)["id"]
    product.buy("hook", AT, 1_000)
    await_that(lambda: figure(product, "shuke_webhooks_stopped") == 1)
    product.buy("hook", AT, 2_000)
    assert "410" in product.get(f"/v1/webhooks/{webhook}")["notice"]

    receiver.mended = True
    product.shuke("webhooks", "resume", webhook)
    await_that(lambda: figure(product, "shuke_webhooks_stopped") == 0)
    await_that(lambda: len(receiver.told) == 2)
    assert [each["data"]["amount_minor"] for each in receiver.told] == [1_000, 2_000]


def test_a_planned_activation_that_is_refused_says_why_and_what_was_active_goes_on(product: Product) -> None:
    strict = Policy(name="strict")
    # A trial counts that looks at somebody.
    product.buy("plan", AT, 1_000)
    product.settle()
    product.have_decide(strict)
    first = next(each["hash"] for each in product.get("/v1/policies")["data"] if each["hash"] != strict.content_hash)
    at = datetime.now(UTC) + timedelta(seconds=10)
    product.post(f"/v1/policies/{first}/activate", json={"active_from": at.isoformat()})
    product.post(f"/v1/policies/{first}/activate")
    await_that(lambda: figure(product, "shuke_refused_activations") == 1)

    [refused] = [each for each in product.get("/v1/activations")["data"] if each["refused"]]
    assert (refused["refused"]["code"], refused["refused"]["detail"]) == (
        "illegal_policy_move",
        "It is active already.",
    )
    assert product.decides()[0].content_hash == first


def test_a_task_that_dies_ends_its_process_which_is_itself_again_when_the_cause_is_gone(product: Product) -> None:
    before, began = product.pids(), time.time()
    product.sql("leads", "ALTER TABLE outbox RENAME TO outbox_away")
    try:
        await_that(lambda: any("background task died" in text for text in logs(product).values()))
        await_that(lambda: product.pids() != before)
    finally:
        product.sql("leads", "ALTER TABLE outbox_away RENAME TO outbox")
    died = next(text for text in logs(product).values() if "background task died" in text)
    assert "outbox" in died

    def answers() -> bool:
        with suppress(httpx.TransportError):
            return product.client.get("/readyz").status_code == 200
        return False

    await_that(answers)
    await_that(lambda: figure(product, "shuke_process_fell_timestamp_seconds") > began)
    product.buy("task", AT, 1_000)
    product.settle()


def test_a_process_that_was_killed_is_told_of_by_the_one_in_its_place(product: Product) -> None:
    began = time.time()
    product.kill_and_await("leads")
    await_that(lambda: figure(product, "shuke_process_fell_timestamp_seconds") > began)
    supervisor = (product.folder / "logs" / "supervisor.log").read_text()
    assert "leads ended with -9, starts again" in supervisor
    assert "took the place of a process that nobody had told to end" in logs(product)["leads"]


def test_a_feed_behind_a_gap_tells_nothing_new_until_what_is_missing_is_back(product: Product) -> None:
    product.buy("before", AT, 1_000)
    product.settle()
    product.kill("gateway-feed", signal.SIGSTOP)
    try:
        purchase = product.buy("gap", AT, 1_000)["id"]
        before = changed(product, "gap")
        product.post(f"/v1/purchases/{purchase}/withdraw", json={})
        changed(product, "gap", before)
        product.buy(beside("gap"), AT, 1_000)
        changed(product, beside("gap"))
        product.sql("scoring", f"CREATE TABLE missing AS {_CHANGES} ORDER BY seq LIMIT 1", *place_of("gap"))
        product.sql("scoring", "DELETE FROM event_log WHERE event_id IN (SELECT event_id FROM missing)")
    finally:
        product.kill("gateway-feed", signal.SIGCONT)

    await_that(lambda: figure(product, 'shuke_partitions_stopped{consumer="gateway"}') == 1)
    await_that(lambda: figure(product, FEED_WAITS) > 2)
    partition = key_hash(place_of("gap")[1]) % STANDING_CHANGES.partitions
    stopped = f"{STANDING_CHANGES.name} {partition} --service gateway --consumer gateway"
    assert stopped in product.shuke("gaps", "list").splitlines()
    product.sql("scoring", "INSERT INTO event_log SELECT * FROM missing")
    await_that(lambda: figure(product, FEED_WAITS) == 0)
    assert "No partition" in product.shuke("gaps", "list")
    told = product.sql("gateway", "SELECT body FROM feed ORDER BY seq DESC LIMIT 20")
    assert any(
        f"party_{party_of(beside('gap')).hex}" in row["body"] and "standing_changed" in row["body"] for row in told
    )


def test_what_needs_a_database_without_connections_left_waits_for_it_and_goes_on_by_itself(product: Product) -> None:
    product.settle()
    product.sql("customers", "ALTER ROLE scoring CONNECTION LIMIT 0")
    product.sql("customers", "ALTER ROLE log_reader CONNECTION LIMIT 0")
    product.sql("customers", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'scoring'")
    try:
        await_that(lambda: 0 in figures(product, 'shuke_database_up{service="scoring"}'))
        product.buy("away", AT, 1_000)
        await_that(lambda: figure(product, FEED_WAITS) > 2)
    finally:
        product.sql("customers", "ALTER ROLE scoring CONNECTION LIMIT -1")
        product.sql("customers", "ALTER ROLE log_reader CONNECTION LIMIT -1")
    await_that(lambda: "the feed is numbered later" in logs(product)["gateway-feed"])
    await_that(lambda: figures(product, 'shuke_database_up{service="scoring"}') == [1])
    await_that(lambda: figure(product, FEED_WAITS) == 0)
    product.settle()


def changed(product: Product, customer: str, before: int = 0) -> int:
    """How many changes of a standing scoring has told, once they are more than before."""
    await_that(lambda: len(product.sql("scoring", _CHANGES, *place_of(customer))) > before)
    return len(product.sql("scoring", _CHANGES, *place_of(customer)))


def place_of(customer: str) -> tuple[str, str]:
    """Topic and key of the changes of a standing."""
    return STANDING_CHANGES.name, str(party_of(customer))


def beside(customer: str) -> str:
    """Somebody whose changes stand in another partition."""
    others = (f"{customer} {number}" for number in count())
    mine = key_hash(place_of(customer)[1]) % STANDING_CHANGES.partitions
    return next(each for each in others if key_hash(place_of(each)[1]) % STANDING_CHANGES.partitions != mine)


def logs(product: Product) -> dict[str, str]:
    """What the processes have logged, by name."""
    return {path.stem: path.read_text() for path in (product.folder / "logs").glob("*.log")}


BOUGHT = "customers.purchase_completed.v1"
FEED_WAITS = "shuke_feed_waiting_seconds"
_CHANGES = "SELECT * FROM event_log WHERE topic = $1 AND key = $2"
