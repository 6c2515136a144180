"""Dead letters of all services, each under an id that names the service that it is of."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from chassis.letters import DeadLetterNotFound

Row = Mapping[str, Any]


def outer(service: str, id: int) -> str:
    """The id of a letter outside."""
    return f"{service}-{id}"


def opened(id: str) -> tuple[str, int]:
    """Service and number in an id. Raises `DeadLetterNotFound`."""
    found = re.fullmatch(r"([a-z]{1,50})-([0-9]{1,18})", id)
    if found is None:
        raise DeadLetterNotFound("There is no dead letter with this id.")
    return found[1], int(found[2])


def shown(service: str, row: Row) -> dict[str, Any]:
    """A letter, or what became of one, as it is told outside."""
    return {**row, "id": outer(service, row["id"]), "service": service}


def by_service(ids: Iterable[str]) -> dict[str, list[int]]:
    """The numbers of letters, by service."""
    found: dict[str, list[int]] = {}
    for service, number in map(opened, ids):
        found.setdefault(service, []).append(number)
    return found
