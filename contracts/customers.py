"""Events of the customers service: who exists, whose identity is whose, what they bought and what passed with them."""

from datetime import date
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, Field

from contracts.event import Currency, Event, Shape, Slug
from contracts.loss import LossReason
from contracts.topics import INTERACTIONS, PARTIES, PURCHASES


class PartyKind(StrEnum):
    """What a party is."""

    PERSON = "person"
    ORGANISATION = "organisation"


class Department(StrEnum):
    """Which part of the company an interaction was with."""

    MARKETING = "marketing"
    SALES = "sales"
    SERVICE = "service"
    ECOMMERCE = "ecommerce"
    LOGISTICS = "logistics"
    FINANCE = "finance"
    QUALITY = "quality"
    MANAGEMENT = "management"
    OTHER = "other"


class Direction(StrEnum):
    """Who turned to whom."""

    INBOUND = "inbound"
    """The party to us."""
    OUTBOUND = "outbound"
    """We to the party."""


class InteractionKind(StrEnum):
    """What an interaction was about."""

    VISIT = "visit"
    """Came by, at a shop, a fair or a site."""
    VIEW = "view"
    """Looked at something that is offered."""
    CART = "cart"
    """Put something aside to buy it."""
    INQUIRY = "inquiry"
    """Asked about something that is offered."""
    CONTACT = "contact"
    """A call, a letter, a meeting without another kind."""
    OFFER = "offer"
    CAMPAIGN = "campaign"
    """Was reached by a campaign, or answered one."""
    SUPPORT = "support"
    """About something that was bought."""
    SURVEY = "survey"
    COMPLAINT = "complaint"
    PRAISE = "praise"
    DECLINED = "declined"
    """Said that they will not buy, or not any more."""


