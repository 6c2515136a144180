"""What a policy says, what differs between two, and where one is in its life."""

import contextlib
import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from contracts.loss import LossReason
from contracts.scoring import Band, Stage, Tier
from services.scoring.domain.differences import differences
from services.scoring.domain.drafts import drafted, laid_over
from services.scoring.domain.indexes import Evidence, Index
from services.scoring.domain.lives import MOVES, WAYS_OUT, Act, BadPolicy, IllegalPolicyMove, Life, State
from services.scoring.domain.policy import Desire, Policy
from services.scoring.domain.presets import DAYS_1, DEFAULT_1, PRESETS
from services.scoring.domain.rules import DEPTH, LEAVES
from services.scoring.domain.stages import ByDays, ByProbability, Stages
from services.scoring.domain.tiers import TierShares

REST = {"tier": [], "satisfaction": [], "loyalty": [], "treatment": "rest"}


def sentences(now: Policy, before: Policy) -> list[str]:
    return [difference.sentence for difference in differences(now, before)]


def test_a_policy_is_tried_then_approved_then_active_then_retired_by_the_next() -> None:
    state = State.DRAFT
    for act in (Act.TRY, Act.APPROVE, Act.ACTIVATE, Act.REPLACE):
        state = Life(state, approved=act is Act.ACTIVATE).after(act)

    assert state is State.RETIRED


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("act", [act for act in Act if act is not Act.REPLACE])
def test_whatever_may_not_be_done_is_refused_with_a_way_out(state: State, act: Act) -> None:
    life = Life(state, approved=state in (State.APPROVED, State.ACTIVE))
    if act in MOVES[state] and (act, state) != (Act.ACTIVATE, State.RETIRED):
        assert life.after(act) is MOVES[state][act]
        return
    with pytest.raises(IllegalPolicyMove) as refused:
        life.after(act)
    assert refused.value.detail == WAYS_OUT[state, act]
    assert act not in refused.value.extensions["allowed"]


def test_what_was_active_once_may_be_again_and_is_no_draft_again() -> None:
    assert Life(State.RETIRED, approved=True).after(Act.ACTIVATE) is State.ACTIVE
    assert Life(State.RETIRED, approved=True).after(Act.DRAFT) is State.RETIRED


def test_a_part_is_laid_over_its_base_member_by_member() -> None:
    part = {"name": "mine", "persons": {"customers": {"lost_below": 0.1}}, "satisfaction": {"weights": {"praise": 0.9}}}

    policy = drafted(DEFAULT_1, part)

    assert policy.name == "mine"
    assert policy.persons.customers == ByProbability(lost_below=0.1)
    assert policy.satisfaction.weights == dict(DEFAULT_1.satisfaction.weights) | {Evidence.PRAISE: 0.9}
    assert policy.loyalty == DEFAULT_1.loyalty


def test_what_is_stored_says_every_number_and_is_no_default_of_a_later_version() -> None:
    stored = DEFAULT_1.model_dump(mode="json")
    stored["satisfaction"]["min_evidence"] = stored["loyalty"]["min_evidence"] = 1.0
    kept = Policy.model_validate(stored)

    assert stored["satisfaction"].keys() == Index.model_fields.keys()
    assert (kept.satisfaction.min_evidence, DEFAULT_1.satisfaction.min_evidence) == (1.0, 0.5)
    assert kept.model_dump(mode="json") == stored
    assert kept.content_hash != DEFAULT_1.content_hash


def test_another_way_to_decide_takes_the_place_of_the_one_below() -> None:
    policy = drafted(DEFAULT_1, {"persons": {"customers": {"by": "days", "lost_after_days": 180}}})

    assert policy.persons.customers == ByDays(lost_after_days=180)


def test_a_member_that_is_null_is_taken_out() -> None:
    policy = drafted(DEFAULT_1, {"vip": None, "horizon_days": None, "loyalty": {"weights": {"referral": None}}})

    assert (policy.vip, policy.horizon_days) == (None, 180)
    assert "referral" not in policy.loyalty.weights


def test_a_part_that_says_nothing_gives_the_same_version() -> None:
    for policy in PRESETS.values():
        assert drafted(policy, {}).content_hash == policy.content_hash
        assert drafted(DAYS_1, policy.model_dump(mode="json")).content_hash == policy.content_hash or policy.vip is None


