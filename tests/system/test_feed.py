"""Streams and webhooks where events come by Kafka: both tell the same, also while who reads for them is killed."""

import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from threading import Event, Thread
from time import monotonic, sleep
from typing import Any

import httpx
import pytest

from contracts.customers import PurchaseCompleted
from contracts.scoring import StandingChanged, StandingRegraded
from contracts.topics import STANDING_CHANGES
from tests.listening import Receiver, listening
from tests.system.conftest import Start
from tests.system.product import PATIENCE_S, Product

CUSTOMERS = 20
TYPES = [each.wire_type for each in (PurchaseCompleted, StandingChanged, StandingRegraded)]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with listening(Receiver()) as made:
        yield made


def follow(product: Product, after: int, told: list[dict[str, Any]], ended: Event) -> None:
    """Read the stream, and come back where it broke off, until it is enough."""
    asked: dict[str, str | int] = {"after": after, "types": ",".join(TYPES)}
    with httpx.Client(base_url=product.running.url, headers=product.running.headers, timeout=PATIENCE_S) as client:
        while not ended.is_set():
            with suppress(httpx.TransportError), client.stream("GET", "/v1/stream", params=asked) as answer:
                for line in answer.iter_lines():
                    if line.startswith("data: "):
                        told.append(json.loads(line.removeprefix("data: ")))
                        asked["after"] = told[-1]["sequence"]
                    if ended.is_set():
                        return


def await_all(told: list[dict[str, Any]], count: int) -> None:
    until = monotonic() + PATIENCE_S
    while len({event["id"] for event in told}) < count:
        assert monotonic() < until, f"{len(told)} of {count} came"
        sleep(0.05)


def buy(product: Product, round: str, at: datetime) -> None:
    for number in range(CUSTOMERS):
        instant = (at + timedelta(seconds=number)).isoformat()
        product.buy(f"c{number}@feed.example", instant, 1_000 + number, id=f"{round} {number}")


def test_stream_and_webhook_tell_the_same_of_what_comes_by_kafka_also_when_their_reader_is_killed(
    start: Start, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_WEBHOOK_ALLOW", "127.0.0.1/32")
    at, ended = datetime.now(UTC) - timedelta(hours=1), Event()
    streamed: list[dict[str, Any]] = []
    with start("cluster", "--workers", "1") as product:
        wanted = {"url": receiver.url, "types": TYPES}
        made = product.client.post("/v1/webhooks", json=wanted)
        assert made.status_code == 201, made.text
        reading = Thread(target=follow, args=(product, made.json()["position"], streamed, ended))
        reading.start()
        try:
            buy(product, "first", at)
            await_all(receiver.told, CUSTOMERS)
            product.kill_and_await("gateway-feed")
            buy(product, "second", at + timedelta(minutes=1))
            product.settle()
            [(moved,)] = product.sql(
                "scoring", "SELECT count(*) FROM event_log WHERE topic = $1", STANDING_CHANGES.name
            )
            for told in (receiver.told, streamed):
                await_all(told, 2 * CUSTOMERS + moved)
        finally:
            ended.set()
            # What it waits for comes at the latest with the next sign of life.
            reading.join(PATIENCE_S)

    assert moved >= CUSTOMERS
    sequences = [event["sequence"] for event in streamed]
    assert sequences == sorted(set(sequences))
    assert {event["id"]: event for event in receiver.told} == {event["id"]: event for event in streamed}
    revisions: dict[str, list[int]] = defaultdict(list)
    for event in receiver.told:
        if "revision" in event["data"] and event["data"]["revision"] not in revisions[event["party_id"]]:
            revisions[event["party_id"]].append(event["data"]["revision"])
    assert len(revisions) == CUSTOMERS
    assert all(seen == sorted(seen) for seen in revisions.values())
