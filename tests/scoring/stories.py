"""Random stories of a few people, and what they must come to by the plain recomputation."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from random import Random
from uuid import UUID

import asyncpg

from chassis.consumer import Delivery, StartOver
from chassis.db import Database, driver
from contracts.customers import (
    Assignment,
    FactWithdrawn,
    Holding,
    IdentitiesAssigned,
    PartyKind,
    PartyRegistered,
    PurchaseCompleted,
    PurchaseReturned,
    Resolution,
)
from contracts.event import Event
from services.scoring.domain.calendar import unpack
from services.scoring.domain.facts import Fact, Kind
from services.scoring.domain.plain import counting, held, plain_entries, plain_standing
from services.scoring.domain.standing import Standing
from services.scoring.handlers.batches import apply
from services.scoring.queries.rulings import Connection, present

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
Holders = tuple[tuple[UUID, date | None], ...]


@dataclass
class Story:
    """What customers would tell of six people who buy, return, are mistaken for each other and told apart again."""

    random: Random
    recorded_at: datetime = NOON
    told: list[Delivery] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.people = [self._id() for _ in range(6)]
        self.edges: set[tuple[UUID, UUID]] = set()
        self.homes: dict[UUID, Holders] = {person: ((person, None),) for person in self.people}
        self.assigned: dict[UUID, Holders] = dict(self.homes)
        self.resolved: dict[UUID, UUID] = {person: person for person in self.people}
        self.assignments: dict[UUID, Assignment] = {}
        self.version = 0

    def go_on(self, steps: int) -> None:
        for _ in range(steps):
            step = self.random.choices(
                [self.buy, self.give_back, self.register, self.take_back, self.correct, self.merge, self.hand_on],
                [40, 8, 5, 8, 8, 12, 4],
            )[0]
            step()

    def buy(self, **more: object) -> None:
        self.tell(
            PurchaseCompleted(
                subject=more.pop("subject", None) or self.random.choice(self.people),
                occurred_at=self._when(),
                purchase_id=self._id(),
                amount_minor=self.random.choice([0, 500, 12_000, 40_000, 110_000]),
                currency=self.random.choice(["EUR", "EUR", "EUR", "USD"]),
                source="tests",
                **more,
            )
        )

    def give_back(self) -> None:
        self.tell(
            PurchaseReturned(
                subject=self.random.choice(self.people),
                occurred_at=self._when(),
                return_id=self._id(),
                amount_minor=self.random.choice([500, 30_000]),
                currency="EUR",
                source="tests",
            )
        )

    def register(self) -> None:
        self.tell(
            PartyRegistered(
                subject=self.random.choice(self.people), occurred_at=self._when(), kind=PartyKind.PERSON
            )
        )  # fmt: skip

    def take_back(self) -> None:
        if facts := self._facts():
            wrong = self.random.choice(facts)
            self.tell(
                FactWithdrawn(subject=wrong.event.subject, occurred_at=self.recorded_at, fact_id=wrong.event_id)
            )  # fmt: skip

    def correct(self) -> None:
        if facts := self._facts():
            wrong = self.random.choice(facts)
            right = self.random.choice([wrong.event.subject, self.random.choice(self.people)])
            self.buy(subject=right, replaces=wrong.event_id, replaced_subject=wrong.event.subject)

    def merge(self) -> None:
        if self.edges and self.random.random() < 0.4:
            self.edges.remove(self.random.choice(sorted(self.edges)))
        else:
            one, other = sorted(self.random.sample(self.people, 2))
            self.edges.add((one, other))
        self._reassign()

    def hand_on(self) -> None:
        identity, other = self.random.choice(self.people), self.random.choice(self.people)
        self.homes[identity] = ((identity, None), (other, (self._when() - timedelta(days=100)).date()))
        self._reassign()

    def tell(self, event: Event) -> None:
        self.recorded_at += timedelta(minutes=self.random.randint(0, 90))
        assignment = self.assignments.get(event.subject)
        if assignment and "assignment" in type(event).model_fields and self.random.random() < 0.7:
            event = event.model_copy(update={"assignment": assignment})
        seq = len(self.told) + 1
        self.told.append(Delivery(event, self._id(), event.topic.name, 0, 1, seq, self.recorded_at))

    def _reassign(self) -> None:
        survivors = {person: min(self._connected(person)) for person in self.people}
        now = {
            who: tuple((survivors[party], start) for party, start in homes) for who, homes in self.homes.items()
        }  # fmt: skip
        self.version += 1
        assignments = [
            Assignment(
                identity_id=who,
                version=self.version,
                holdings=[Holding(party_id=party, from_day=start) for party, start in holders],
            )
            for who, holders in now.items()
            if holders != self.assigned[who]
        ]
        resolutions = [
            Resolution(party_id=party, version=self.version, resolves_to=into)
            for party, into in survivors.items()
            if into != self.resolved[party]
        ]
        self.assigned, self.resolved = now, survivors
        self.assignments |= {assignment.identity_id: assignment for assignment in assignments}
        if assignments or resolutions:
            self.tell(
                IdentitiesAssigned(
                    subject=min(self.people),
                    occurred_at=self.recorded_at,
                    assignments=assignments,
                    resolutions=resolutions,
                )
            )

    def _connected(self, person: UUID) -> set[UUID]:
        found, seen = {person}, set[UUID]()
        while found != seen:
            seen = set(found)
            found |= {end for edge in self.edges if seen.intersection(edge) for end in edge}
        return found

    def _facts(self) -> list[Delivery]:
        return [told for told in self.told if isinstance(told.event, PurchaseCompleted | PurchaseReturned)]

    def _id(self) -> UUID:
        return UUID(int=self.random.getrandbits(128), version=4)

    def _when(self) -> datetime:
        days = self.random.choice([0, 0, 1, self.random.randint(0, 120), self.random.randint(0, 900)])
        return self.recorded_at - timedelta(days=days, minutes=self.random.randint(0, 600))


async def give(database: Database, batch: Sequence[Delivery]) -> None:
    """Hand a batch to the handler as the worker does."""
    for _ in range(20):
        try:
            async with database.transaction() as session:
                await apply(session, batch)
            return
        except StartOver:
            continue
    raise AssertionError("started over without end")


async def disagreements(database: Database, told: Iterable[Delivery]) -> list[str]:
    """What is stored and is not what the events of a story come to, whatever their order was."""
    facts, gone, holders, resolved = _as_told(told)
    counts = counting(facts, gone)
    found: list[str] = []
    async with database.transaction() as session:
        connection = await driver(session)
        kept = {row["fact_id"] for row in await connection.fetch("SELECT fact_id FROM fact")}
        if kept != {fact.fact_id for fact in facts}:
            found.append(f"facts missing: {len({fact.fact_id for fact in facts} - kept)}")
        here = await present(connection)
        zone = here.ruling.zone
        for identity in {fact.identity_id for fact in facts}:
            rows = await connection.fetch("SELECT days FROM calendar WHERE identity_id = $1", identity)
            stored = {
                (date.fromordinal(day), Kind(kind), currency): (count, amount)
                for day, kind, currency, count, amount in unpack([row["days"] for row in rows]).entries
            }
            expected = plain_entries([fact for fact in counts if fact.identity_id == identity], zone)
            if differing := {key: (stored.get(key), expected.get(key)) for key in stored.keys() | expected.keys()
                             if stored.get(key) != expected.get(key)}:  # fmt: skip
                found.append(f"calendar of {identity} has, and ought to have: {differing}")
        rows = await connection.fetch("SELECT * FROM party")
        for row in rows:
            party = row["party_id"]
            own = held(counts, holders, party, zone)
            standing = plain_standing(
                own, row["assessed_at"] or NOON, here.ruling.policy, here.ruling.cuts,
                currency=here.currency, rates=here.rate_rows, zone=zone,
            )  # fmt: skip
            for name in Standing.__struct_fields__:
                if row[name] != getattr(standing, name):
                    found.append(f"{name} of {party}: {row[name]} and not {getattr(standing, name)}")
            if row["first_identity"] != min((fact.identity_id for fact in own), default=None):
                found.append(f"first identity of {party}: {row['first_identity']}")
            if row["resolves_to"] != resolved.get(party, party):
                found.append(f"{party} leads to {row['resolves_to']}")
        missing = {party for fact in counts for party, _ in holders.get(fact.identity_id, ((fact.identity_id, None),))}
        found += [f"no row of {party}" for party in missing - {row["party_id"] for row in rows}]
        found += await _broken_announcements(connection, {row["party_id"]: row for row in rows})
    return found


async def _broken_announcements(connection: Connection, rows: Mapping[UUID, asyncpg.Record]) -> list[str]:
    """The announced moves of a party join without a gap, and the last one says how it stands."""
    found: list[str] = []
    last: dict[UUID, tuple[int, str | None, str | None]] = {}
    for move in await connection.fetch(_ANNOUNCED):
        _, stage, tier = last.get(move["party_id"], (0, None, None))
        if (move["from_stage"], move["from_tier"]) != (stage, tier):
            found.append(f"revision {move['revision']} of {move['party_id']} does not join")
        if (move["fact_id"] is not None) and move["cause"] not in ("fact", "late_fact"):
            found.append(f"revision {move['revision']} of {move['party_id']} names a fact, and is by {move['cause']}")
        if move["kind"] == "won_back" and move["cause"] != "fact":
            found.append(f"revision {move['revision']} of {move['party_id']} was won back by {move['cause']}")
        if move["cause"] == "fact" and move["done_at"] not in (None, move["occurred_at"]):
            found.append(f"revision {move['revision']} of {move['party_id']} is not told on the day of its fact")
        last[move["party_id"]] = move["revision"], move["to_stage"], move["to_tier"]
    for party, row in rows.items():
        revision, stage, tier = last.get(party, (0, None, None))
        if (row["stage"], row["tier"]) != (stage, tier) or row["revision"] < revision:
            found.append(f"{party} was announced as {stage} {tier} and is {row['stage']} {row['tier']}")
    return found


_ANNOUNCED = """
SELECT lived_move.*, fact.occurred_at AS done_at FROM lived_move LEFT JOIN fact USING (fact_id)
ORDER BY party_id, revision
"""


def _as_told(
    told: Iterable[Delivery],
) -> tuple[list[Fact], set[tuple[UUID, UUID]], dict[UUID, Holders], dict[UUID, UUID]]:
    facts: list[Fact] = []
    gone: set[tuple[UUID, UUID]] = set()
    assignments: dict[UUID, Assignment] = {}
    resolutions: dict[UUID, Resolution] = {}
    for delivery in told:
        event = delivery.event
        if isinstance(event, PartyRegistered):
            facts.append(_fact(delivery, Kind.REGISTERED))
        elif isinstance(event, PurchaseCompleted | PurchaseReturned):
            kind = Kind.PURCHASE if isinstance(event, PurchaseCompleted) else Kind.RETURN
            facts.append(_fact(delivery, kind, event.amount_minor, event.currency))
            if event.replaces:
                gone.add((event.replaces, event.replaced_subject or event.subject))
        elif isinstance(event, FactWithdrawn):
            gone.add((event.fact_id, event.subject))
        whole = getattr(event, "assignments", None) or (getattr(event, "assignment", None),)
        for assignment in whole:
            if assignment and assignment.version > getattr(assignments.get(assignment.identity_id), "version", 0):
                assignments[assignment.identity_id] = assignment
        for resolution in getattr(event, "resolutions", ()):
            if resolution.version > getattr(resolutions.get(resolution.party_id), "version", 0):
                resolutions[resolution.party_id] = resolution
    holders = {
        who: tuple((holding.party_id, holding.from_day) for holding in assignment.holdings)
        for who, assignment in assignments.items()
    }
    return facts, gone, holders, {party: each.resolves_to for party, each in resolutions.items()}


def _fact(delivery: Delivery, kind: Kind, amount_minor: int = 0, currency: str = "") -> Fact:
    event = delivery.event
    return Fact(
        delivery.event_id, event.subject, kind, event.occurred_at, delivery.recorded_at, amount_minor, currency
    )  # fmt: skip