@pytest.mark.parametrize(
    ("part", "pointer"),
    [
        ({"horizon_days": "long"}, "#/document/horizon_days"),
        ({"horizon": 90}, "#/document/horizon"),
        ({"persons": {"customers": {"by": "days", "lost_after_days": -1}}}, "#/document/persons/customers/"),
        ({"persons": {"customers": {"by": "moon"}}}, "#/document/persons/customers"),
        ({"treatments": []}, "#/document/treatments"),
    ],
)
def test_what_is_wrong_with_a_part_is_pointed_at(part: dict[str, Any], pointer: str) -> None:
    with pytest.raises(BadPolicy) as refused:
        drafted(DEFAULT_1, part)

    (error,) = refused.value.extensions["errors"]
    assert error["pointer"].startswith(pointer)
    assert "moon" not in str(error)


def test_a_document_that_nests_without_end_is_refused_at_once() -> None:
    rule: dict[str, Any] = {"field": "tier", "op": "eq", "value": "top"}
    for _ in range(50_000):
        rule = {"not": rule}

    with pytest.raises(BadPolicy, match="nests deeper"):
        drafted(DEFAULT_1, {"vip": rule})


@pytest.mark.parametrize(("deep", "fits"), [(DEPTH, True), (DEPTH + 1, False)])
def test_a_rule_may_be_so_deep_and_no_deeper(deep: int, fits: bool) -> None:
    rule: dict[str, Any] = {"field": "tier", "op": "eq", "value": "top"}
    for _ in range(deep - 1):
        rule = {"not": rule}

    with contextlib.nullcontext() if fits else pytest.raises(BadPolicy):
        assert drafted(DEFAULT_1, {"vip": rule}).vip is not None


@pytest.mark.parametrize(("wide", "fits"), [(LEAVES, True), (LEAVES + 1, False)])
def test_a_rule_may_compare_so_often_and_no_oftener(wide: int, fits: bool) -> None:
    leaf = {"field": "tier", "op": "eq", "value": "top"}

    with contextlib.nullcontext() if fits else pytest.raises(BadPolicy):
        assert drafted(DEFAULT_1, {"vip": {"any": [leaf] * wide}}).vip is not None


@pytest.mark.parametrize("leaf", [{"field": "tier", "op": "eq", "value": "top"}, {}])
def test_a_document_that_says_more_than_any_policy_is_refused_at_once(leaf: dict[str, Any]) -> None:
    with pytest.raises(BadPolicy, match="says more") as refused:
        drafted(DEFAULT_1, {"vip": {"all": [{"any": [leaf] * 100}] * 100}})

    assert refused.value.extensions == {"most": 5_000}


def test_only_the_first_hundred_errors_are_told() -> None:
    with pytest.raises(BadPolicy) as refused:
        drafted(DEFAULT_1, {"profit": {"cost_minor": {f"kind-{number}": "much" for number in range(1_000)}}})

    assert len(refused.value.extensions["errors"]) == 100


def test_the_longest_table_of_treatments_beside_the_longest_rule_is_a_policy() -> None:
    row = {"tier": list(Tier), "satisfaction": list(Band), "loyalty": list(Band), "treatment": "care"}
    leaf = {"field": "stage", "op": "in", "value": list(Stage)}

    drafted(DEFAULT_1, {"treatments": [row] * 99 + [{"treatment": "serve"}], "vip": {"all": [leaf] * 50}})


@pytest.mark.parametrize(
    ("rule", "pointers"),
    [
        ({"all": [{"not": {"field": "tier", "op": "eq", "value": "moon"}}]}, {"/all/0/not", "/all"}),
        ({"all": [{"field": "value_minor", "op": "gte"}]}, {"/all/0/value", "/all"}),
        ({"field": "value_minor", "op": "gte", "value": 2**53 + 1}, {"/value"}),
        ({"any": [{"all": []}]}, {"/any/0/all", "/any"}),
        ({"field": "tier", "op": "eq", "value": "top", "why": "so"}, {"/why"}),
        (["all"], {""}),
    ],
)
def test_what_is_wrong_in_a_rule_is_pointed_at_as_it_was_sent(rule: Any, pointers: set[str]) -> None:
    with pytest.raises(BadPolicy) as refused:
        drafted(DEFAULT_1, {"vip": rule})

    assert {error["pointer"] for error in refused.value.extensions["errors"]} == {
        f"#/document/vip{pointer}" for pointer in pointers
    }


