"""Events of the leads service: interest that came in, how promising it is, and what became of it."""

from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field

from contracts.event import Currency, Digest, Event, Shape, Slug
from contracts.identity import Given
from contracts.loss import LossReason
from contracts.topics import LEADS


class Grade(StrEnum):
    """How promising a lead is, from A (hot) to D (cool)."""

    A = "A"
    B = "B"
    C = "C"
    D = "D"


class Order(Shape):
    """What a won lead bought."""

    amount_minor: Annotated[int, Field(ge=0, lt=2**53)]
    """Gross amount in minor units of `currency`, tax included."""
    currency: Currency
    """Of the amount (ISO 4217)."""


class LeadCaptured(Event, type="leads.lead_captured.v1", topic=LEADS):
    """Somebody showed interest. The subject is their e-mail, else their phone, else their id in another system."""

    lead_id: UUID
    """The lead."""
    source: Slug
    """Where it came from, such as `website` or `fair`."""
    medium: Slug | None = None
    """How it came, such as `organic` or `referral`."""
    campaign: Slug | None = None
    """What brought it about."""
    other_identities: tuple[UUID, ...] = ()
    """Identities that were given together with the subject."""
    given: tuple[Given, ...] = ()
    """What the subject is, and then each of `other_identities`; empty where it is not told."""


class LeadGraded(Event, type="leads.lead_graded.v1", topic=LEADS):
    """A rubric said how promising a lead is."""

    lead_id: UUID
    """The lead."""
    grade: Grade
    """The grade that it has from now on."""
    points: int
    """The sum of the criteria that it meets."""
    rubric: Digest
    """Content hash of the rubric."""


class LeadQualified(Event, type="leads.lead_qualified.v1", topic=LEADS):
    """A lead is worth pursuing."""

    lead_id: UUID
    """The lead."""


class LeadDisqualified(Event, type="leads.lead_disqualified.v1", topic=LEADS):
    """A lead is not worth pursuing."""

    lead_id: UUID
    """The lead."""
    reason: LossReason
    """Why."""


class LeadWon(Event, type="leads.lead_won.v1", topic=LEADS):
    """A lead became a sale, or an agreement on one."""

    lead_id: UUID
    """The lead."""
    order: Order | None = None
    """What was bought, where it is not told as a purchase."""


class LeadLost(Event, type="leads.lead_lost.v1", topic=LEADS):
    """A lead was lost."""

    lead_id: UUID
    """The lead."""
    reason: LossReason
    """Why."""
    competitor: Slug | None = None
    """Who won it, where that is known: a short name of the company."""


class LeadReopened(Event, type="leads.lead_reopened.v1", topic=LEADS):
    """A lost or disqualified lead showed interest again."""

    lead_id: UUID
    """The lead."""


class LeadAssigned(Event, type="leads.lead_assigned.v1", topic=LEADS):
    """A lead has another owner or team."""

    lead_id: UUID
    """The lead."""
    version: Annotated[int, Field(ge=1)]
    """Rises with every change of a lead's owner; of two, the higher one holds."""
    owner_id: UUID | None = None
    """The user who takes care of it; none where nobody does."""
    team_id: UUID | None = None
    """The team that takes care of it; none where none does."""


class LeadFactWithdrawn(Event, type="leads.fact_withdrawn.v1", topic=LEADS):
    """A fact about a lead was entered by mistake and never counted. It has the subject of the fact that it names."""

    fact_id: UUID
    """The event id of the withdrawn fact."""
    late_s: Annotated[int, Field(ge=0)] | None = None
    """Seconds after it happened at which the withdrawn fact was recorded, where that is told."""
