"""Owners and teams of parties: the tables, what a caller sends, and what is shown."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field
from sqlalchemy import Text
from sqlmodel import Field as Column
from sqlmodel import SQLModel

from chassis.fields import Body, PartyId, Shown, TeamId, UserId
from services.customers.domain.owners import OwnerReason
from services.customers.models.fields import OwnershipId, PlainText

Note = Annotated[PlainText, Field(max_length=2_000)]


class PartyOwnerRow(SQLModel, table=True):
    """Who takes care of a party, as named; the party's row is the lock over it."""

    __tablename__ = "party_owner"

    party_id: UUID = Column(primary_key=True)
    owner_id: UUID | None
    team_id: UUID | None
    note: str | None = Column(sa_type=Text)
    said: bool = True
    """Whether somebody decided it; what merely follows from automatic merges goes with them."""
    version: int
    changed_at: datetime


class OwnershipRow(SQLModel, table=True):
    """That a party got an owner; never changed."""

    __tablename__ = "ownership"

    id: UUID = Column(primary_key=True)
    """That of the event."""
    party_id: UUID
    version: int
    owner_id: UUID | None
    team_id: UUID | None
    note: str | None = Column(sa_type=Text)
    reason: str = Column(sa_type=Text)
    changed_at: datetime


class NewOwner(Body):
    """Who takes care of a party from now on; null where nobody does."""

    owner_id: UserId | None
    team_id: TeamId | None
    note: Note | None = None
    """Why, for those who read it later. It is kept here and never published."""


class PartyOwner(Shown):
    """Who takes care of a party; version 0 where nobody ever did."""

    party_id: PartyId
    owner_id: UserId | None = None
    team_id: TeamId | None = None
    note: str | None = None
    version: int = 0
    changed_at: datetime | None = None


class Ownership(Shown):
    """That a party got an owner."""

    id: OwnershipId
    party_id: PartyId
    version: int
    owner_id: UserId | None = None
    team_id: TeamId | None = None
    note: str | None = None
    reason: OwnerReason
    changed_at: datetime


class HandOver(Body):
    """All parties of a user go to another one."""

    from_owner_id: UserId
    to_owner_id: UserId
    to_team_id: TeamId | None = None
    """The team that takes care of them from now on; each keeps its own where none is named."""
    note: Note | None = None


class HandedOver(Shown):
    """How far a hand-over is."""

    handed_over: int
    """Parties that this request handed over."""
    remaining: int
    """Parties that the user still has; ask again until there are none."""
