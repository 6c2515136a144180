"""Leads as a caller captures them, and what became of each."""

from typing import Annotated, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from chassis.bulk import RowOutcome
from chassis.fields import Body, Identifier, Instant, SourceId, TeamId, UserId
from contracts.event import Slug
from contracts.identity import Installation, Scheme
from services.leads.domain.leads import NewLead, subject_first
from services.leads.models.fields import Attributes, LeadId, Note


class LeadIn(Body):
    """Interest that came in: of somebody with an e-mail, a phone, another identifier, or an id in the source."""

    system: Slug = "api"
    """The system that tells of it, in which `source_id` is its id; where it came from is `source`."""
    source_id: SourceId | None = None
    """Its id there. Told again with the same content, it changes nothing; without an id it counts every time."""
    email: Annotated[str, Field(max_length=400)] | None = None
    phone: Annotated[str, Field(max_length=400)] | None = None
    identifier: Identifier | None = None
    """Something else that they are known by."""
    occurred_at: Instant | None = None
    """Now where it is not said."""
    source: Slug = "unknown"
    """Where it came from, such as `website` or `fair`; who tells of it is `system`."""
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


class LeadOutcome(RowOutcome):
    """What became of a lead of a bulk request."""

    lead_id: LeadId | None = None
