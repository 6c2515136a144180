"""What a batch of events says, taken apart before anything is looked up."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, Self
from uuid import UUID

from asyncpg.pgproto.pgproto import UUID as DriverUUID

from chassis.consumer import Delivery
from contracts.community import CommunityFactWithdrawn
from contracts.customers import (
    Assignment,
    FactWithdrawn,
    IdentitiesAssigned,
    InteractionRecorded,
    PartyOwnerChanged,
    PurchaseCompleted,
    PurchaseReturned,
    Resolution,
)
from contracts.leads import LeadFactWithdrawn
from services.scoring.domain.facts import Fact
from services.scoring.domain.meaning import Meaning, meaning
from services.scoring.queries.facts import Place, Withdrawn

CORRECTED = PurchaseCompleted, PurchaseReturned, InteractionRecorded
"""Events that may take the place of an earlier one."""


def _key(id: UUID) -> UUID:
    """The same id in the class that the driver gives back: in one dictionary two classes cost five times more."""
    return DriverUUID(id.bytes)


def later(one: Delivery, other: Delivery | None) -> Delivery:
    """Of two events the one that was recorded last."""
    return one if other is None or one.recorded_at >= other.recorded_at else other


class Withdrawal(NamedTuple):
    """A fact that no longer counts, stored or not."""

    fact_id: UUID
    identity_id: UUID
    """Whom the fact must be about."""
    by_event: UUID
    recorded_at: datetime


@dataclass(slots=True)
class Told:
    """What a batch tells: facts, withdrawals, and the highest version of each assignment, redirect and owner."""

    facts: dict[UUID, Fact] = field(default_factory=dict)
    places: dict[UUID, Place] = field(default_factory=dict)
    withdrawals: dict[Withdrawn, Withdrawal] = field(default_factory=dict)
    late_s: dict[Withdrawn, int] = field(default_factory=dict)
    """How late what is withdrawn was recorded, or what that corrected in its turn, where it is said."""
    assignments: dict[UUID, Assignment] = field(default_factory=dict)
    every_assignment: dict[tuple[UUID, int], tuple[Assignment, datetime]] = field(default_factory=dict)
    """Each version of them, also an older one, with the first time at which it was recorded."""
    resolutions: dict[UUID, Resolution] = field(default_factory=dict)
    owners: dict[UUID, PartyOwnerChanged] = field(default_factory=dict)
    """Who takes care of a party."""
    heard: dict[UUID, Delivery] = field(default_factory=dict)
    """The last recorded of what it says of an identity, or of where a party id leads."""
    identities: set[UUID] = field(default_factory=set)
    """Whose calendar or assignment it may change."""

    @classmethod
    def of(cls, batch: Sequence[Delivery]) -> Self:
        """Take a batch apart."""
        told = cls()
        for delivery in batch:
            told._take(delivery)
        told.identities |= told.assignments.keys()
        return told

    @property
    def parties(self) -> Iterator[UUID]:
        """Parties that it names."""
        yield from self.owners
        for assignment, _ in self.every_assignment.values():
            for holding in assignment.holdings:
                yield holding.party_id
        for resolution in self.resolutions.values():
            yield resolution.party_id
            yield resolution.resolves_to

    @property
    def fact_ids(self) -> set[UUID]:
        """Facts that it tells or withdraws."""
        return {*self.facts, *(fact_id for fact_id, _ in self.withdrawals)}

    def _take(self, delivery: Delivery) -> None:
        event = delivery.event
        match event:
            case FactWithdrawn() | LeadFactWithdrawn() | CommunityFactWithdrawn():
                self._withdraw(delivery, event.fact_id, event.subject)
            case IdentitiesAssigned():
                for assignment in event.assignments:
                    self._assign(delivery, assignment)
                for resolution in event.resolutions:
                    self._hear(delivery, resolution.party_id)
                    known = self.resolutions.get(resolution.party_id)
                    if known is None or known.version < resolution.version:
                        self.resolutions[resolution.party_id] = resolution
            case PartyOwnerChanged():
                present = self.owners.get(event.subject)
                if present is None or present.version < event.version:
                    self.owners[event.subject] = event
            case _:
                said = meaning(event)
                if said is None:
                    return
                self._fact(delivery, said)
                if isinstance(event, CORRECTED) and event.replaces is not None:
                    self._withdraw(delivery, event.replaces, event.replaced_subject or event.subject)
        whole: Assignment | None = vars(event).get("assignment")
        if whole is not None:
            self._assign(delivery, whole)

    def _hear(self, delivery: Delivery, id: UUID) -> None:
        self.heard[id] = later(delivery, self.heard.get(id))

    def _fact(self, delivery: Delivery, said: Meaning) -> None:
        fact_id, subject = _key(delivery.event_id), _key(delivery.event.subject)
        self.identities.add(subject)
        self._hear(delivery, subject)
        if fact_id not in self.facts:
            occurred_at, recorded_at = delivery.event.occurred_at, delivery.recorded_at
            replaces: UUID | None = vars(delivery.event).get("replaces")
            self.facts[fact_id] = Fact(
                fact_id, subject, said.kind, occurred_at, recorded_at, said.amount_minor, said.detail, replaces,
                said.opened_at, said.rating, said.channel, said.competitor, vars(delivery.event).get("late_s"),
            )  # fmt: skip
            self.places[fact_id] = delivery.topic, delivery.partition, delivery.epoch, delivery.seq

    def _withdraw(self, delivery: Delivery, fact_id: UUID, identity_id: UUID) -> None:
        fact_id, identity_id = _key(fact_id), _key(identity_id)
        self.identities.add(identity_id)
        self._hear(delivery, identity_id)
        late_s: int | None = vars(delivery.event).get("late_s")
        if late_s is not None:
            self.late_s[fact_id, identity_id] = late_s
        withdrawal = Withdrawal(fact_id, identity_id, delivery.event_id, delivery.recorded_at)
        known = self.withdrawals.get((fact_id, identity_id))
        if known is None or withdrawal.recorded_at < known.recorded_at:
            self.withdrawals[fact_id, identity_id] = withdrawal

    def _assign(self, delivery: Delivery, assignment: Assignment) -> None:
        self._hear(delivery, assignment.identity_id)
        version = assignment.identity_id, assignment.version
        told = self.every_assignment.get(version)
        if told is None or delivery.recorded_at < told[1]:
            self.every_assignment[version] = assignment, delivery.recorded_at
        known = self.assignments.get(assignment.identity_id)
        if known is None or known.version < assignment.version:
            self.assignments[assignment.identity_id] = assignment
