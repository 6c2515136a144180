"""The rows of a party's timeline, as every service gives them."""

from datetime import datetime

from gateway.domain.joined import Row

SERVICES = ("customers", "leads", "community", "scoring")
"""Whoever knows something that happened with a party."""

Place = tuple[datetime, str]
"""Business time and id of a row: later ones come first, and of one instant those with the higher id."""


def place(row: Row) -> Place:
    """Where a row stands."""
    return datetime.fromisoformat(row["at"]), row["id"]
