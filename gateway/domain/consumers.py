"""Which consumers are meant by a word about a service."""

from collections.abc import Iterable, Mapping
from typing import Any

from contracts.problems import NotFound


class ConsumerNotFound(NotFound):
    """No such service reads, or it reads no such topic."""

    def __init__(self, consumers: Iterable[Mapping[str, Any]]) -> None:
        known = sorted({(each["service"], each["topic"]) for each in consumers})
        super().__init__(
            "No service of this name reads that.", reads=[{"service": name, "topic": topic} for name, topic in known]
        )


def concerned(consumers: Iterable[Mapping[str, Any]], service: str, topic: str | None) -> list[str]:
    """The consumers of a service that read a topic, or any. Raises `ConsumerNotFound`."""
    known = list(consumers)
    found = {each["consumer"] for each in known if each["service"] == service and topic in (None, each["topic"])}
    if not found:
        raise ConsumerNotFound(known)
    return sorted(found)
