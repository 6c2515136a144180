from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from contracts.compatibility import breaks
from contracts.customers import PurchaseCompleted
from contracts.wire import snapshot

Schema = dict[str, Any]
Change = Callable[[Schema, Schema], object]

BEFORE = snapshot(PurchaseCompleted)


def after(change: Change) -> Schema:
    """The schema after a change of the data's fields, or of those of a shape within."""
    schema = deepcopy(BEFORE)
    shapes = schema["$defs"]
    change(shapes["PurchaseCompleted"], shapes["Holding"])
    return schema


def test_an_optional_field_with_a_default_may_be_added_anywhere() -> None:
    def change(data: Schema, holding: Schema) -> None:
        data["properties"]["till"] = {"type": "integer", "default": 0}
        holding["properties"]["until"] = {
            "anyOf": [{"type": "string", "format": "date"}, {"type": "null"}],
            "default": None,
        }

    assert breaks(BEFORE, after(change)) == []


def test_words_may_be_found_better() -> None:
    def change(data: Schema, holding: Schema) -> None:
        data["description"] = holding["properties"]["party_id"]["description"] = "Said otherwise."

    assert breaks(BEFORE, after(change)) == []


def field(name: str, **rules: object) -> Change:
    """Give a field of the data other rules."""
    return lambda data, _: data["properties"][name].update(rules)


def new(name: str, *, required: bool) -> Change:
    """Add a field without a default."""

    def change(data: Schema, _: Schema) -> None:
        data["properties"][name] = {"type": "integer"}
        data["required"] += [name] * required

    return change


@pytest.mark.parametrize(
    ("told", "change"),
    [
        ("#/data/channel is gone", lambda data, _: data["properties"].pop("channel")),
        ("#/data/till is new and required", new("till", required=True)),
        ("#/data/till is new and has no default", new("till", required=False)),
        ("#/data/source: was required", lambda data, _: data["required"].remove("source")),
        ("#/data/line_count: was not required", lambda data, _: data["required"].append("line_count")),
        ("#/data/line_count: type was integer, is number", field("line_count", type="number")),
        ("#/data/line_count: default was 0, is 1", field("line_count", default=1)),
        ("#/data/amount_minor: minimum was 0, is -1", field("amount_minor", minimum=-1)),
        ("#/data/currency: pattern was ^[A-Z]{3}$, is ^[A-Z]+$", field("currency", pattern="^[A-Z]+$")),
        ("#/data/channel is gone", lambda data, _: data["properties"]["channel"]["anyOf"].pop()),
        (
            "#/data/assignment/holdings/*/party_id: format was uuid, is None",
            lambda _, holding: holding["properties"]["party_id"].pop("format"),
        ),
        ("#/data/assignment/holdings/*/from_day is gone", lambda _, holding: holding["properties"].pop("from_day")),
    ],
)
def test_anything_else_is_another_version(told: str, change: Change) -> None:
    assert breaks(BEFORE, after(change)) == [told]


def test_an_event_stays_on_its_topic_under_its_name() -> None:
    later = deepcopy(BEFORE) | {"x-topic": "customers.order.events.v1"}
    later["properties"]["type"]["const"] = "customers.order_placed.v1"

    assert breaks(BEFORE, later) == [
        "#: x-topic was customers.purchase.events.v1, is customers.order.events.v1",
        "#/type: const was customers.purchase_completed.v1, is customers.order_placed.v1",
    ]


def test_a_value_more_in_an_enumeration_is_another_version() -> None:
    before = {"type": "string", "enum": ["fact", "clock"]}

    assert breaks(before, before | {"enum": ["fact", "clock", "model"]}) != []
