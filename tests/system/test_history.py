"""Files of what is long past, beside webhooks that ask for it and webhooks that do not."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from time import monotonic, sleep
from typing import Any

import pytest

from contracts.customers import FactWithdrawn, PurchaseCompleted
from contracts.scoring import StandingChanged, StandingRegraded
from tests.listening import Receiver, listening
from tests.system.product import PATIENCE_S, Product, party_of

NOW = datetime.now(UTC)
MOVED = StandingChanged.wire_type
BOUGHT = PurchaseCompleted.wire_type
WITHDRAWN = FactWithdrawn.wire_type
OLD, KNOWN = [f"history:old{number}" for number in range(3)], "history:known"
WHOSE = {f"party_{party_of(customer).hex}": customer for customer in (*OLD, KNOWN)}
"""Others who use the product are told of too."""


@pytest.fixture
def default() -> Iterator[Receiver]:
    with listening(Receiver()) as made:
        yield made


@pytest.fixture
def asking() -> Iterator[Receiver]:
    with listening(Receiver()) as made:
        yield made


def heard(receiver: Receiver) -> list[dict[str, Any]]:
    """What a receiver was told of those whom this is about, each event once, in the order of the feed."""
    told = {each["sequence"]: each for each in receiver.told if each["party_id"] in WHOSE}
    return [told[sequence] for sequence in sorted(told)]


def await_event(receiver: Receiver, customer: str, type: str, **said: Any) -> None:
    until = monotonic() + PATIENCE_S
    while not any(
        (WHOSE[each["party_id"]], each["type"]) == (customer, type) and said.items() <= each["data"].items()
        for each in heard(receiver)
    ):
        assert monotonic() < until, heard(receiver)
        sleep(0.05)


def test_what_an_import_of_old_files_tells_reaches_only_the_webhook_that_asks_for_what_is_long_past(
    shared: Product, default: Receiver, asking: Receiver
) -> None:
    shared.ask(KNOWN, (NOW - timedelta(hours=1)).isoformat())
    shared.settle()
    types = [MOVED, BOUGHT, WITHDRAWN, StandingRegraded.wire_type]
    for receiver, historic in ((default, False), (asking, True)):
        shared.post("/v1/webhooks", json={"url": receiver.url, "types": types, "historic": historic})

    days = [(customer, days) for customer in OLD for days in (900, 800, 700)] + [(KNOWN, 40)]
    rows = [f"{customer.partition(':')[2]},{NOW - timedelta(days=past):%Y-%m-%d},9.50" for customer, past in days]
    file = "\n".join(["who,day,spent", *rows]).encode()
    form = {"source": "history"}
    brought = shared.bring(file, "purchases", form, party="who", occurred_at="day", amount="spent")
    assert brought["accepted"] == len(days)
    contacts = shared.bring(b"who,day\nold0,2020-01-01\n", "parties", form, party="who", occurred_at="day")
    assert contacts["accepted"] == 1
    shared.settle()
    shared.buy(OLD[0], NOW.isoformat(), 700)
    for receiver in (default, asking):
        await_event(receiver, OLD[0], BOUGHT, amount_minor=700)
        await_event(receiver, OLD[0], MOVED, kind="won_back")
    for job in (brought, contacts):
        shared.undo(job["id"])
    shared.settle()
    shared.buy(KNOWN, NOW.isoformat(), 800)
    for receiver in (default, asking):
        await_event(receiver, KNOWN, MOVED, kind="advanced")

    told = heard(asking)
    assert [each for each in told if not each["historic"]] == heard(default)
    assert {(WHOSE[each["party_id"]], each["type"]) for each in heard(default)} == {
        (customer, type) for customer in (OLD[0], KNOWN) for type in (BOUGHT, MOVED)
    }
    for customer in WHOSE.values():
        of = [each for each in told if WHOSE[each["party_id"]] == customer]
        rows_of = [past for whose, past in days if whose == customer]
        for type, others in ((BOUGHT, 0), (WITHDRAWN, int(customer == OLD[0]))):
            assert sum(each["historic"] for each in of if each["type"] == type) == len(rows_of) + others
        assert any(each["historic"] for each in of if each["type"] == MOVED)
        revisions = [each["data"]["revision"] for each in of if "revision" in each["data"]]
        assert revisions == sorted(revisions)
