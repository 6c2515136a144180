"""Which stopped partition is meant by the word that lets one pass its gap."""

from collections.abc import Iterable, Mapping
from typing import Any

from contracts.problems import Conflict

Gap = Mapping[str, Any]
"""A consumer that has stopped at a partition, as `GET /v1/status` lists it."""


class PartitionNotStopped(Conflict):
    """The partition has not stopped; there is no gap to be passed."""

    def __init__(self, gaps: Iterable[Gap]) -> None:
        super().__init__("No such consumer has stopped at this partition.", stopped=_places(gaps))


class SeveralStopped(Conflict):
    """More than one consumer has stopped at the partition, and nothing says which is to go on."""

    def __init__(self, gaps: Iterable[Gap]) -> None:
        choices = _places(gaps)
        named = ", ".join(f"{each['consumer']} of {each['service']}" for each in choices)
        super().__init__(f"Say which is to go on, by service or consumer: {named}.", choices=choices)


def the_one(
    gaps: Iterable[Gap], *, topic: str, partition: int, service: str | None = None, consumer: str | None = None
) -> Gap:
    """The gap of a partition, of a service and a consumer if they are named.

    Raises `PartitionNotStopped`, and `SeveralStopped` where more is to be named.
    """
    known = list(gaps)
    found = [
        gap
        for gap in known
        if (gap["topic"], gap["partition"]) == (topic, partition)
        and service in (None, gap["service"])
        and consumer in (None, gap["consumer"])
    ]
    match found:
        case []:
            raise PartitionNotStopped(known)
        case [gap]:
            return gap
        case _:
            raise SeveralStopped(found)


def _places(gaps: Iterable[Gap]) -> list[dict[str, Any]]:
    return [{name: gap[name] for name in ("service", "consumer", "topic", "partition", "reason")} for gap in gaps]
