"""The rows of a party's timeline, as every service gives them."""

from collections.abc import Callable, Collection
from datetime import datetime

from gateway.domain.joined import Row

SERVICES = ("customers", "leads", "community", "scoring")
"""Whoever knows something that happened with a party."""

Place = tuple[datetime, str]
"""Business time and id of a row: later ones come first, and of one instant those with the higher id."""


def place(row: Row) -> Place:
    """Where a row stands."""
    return datetime.fromisoformat(row["at"]), row["id"]


def wanted(kinds: Collection[str], departments: Collection[str]) -> Callable[[Row], bool]:
    """Whether a row is of one of the kinds and, where departments are named, has to do with one of them."""

    def is_wanted(row: Row) -> bool:
        of_kind = not kinds or row["kind"] in kinds
        return of_kind and (not departments or row["detail"].get("department") in departments)

    return is_wanted