def test_no_difference_is_told_between_equals() -> None:
    assert all(differences(policy, policy) == [] for policy in PRESETS.values())


def test_the_days_of_a_loss_are_told_as_a_sentence() -> None:
    strict = drafted(DAYS_1, {"persons": {"customers": {"lost_after_days": 180}}})

    assert sentences(strict, DAYS_1) == [
        "Whoever bought is lost when more than 180 days have passed since the last purchase day, instead of 365."
    ]


def test_another_way_to_decide_is_told_as_a_whole() -> None:
    first, *rest = sentences(DAYS_1, DEFAULT_1)

    assert first == "It is called days-1, instead of default-1."
    assert rest == [
        "Whoever bought stands by the days since the last purchase day (dormant after 90, lost after 365), instead of"
        " by the probability of buying again (a customer in any case for 30 days, dormant below 0.5, lost below 0.2,"
        " and without a model by the days since the last purchase day (dormant after 90, lost after 365))."
    ]


def test_stages_of_organisations_are_told_beside_those_of_persons() -> None:
    own = DAYS_1.model_copy(update={"organisations": Stages(customers=ByDays(lost_after_days=730))})

    assert sentences(own, DAYS_1) == [
        "Organisations have stages of their own, instead of those of persons.",
        "An organisation that bought is lost when more than 730 days have passed since the last purchase day,"
        " instead of 365.",
    ]
    assert sentences(DAYS_1, own)[0] == "Organisations stand as persons do, instead of by stages of their own."


def test_rows_of_treatments_are_told_by_their_place() -> None:
    rows = [row.model_dump(mode="json") for row in DEFAULT_1.treatments]
    other = drafted(DEFAULT_1, {"treatments": [rows[0], {"loyalty": ["high"], "treatment": "thank"}, *rows[2:]]})

    assert sentences(other, DEFAULT_1) == [
        "Row 2 of the treatments is: loyalty high → thank, instead of: tier top → care."
    ]


def one_of(field: str, values: list[str]) -> dict[str, Any]:
    return {"field": field, "op": "in", "value": values}


SPELLINGS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"follow_up_reasons": ["price", "unknown"]}, {"follow_up_reasons": ["unknown", "price", "unknown"]}),
    *(
        ({"treatments": [REST | {part: one}, REST]}, {"treatments": [REST | {part: other}, REST]})
        for part, one, other in (
            ("tier", ["top", "mid"], ["mid", "top", "top"]),
            ("satisfaction", ["low", "unknown"], ["unknown", "low", "low"]),
            ("loyalty", ["middle", "high"], ["high", "middle", "high"]),
        )
    ),
    ({"vip": one_of("tier", ["high", "top"])}, {"vip": one_of("tier", ["top", "high", "top"])}),
    (
        {"vip": {"not": {"any": [one_of("posture", ["steady", "developing"])]}}},
        {"vip": {"not": {"any": [one_of("posture", ["developing", "steady", "steady"])]}}},
    ),
    ({"persons": {"prospects": {"signs": ["visited", "inquired"]}}},
     {"persons": {"prospects": {"signs": ["inquired", "visited", "inquired"]}}}),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), SPELLINGS)
def test_what_differs_in_order_or_doubling_alone_is_one_version(one: dict[str, Any], other: dict[str, Any]) -> None:
    first, second = drafted(DEFAULT_1, one), drafted(DEFAULT_1, other)

    assert (first, first.content_hash) == (second, second.content_hash)
    assert first.content_hash != DEFAULT_1.content_hash


def test_the_order_of_what_is_taken_by_its_place_is_another_version() -> None:
    rows = [{"tier": ["top"], "treatment": "a"}, {"tier": ["top"], "treatment": "b"}]

    first, second = (drafted(DEFAULT_1, {"treatments": [*order, REST]}) for order in (rows, rows[::-1]))

    assert first.content_hash != second.content_hash


