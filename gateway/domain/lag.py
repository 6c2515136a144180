"""How far each consumer is in each partition, and who reads what, from what the services say of themselves."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

Report = Mapping[str, Any]
Place = tuple[str, str, str]
"""Service, consumer and the service that publishes."""


def sources(consumers: Iterable[Report]) -> dict[Place, list[Report]]:
    """What is to be asked of each publishing service: the marks of one consumer."""
    marks: dict[Place, list[Report]] = defaultdict(list)
    for each in consumers:
        marks[each["service"], each["consumer"], each["topic"].partition(".")[0]].append(each)
    return dict(marks)


def lines(marks: Iterable[Report], unread: Iterable[Report] | None) -> list[dict[str, Any]]:
    """A line per partition; what is unread is None where the publishing service did not tell."""
    told = {(each["topic"], each["partition"]): each for each in unread or ()}
    return [
        {
            "service": mark["service"],
            "consumer": mark["consumer"],
            "topic": mark["topic"],
            "partition": mark["partition"],
            "events": found and found["events"],
            "oldest_s": found and found["oldest_s"],
            "epoch": mark["epoch"],
            "seq": mark["seq"],
            "next_offset": mark["next_offset"],
            "state": state(mark),
        }
        for mark in marks
        for found in [told.get((mark["topic"], mark["partition"]))]
    ]


def state(mark: Report) -> str:
    """`reading`, `stopped` at a gap or fault, or `paused` by an operator."""
    if mark.get("paused_at"):
        return "paused"
    return "stopped" if mark["stopped_reason"] else "reading"


def readers(consumers: Iterable[Report]) -> dict[str, list[str]]:
    """The consumers of each topic, as `service/consumer`."""
    found: dict[str, set[str]] = defaultdict(set)
    for each in consumers:
        found[each["topic"]].add(f"{each['service']}/{each['consumer']}")
    return {topic: sorted(names) for topic, names in found.items()}
