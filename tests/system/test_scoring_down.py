"""Deciding is apart from taking in: while scoring and the bus stand still, all is accepted, and scoring catches up."""

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from bench.product import CURRENCY
from contracts.leads import Grade
from tests.system.conftest import Start
from tests.system.product import Product, identifier, party_of

EMBEDDED = ("scoring-worker", "scoring")
CLUSTER = ("kafka-1", "scoring-worker-1", "scoring-sweeper", "scoring-publisher", "scoring")
"""Every process of the service, and the broker, without which nobody learns anything."""
UNPUBLISHED = """
SELECT (SELECT count(*) FROM outbox) + sum(last_seq - published_seq) FROM event_stream
"""


@contextmanager
def standing_still(product: Product, names: Sequence[str]) -> Iterator[None]:
    """Stop processes as long as the block lasts; killed ones would be started again at once."""
    for name in names:
        product.kill(name, signal.SIGSTOP)
    try:
        yield
    finally:
        for name in names:
            product.kill(name, signal.SIGCONT)


@pytest.mark.parametrize(
    ("command", "names"),
    [(("up",), EMBEDDED), (("cluster", "--workers", "1"), CLUSTER)],
    ids=["embedded", "cluster"],
)
def test_intake_goes_on_while_scoring_stands_still_and_scoring_catches_up(
    start: Start, command: tuple[str, ...], names: tuple[str, ...]
) -> None:
    with start(*command) as product:
        product.buy("before", "2025-01-01T12:00:00Z", 1_000)
        product.settle()
        at = "2025-06-01T12:00:00Z"
        answers = []
        with standing_still(product, names):
            for number in range(20):
                who = identifier(f"customer {number}")
                lead = {"system": "shop", "source_id": str(number), "identifier": who, "occurred_at": at}
                bought = {
                    "source": "test", "identifier": who, "occurred_at": at, "amount_minor": 500, "currency": CURRENCY,
                }  # fmt: skip
                said = {
                    "identifier": who, "occurred_at": at, "department": "sales", "channel": "phone",
                    "kind": "praise", "direction": "inbound",
                }  # fmt: skip
                for path, body in (("leads", lead), ("purchases", bought), ("interactions", said)):
                    answers.append(product.client.post(f"/v1/{path}", json=body))
            graded = product.client.get("/v1/leads", params={"limit": 100}).json()["data"]
            decided = product.sql("scoring", "SELECT count(*) AS parties FROM party WHERE purchase_days > 0")
            [(unpublished,)] = product.sql("customers", UNPUBLISHED)
        product.settle()

        assert {answer.status_code for answer in answers} == {201}
        assert len(graded) == 20
        assert {lead["grade"] for lead in graded} <= set(Grade)
        assert [row["parties"] for row in decided] == [1]
        assert unpublished >= 40
        lines = product.export()
        assert {lines[party_of(f"customer {number}")]["spend"] for number in range(20)} == {"5.00"}
        assert product.agrees()
