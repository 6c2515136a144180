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
    name: str | None = None
    """What it is called there."""


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
    subject: UUID
    """The identity under which it is known that there is such a party."""
    made: bool = False
    """This is a party that did not exist."""
    first: bool = False
    """Nothing else says now that there is such a party."""
    given: tuple[UUID, ...] = ()
    """The identities that it holds from now on, in the order in which they were told."""
    told: tuple[UUID, ...] = ()
    """All identities that were told and that it holds."""
    others: tuple[UUID, ...] = ()
    """Other parties that hold some of the identities, and keep them."""

    @property
    def news(self) -> bool:
        """Whether anything was not known."""
        return self.first or bool(self.given)


class Before(NamedTuple):
    """What was told before."""

    parties: Set[UUID] = frozenset()
    """Of which something says that they are known."""
    subjects: Set[UUID] = frozenset()
    """Identities under which a party is known."""
    lapsed: Set[UUID] = frozenset()
    """Identities under which one was, which was taken back."""


NOTHING = Before()


def registered(
    rows: Sequence[NewRegistration], holders: Mapping[UUID, Holder], before: Before = NOTHING
) -> list[Registered]:
    """What rows come to, one after the other; what has no holder is free.

    A row that begins with an id of the source is about the party that holds it, which gets what nobody holds. Any other
    row that has something new makes a party of it: an address or a number that somebody holds may be shared by many,
    so whether both are one is decided by the pairs that were seen together. Told again, it is about whom it was about
    before. What somebody holds stays where it is.
    """
    now, known, subjects = dict(holders), set(before.parties), set(before.subjects)
    found = []
    for row in rows:
        ids = tuple(dict.fromkeys(identity.id for identity in row.identities))
        held = [now[id] for id in ids if id in now]
        given = tuple(id for id in ids if id not in now)
        subject = _subject(row, ids, given, subjects, before.lapsed)
        holder = now.get(subject, Holder(subject, subject))
        now |= dict.fromkeys(given, holder)
        found.append(
            Registered(
                holder.party_id,
                subject,
                made=holder.party_id in given,
                first=holder.party_id not in known,
                given=given,
                told=tuple(id for id in ids if now[id].party_id == holder.party_id),
                others=tuple(sorted({other.top for other in held} - {holder.top})),
            )
        )
        known.add(holder.party_id)
        subjects.add(subject)
    return found


def _subject(
    row: NewRegistration, ids: Sequence[UUID], given: Sequence[UUID], subjects: Set[UUID], lapsed: Set[UUID]
) -> UUID:
    if row.identities[0].scheme is Scheme.EXTERNAL:
        return ids[0]
    if given:
        return given[0]
    return next((id for among in (subjects, lapsed) for id in ids if id in among), ids[0])
