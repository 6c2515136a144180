"""Records as they stood on the bus once. They are added to and never changed: whoever keeps a log has them."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from sqlalchemy.ext.asyncio import AsyncSession
from structlog.contextvars import bound_contextvars

from chassis import outbox
from chassis.envelope import finish, open_data, open_envelope
from contracts.event import Event
from contracts.wire import published, snapshot
from deploy.cli.contracts import GOLDEN, SCHEMAS, examples
from deploy.cli.quality import ROOT

FILES = sorted((ROOT / GOLDEN).iterdir())
EXAMPLES = examples(ROOT)


def parsed(file: Path) -> Event:
    event = open_data(open_envelope(file.read_bytes()))
    assert event is not None
    return event


def holds(now: Any, then: Any) -> bool:
    """Whether everything of a former value is still in the present one; fields added since may stand beside it."""
    match now, then:
        case dict(), dict():
            return all(name in now and holds(now[name], value) for name, value in then.items())
        case list(), list():
            return len(now) == len(then) and all(map(holds, now, then))
    return bool(now == then)


def places(value: Any, place: str = "#") -> Iterator[str]:
    match value:
        case dict():
            for name, inner in value.items():
                yield f"{place}/{name}"
                yield from places(inner, f"{place}/{name}")
        case list():
            for inner in value:
                yield from places(inner, f"{place}/*")


def fields(schema: Any, names: dict[str, Any], place: str = "#") -> Iterator[str]:
    match schema:
        case {"$ref": str(ref)}:
            yield from fields(names[ref.rpartition("/")[2]], names, place)
        case {"anyOf": list(choices)}:
            for choice in choices:
                yield from fields(choice, names, place)
        case {"items": items}:
            yield from fields(items, names, f"{place}/*")
        case {"properties": dict(properties)}:
            for name, inner in properties.items():
                yield f"{place}/{name}"
                yield from fields(inner, names, f"{place}/{name}")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_record_of_former_times_is_read_and_nothing_of_it_is_lost(file: Path) -> None:
    event = parsed(file)

    again = event.encode()

    assert event.wire_type == file.stem.rpartition(".")[0]
    assert holds(json.loads(again), json.loads(file.read_text())["data"])
    assert type(event).decode(event.subject, again) == event


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_event_is_made_and_written_as_pydantic_makes_and_writes_it(file: Path) -> None:
    event = parsed(file)

    assert json.loads(event.encode()) == json.loads(event.model_dump_json(exclude_none=True))
    assert type(event).of(dict(event)) == event


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_record_of_former_times_matches_the_committed_schema(file: Path) -> None:
    record = json.loads(file.read_text())
    schema = json.loads((ROOT / SCHEMAS / f"{record['type']}.json").read_text())

    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema, format_checker=FormatChecker()).validate(record)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_what_goes_out_today_matches_the_committed_schema(file: Path) -> None:
    event = parsed(file)
    session = AsyncSession()
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

    with bound_contextvars(request_id="019811f0c2d47aa1b0c9d8e7f6a5b4c3", traceparent=trace):
        [event_id] = outbox.append(session, event, caused_by=event.subject)
    [row] = session.info["outbox"]
    record = json.loads(finish(row.payload, datetime(2026, 3, 2, tzinfo=UTC), 1, 42))

    schema = json.loads((ROOT / SCHEMAS / f"{event.wire_type}.json").read_text())
    Draft202012Validator(schema, format_checker=FormatChecker()).validate(record)
    assert record.keys() == schema["properties"].keys()
    assert record["id"] == str(event_id)


@pytest.mark.parametrize("event", published(), ids=lambda event: event.wire_type)
def test_the_records_of_an_event_show_each_of_its_fields(event: type[Event]) -> None:
    names = snapshot(event)["$defs"]
    told = {place for record in EXAMPLES[event.wire_type].values() for place in places(record["data"])}

    assert {*fields(names[event.__name__], names)} - told == set()


def test_a_schema_refuses_what_a_service_would_never_write() -> None:
    record = EXAMPLES["customers.purchase_completed.v1"]["bought"]
    schema = json.loads((ROOT / SCHEMAS / "customers.purchase_completed.v1.json").read_text())
    valid = Draft202012Validator(schema, format_checker=FormatChecker()).is_valid

    assert valid(record)
    assert not valid(record | {"subject": "ada@example.org"})
    assert not valid(record | {"type": "customers.purchase_returned.v1"})
    assert not valid(record | {"data": record["data"] | {"amount_minor": -1}})
    assert not valid({name: value for name, value in record.items() if name != "sequence"})
