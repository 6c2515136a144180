from typing import Annotated, Any
from uuid import UUID

import pytest
from pydantic import Field

from contracts.event import Event, Shape, Slug
from contracts.privacy import open_places
from contracts.topics import Topic
from contracts.wire import published, snapshot

ELSEWHERE = Topic("test.person.events.v1")
"""Not a declared topic, so that the event below is never among the published ones."""


class Person(Shape):
    """Somebody."""

    id: UUID
    nickname: str


class PersonSeen(Event, type="test.person_seen.v1", topic=ELSEWHERE):
    """An event that should never be."""

    note: str
    mail: Annotated[str, Field(json_schema_extra={"format": "email"})]
    anything: Annotated[str, Field(pattern=r"^.+$")]
    unanchored: Annotated[str, Field(pattern=r"[a-z]+")]
    maybe: str | None = None
    by_name: dict[str, int]
    whatever: Any
    companions: tuple[Person, ...] = ()
    source: Slug
    day: Annotated[str, Field(json_schema_extra={"format": "date"})]


@pytest.mark.parametrize("event", published(), ids=lambda event: event.wire_type)
def test_no_event_can_carry_text_about_a_person(event: type[Event]) -> None:
    assert open_places(snapshot(event)) == []


def test_every_place_where_text_could_stand_is_found() -> None:
    assert open_places(snapshot(PersonSeen)) == [
        "#/data/note",
        "#/data/mail",
        "#/data/anything",
        "#/data/unanchored",
        "#/data/maybe",
        "#/data/by_name",
        "#/data/whatever",
        "#/data/companions/*/nickname",
    ]
