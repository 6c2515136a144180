"""Parties as a list of contacts tells of them: several identifiers, which may belong to somebody already."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from contracts.customers import PartyKind
from contracts.identity import Identity, Scheme


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRegistration:
    """A person or an organisation as a source tells of it."""

    identities: tuple[Identity, ...]
    """At least one; the first gives a new party its id."""
    kind: PartyKind = PartyKind.PERSON
    occurred_at: datetime | None = None
    """When it became known there, where that is told."""


class Holder(NamedTuple):
    """Who holds an identity now."""

    party_id: UUID
    """As named."""
    top: UUID
    """Where that party leads."""


@dataclass(frozen=True, slots=True)
class Registered:
    """What a registration comes to."""

    party_id: UUID
    made: bool = False
    """This is a party that did not exist."""
    again: bool = False
    """It was made known before, and that was taken back."""
    given: tuple[UUID, ...] = ()
    """The identities that it holds from now on, in the order in which they were told."""
    others: tuple[UUID, ...] = ()
    """Other parties that hold some of the identities, and keep them."""

    @property
    def news(self) -> bool:
        """Whether anything was not known."""
        return self.again or bool(self.given)


def registered(
    rows: Sequence[NewRegistration], holders: Mapping[UUID, Holder], lapsed: Set[UUID] = frozenset()
) -> list[Registered]:
    """What rows come to, one after the other; what has no holder is free, what made the `lapsed` known was taken back.

    A row that begins with an id of the source is about the party that holds it, which gets what nobody holds. Any other
    row that has something new makes a party of it: an address or a number that somebody holds may be shared by many,
    so whether both are one is decided by the pairs that were seen together. What somebody holds stays where it is.
    """
    now, known_again = dict(holders), set[UUID]()
    found = []
    for row in rows:
        ids = tuple(dict.fromkeys(identity.id for identity in row.identities))
        held = [now[id] for id in ids if id in now]
        given = tuple(id for id in ids if id not in now)
        known = ids[0] in now and (not given or row.identities[0].scheme is Scheme.EXTERNAL)
        holder = held[0] if known or not given else Holder(given[0], given[0])
        others = tuple(sorted({other.top for other in held} - {holder.top}))
        now |= dict.fromkeys(given, holder)
        again = holder.party_id in lapsed - known_again
        known_again.add(holder.party_id)
        found.append(Registered(holder.party_id, holder.party_id in given, again, given, others))
    return found
