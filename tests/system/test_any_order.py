"""However a story is told, by whichever path and on whichever shape, it ends the same."""

import os
from collections.abc import Iterator
from random import Random

import pytest

from tests.system.conftest import Start
from tests.system.product import Product
from tests.system.story import LAST, Correct, Story, Tell, Teller, made_up

STORY = made_up(1, 60)
STORIES = int(os.environ.get("SHUKE_TEST_STORIES", "3"))
"""How many stories more are told; they take a few seconds each."""


def stand_right(product: Product, story: Story) -> bool:
    """Whether everybody in a story stands as the oracle says. Whoever does not is told by the failing test."""
    product.settle()
    lines = product.export(LAST)
    wanted = {
        party: {
            "stage": standing.stage,
            "tier": standing.tier,
            "value": f"{standing.value_minor / 100:.2f}",
            "spend": f"{standing.spend_minor / 100:.2f}",
            "x": str(standing.purchase_days - 1) if standing.first_day else "",
            "since": str(standing.since),
            "next_change_at": standing.next_change_at and standing.next_change_at.date().isoformat(),
        }
        for party, standing in story.standings().items()
    }
    told = {
        party: {
            **{name: lines[party][name] for name in ("stage", "tier", "value", "spend", "x", "since")},
            "next_change_at": lines[party]["next_change_at"][:10] or None,
        }
        for party in story.parties() & lines.keys()
    }
    assert told == wanted
    return bool(wanted)


def ends_right(product: Product, story: Story) -> bool:
    """Whether a product that was told nothing else gives the digest that the oracle gives, and verifies."""
    return stand_right(product, story) and product.digest(LAST) == story.digest() and product.agrees()


@pytest.fixture(scope="module")
def embedded(start: Start) -> Iterator[Product]:
    with start("up") as product:
        teller = Teller(product)
        teller.rates()
        teller.in_bulk(STORY)
        yield product.settle()


def test_a_story_told_in_bulk_ends_as_the_oracle_says(embedded: Product) -> None:
    assert ends_right(embedded, STORY)


def test_what_is_sent_again_in_bulk_changes_nothing(embedded: Product) -> None:
    corrected = {step.told.name for step in STORY.steps if isinstance(step, Correct)}
    told = [step for step in STORY.steps if isinstance(step, Tell) and step.kind == "purchases"]
    again = [step for step in told if f"withdraw {step.name}" not in {step.name for step in STORY.steps}]
    sent = Random(1).sample([step for step in again if step.name not in corrected], len(told) // 10)
    before = embedded.digest(LAST)

    outcome = embedded.bulk("purchases", [step.row() for step in sent])

    assert outcome["duplicate"] == len(sent)
    assert embedded.settle().digest(LAST) == before


def test_a_rebuild_changes_nothing(embedded: Product) -> None:
    before = embedded.digest(LAST)

    embedded.rebuild()

    assert embedded.settle().digest(LAST) == before
    assert embedded.agrees()


@pytest.mark.parametrize("seed", range(10, 10 + STORIES))
def test_any_story_ends_as_the_oracle_says(embedded: Product, seed: int) -> None:
    story = made_up(seed, 25)

    Teller(embedded).one_by_one(story.shuffled(Random(seed)).steps, at_once=8)

    assert stand_right(embedded, story)


def test_a_story_told_one_by_one_shuffled_and_a_tenth_of_it_twice_ends_the_same(start: Start) -> None:
    chance = Random(2)
    shuffled = STORY.shuffled(chance).steps
    twice = set(chance.sample([step.name for step in shuffled if isinstance(step, Tell)], len(shuffled) // 10))
    with start("up") as product:
        teller = Teller(product)
        teller.one_by_one((step for step in shuffled for _ in range(1 + (step.name in twice))), at_once=8)
        teller.rates()

        assert ends_right(product, STORY)


@pytest.mark.parametrize("workers", [1, 3])
def test_a_story_ends_the_same_on_kafka_with_any_number_of_workers(start: Start, workers: int) -> None:
    with start("cluster", "--workers", str(workers)) as product:
        teller = Teller(product)
        teller.rates()
        teller.one_by_one(STORY.shuffled(Random(workers)).steps, at_once=8)

        assert ends_right(product, STORY)