@pytest.mark.parametrize(("one", "other"), SPELLINGS[:-1])
def test_what_was_stored_in_another_order_keeps_it_and_its_hash(one: dict[str, Any], other: dict[str, Any]) -> None:
    written = laid_over(DEFAULT_1.model_dump(mode="json"), other)
    document = json.dumps(written, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    stored = Policy.stored(document)

    assert stored.model_dump(mode="json") == written
    assert stored.content_hash == hashlib.sha256(document.encode()).hexdigest()
    assert stored.content_hash != drafted(stored, {}).content_hash == drafted(DEFAULT_1, one).content_hash


def test_an_order_that_decides_nothing_is_told_too() -> None:
    one, other = (
        DEFAULT_1.model_copy(update={"follow_up_reasons": reasons})
        for reasons in ((LossReason.PRICE, LossReason.UNKNOWN), (LossReason.UNKNOWN, LossReason.PRICE))
    )

    assert sentences(one, other) == ["`follow_up_reasons` is written in another way, which decides the same."]


OTHERWISE: dict[str, Any] = {
    "name": "another",
    "signs": ["inquired"],
    "levels": [{"name": "some", "from_minor": 5}],
    "vip": {"not": {"field": "stage", "op": "in", "value": ["stranger", "prospect"]}},
    "treatments": [{"treatment": "ignore"}],
    "follow_up_reasons": ["price", "competitor"],
    "weights": {"praise": 3.25},
    "cost_minor": {"contacted": 250},
    "points": {"visited": 2},
}
"""Another value for the fields that are no number which can be raised."""

WHOLE = DEFAULT_1.model_copy(
    update={
        "organisations": DAYS_1.persons,
        "tier_shares": TierShares(top=1, high=9, mid=40),
        "desire": Desire(half_points=3.0),
        "fewest_repeaters": 50,
        "profit": DEFAULT_1.profit.model_copy(update={"cost_minor": {"visited": 3}}),
    }
)
"""A policy in which every field of the document has a value, both ways to decide among them."""


def leaves(document: dict[str, Any], way: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, value in document.items():
        if isinstance(value, dict) and name not in OTHERWISE:
            yield from leaves(value, (*way, name))
        elif name != "by":
            yield (*way, name)


def otherwise(document: dict[str, Any], way: tuple[str, ...]) -> dict[str, Any]:
    name, *rest = way
    value = document[name]
    if rest:
        return {name: otherwise(value, tuple(rest))}
    if name in OTHERWISE:
        return {name: OTHERWISE[name]}
    return {name: value + 1 if isinstance(value, int) else value + (0.05 if value < 1 else 1)}


DOCUMENT = WHOLE.model_dump(mode="json")


@pytest.mark.parametrize("way", list(leaves(DOCUMENT)), ids="/".join)
def test_every_field_of_the_document_that_differs_is_told_in_a_sentence(way: tuple[str, ...]) -> None:
    other = drafted(WHOLE, otherwise(DOCUMENT, way))

    found = differences(other, WHOLE)

    assert other.content_hash != WHOLE.content_hash
    assert found
    assert all(difference.field.startswith(f"/{way[0]}") for difference in found)
    assert not any("another way" in difference.sentence for difference in found)
    assert all(difference.sentence[0].isupper() or difference.sentence[0] == "`" for difference in found)
    assert all(difference.sentence.endswith(".") for difference in found)
    assert differences(WHOLE, other)


def test_the_walk_comes_by_every_field_of_every_part() -> None:
    def fields(model: type[BaseModel]) -> set[str]:
        return set(model.model_fields)

    parts = [WHOLE, WHOLE.persons, WHOLE.persons.customers, DAYS_1.persons.customers, WHOLE.persons.prospects]
    parts += [WHOLE.satisfaction, WHOLE.posture, WHOLE.profit, WHOLE.cuts, WHOLE.tier_shares, WHOLE.desire]
    walked = {name for way in leaves(DOCUMENT) for name in way}

    assert set().union(*(fields(type(part)) for part in parts)) - {"by"} <= walked


def test_a_part_of_what_the_document_leaves_out_is_laid_over_its_default() -> None:
    drawn = drafted(DEFAULT_1, {"desire": {"points": {"visited": 5}}})

    assert drawn.desire.points == {**DEFAULT_1.desire.points, "visited": 5}
    assert drafted(drawn, {"desire": None}).content_hash == DEFAULT_1.content_hash
