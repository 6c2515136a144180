"""Purchases and returns as they are told, and when two tellings say the same."""

from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from contracts.problems import Conflict, NotFound
from services.customers.domain.facts import NewFact


class PurchaseNotFound(NotFound):
    """There is no such purchase."""


class ReturnNotFound(NotFound):
    """There is no such return."""


class PurchaseConflict(Conflict):
    """The id in the source was recorded before with other content; `correct` puts that right."""


class ReturnConflict(Conflict):
    """The id in the source was recorded before with other content; `correct` puts that right."""


class Line(NamedTuple):
    """What was bought; a part of the amount where it says so."""

    product: str | None = None
    quantity: int | None = None
    amount_minor: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPurchase(NewFact):
    """A purchase as a source tells it."""

    currency: str
    amount_minor: int
    channel: str | None = None
    lines: tuple[Line, ...] = ()

    def content(self) -> dict[str, Any]:
        """See `NewFact.content`; the order of the lines says nothing."""
        return NewFact.content(self) | {"lines": in_order(self.lines)}


@dataclass(frozen=True, slots=True, kw_only=True)
class NewReturn(NewFact):
    """A return as a source tells it; the amount is positive."""

    original_id: str | None = None
    """The id of the purchase in the source, which may come later or never."""
    purchase_id: UUID | None = None
    """The purchase, where the caller names it."""
    currency: str
    amount_minor: int
    channel: str | None = None


def in_order(lines: tuple[Line, ...]) -> tuple[Line, ...]:
    """The lines in the one order in which they are kept, whatever order they came in."""
    return tuple(sorted(lines, key=lambda line: [(part is not None, part) for part in line]))
