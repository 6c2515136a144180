"""An event that never reached the broker is missed, looked for in the log, and found."""

import signal
import time

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
