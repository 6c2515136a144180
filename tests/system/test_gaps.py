"""An event that was lost on the way is missed; it is found in the log, or given up on a person's word."""

import signal
import time

from contracts.topics import PURCHASES
from tests.system.conftest import Start
from tests.system.product import party_of


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
        product.sql("customers", "DELETE FROM event_log WHERE topic = $1 AND seq = 2", PURCHASES.name)
        product.kill_and_await("scoring-worker")
        while not (gaps := product.get("/v1/status")["gaps"]):
            time.sleep(0.05)
        place = PURCHASES.name, str(gaps[0]["partition"])

        assert product.shuke("gaps", "list").splitlines() == [" ".join(place), f"    {gaps[0]['reason']}"]
        assert [line["spend"] for line in product.export().values()] == ["10.00"]
        product.shuke("gaps", "pass", *place)
        product.settle()

        assert product.shuke("gaps", "list") == "No partition has stopped.\n"
        assert [line["spend"] for line in product.export().values()] == ["10.30"]
        assert product.agrees()
