import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from chassis.consumer import Delivery
from chassis.envelope import open_data, open_envelope
from contracts.customers import Direction, InteractionKind, InteractionRecorded
from contracts.event import Event
from contracts.scoring import Cause, MoveKind, Stage, Tier
from contracts.topics import TOPICS
from contracts.wire import envelope, published
from deploy.cli.contracts import examples
from services.scoring.domain.facts import Fact, Kind
from services.scoring.domain.meaning import meaning
from services.scoring.domain.plain import plain_standing
from services.scoring.domain.presets import DAYS_1
from services.scoring.handlers.told import Told
from tests.docs.pages import ROOT, code, page, rows, section

PAGE = page("events.md")
POINT = re.compile(r"^- \*\*(?P<name>[\w ]+)\*\*: (?P<text>.+(?:\n  .+)*)$", re.MULTILINE)
RECORD = re.compile(r"^```json\n(.+?)^```$", re.MULTILINE | re.DOTALL)
KINDS = {kind.code for kind in Kind}


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


def told(event: type[Event], of: str) -> str:
    """What a point says of an event."""
    return " ".join(dict(POINT.findall(section(PAGE, f"`{event.wire_type}`")))[of].split())


def named(text: str) -> set[str]:
    """What stands between back-quotes."""
    return set(re.findall(r"`([^`]+)`", text))


def records(event: type[Event]) -> Iterator[Event]:
    """The golden records; of interactions one of each kind and direction."""
    golden = [
        open_data(open_envelope(json.dumps(record).encode())) for record in examples(ROOT)[event.wire_type].values()
    ]
    for one in golden:
        assert one is not None
        yield one
        if isinstance(one, InteractionRecorded):
            for kind in InteractionKind:
                for direction in Direction:
                    yield one.model_copy(update={"kind": kind, "direction": direction})


def facts(event: type[Event]) -> Iterator[Fact]:
    """What scoring keeps of the records of an event."""
    for one in records(event):
        said = meaning(one)
        if said is not None:
            at = one.occurred_at
            yield Fact(one.subject, one.subject, said.kind, at, at, said.amount_minor, said.detail)


def stage_of(fact: Fact) -> Stage | None:
    """Where somebody stands of whom nothing else is known."""
    zone = ZoneInfo("UTC")
    return plain_standing([fact], fact.occurred_at, DAYS_1, DAYS_1.cuts, currency="EUR", rates=(), zone=zone).stage


@pytest.mark.parametrize("event", published(), ids=lambda event: event.wire_type)
def test_the_facts_that_scoring_makes_of_an_event_are_those_that_it_makes(event: type[Event]) -> None:
    text, made = told(event, "Scoring"), list(facts(event))

    assert named(text) & KINDS == {fact.kind.code for fact in made}
    assert named(text) & set(Stage) == {stage for fact in made if (stage := stage_of(fact))}
    assert text.startswith("no fact. ") is not bool(made)


@pytest.mark.parametrize("event", published(), ids=lambda event: event.wire_type)
def test_an_event_is_called_a_sign_of_interest_where_policy_counts_it_as_one(event: type[Event]) -> None:
    shows = any(fact.kind.code in DAYS_1.persons.prospects.signs for fact in facts(event))

    assert ("sign of interest" in told(event, "Scoring")) is shows


@pytest.mark.parametrize("event", published(), ids=lambda event: event.wire_type)
def test_an_event_that_scoring_passes_over_is_said_not_to_be_read(event: type[Event]) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    batch = [Delivery(one, one.subject, event.topic.name, 0, 1, seq, at) for seq, one in enumerate(records(event))]

    assert ("not read it" in told(event, "Scoring")) is (Told.of(batch) == Told())


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
