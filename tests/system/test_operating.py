"""What an operator says to a running product, embedded and on Kafka, and that no result changes by it."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from typer.testing import CliRunner

from chassis.envelope import finish
from contracts.topics import PURCHASES
from deploy.cli import app
from tests.system.conftest import Start
from tests.system.product import Product, identifier, party_of

NOBODY_DECIDES = "SELECT pg_advisory_xact_lock(hashtextextended('customers.duplicates', 0))"
SHAPES = {"embedded": ("up",), "kafka": ("cluster", "--workers", "1")}


@pytest.fixture(scope="module", params=list(SHAPES.values()), ids=list(SHAPES))
def product(start: Start, request: pytest.FixtureRequest) -> Iterator[Product]:
    with start(*request.param) as started:
        yield started


def told(product: Product, *words: str, code: int = 0) -> Any:
    """What a command says in JSON, and that it ends so."""
    done = CliRunner().invoke(app, [*words, "--json", "--data", str(product.folder)])
    assert done.exit_code == code, done.output
    return json.loads(done.stdout)


def behind(product: Product, service: str) -> int:
    return sum(line["events"] for line in told(product, "lag", "--service", service)["data"])


def spent(product: Product, customer: str) -> str | None:
    return next((line["spend"] for party, line in product.export().items() if party == party_of(customer)), None)


def test_a_paused_service_reads_nothing_over_a_restart_and_then_goes_on(product: Product) -> None:
    product.buy("ann", "2025-01-01T12:00:00Z", 1_000)
    product.settle()
    told(product, "pause", "scoring", "--topic", PURCHASES.name)
    product.buy("ann", "2025-01-02T12:00:00Z", 200)
    product.kill_and_await("scoring-worker" if "up" in product.command else "scoring-worker-1")
    product.buy("ann", "2025-01-03T12:00:00Z", 30)
    while behind(product, "scoring") != 2:
        time.sleep(0.1)

    [paused] = told(product, "status")["paused"]
    assert (paused["service"], paused["topic"], paused["partitions"]) == ("scoring", PURCHASES.name, 24)
    assert spent(product, "ann") == "10.00"
    assert "2 " in product.shuke("lag", "--service", "scoring")
    assert told(product, "resume", "scoring")["partitions"] == 24
    product.settle()

    assert spent(product, "ann") == "12.30"
    assert behind(product, "scoring") == 0


def test_a_replay_has_no_effect_on_any_result(product: Product) -> None:
    lead = {"identifier": identifier("eve@example.org"), "source": "web", "occurred_at": "2025-01-01T12:00:00Z"}
    product.post("/v1/leads", json=lead)
    product.buy("bob", "2025-01-01T12:00:00Z", 1_000)
    withdrawn = product.buy("bob", "2025-01-02T12:00:00Z", 77)
    product.post(f"/v1/purchases/{withdrawn['id']}/withdraw", json={})
    product.settle()
    product.post(f"/v1/parties/{product.register('bob')}/merge", json={"party_id": product.register("eve@example.org")})
    before = product.settle().digest()

    replays = {
        service: told(product, "replay", service, "--since", "2020-01-01T00:00:00Z")
        for service in ("scoring", "customers", "leads", "community")
    }
    product.settle()

    assert replays["scoring"]["events"] >= 4
    assert all(each["refused"] == each["unreadable"] == 0 and each["events"] for each in replays.values())
    assert product.digest() == before
    assert product.agrees()


def test_what_was_set_aside_is_listed_shown_and_put_back_once(product: Product) -> None:
    product.buy("cat", "2025-01-01T12:00:00Z", 500)
    product.settle()
    [[seq, partition]] = product.sql(
        "scoring", "SELECT seq, partition FROM consumer_offset WHERE topic = $1 AND seq > 0 LIMIT 1", PURCHASES.name
    )
    [[key, payload, at, epoch]] = product.sql(
        "customers",
        "SELECT key, payload, recorded_at, epoch FROM event_log WHERE topic = $1 AND partition = $2 AND seq = $3",
        PURCHASES.name,
        partition,
        seq,
    )
    before = product.digest()
    product.sql(
        "scoring",
        'INSERT INTO dead_letter (consumer, topic, partition, "offset", key, value, error_class, error,'
        " first_failed_at)"
        " VALUES ('scoring', $1, $2, $3, $4, $5, 'ValueError', 'a bug that is mended', now()),"
        " ('scoring', $1, $2, $3, $4, 'no event', 'Unreadable', 'envelope', now())",
        PURCHASES.name,
        partition,
        seq - 1,
        key,
        finish(payload, at, epoch, seq),
    )

    listed = told(product, "dead-letters", "list", "--topic", PURCHASES.name)
    assert [letter["reason"] for letter in listed] == ["Unreadable", "ValueError"]
    unreadable, mended = (letter["id"] for letter in listed)
    assert "customers.purchase_completed" in told(product, "dead-letters", "show", mended)["payload"]
    assert mended in product.shuke("dead-letters", "list")
    put_back = told(product, "dead-letters", "requeue", "--topic", PURCHASES.name, code=1)
    assert [(each["id"], each["became"]) for each in put_back] == [(mended, "handled"), (unreadable, "failed")]
    assert [each["became"] for each in told(product, "dead-letters", "requeue", mended)] == ["was_requeued"]
    assert "discarded" in product.shuke("dead-letters", "discard", unreadable, "--why", "no event")

    assert told(product, "dead-letters", "list") == []
    assert product.settle().digest() == before


def test_topics_tell_what_they_hold_and_who_reads_them(product: Product) -> None:
    topics = {topic["topic"]: topic for topic in told(product, "topics")["data"]}

    assert topics[PURCHASES.name]["read_by"] == ["gateway/gateway", "scoring/scoring"]
    assert topics[PURCHASES.name]["events"] > 0
    assert PURCHASES.name in product.shuke("topics")
    assert len(product.shuke("topics", PURCHASES.name).splitlines()) == 25


def test_a_drain_ends_in_quiet_and_takes_in_again_when_told(product: Product) -> None:
    product.buy("dan", "2025-01-01T12:00:00Z", 500)
    assert told(product, "drain")["quiet"]

    refused = product.client.post("/v1/purchases", json={})
    assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (503, "intake_closed", "30")
    assert product.sql("customers", "SELECT FROM outbox") == []
    assert behind(product, "scoring") == 0
    assert spent(product, "dan") == "5.00"
    told(product, "drain", "--resume")
    product.buy("dan", "2025-01-02T12:00:00Z", 500)


def test_a_drain_waits_until_who_is_one_party_is_decided_and_the_feed_has_read_it(product: Product) -> None:
    email, phone = {"scheme": "email", "value": "gus@x.example"}, {"scheme": "phone", "value": "+4930111999"}
    with product.held("customers", NOBODY_DECIDES):
        for each in (email, phone):
            product.post("/v1/parties", json={"identifiers": [each]})
        product.post("/v1/leads", json={"email": email["value"], "phone": phone["value"], "source": "website"})
        undecided = told(product, "drain", "--wait", "5", code=3)
        told(product, "pause", "gateway")
    unheard = told(product, "drain", "--wait", "10", code=3)
    told(product, "resume", "gateway")
    quiet = told(product, "drain")
    told(product, "drain", "--resume")

    assert undecided["waiting"]["undecided"]
    assert unheard["waiting"]["unread"]
    assert "undecided" not in unheard["waiting"]
    assert (quiet["quiet"], quiet["waiting"]) == (True, {})
    found = [product.get("/v1/parties", **each)["data"] for each in (email, phone)]
    assert found[0] == found[1]


def test_one_trace_goes_through_the_door_the_service_and_the_worker_and_on_to_what_follows(product: Product) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    product.client.headers["traceparent"] = f"00-{trace}-00f067aa0ba902b7-01"
    product.buy("fay", "2025-01-01T12:00:00Z", 500)
    del product.client.headers["traceparent"]
    product.settle()

    told = {path.stem: path.read_text() for path in (product.folder / "logs").glob("*.log")}
    worker = next(text for name, text in told.items() if name.startswith("scoring-worker"))
    [handled] = [json.loads(line) for line in worker.splitlines() if "event handled" in line and trace in line]
    assert (handled["consumer"], handled["topic"]) == ("scoring", PURCHASES.name)
    for name in ("gateway", "customers"):
        assert any(trace in line and '"/v1/purchases"' in line for line in told[name].splitlines()), name
    [(changed,)] = product.sql(
        "scoring", "SELECT payload FROM event_log WHERE position($1::bytea in payload) > 0 LIMIT 1", trace.encode()
    )
    assert trace in bytes(changed).decode()
