"""Whatever is killed in the middle, the story ends as if nothing had been."""

import os
from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest

from tests.system.conftest import Start
from tests.system.story import Story, Tell, Teller, made_up
from tests.system.test_any_order import ends_right

ROUNDS = int(os.environ.get("SHUKE_TEST_KILLS", "1"))
"""How often each process is killed."""

EMBEDDED = ("scoring-worker", "customers", "leads", "postgres", "community", "gateway", "scoring")
CLUSTER = (
    "scoring-worker-1", "customers-publisher", "leads-publisher", "kafka-1", "customers", "scoring-sweeper", "leads",
    "postgres", "community-publisher", "scoring-publisher", "gateway", "community", "scoring", "scoring-worker-2",
)  # fmt: skip


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
                pass
            product.kill_and_await(name)
        telling.result()

        assert ends_right(product, story)


def test_an_import_goes_on_where_it_was_killed(start: Start) -> None:
    story = made_up(4, 300, facts_each=10, merged=False)
    told = [step for step in story.steps if isinstance(step, Tell) and step.kind == "purchases"]
    with start("up") as product:
        teller = Teller(product)
        teller.rates()
        started = teller.by_file(told)
        for name in ("customers-importer", "customers", "scoring-worker", "postgres") * ROUNDS:
            product.kill_and_await(name)
        job = product.finished(started)

        assert (job["accepted"], job["rejected"]) == (len(told), 0)
        assert ends_right(product, Story(tuple(told)))
