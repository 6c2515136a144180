"""Purchases and returns as they are told, and when two tellings say the same."""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from contracts.identity import PartyRef
from contracts.problems import Conflict, NotFound


class PurchaseNotFound(NotFound):
    """There is no such purchase."""


class ReturnNotFound(NotFound):
    """There is no such return."""


class PurchaseConflict(Conflict):
    """The id in the source was recorded before with other content; `correct` puts that right."""


class ReturnConflict(Conflict):
    """The id in the source was recorded before with other content; `correct` puts that right."""


class AlreadyWithdrawn(Conflict):
    """It was withdrawn and does not count; record it anew."""


class StaleVersion(Conflict):
    """It has another version than the one named; read it again."""


class Line(NamedTuple):
    """What was bought; a part of the amount where it says so."""

    product: str | None = None
    quantity: int | None = None
    amount_minor: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPurchase:
    """A purchase as a source tells it."""

    party: PartyRef
    source: str
    source_id: str | None = None
    """Its id in the source; without one it is like no other."""
    occurred_at: datetime
    currency: str
    amount_minor: int
    channel: str | None = None
    lines: tuple[Line, ...] = ()
    import_id: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewReturn:
    """A return as a source tells it; the amount is positive."""

    party: PartyRef
    source: str
    source_id: str | None = None
    original_id: str | None = None
    """The id of the purchase in the source, which may come later or never."""
    purchase_id: UUID | None = None
    """The purchase, where the caller names it."""
    occurred_at: datetime
    currency: str
    amount_minor: int
    channel: str | None = None
    import_id: UUID | None = None


Told = TypeVar("Told", bound=NewPurchase | NewReturn)

_NOT_CONTENT = {"party", "source", "source_id", "import_id"}


def content(told: NewPurchase | NewReturn) -> dict[str, Any]:
    """What two tellings under one id in the source must agree on, the customer aside."""
    said = {field.name: getattr(told, field.name) for field in fields(told) if field.name not in _NOT_CONTENT}
    if isinstance(told, NewPurchase):
        said["lines"] = in_order(told.lines)
    return said


def in_order(lines: tuple[Line, ...]) -> tuple[Line, ...]:
    """The lines in the one order in which they are kept, whatever order they came in."""
    return tuple(sorted(lines, key=lambda line: [(part is not None, part) for part in line]))


def check_version(named: int | None, present: int) -> None:
    """Raise `StaleVersion` where a version is named that is not the latest."""
    if named is not None and named != present:
        raise StaleVersion(f"The latest version is {present}.", version=present)
