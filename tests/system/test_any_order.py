"""However a story is told, by whichever path and on whichever shape, it ends the same."""

import os
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from random import Random
from typing import Any
from uuid import UUID

import msgspec
import pytest

from contracts.scoring import Stage
from services.scoring.domain.standing import Standing
from services.scoring.domain.verdict import COMPUTED_ON_READ
from tests.system.conftest import Start
from tests.system.product import Product
from tests.system.story import LAST, POLICY, RATES, Correct, Story, Tell, made_up
from tests.system.telling import Teller

STORY = made_up(1, 40)
STORIES = int(os.environ.get("SHUKE_TEST_STORIES", "1"))
"""How many stories more are told; they take a few seconds each."""

Likely = tuple[str, str, int, tuple[str, ...]]
"""Two parties that may be one, how likely, and why."""


ONE_BY_ONE = 12
"""So many are read each by itself, with what no list tells."""


def stand_right(product: Product, story: Story, as_of: date = LAST, *, alone: bool = False) -> bool:
    """Whether everybody in a story stands as the oracle says, in every field. Whoever does not is told by the test.

    Of a product to which no other story was told the digest is compared, too.
    """
    policy, model = product.settle().decides()
    told, wanted = product.standings(as_of), story.standings(as_of, policy, model)
    assert story.parties() & told.keys() == wanted.keys()
    for party, standing in wanted.items():
        assert other(told[party], in_list(shown(standing, as_of))) == {}, party
    by_hand = [party for party, standing in wanted.items() if standing.derived]
    for party in [*by_hand, *wanted][:ONE_BY_ONE]:
        read = product.get(f"/v1/standings/party_{party.hex}", as_of=as_of.isoformat())
        assert other(read, shown(wanted[party], as_of)) == {}, party
    if alone:
        assert product.digest(as_of) == story.digest(wanted, as_of, policy, model)
    return bool(wanted)


def other(told: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What is told otherwise than it should be."""
    return {name: (told[name], value) for name, value in wanted.items() if told[name] != value}


def shown(standing: Standing, as_of: date) -> dict[str, Any]:
    """As an answer has to show it."""
    fields: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(standing))
    for name in ("purchase_days", "first_day", "last_day"):
        del fields[name]
    first, last = standing.first_day, standing.last_day
    if first is None or last is None:
        return fields | dict.fromkeys(("x", "tx_days", "T_days"))
    return fields | {"x": standing.purchase_days - 1, "tx_days": (last - first).days, "T_days": (as_of - first).days}


def in_list(standing: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in standing.items() if name not in ELSEWHERE}


ELSEWHERE = {
    *COMPUTED_ON_READ,
    *("party_id", "currency", "assessed_at", "revision", "policy", "model"),
}
"""What is told of one party alone, and what is no matter of its own."""


def are_known(product: Product, story: Story) -> bool:
    """Whether everybody who was registered is known today, whatever was taken back, and nobody else who did nothing."""
    policy, model = product.settle().decides()
    today = datetime.now(UTC).date()
    wanted = story.standings(today, policy, model)
    assert story.parties() & product.standings(today).keys() == wanted.keys()
    strangers = [standing for standing in wanted.values() if standing.stage is Stage.STRANGER]
    return bool(strangers) and bool(story.parties() - wanted.keys())


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
    return bool(wanted.survivors and wanted.owners)


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
    """Whether a product that was told nothing else is as the oracle says, also its digests, and verifies.

    Its model is of all that had bought by the last day; and every change was told once.
    """
    assert are_who_they_are(product, story)
    assert are_known(product, story)
    policy, model = product.decides()
    bought = [standing.purchase_days for standing in story.standings(LAST, policy, model).values()]
    assert policy == POLICY
    assert model
    assert (model.parties, model.repeaters) == (sum(days > 0 for days in bought), sum(days > 1 for days in bought))
    assert stand_right(product, story, alone=True)
    assert stand_right(product, story, datetime.now(UTC).date(), alone=True)
    return product.reassessed().agrees() and told_once(product)


def told_once(product: Product) -> bool:
    """Whether the changes of each party follow on each other without a gap, and none is none."""
    told: dict[UUID, Any] = {}
    for row in product.sql("scoring", "SELECT * FROM lived_move ORDER BY party_id, revision"):
        before = told.get(row["party_id"])
        if before:
            assert (row["from_stage"], row["from_tier"]) == (before["to_stage"], before["to_tier"]), (before, row)
        same = (row["from_stage"], row["from_tier"]) == (row["to_stage"], row["to_tier"])
        assert not same or row["cause"] == "assignment" or row["kind"] == "regraded", row
        told[row["party_id"]] = row
    return bool(told)


@pytest.fixture(scope="module")
def embedded(start: Start) -> Iterator[Product]:
    with start("up") as product:
        teller = Teller(product)
        teller.begin(STORY)
        teller.in_bulk(STORY)
        teller.others_decide()
        teller.end()
        yield product.settle()


@pytest.fixture(scope="module")
def likely(embedded: Product) -> set[Likely]:
    """Who may be one after the story; to be the same wherever and however it is told."""
    return queue(embedded, STORY)


def test_a_story_told_in_bulk_ends_as_the_oracle_says(embedded: Product, likely: set[Likely]) -> None:
    assert ends_right(embedded, STORY)
    assert STORY.whose().shared
    assert STORY.whose().automatic
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

    teller = Teller(embedded)
    teller.organisations(story)
    teller.one_by_one(story.shuffled(Random(seed)).steps, at_once=8)

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
        teller.organisations(STORY)
        for started, rows in teller.by_files(STORY).values():
            assert product.finished(started)["accepted"] == rows
        teller.while_others_decide([step for step in shuffled for _ in range(1 + (step.name in twice))], at_once=8)
        teller.rates(RATES)
        teller.end()

        assert ends_right(product, STORY)
        assert queue(product, STORY) == likely


def test_a_story_ends_the_same_on_kafka_with_three_workers(start: Start, likely: set[Likely]) -> None:
    with start("cluster", "--workers", "3") as product:
        teller = Teller(product)
        teller.begin(STORY)
        for started, rows in teller.by_files(STORY).values():
            assert product.finished(started)["accepted"] == rows
        teller.while_others_decide(STORY.shuffled(Random(3)).steps, at_once=8)
        teller.end()

        assert ends_right(product, STORY)
        assert queue(product, STORY) == likely
