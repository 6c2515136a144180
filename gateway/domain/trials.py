"""The moves of a trial as a file."""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any

COLUMNS = ("party_id", "external_id", "at", "from", "to", "kind", "reason")
"""`from` and `to` are stages; who moves between tiers stays in one, and the reason tells the tiers."""


class Format(StrEnum):
    """How moves are written."""

    CSV = "csv"
    NDJSON = "ndjson"


def joined(moves: Iterable[Mapping[str, Any]], external_ids: Mapping[str, str]) -> list[dict[str, Any]]:
    """Moves, each with the id by which others know the party."""
    return [{**move, "external_id": external_ids.get(move["party_id"])} for move in moves]


def lines(moves: Iterable[Mapping[str, Any]]) -> list[Sequence[Any]]:
    """One line per move; what is not known is empty."""
    return [["" if move[column] is None else move[column] for column in COLUMNS] for move in moves]
