"""Leads: their tables, and what is shown of them."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Integer, LargeBinary, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.dialects.postgresql import UUID as PGUUID
from sqlmodel import Field as Column
from sqlmodel import SQLModel

from chassis.fields import EventId, IdentityId, ImportId, PartyId, Shown, TeamId, UserId
from contracts.identity import Scheme
from contracts.leads import Grade
from contracts.loss import LossReason
from services.leads.domain.leads import Change
from services.leads.domain.moves import LeadStatus
from services.leads.models.fields import LeadId


class LeadRow(SQLModel, table=True):
    """A lead as it stands; its row is the lock over its versions."""

    __tablename__ = "lead"

    id: UUID = Column(primary_key=True)
    identity_id: UUID
    """The subject of its facts."""
    other_ids: list[UUID] = Column(sa_type=ARRAY(PGUUID))
    identifiers: list[Any] = Column(sa_type=JSONB)
    """What it was captured with, in the order of `identity_id` and `other_ids`."""
    system: str = Column(sa_type=Text)
    source_id: str | None = Column(sa_type=Text)
    content_hash: bytes = Column(sa_type=LargeBinary)
    """Of what was told first."""
    occurred_at: datetime
    source: str = Column(sa_type=Text)
    medium: str | None = Column(sa_type=Text)
    campaign: str | None = Column(sa_type=Text)
    attributes: dict[str, str] = Column(sa_type=JSONB)
    note: str | None = Column(sa_type=Text)
    status: str = Column(sa_type=Text)
    grade: str = Column(sa_type=Text)
    points: int = Column(sa_type=Integer)
    met: list[str] = Column(sa_type=ARRAY(Text))
    rubric: str = Column(sa_type=Text)
    owner_id: UUID | None
    team_id: UUID | None
    owner_version: int = Column(sa_type=Integer)
    import_id: UUID | None
    version: int = Column(sa_type=Integer)
    recorded_at: datetime
    changed_at: datetime
    withdrawn_at: datetime | None


class VersionRow(SQLModel, table=True):
    """A version of a lead and what made it; never changed."""

    __tablename__ = "lead_version"

    lead_id: UUID = Column(primary_key=True)
    version: int = Column(primary_key=True, sa_type=Integer)
    change: str = Column(sa_type=Text)
    event_id: UUID
    """The event that told of it; of its own where none did."""
    grade_event_id: UUID | None
    """The event that told the grade of it, where one did."""
    occurred_at: datetime
    recorded_at: datetime
    status: str = Column(sa_type=Text)
    grade: str = Column(sa_type=Text)
    points: int = Column(sa_type=Integer)
    met: list[str] = Column(sa_type=ARRAY(Text))
    rubric: str = Column(sa_type=Text)
    owner_id: UUID | None
    team_id: UUID | None
    attributes: dict[str, str] | None = Column(sa_type=JSONB(none_as_null=True))
    """Together with `note` where they were told; none where they are those of the version before."""
    note: str | None = Column(sa_type=Text)
    reason: str | None = Column(sa_type=Text)
    competitor: str | None = Column(sa_type=Text)
    amount_minor: int | None = Column(sa_type=BigInteger)
    currency: str | None = Column(sa_type=Text)
    undoes: int | None = Column(sa_type=Integer)
    """The version whose move was taken back."""
    import_id: UUID | None


class GivenIdentifier(Shown):
    """Something that a lead was captured with."""

    identity_id: IdentityId
    scheme: Scheme
    system: str | None = None
    value: str


class Lead(Shown):
    """A lead as it stands."""

    id: LeadId
    party_id: PartyId
    """Whose it is now."""
    identity_id: IdentityId
    """The subject of its facts."""
    identifiers: list[GivenIdentifier]
    """The subject first."""
    system: str
    """The system that told of it."""
    source_id: str | None = None
    """Its id there."""
    occurred_at: datetime
    source: str
    """Where it came from."""
    medium: str | None = None
    campaign: str | None = None
    attributes: dict[str, str]
    note: str | None = None
    status: LeadStatus
    grade: Grade
    points: int
    met: list[str]
    """The criteria that it meets, which add up to the points."""
    rubric: str
    """Content hash of the rubric that gave the grade; a later one that says the same changes nothing."""
    owner_id: UserId | None = None
    team_id: TeamId | None = None
    owner_version: int
    """Rises with every change of owner or team."""
    import_id: ImportId | None = None
    version: int
    recorded_at: datetime
    changed_at: datetime
    withdrawn_at: datetime | None = None


class LeadVersion(Shown):
    """A lead as it was in one of its versions, and what made it."""

    version: int
    change: Change
    occurred_at: datetime
    recorded_at: datetime
    status: LeadStatus
    grade: Grade
    points: int
    met: list[str]
    rubric: str
    owner_id: UserId | None = None
    team_id: TeamId | None = None
    attributes: dict[str, str]
    note: str | None = None
    reason: LossReason | None = None
    competitor: str | None = None
    amount_minor: int | None = None
    currency: str | None = None
    undoes: int | None = None
    """The version whose move was taken back."""
    import_id: ImportId | None = None
    fact_id: EventId | None = None
    """The event that told of it as a fact; what is withdrawn names it."""


class LegalMove(Shown):
    """A status and where a lead may go from it."""

    status: LeadStatus
    to: LeadStatus
    operation: str
    """`POST /v1/leads/{lead_id}/{operation}`."""


class LegalMoves(Shown):
    """Every legal move."""

    data: list[LegalMove]


class LeadCount(Shown):
    """The leads of one status and grade."""

    status: LeadStatus
    grade: Grade
    count: int


class Conversion(Shown):
    """How many of some leads were won."""

    grade: Grade | None = None
    """None: of all grades."""
    count: int
    won: int
    closed: int
    """Won, lost or disqualified."""
    won_of_all: float | None = None
    won_of_closed: float | None = None


class LeadSummary(Shown):
    """Leads by status and grade, and how many were won."""

    count: int
    data: list[LeadCount]
    conversion: list[Conversion]
