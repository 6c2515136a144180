"""Events of the customers service: who exists, whose identity is whose, who bought and returned what."""

from datetime import date
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field

from contracts.event import Currency, Event, Shape, Slug
from contracts.topics import PARTIES, PURCHASES


class PartyKind(StrEnum):
    """What a party is."""

    PERSON = "person"
    ORGANISATION = "organisation"


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
    assignment: Assignment | None = None
    """Whose the subject is, where it is not its own party."""


class FactWithdrawn(Event, type="customers.fact_withdrawn.v1", topic=PURCHASES):
    """A fact was entered by mistake and never counted. It has the subject of the fact that it names."""

    fact_id: UUID
    """The event id of the withdrawn fact."""
    assignment: Assignment | None = None
    """Whose the subject is, where it is not its own party."""
