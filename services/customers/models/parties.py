"""Parties, the identities that make them up, and merges."""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field
from sqlalchemy import BigInteger, SmallInteger, Text
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlmodel import Field as Column
from sqlmodel import SQLModel

from chassis.fields import Body, Day, Identifier, IdentityId, PartyId, Shown
from contracts.customers import PartyKind
from contracts.identity import Scheme
from services.customers.models.fields import MergeId, PlainText

PartyName = Annotated[PlainText, Field(min_length=1, max_length=200)]
"""What a person or an organisation is called. It is kept here and never published."""


class PartyRow(SQLModel, table=True):
    """A party as named; never deleted. Its row is the lock over its merges and over who belongs to it."""

    __tablename__ = "party"

    id: UUID = Column(primary_key=True)
    kind: str = Column(sa_type=Text)
    resolves_to: UUID
    """The survivor of what it is merged with: itself, mostly."""
    version: int = Column(sa_type=BigInteger)
    """Of the last change of assignment, merge or unmerge that concerned it; 0 before any."""
    created_at: datetime
    name: str | None = Column(default=None, sa_type=Text)
    """What it is called, as named."""
    name_tokens: str | None = Column(default=None, sa_type=TSVECTOR)
    """What the name is found by."""


class IdentityRow(SQLModel, table=True):
    """An identifier under its id. Where it is random, there is no identifier."""

    __tablename__ = "identity"

    id: UUID = Column(primary_key=True)
    scheme: str | None = Column(sa_type=Text)
    system: str | None = Column(sa_type=Text)
    value: str | None = Column(sa_type=Text)
    version: int = Column(sa_type=BigInteger)
    """Of its assignment; 0 while it was never anything but its own party."""
    created_at: datetime
    compared: bool = False
    """Whether it was looked for others that it resembles."""
    given_back: bool = False
    """An undone import had given it to a party; as long as nothing is told of it, another one may."""


class HoldingRow(SQLModel, table=True):
    """A party, as named, that holds an identity from one local day until another."""

    __tablename__ = "holding"

    identity_id: UUID = Column(primary_key=True)
    nth: int = Column(primary_key=True, sa_type=SmallInteger)
    party_id: UUID = Column(index=True)
    from_day: date | None
    until_day: date | None
    """The first day of the next holder; none for the present one."""
    assigned_at: datetime


class MergeRow(SQLModel, table=True):
    """An undirected edge between two parties as named, the smaller id first. It counts until it is undone."""

    __tablename__ = "merge"

    id: UUID = Column(primary_key=True)
    party_id: UUID = Column(index=True)
    other_id: UUID = Column(index=True)
    kind: str = Column(sa_type=Text)
    merged_at: datetime
    merged_by: str | None = Column(sa_type=Text)
    """The key that decided; none where no person did."""
    unmerged_at: datetime | None
    unmerged_by: str | None = Column(sa_type=Text)


class MergeKind(StrEnum):
    """Who made a merge."""

    PERSON = "person"
    """Somebody decided on it; it stays until somebody decides otherwise."""
    AUTOMATIC = "automatic"
    """It follows from identifiers seen together, and goes when they no longer say so."""


class NewParty(Body):
    """A person or an organisation that becomes known."""

    kind: PartyKind = PartyKind.PERSON
    identifiers: Annotated[list[Identifier], Field(max_length=50, default_factory=list)]
    """The first one gives the party its id. The same ones again name the party that is there."""
    name: PartyName | None = None
    """What it is called. A party that is there and has a name keeps it."""


class NewName(Body):
    """What a party is called from now on; null where that is not to be kept."""

    name: PartyName | None


class HeldIdentifier(Shown):
    """An identifier that a party holds now."""

    identity_id: IdentityId
    scheme: Scheme
    system: str | None = None
    value: str
    from_day: date | None = None
    """First local day, where another party held it before."""


class Party(Shown):
    """A person or an organisation, under the id that it has for ever."""

    id: PartyId
    kind: PartyKind
    name: str | None = None
    """What it is called; that of a party merged into it where it has none itself."""
    identifiers: list[HeldIdentifier]
    merged_ids: list[PartyId]
    """Ids of parties merged into this one; they lead here."""
    version: int
    created_at: datetime


class FoundBy(StrEnum):
    """What a text is looked for as."""

    ID = "id"
    """The id of a party."""
    EMAIL = "email"
    """An e-mail address, or how one begins."""
    PHONE = "phone"
    """A phone number, or how one ends."""
    NUMBER = "number"
    """An id in another system, or how one begins."""
    NAME = "name"
    """Words of a name, or how they begin; of Chinese any two characters that stand together."""


class FoundParty(Shown):
    """A party that a text leads to."""

    found_by: FoundBy
    party: Party


class Found(Shown):
    """What a text leads to, the surest first."""

    tried: list[FoundBy]
    """What the text was looked for as."""
    has_more: bool
    """Whether others may follow; a page of few, or of none, may have others behind it."""
    next_cursor: str | None = None
    data: list[FoundParty]


class AddedIdentifier(Body):
    """An identifier that a party is known by, too."""

    identifier: Identifier


class CorrectedIdentifier(Body):
    """How an identifier should have been written; its scheme and system stay."""

    value: Annotated[str, Field(max_length=400)]


class Release(Body):
    """An identifier is given up; from this local day on it is somebody else's."""

    from_day: Day | None = None
    """Today where it is not said."""


class MergeInto(Body):
    """The party that is the same as the one in the path."""

    party_id: PartyId


class Unmerge(Body):
    """The merge that was a mistake."""

    merge_id: MergeId


class Merge(Shown):
    """Two parties, as named, that are one."""

    id: MergeId
    party_id: PartyId
    other_id: PartyId
    kind: MergeKind
    merged_at: datetime
    merged_by: str | None = None
    """The key that decided on it."""
    unmerged_at: datetime | None = None
    unmerged_by: str | None = None
    """The key that decided on taking it back."""
    resolves_to: PartyId
    """Where `party_id` leads now."""
