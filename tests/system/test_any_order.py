"""However a story is told, by whichever path and on whichever shape, it ends the same."""

from collections.abc import Iterator
from random import Random

import pytest

from tests.system.conftest import Start
from tests.system.product import Product
from tests.system.story import LAST, Correct, Story, Tell, Teller, made_up

STORY = made_up(1, 60)


def ends_right(product: Product, story: Story) -> bool:
    """Whether everybody stands as the oracle says. Whoever does not is told by the failing test."""
    product.settle()
    told = product.export(LAST)
    wanted = {
        party: {
            "stage": standing.stage,
            "tier": standing.tier,
            "value": f"{standing.value_minor / 100:.2f}",
            "spend": f"{standing.spend_minor / 100:.2f}",
            "x": str(standing.purchase_days - 1) if standing.first_day else "",
            "since": str(standing.since),
        }
        for party, standing in story.standings().items()
    }
    assert {party: {name: line[name] for name in wanted.get(party, line)} for party, line in told.items()} == wanted
    return product.digest(LAST) == story.digest() and product.agrees()


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
