"""However a story is told, by whichever path and on whichever shape, it ends the same."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random
from uuid import UUID

import pytest

from contracts.scoring import Stage
from tests.system.conftest import Start
from tests.system.product import Product
from tests.system.story import LAST, Correct, Story, Tell, made_up
from tests.system.telling import Teller

STORY = made_up(1, 60)
STORIES = int(os.environ.get("SHUKE_TEST_STORIES", "2"))
"""How many stories more are told; they take a few seconds each."""

Likely = tuple[str, str, int, tuple[str, ...]]
"""Two parties that may be one, how likely, and why."""


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


def are_known(product: Product, story: Story) -> bool:
    """Whether everybody who was registered is known today, whatever was taken back, and nobody else who did nothing."""
    today = datetime.now(UTC).date()
    wanted, lines = story.stages(today), product.settle().export(today)
    assert {party: lines[party]["stage"] for party in story.parties() & lines.keys()} == wanted
    return Stage.STRANGER in wanted.values() and bool(story.parties() - wanted.keys())


def are_who_they_are(product: Product, story: Story) -> bool:
    """Whether customers made those one whom the oracle does, all services know it, and everybody has their owner."""
    wanted, parties = story.whose(), story.parties()
    product.settle()

    def told(database: str, statement: str) -> set[tuple[UUID, object]]:
        return {tuple(row) for row in product.sql(database, statement) if row[0] in parties}

    assert told("customers", _AUTOMATIC) == wanted.automatic
    assert told("customers", "SELECT identity_id, claims FROM shared_identity") == {*wanted.shared.items()}
    led = {(party, survivor) for party, survivor in wanted.survivors.items() if party != survivor}
    assert told("customers", "SELECT id, resolves_to FROM party WHERE id <> resolves_to") == led
    for service in ("leads", "community"):
        assert told(service, _KNOWN) == led
    assert told("scoring", _OWNED) == {*wanted.owners.items()}
    return bool(wanted.automatic and wanted.owners)


_AUTOMATIC = "SELECT party_id, other_id FROM merge WHERE kind = 'automatic' AND unmerged_at IS NULL"
_OWNED = "SELECT party_id, owner_id FROM party WHERE owner_id IS NOT NULL AND resolves_to = party_id"
_KNOWN = "SELECT party_id, resolves_to FROM known_resolution WHERE party_id <> resolves_to"


def queue(product: Product, story: Story) -> set[Likely]:
    """Those of a story who may be one."""
    ids, found = {f"party_{party.hex}" for party in story.parties()}, []
    page = product.get("/v1/duplicates", limit=1_000)
    found += page["data"]
    while page["has_more"]:
        page = product.get("/v1/duplicates", limit=1_000, cursor=page["next_cursor"])
        found += page["data"]
    return {
        (each["party_id"], each["other_id"], each["score"], tuple(each["kinds"]))
        for each in found
        if each["party_id"] in ids
    }


def ends_right(product: Product, story: Story) -> bool:
    """Whether a product that was told nothing else gives the digest that the oracle gives, and verifies."""
    assert are_who_they_are(product, story)
    assert are_known(product, story)
    return stand_right(product, story) and product.digest(LAST) == story.digest() and product.agrees()


@pytest.fixture(scope="module")
def embedded(start: Start) -> Iterator[Product]:
    with start("up") as product:
        teller = Teller(product)
        teller.rates()
        teller.in_bulk(STORY)
        yield product.settle()


@pytest.fixture(scope="module")
def likely(embedded: Product) -> set[Likely]:
    """Who may be one after the story; to be the same wherever and however it is told."""
    return queue(embedded, STORY)


def test_a_story_told_in_bulk_ends_as_the_oracle_says(embedded: Product, likely: set[Likely]) -> None:
    assert ends_right(embedded, STORY)
    assert STORY.whose().shared
    assert {kind for *_, kinds in likely for kind in kinds} == {"seen_together", "email_spelling"}


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
    assert are_who_they_are(embedded, story)
    assert are_known(embedded, story)


def test_a_story_told_by_files_and_then_all_of_it_again_one_by_one_shuffled_ends_the_same(
    start: Start, likely: set[Likely]
) -> None:
    chance = Random(2)
    shuffled = STORY.shuffled(chance).steps
    twice = set(chance.sample([step.name for step in shuffled if isinstance(step, Tell)], len(shuffled) // 10))
    with start("up") as product:
        teller = Teller(product)
        for started, rows in teller.by_files(STORY).values():
            assert product.finished(started)["accepted"] == rows
        teller.one_by_one((step for step in shuffled for _ in range(1 + (step.name in twice))), at_once=8)
        teller.rates()

        assert ends_right(product, STORY)
        assert queue(product, STORY) == likely


@pytest.mark.parametrize("workers", [1, 3])
def test_a_story_ends_the_same_on_kafka_with_any_number_of_workers(
    start: Start, likely: set[Likely], workers: int
) -> None:
    with start("cluster", "--workers", str(workers)) as product:
        teller = Teller(product)
        teller.rates()
        if workers > 1:
            for started, rows in teller.by_files(STORY).values():
                assert product.finished(started)["accepted"] == rows
        teller.one_by_one(STORY.shuffled(Random(workers)).steps, at_once=8)

        assert ends_right(product, STORY)
        assert queue(product, STORY) == likely
