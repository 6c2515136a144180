"""Leads: their tables, what a caller sends, and what is shown."""

from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError
from sqlalchemy import BigInteger, Integer, LargeBinary, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.dialects.postgresql import UUID as PGUUID
from sqlmodel import Field as Column
from sqlmodel import SQLModel

from chassis.bulk import RowOutcome
from chassis.fields import (
    AmountMinor,
    Body,
    CurrencyCode,
    Identifier,
    IdentityId,
    ImportId,
    Instant,
    PartyId,
    SourceId,
    TeamId,
    UserId,
    Version,
)
from contracts.event import Slug
from contracts.identity import Installation, Scheme
from contracts.leads import Grade
from contracts.loss import LossReason
from services.leads.domain.leads import Change, NewLead, subject_first
from services.leads.domain.moves import LeadStatus
from services.leads.models.fields import Attributes, LeadId, Note


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


class LeadIn(Body):
    """Interest that came in: of somebody with an e-mail, a phone, another identifier, or an id in the source."""

    system: Slug = "api"
    """The system that tells of it."""
    source_id: SourceId | None = None
    """Its id there. Told again with the same content, it changes nothing; without an id it counts every time."""
    email: Annotated[str, Field(max_length=400)] | None = None
    phone: Annotated[str, Field(max_length=400)] | None = None
    identifier: Identifier | None = None
    """Something else that they are known by."""
    occurred_at: Instant | None = None
    """Now where it is not said."""
    source: Slug = "unknown"
    """Where it came from, such as `website` or `fair`."""
    medium: Slug | None = None
    """How it came, such as `organic` or `referral`."""
    campaign: Slug | None = None
    """What brought it about."""
    attributes: Annotated[Attributes, Field(default_factory=dict)]
    note: Note | None = None
    owner_id: UserId | None = None
    team_id: TeamId | None = None

    @model_validator(mode="after")
    def _names_somebody(self) -> Self:
        if not (self.email or self.phone or self.identifier or self.source_id):
            raise PydanticCustomError("nobody", "Name an email, a phone, an identifier, or at least a source_id")
        return self

    def lead(self, installation: Installation) -> NewLead:
        """For the domain. Raises `BadIdentifier`."""
        given = [
            *([installation.identity(Scheme.EMAIL, self.email)] if self.email else []),
            *([installation.identity(Scheme.PHONE, self.phone)] if self.phone else []),
            *([self.identifier.identity(installation)] if self.identifier else []),
        ]
        if not given:
            assert self.source_id is not None
            given = [installation.identity(Scheme.EXTERNAL, self.source_id, system=self.system)]
        return NewLead(
            identities=subject_first(given),
            **self.model_dump(exclude={"email", "phone", "identifier"}),
        )


class Named(Body):
    """`version`, or If-Match, names the latest one."""

    version: Version | None = None


class LeadEdit(Named):
    """What is known otherwise now; what is not named stays. `version`, or If-Match, names the latest one."""

    attributes: Attributes | None = None
    """In the place of all that were there."""
    note: Note | None = None
    """Null takes it away."""

    @model_validator(mode="after")
    def _attributes_stay_an_object(self) -> Self:
        if "attributes" in self.model_fields_set and self.attributes is None:
            raise PydanticCustomError("attributes", "Send an empty object to take all attributes away")
        return self


class Moved(Named):
    """When a lead moved. `version`, or If-Match, names the latest one."""

    occurred_at: Instant | None = None
    """Now where it is not said; not before the lead was captured."""

    def told(self) -> dict[str, Any]:
        """What it says, for the domain."""
        return self.model_dump(exclude={"version"})


class Disqualified(Moved):
    """Why a lead is not worth pursuing."""

    reason: LossReason


class OrderIn(Body):
    """What was bought, where it is not told as a purchase."""

    amount_minor: AmountMinor
    """Gross amount in minor units of `currency`, tax included."""
    currency: CurrencyCode


class Won(Moved):
    """A lead became a sale, or an agreement on one."""

    order: OrderIn | None = None

    def told(self) -> dict[str, Any]:
        """See `Moved.told`."""
        bought = self.order.model_dump() if self.order else {}
        return self.model_dump(exclude={"version", "order"}) | bought


class Lost(Moved):
    """Why a lead was lost."""

    reason: LossReason
    competitor: Slug | None = None
    """Who won it, where that is known: a short name of the company."""


class Assigned(Named):
    """Who takes care of a lead from now on; what is not named is nobody. `version`, or If-Match, names the latest."""

    owner_id: UserId | None = None
    team_id: TeamId | None = None


class GivenIdentifier(BaseModel):
    """Something that a lead was captured with."""

    identity_id: IdentityId
    scheme: Scheme
    system: str | None = None
    value: str


class Lead(BaseModel):
    """A lead as it stands."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: LeadId
    party_id: PartyId
    """Whose it is now."""
    identity_id: IdentityId
    """The subject of its facts."""
    identifiers: list[GivenIdentifier]
    """The subject first."""
    system: str
    source_id: str | None = None
    occurred_at: datetime
    source: str
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


class LeadVersion(BaseModel):
    """A lead as it was in one of its versions, and what made it."""

    model_config = ConfigDict(use_attribute_docstrings=True)

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
    fact_id: UUID | None = None
    """The event that told of it as a fact; what is withdrawn names it."""


class LeadOutcome(RowOutcome):
    """What became of a lead of a bulk request."""

    lead_id: LeadId | None = None


class LegalMove(BaseModel):
    """A status and where a lead may go from it."""

    status: LeadStatus
    to: LeadStatus
    operation: str
    """`POST /v1/leads/{lead_id}/{operation}`."""


class LegalMoves(BaseModel):
    """Every legal move."""

    data: list[LegalMove]


class LeadCount(BaseModel):
    """The leads of one status and grade."""

    status: LeadStatus
    grade: Grade
    count: int


class Conversion(BaseModel):
    """How many of some leads were won."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    grade: Grade | None = None
    """None: of all grades."""
    count: int
    won: int
    closed: int
    """Won, lost or disqualified."""
    won_of_all: float | None = None
    won_of_closed: float | None = None


class LeadSummary(BaseModel):
    """Leads by status and grade, and how many were won."""

    count: int
    data: list[LeadCount]
    conversion: list[Conversion]
