import json
import re

import pytest

from contracts.event import Event
from contracts.scoring import Cause, MoveKind, Stage, Tier
from contracts.topics import TOPICS
from contracts.wire import envelope, published
from deploy.cli.contracts import examples
from tests.docs.pages import ROOT, code, page, rows, section

PAGE = page("events.md")
POINT = re.compile(r"^- \*\*(?P<name>[\w ]+)\*\*: (?P<text>.+)$", re.MULTILINE)
RECORD = re.compile(r"^```json\n(.+?)^```$", re.MULTILINE | re.DOTALL)


def test_every_event_has_its_heading_under_its_service() -> None:
    headings = re.findall(r"^(?:## Events of (\w+)|### `(\S+)`)$", PAGE, re.MULTILINE)

    assert sorted(name for _, name in headings if name) == [event.wire_type for event in published()]
    for service in {event.topic.service for event in published()}:
        under = re.findall(r"^### `(\S+)`$", section(PAGE, f"Events of {service}"), re.MULTILINE)
        assert sorted(under) == [event.wire_type for event in published() if event.topic.service == service]


@pytest.mark.parametrize("event", published(), ids=lambda event: event.wire_type)
def test_an_event_is_told_with_publisher_occasion_topic_key_and_use(event: type[Event]) -> None:
    told = dict(POINT.findall(section(PAGE, f"`{event.wire_type}`")))

    assert list(told) == ["Published by", "When", "Topic", "Key", "Scoring"]
    assert told["Published by"] == event.topic.service
    assert code(told["Topic"]) == event.topic.name
    assert told["Key"].split(",")[0] in {"identity", "party"}


@pytest.mark.parametrize("event", published(), ids=lambda event: event.wire_type)
def test_an_event_is_shown_by_golden_records(event: type[Event]) -> None:
    shown = [json.loads(text) for text in RECORD.findall(section(PAGE, f"`{event.wire_type}`"))]

    assert shown
    assert all(record in examples(ROOT)[event.wire_type].values() for record in shown)


def test_every_topic_is_listed_with_its_partitions_and_what_is_kept() -> None:
    assert [[code(row[0]), *row[1:]] for row in rows(section(PAGE, "Topics"))] == [
        [topic.name, str(topic.partitions), "compacted" if topic.compacted else "for a time", topic.holds]
        for topic in TOPICS
    ]


def test_every_attribute_of_a_record_is_listed() -> None:
    attributes = envelope(published()[0], {})["properties"]

    assert {code(row[0]) for row in rows(section(PAGE, "A record"))} == attributes.keys()


def test_every_stage_tier_kind_and_cause_is_explained() -> None:
    told = [code(row[0]) for row in rows(section(PAGE, "`scoring.standing_changed.v1`"))]

    assert told == [*Stage, *Tier, *MoveKind, *Cause]
