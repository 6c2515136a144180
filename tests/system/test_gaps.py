"""An event that was lost on the way is missed; it is found in the log, or given up on a person's word."""

import signal
import time
from subprocess import CalledProcessError

import pytest

from contracts.topics import LEADS, PARTIES, PURCHASES, Topic
from tests.system.conftest import Start
from tests.system.product import Product, identifier, party_of


def test_a_gap_in_kafka_is_filled_from_the_log(start: Start) -> None:
    with start("cluster", "--workers", "1") as product:
        product.buy("somebody", "2025-01-01T12:00:00Z", 1_000)
        product.settle()
        product.kill("customers-publisher", signal.SIGSTOP)
        product.buy("somebody", "2025-01-02T12:00:00Z", 200)
        while product.get("/v1/status")["oldest_unsequenced_s"]:
            time.sleep(0.05)
        product.sql("customers", "UPDATE event_stream SET published_seq = last_seq WHERE published_seq < last_seq")
        product.kill_and_await("customers-publisher")
        product.buy("somebody", "2025-01-03T12:00:00Z", 30)
        product.settle()

        [line] = product.export().values()
        assert (line["x"], line["spend"]) == ("2", "12.30")
        assert product.get("/v1/status")["gaps"] == []
        assert product.agrees()
        assert list(product.export()) == [party_of("somebody")]


def test_a_gap_that_nothing_fills_stops_its_partition_until_it_is_let_pass(start: Start) -> None:
    with start("up") as product:
        product.buy("somebody", "2025-01-01T12:00:00Z", 1_000)
        product.settle()
        product.kill("scoring-worker", signal.SIGSTOP)
        product.buy("somebody", "2025-01-02T12:00:00Z", 200)
        product.buy("somebody", "2025-01-03T12:00:00Z", 30)
        while product.get("/v1/status")["oldest_unsequenced_s"]:
            time.sleep(0.05)
        until_told(product, PURCHASES)
        product.sql("customers", "DELETE FROM event_log WHERE topic = $1 AND seq = 2", PURCHASES.name)
        product.kill_and_await("scoring-worker")
        while not (gaps := product.get("/v1/status")["gaps"]):
            time.sleep(0.05)
        place = PURCHASES.name, str(gaps[0]["partition"])

        assert product.shuke("gaps", "list").splitlines() == [
            f"{' '.join(place)} --service scoring --consumer scoring",
            f"    {gaps[0]['reason']}",
        ]
        assert [line["spend"] for line in product.export().values()] == ["10.00"]
        product.shuke("gaps", "pass", *place)
        product.settle()

        assert product.shuke("gaps", "list") == "No partition has stopped.\n"
        assert [line["spend"] for line in product.export().values()] == ["10.30"]
        assert product.agrees()


def test_each_consumer_that_has_stopped_is_let_pass_by_itself(start: Start) -> None:
    readers = {LEADS: {"customers", "scoring"}, PARTIES: {"leads", "community", "scoring"}}
    processes = ("customers-importer", "leads", "community", "scoring-worker")
    with start("up") as product:
        for name in ("customers-importer", "scoring-worker"):
            product.kill(name, signal.SIGSTOP)
        for number in range(3 * LEADS.partitions):
            lead = {"system": "shop", "source_id": str(number), "identifier": identifier(f"lead {number}")}
            product.post("/v1/leads", json={**lead, "occurred_at": "2025-01-01T12:00:00Z"})
        until_numbered(product, "leads")
        for name in ("leads", "community"):
            product.kill(name, signal.SIGSTOP)
        for number in range(3 * PARTIES.partitions):
            product.register(f"party {number}")
        until_numbered(product, "customers")
        for topic in readers:
            until_told(product, topic)
        places = {topic: (topic.name, str(lose(product, topic))) for topic in readers}
        for name in processes:
            product.kill_and_await(name)
        expected = {(topic.name, service) for topic, services in readers.items() for service in services}
        while stopped(product) != expected:
            time.sleep(0.05)

        listed = product.shuke("gaps", "list").splitlines()
        assert sorted(line for line in listed if not line.startswith(" ")) == sorted(
            f"{' '.join(places[topic])} --service {service} --consumer {service}"
            for topic, services in readers.items()
            for service in services
        )
        with pytest.raises(CalledProcessError) as refused:
            product.shuke("gaps", "pass", *places[PARTIES])
        assert all(f"{service} of {service}" in refused.value.stderr for service in readers[PARTIES])
        assert stopped(product) == expected

        for topic, service in ((LEADS, "customers"), (PARTIES, "leads"), (PARTIES, "community")):
            product.shuke("gaps", "pass", *places[topic], "--service", service)
            while behind(product, service):
                time.sleep(0.05)
        assert stopped(product) == {(topic.name, "scoring") for topic in readers}
        assert behind(product, "scoring")
        for topic in readers:
            product.shuke("gaps", "pass", *places[topic])
        product.settle()

        assert product.shuke("gaps", "list") == "No partition has stopped.\n"
        assert product.agrees()


def until_numbered(product: Product, service: str) -> None:
    """Wait without asking for the status, which waits for whoever stands still."""
    while product.sql(service, "SELECT FROM outbox LIMIT 1"):
        time.sleep(0.05)


def until_told(product: Product, topic: Topic) -> None:
    """Wait until the feed has read all of a topic: what is lost then stops others alone."""
    read, numbered = (
        "SELECT sum(seq) FROM consumer_offset WHERE consumer = 'gateway' AND topic = $1",
        "SELECT sum(last_seq) FROM event_stream WHERE topic = $1",
    )
    while product.sql("gateway", read, topic.name) != product.sql(topic.service, numbered, topic.name):
        time.sleep(0.05)


def lose(product: Product, topic: Topic) -> int:
    """Take the second event of a partition that has three out of its log; the partition."""
    [partition] = product.sql(
        topic.service,
        "DELETE FROM event_log WHERE topic = $1 AND seq = 2 AND partition ="
        " (SELECT min(partition) FROM event_stream WHERE topic = $1 AND last_seq > 2) RETURNING partition",
        topic.name,
    )
    return int(partition["partition"])


def stopped(product: Product) -> set[tuple[str, str]]:
    return {(gap["topic"], gap["service"]) for gap in product.get("/v1/status")["gaps"]}


def behind(product: Product, service: str) -> int:
    """Events that wait for the consumer of a service."""
    return sum(int(each["events"]) for each in product.get("/v1/status")["lag"] if each["service"] == service)
