"""Whatever is killed in the middle, the story ends as if nothing had been."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest

from tests.system.conftest import Start
from tests.system.story import made_up
from tests.system.telling import Teller
from tests.system.test_any_order import ends_right

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
    story = made_up(3, 60)
    kills = names * ROUNDS
    with start(*command) as product, ThreadPoolExecutor(1) as thread:
        teller = Teller(product)
        teller.rates()
        telling = thread.submit(teller.one_by_one, story.shuffled(Random(3)).steps, at_once=4)
        for number, name in enumerate(kills):
            while teller.given < len(story.steps) * number / len(kills) and not telling.done():
                time.sleep(0.01)
            product.kill_and_await(name)
        telling.result()

        assert ends_right(product, story)


def test_imports_of_every_service_go_on_where_they_were_killed(start: Start) -> None:
    story = made_up(4, 90)
    with start("up") as product:
        teller = Teller(product)
        teller.rates()
        began = teller.by_files(story)
        for name in ("customers-importer", "leads", "community", "customers", "postgres") * ROUNDS:
            product.kill_and_await(name)
        for kind, (started, rows) in began.items():
            job = product.finished(started)
            assert (kind, job["accepted"], job["rejected"]) == (kind, rows, 0)
        teller.in_bulk(story)

        assert ends_right(product, story)
