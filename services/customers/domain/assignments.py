"""Whose an identity is: holdings as named, merges as edges between parties as named, and what follows from both."""

from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import date
from uuid import UUID

from contracts.customers import Holding
from contracts.problems import Conflict, Invalid, NotFound


class MergeWithItself(Invalid):
    """A party is not merged with itself."""


class MergeNotFound(NotFound):
    """The party has no such merge."""


class NotTheHolder(Conflict):
    """The identity is not held by this party, or not any more."""


class IdentifierTaken(Conflict):
    """An identifier is held by another party; if it is the same one, merge them."""


class ReleasedTooEarly(Invalid):
    """A holder gives an identity up after its own first day."""


def edge(one: UUID, other: UUID) -> tuple[UUID, UUID]:
    """The merge of two parties: undirected, so the smaller id stands first. Raises `MergeWithItself`."""
    if one == other:
        raise MergeWithItself("These are two names of one party id.")
    return (one, other) if one < other else (other, one)


def survivors(edges: Iterable[tuple[UUID, UUID]]) -> dict[UUID, UUID]:
    """The smallest id of what is connected, for every party on an edge; the order of the edges does not matter."""
    above: dict[UUID, UUID] = {}

    def top(party: UUID) -> UUID:
        while (higher := above.setdefault(party, party)) != party:
            above[party] = party = above[higher]
        return party

    for one, other in edges:
        low, high = sorted((top(one), top(other)))
        above[high] = low
    return {party: top(party) for party in above}


def resolved(holdings: Iterable[Holding], resolves_to: Mapping[UUID, UUID]) -> tuple[Holding, ...]:
    """Holdings with the surviving parties in place of those named; neighbours that became one party are one."""
    found: list[Holding] = []
    for holding in holdings:
        party_id = resolves_to.get(holding.party_id, holding.party_id)
        if not found or found[-1].party_id != party_id:
            found.append(Holding(party_id=party_id, from_day=holding.from_day))
    return tuple(found)


def holder(holdings: Sequence[Holding], day: date) -> UUID:
    """The party that holds the identity on a day."""
    return next(held.party_id for held in reversed(holdings) if held.from_day is None or held.from_day <= day)


def released(holdings: Sequence[Holding], *, by: Set[UUID], to: UUID, from_day: date) -> tuple[Holding, ...]:
    """Holdings after the present holder, one of the connected parties `by`, gave the identity up for `to`.

    Raises `NotTheHolder`, or `ReleasedTooEarly` where nothing would be left of the holder's time.
    """
    last = holdings[-1]
    if last.party_id not in by:
        raise NotTheHolder("This party does not hold the identity now.")
    if last.from_day is not None and from_day <= last.from_day:
        raise ReleasedTooEarly(f"The party holds it from {last.from_day} on.", held_from=last.from_day)
    return (*holdings, Holding(party_id=to, from_day=from_day))