class Severity(StrEnum):
    """How bad a problem is for the party."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    CRITICAL = "critical"


class Holding(Shape):
    """A party that holds an identity from a local day on."""

    party_id: UUID
    """The holder, with merges already followed."""
    from_day: date | None = None
    """First local day; none for the first holder, who has every earlier day too."""


class Assignment(Shape):
    """Whose an identity is: the whole list of its holders, in day order. The highest version wins."""

    identity_id: UUID
    """Whose holders these are."""
    version: int
    """Rises with every change; it says nothing across identities."""
    holdings: Annotated[tuple[Holding, ...], Field(min_length=1)]
    """From the first holder to the present one."""


class Resolution(Shape):
    """Where an old party id leads: to itself, or to the party it was merged into. The highest version wins."""

    party_id: UUID
    """The id that may be an old one."""
    version: int
    """Rises with every change; it says nothing across parties."""
    resolves_to: UUID
    """The party to read instead; `party_id` itself where it is merged into none."""


class PartyRegistered(Event, type="customers.party_registered.v1", topic=PARTIES):
    """A person or an organisation is known to exist, without any interest shown."""

    kind: PartyKind
    """Person or organisation."""
    assignment: Assignment | None = None
    """Whose the subject is, where it is not its own party."""


class IdentitiesAssigned(Event, type="customers.identities_assigned.v1", topic=PARTIES):
    """What one change of assignment, merge or unmerge did, already resolved. The subject is one of the parties."""

    assignments: tuple[Assignment, ...] = ()
    """Of every identity whose holders became others."""
    resolutions: tuple[Resolution, ...] = ()
    """Of every party id that leads elsewhere than before."""


class PurchaseCompleted(Event, type="customers.purchase_completed.v1", topic=PURCHASES):
    """A party bought and owes or has paid the amount."""

    purchase_id: UUID
    """The purchase; corrections of it have the same id."""
    amount_minor: Annotated[int, Field(ge=0, lt=2**53)]
    """Gross amount in minor units of `currency`, tax included. Zero is a purchase too."""
    currency: Currency
    """Of the amount (ISO 4217)."""
    source: Slug
    """The system that the purchase came from."""
    channel: Slug | None = None
    """Where it was sold, such as `web` or `store`."""
    line_count: Annotated[int, Field(ge=0)] = 0
    """How many lines the order has, as far as they are known."""
    replaces: UUID | None = None
    """The fact (event id) that this one corrects; it no longer counts."""
    replaced_subject: UUID | None = None
    """The subject of the replaced fact, where the correction changed the customer."""
    late_s: Annotated[int, Field(ge=0)] | None = None
    """Of a correction: how long after it happened it, or what it corrects, was recorded, whichever was sooner."""
    assignment: Assignment | None = None
    """Whose the subject is, where it is not its own party."""


class PurchaseReturned(Event, type="customers.purchase_returned.v1", topic=PURCHASES):
    """Goods came back; the amount is netted on its own day."""

    return_id: UUID
    """The return; corrections of it have the same id."""
    purchase_id: UUID | None = None
    """The purchase it belongs to, where that is known."""
    amount_minor: Annotated[int, Field(ge=0, lt=2**53)]
    """The amount given back, as a positive number of minor units of `currency`."""
    currency: Currency
    """Of the amount (ISO 4217)."""
    source: Slug
    """The system that the return came from."""
    channel: Slug | None = None
    """Where it was taken back."""
    replaces: UUID | None = None
    """The fact (event id) that this one corrects; it no longer counts."""
    replaced_subject: UUID | None = None
    """The subject of the replaced fact, where the correction changed the customer."""
    late_s: Annotated[int, Field(ge=0)] | None = None
    """Of a correction: how long after it happened it, or what it corrects, was recorded, whichever was sooner."""
    assignment: Assignment | None = None
    """Whose the subject is, where it is not its own party."""


Rating = Annotated[int, Field(ge=1, le=5)]
"""From 1 (bad) to 5 (good), as the party stated it."""


class InteractionRecorded(Event, type="customers.interaction_recorded.v1", topic=INTERACTIONS):
    """Something passed between a party and a department. What was said stays where it was recorded."""

    interaction_id: UUID
    """The interaction; corrections of it have the same id."""
    department: Department
    """With whom."""
    role: Slug | None = None
    """Of the person there, such as `inspector`."""
    channel: Slug
    """By which way, such as `phone` or `store`."""
    kind: InteractionKind
    """What it was about."""
    direction: Direction
    """Whether the party turned to us or we to the party."""
    attitude: Rating | None = None
    """How the party was treated, as stated."""
    speed: Rating | None = None
    """How fast it went, as stated."""
    quality: Rating | None = None
    """How good the answer was, as stated."""
    loss_reason: LossReason | None = None
    """Why they will not buy; with the kind `declined` only."""
    competitor: Slug | None = None
    """Whom they buy from instead, where that is known: a short name of the company."""
    problem_id: UUID | None = None
    """The problem that it is about."""
    source: Slug
    """The system that it came from."""
    replaces: UUID | None = None
    """The fact (event id) that this one corrects; it no longer counts."""
    replaced_subject: UUID | None = None
    """The subject of the replaced fact, where the correction changed the party."""
    late_s: Annotated[int, Field(ge=0)] | None = None
    """Of a correction: how long after it happened it, or what it corrects, was recorded, whichever was sooner."""
    assignment: Assignment | None = None
    """Whose the subject is, where it is not its own party."""


class ProblemOpened(Event, type="customers.problem_opened.v1", topic=INTERACTIONS):
    """A party has a problem with us, or has it again."""

    problem_id: UUID
    """The problem."""
    category: Slug
    """What kind of problem, such as `delivery`."""
    severity: Severity
    """How bad it is for the party."""
    late_s: Annotated[int, Field(ge=0)] | None = None
    """Of one that is told anew under another subject: how long after it happened it was first recorded."""
    assignment: Assignment | None = None
    """Whose the subject is, where it is not its own party."""


class ProblemSolved(Event, type="customers.problem_solved.v1", topic=INTERACTIONS):
    """A problem was solved."""

    problem_id: UUID
    """The problem."""
    opened_at: AwareDatetime
    """When it was opened, or last opened again."""
    late_s: Annotated[int, Field(ge=0)] | None = None
    """Of one that is told anew under another subject: how long after it happened it was first recorded."""
    assignment: Assignment | None = None
    """Whose the subject is, where it is not its own party."""


class PartyOwnerChanged(Event, type="customers.party_owner_changed.v1", topic=PARTIES):
    """A party has another owner or team. The subject is the party."""

    version: Annotated[int, Field(ge=1)]
    """Rises with every change of a party's owner; of two, the higher one holds."""
    owner_id: UUID | None = None
    """The user who takes care of the party; none where nobody does."""
    team_id: UUID | None = None
    """The team that takes care of it; none where none does."""


class FactWithdrawn(Event, type="customers.fact_withdrawn.v1", topic=PURCHASES):
    """A fact was entered by mistake and never counted. It has the subject of the fact that it names."""

    fact_id: UUID
    """The event id of the withdrawn fact."""
    late_s: Annotated[int, Field(ge=0)] | None = None
    """Seconds after it happened at which the withdrawn fact was recorded, where that is told; of several versions, the
    fewest."""
    assignment: Assignment | None = None
    """Whose the subject is, where it is not its own party."""
