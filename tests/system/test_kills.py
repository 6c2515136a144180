"""Whatever is killed in the middle, the story ends as if nothing had been."""

import os
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from random import Random
from uuid import UUID

import pytest

from tests.system.conftest import Start
from tests.system.product import PATIENCE_S, Product, party_of
from tests.system.story import made_up
from tests.system.telling import MEANWHILE, Teller
from tests.system.test_any_order import ends_right, told_once

ROUNDS = int(os.environ.get("SHUKE_TEST_KILLS", "1"))
"""How often each process is killed."""

EMBEDDED = (
    "scoring-worker", "customers-importer", "customers", "leads", "postgres", "customers-importer", "community",
    "gateway", "scoring",
)  # fmt: skip
"""Each process. Workers share theirs: that of customers is in `customers-importer`, the others with their service."""
CLUSTER = (
    "scoring-worker-1", "customers-worker", "customers-publisher", "leads-publisher", "leads-worker", "kafka-1",
    "customers", "scoring-sweeper", "leads", "community-worker", "postgres", "community-publisher", "customers-worker",
    "scoring-publisher", "gateway", "community", "scoring", "scoring-worker-2",
)  # fmt: skip
"""Each process but those of imports, of which the story has none."""


@pytest.mark.parametrize(
    ("command", "names"),
    [(("up",), EMBEDDED), (("cluster", "--workers", "2"), CLUSTER)],
    ids=["embedded", "cluster"],
)
def test_every_process_may_be_killed_in_the_middle(
    start: Start, command: tuple[str, ...], names: tuple[str, ...]
) -> None:
    story = made_up(3, 40)
    kills = names * ROUNDS
    with start(*command) as product, ThreadPoolExecutor(2) as threads:
        teller = Teller(product)
        teller.begin(story)
        telling = threads.submit(teller.one_by_one, story.shuffled(Random(3)).steps, at_once=4)
        deciding = threads.submit(teller.others_decide)
        for number, name in enumerate(kills):
            while teller.given < len(story.steps) * number / len(kills) and not telling.done():
                time.sleep(0.01)
            product.kill_and_await(name)
        telling.result()
        deciding.result()
        teller.end()

        assert ends_right(product, story)
        assert an_activation_may_be_killed(product, [name for name in DECIDING if name in names])


DECIDING = "scoring-sweeper", "scoring-worker", "scoring-worker-1"
"""Who assesses everybody anew, and who reads events meanwhile."""
MANY = 1_000


def an_activation_may_be_killed(product: Product, names: Sequence[str]) -> bool:
    """Whether each change is told once, and all is right, though all were killed when a part was assessed anew."""
    lines = (f"k{number},{number},2025-{1 + number % 12:02}-03,{number % 90}.00" for number in range(MANY))
    content = "\n".join(("party,order_id,occurred_at,amount", *lines)).encode()
    product.bring(content, **{name: name for name in ("party", "order_id", "occurred_at", "amount")})
    before = stored(product.settle().reassessed())
    at = datetime.now(UTC).isoformat()
    with ThreadPoolExecutor(1) as thread:
        with product.held("scoring", _LAST_ONE):
            product.post(f"/v1/policies/{MEANWHILE.content_hash}/activate")
            until = time.monotonic() + PATIENCE_S
            while not product.sql("scoring", _WAITS):
                assert time.monotonic() < until
                time.sleep(0.05)
            buying = thread.submit(lambda: [product.buy(f"k{number}", at, 500) for number in range(50)])
            for name in names:
                product.kill_and_await(name)
        buying.result()
    after = stored(product.settle().reassessed())
    bought = {party_of(f"k{number}") for number in range(50)}
    told = Counter(row["party_id"] for row in product.sql("scoring", _TOLD))
    changed = {party for party in before if before[party] != after[party]} - bought
    assert {party: count for party, count in told.items() if party not in bought} == dict.fromkeys(changed, 1)
    assert changed
    return told_once(product) and product.agrees()


def stored(product: Product) -> dict[UUID, tuple[object, ...]]:
    return {row["party_id"]: tuple(row) for row in product.sql("scoring", _STORED)}


_LAST_ONE = "SELECT FROM party ORDER BY party_id DESC LIMIT 1 FOR UPDATE"
_WAITS = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
_TOLD = "SELECT party_id FROM lived_move WHERE ruling = (SELECT max(id) FROM ruling)"
_STORED = """
SELECT party_id, stage, tier, level, satisfaction_band, loyalty_band, posture, treatment, flags, vip FROM party
WHERE resolves_to = party_id
"""


def test_imports_of_every_service_go_on_where_they_were_killed(start: Start) -> None:
    story = made_up(4, 40)
    with start("up") as product:
        teller = Teller(product)
        teller.begin(story)
        began = teller.by_files(story)
        for name in ("customers-importer", "leads", "community", "customers", "postgres") * ROUNDS:
            product.kill_and_await(name)
        for kind, (started, rows) in began.items():
            job = product.finished(started)
            assert (kind, job["accepted"], job["rejected"]) == (kind, rows, 0)
        teller.in_bulk(story)
        teller.end()

        assert ends_right(product, story)
