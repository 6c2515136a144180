"""Whose an identity is: holdings as named, merges as edges between parties as named, and what follows from both."""

from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import date
from itertools import combinations, pairwise
from uuid import UUID

from contracts.customers import Holding
from contracts.problems import Conflict, Invalid, NotFound


class MergeWithItself(Invalid):
    """A party is not merged with itself."""


class MergeNotFound(NotFound):
    """There is no such merge, or not of this party."""


class NotTheHolder(Conflict):
    """The identity is not held by this party, or not any more."""


class IdentifierTaken(Conflict):
    """An identifier is held by another party; if it is the same one, merge them."""


class HandedOverToItself(Invalid):
    """An identifier is handed over to the party that holds it."""


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


def apart(holders: Iterable[Set[UUID]]) -> set[tuple[UUID, UUID]]:
    """The edges between all who held an identity in turn, each given with all that are one with it.

    Whoever gives an identity to somebody else says that they are two.
    """
    return {
        edge(one, other)
        for ones, others in combinations(set(map(frozenset, holders)), 2)
        for one in ones
        for other in others
    }


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


def handed_over(
    holdings: Sequence[Holding], *, by: Set[UUID], to: UUID, like: Set[UUID], from_day: date
) -> tuple[Holding, ...]:
    """Holdings after the holder on a day, one of the connected parties `by`, gave the identity up for `to` on that day.

    `like` is `to` and those that people made one with it: an automatic merge may rest on this very identity, and comes
    sooner or later. Who came after stays, and begins earlier where it is one of them. What was told before changes
    nothing. Raises `NotTheHolder`, `HandedOverToItself`, or `ReleasedTooEarly` where nothing would be left of the
    holder's time.
    """
    for before, after in pairwise(holdings):
        if before.party_id in by and after.party_id in like and after.from_day == from_day:
            return tuple(holdings)
    place = max(n for n, held in enumerate(holdings) if held.from_day is None or held.from_day <= from_day)
    start = holdings[place].from_day
    if holdings[place].party_id not in by:
        raise NotTheHolder("This party did not hold the identity on that day.")
    if holdings[place].party_id in like:
        raise HandedOverToItself("Both are one party; if that is wrong, take the merge back first.")
    if start is not None and from_day <= start:
        raise ReleasedTooEarly(f"The party holds it from {start} on.", held_from=start)
    later = holdings[place + 1 :]
    if later and later[0].party_id in like:
        return (*holdings[: place + 1], Holding(party_id=later[0].party_id, from_day=from_day), *later[1:])
    return (*holdings[: place + 1], Holding(party_id=to, from_day=from_day), *later)
