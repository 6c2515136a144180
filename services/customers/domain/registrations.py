"""Parties as a list of contacts tells of them: several identifiers, which may belong to somebody already."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from contracts.customers import PartyKind
from contracts.identity import Identity


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
    """Nobody held any of the identities: this is a party that did not exist."""
    given: tuple[UUID, ...] = ()
    """The identities that it holds from now on, in the order in which they were told."""
    others: tuple[UUID, ...] = ()
    """Other parties that hold some of the identities, and keep them."""


def registered(rows: Sequence[NewRegistration], fresh: Set[UUID], holders: Mapping[UUID, Holder]) -> list[Registered]:
    """What rows come to, one after the other; nobody holds the `fresh` identities, `holders` hold the others.

    A row is about the party that holds the first of its identities that anybody holds. That party gets those that
    nobody holds; what somebody else holds stays where it is.
    """
    now: dict[UUID, Holder] = {identity: holder for identity, holder in holders.items() if identity not in fresh}
    found = []
    for row in rows:
        ids = tuple(dict.fromkeys(identity.id for identity in row.identities))
        held = [now[id] for id in ids if id in now]
        holder = held[0] if held else Holder(ids[0], ids[0])
        given = tuple(id for id in ids if id not in now)
        others = tuple(sorted({other.top for other in held} - {holder.top}))
        now |= dict.fromkeys(given, holder)
        found.append(Registered(holder.party_id, not held, given, others))
    return found
