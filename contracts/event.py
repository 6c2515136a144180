"""Events are immutable facts with a name on the wire; the registry is the list of all of them."""

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, ClassVar, Self
from uuid import UUID

import msgspec
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from contracts.topics import Topic

Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
"""An ISO 4217 code."""

Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")]
"""A short machine name: lower case, digits, `_`, `.`, `-`. Never a person's name or text."""

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""A SHA-256 in hex."""


class Shape(BaseModel):
    """A value inside an event: immutable, nothing undeclared kept."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True, extra="ignore")


class Event(Shape):
    """A past-tense fact about `subject`. The wire name and the topic are given where it is declared."""

    wire_type: ClassVar[str]
    topic: ClassVar[Topic]

    subject: UUID = Field(exclude=True)
    """Whom it is about, and the key on the bus: an identity, or a party for events about a party."""
    occurred_at: AwareDatetime
    """Business time: when it happened, not when it was recorded."""

    def __init_subclass__(cls, *, type: str, topic: Topic, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.wire_type = type
        cls.topic = topic
        if type in _REGISTRY:
            raise ValueError(f"two events are called {type}")
        _REGISTRY[type] = cls

    @classmethod
    def of(cls, values: dict[str, Any]) -> Self:
        """The event of a value for each field, which come from our own arithmetic: nothing is checked.

        What pydantic does for each field of such a one (`model_construct`) takes five times as long.
        """
        assert len(values) == len(cls.__pydantic_fields__)
        event = cls.__new__(cls)
        for name, value in (("__dict__", values), ("__pydantic_fields_set__", set(values)), *_NOTHING_MORE):
            object.__setattr__(event, name, value)
        return event

    def encode(self) -> bytes:
        """The `data` of its envelope: a JSON object of what is said, without what is None."""
        said = self.__dict__.items()
        return _ENCODER.encode({name: value for name, value in said if value is not None and name != "subject"})

    @classmethod
    def decode(cls, subject: UUID, data: bytes) -> Self:
        """The event behind the `data` of an envelope, a JSON object. Raises `ValueError` where it does not match."""
        return cls.model_validate_json(b'%s,"subject":"%s"}' % (data.rstrip()[:-1], str(subject).encode()))


_REGISTRY: dict[str, type[Event]] = {}
_NOTHING_MORE = ("__pydantic_extra__", None), ("__pydantic_private__", None)


def _plain(value: object) -> object:
    if isinstance(value, BaseModel):
        return value.model_dump(exclude_none=True)
    if isinstance(value, UUID):
        # The driver has a class of its own for them.
        return str(value)
    raise TypeError(f"{type(value).__name__} does not go into an event")


_ENCODER = msgspec.json.Encoder(enc_hook=_plain)


def seconds_late(occurred_at: datetime, recorded_at: datetime) -> int:
    """How long after it happened something was recorded; 0 of what was dated ahead."""
    return max(0, int((recorded_at - occurred_at).total_seconds()))


def event_class(wire_type: str) -> type[Event] | None:
    """The class behind a wire name, or None for one that this version does not know."""
    return _REGISTRY.get(wire_type)


def event_classes() -> Iterator[type[Event]]:
    """Every declared event, by wire name."""
    return iter([_REGISTRY[name] for name in sorted(_REGISTRY)])
