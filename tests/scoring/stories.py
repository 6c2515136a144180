"""Random stories of a few people, and what they must come to by the plain recomputation."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from random import Random
from uuid import UUID

import asyncpg

from chassis.consumer import Delivery, StartOver
from chassis.db import Database, driver
from contracts.community import (
    CommunityFactWithdrawn,
    MemberJoined,
    PersonReferred,
    PostPublished,
    Reaction,
    ReactionGiven,
    ReferralConverted,
    ReferralMade,
    ReplyPublished,
)
from contracts.customers import (
    Assignment,
    Department,
    Direction,
    FactWithdrawn,
    Holding,
    IdentitiesAssigned,
    InteractionKind,
    InteractionRecorded,
    PartyKind,
    PartyOwnerChanged,
    PartyRegistered,
    ProblemOpened,
    ProblemSolved,
    PurchaseCompleted,
    PurchaseReturned,
    Resolution,
    Severity,
)
from contracts.event import Event
from contracts.leads import (
    Grade,
    LeadAssigned,
    LeadCaptured,
    LeadDisqualified,
    LeadFactWithdrawn,
    LeadGraded,
    LeadLost,
    LeadQualified,
    LeadReopened,
    LeadWon,
    Order,
)
from contracts.loss import LossReason
from services.scoring.domain.calendar import unpack
from services.scoring.domain.facts import Fact, Kind
from services.scoring.domain.plain import counting, held, plain_entries, plain_standing
from services.scoring.domain.standing import Standing
from services.scoring.domain.verdict import COMPUTED_ON_READ
from services.scoring.handlers.batches import apply
from services.scoring.queries.rulings import Connection, present

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
Holders = tuple[tuple[UUID, date | None], ...]
Owner = tuple[int, UUID | None, UUID | None]
"""Version, owner, team."""


@dataclass
class Story:
    """What is told of six people who ask, write, buy, return, are mistaken for each other and told apart again."""

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
                [
                    self.buy,
                    self.give_back,
                    self.register,
                    self.turn_to_us,
                    self.have_a_problem,
                    self.be_a_lead,
                    self.take_part,
                    self.be_taken_care_of,
                    self.take_back,
                    self.correct,
                    self.merge,
                    self.hand_on,
                ],
                [14, 5, 4, 14, 4, 16, 8, 3, 10, 10, 12, 4],
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
                subject=self.random.choice(self.people), occurred_at=self._when(), kind=self.random.choice([*PartyKind])
            )
        )  # fmt: skip

    def turn_to_us(self, **more: object) -> None:
        kind = self.random.choice([*InteractionKind, InteractionKind.DECLINED, InteractionKind.DECLINED])
        reason = self.random.choice([None, *LossReason]) if kind is InteractionKind.DECLINED else None
        self.tell(
            InteractionRecorded(
                subject=more.pop("subject", None) or self.random.choice(self.people),
                occurred_at=self._when(),
                interaction_id=self._id(),
                department=self.random.choice(list(Department)),
                channel="phone",
                kind=kind,
                direction=self.random.choice(list(Direction)),
                loss_reason=reason,
                attitude=self.random.choice([None, None, 1, 3, 5]),
                speed=self.random.choice([None, None, 2, 4]),
                source="tests",
                **more,
            )
        )

    def have_a_problem(self) -> None:
        who, when, problem = self.random.choice(self.people), self._when(), self._id()
        opened = {"category": "delivery", "severity": Severity.HIGH}
        took = timedelta(days=self.random.choice([0, 1, 20]))
        self.tell(
            self.random.choice(
                [
                    ProblemOpened(subject=who, occurred_at=when, problem_id=problem, **opened),
                    ProblemSolved(subject=who, occurred_at=when, problem_id=problem, opened_at=when - took),
                ]
            )
        )

    def be_a_lead(self) -> None:
        named = {"subject": self.random.choice(self.people), "occurred_at": self._when(), "lead_id": self._id()}
        reason = self.random.choice(list(LossReason))
        order = Order(amount_minor=self.random.choice([900, 35_000]), currency="EUR")
        self.tell(
            self.random.choice(
                [
                    LeadCaptured(source="website", **named),
                    LeadQualified(**named),
                    LeadDisqualified(reason=reason, **named),
                    LeadWon(order=self.random.choice([None, order]), **named),
                    LeadLost(reason=reason, **named),
                    LeadReopened(**named),
                    LeadGraded(grade=self.random.choice(list(Grade)), points=3, rubric="0" * 64, **named),
                    LeadAssigned(version=1, **named),
                ]
            )
        )

    def take_part(self) -> None:
        named = {"subject": self.random.choice(self.people), "occurred_at": self._when()}
        post, referral = self._id(), self._id()
        self.tell(
            self.random.choice(
                [
                    MemberJoined(member_id=self._id(), community="users", **named),
                    PostPublished(post_id=post, **named),
                    ReplyPublished(post_id=post, reply_id=self._id(), **named),
                    ReactionGiven(post_id=post, reaction=Reaction.THANKS, **named),
                    ReferralMade(referral_id=referral, **named),
                    PersonReferred(referral_id=referral, referrer_id=self._id(), **named),
                    ReferralConverted(referral_id=referral, amount_minor=900, currency="EUR", **named),
                ]
            )
        )

    def be_taken_care_of(self) -> None:
        self.version += 1
        owner, team = self.random.choice([None, self._id()]), self.random.choice([None, self._id()])
        self.tell(
            PartyOwnerChanged(
                subject=self.random.choice(self.people),
                occurred_at=self.recorded_at,
                version=self.version,
                owner_id=owner,
                team_id=team,
            )
        )

    def take_back(self) -> None:
        wrong = self.random.choice([*self.told, None])
        if wrong and not isinstance(wrong.event, IdentitiesAssigned | PartyOwnerChanged):
            by_service = {"leads": LeadFactWithdrawn, "community": CommunityFactWithdrawn, "customers": FactWithdrawn}
            withdrawn = by_service[wrong.event.topic.service]
            self.tell(withdrawn(subject=wrong.event.subject, occurred_at=self.recorded_at, fact_id=wrong.event_id))

    def correct(self) -> None:
        facts = [
            told
            for told in self.told
            if isinstance(told.event, PurchaseCompleted | PurchaseReturned | InteractionRecorded)
        ]
        if facts:
            wrong = self.random.choice(facts)
            right = self.random.choice([wrong.event.subject, self.random.choice(self.people)])
            again = self.turn_to_us if isinstance(wrong.event, InteractionRecorded) else self.buy
            again(subject=right, replaces=wrong.event_id, replaced_subject=wrong.event.subject)

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
    facts, gone, holders, resolved, owners = _as_told(told)
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
                (date.fromordinal(day), Kind(kind), detail): (count, amount)
                for day, kind, detail, count, amount in unpack([row["days"] for row in rows]).entries
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
                model=here.ruling.model, currency=here.currency, rates=here.rate_rows, zone=zone,
            )  # fmt: skip
            for name in sorted({*Standing.__struct_fields__} - COMPUTED_ON_READ):
                there = tuple(row[name]) if isinstance(row[name], list) else row[name]
                if there != getattr(standing, name):
                    found.append(f"{name} of {party}: {there} and not {getattr(standing, name)}")
            if row["first_identity"] != min((fact.identity_id for fact in own), default=None):
                found.append(f"first identity of {party}: {row['first_identity']}")
            if row["resolves_to"] != resolved.get(party, party):
                found.append(f"{party} leads to {row['resolves_to']}")
            if (row["owner_version"], row["owner_id"], row["team_id"]) != owners.get(party, (0, None, None)):
                found.append(f"{party} is {row['owner_id']}'s in team {row['team_id']}")
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
        if move["kind"] in ("won_back", "revived") and move["cause"] != "fact":
            found.append(f"revision {move['revision']} of {move['party_id']} was {move['kind']} by {move['cause']}")
        if (move["loss_reason"] is not None) != (move["to_stage"] in ("lost_prospect", "lost_customer")):
            found.append(f"revision {move['revision']} of {move['party_id']} has the reason {move['loss_reason']}")
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
) -> tuple[list[Fact], set[tuple[UUID, UUID]], dict[UUID, Holders], dict[UUID, UUID], dict[UUID, Owner]]:
    facts: list[Fact] = []
    gone: set[tuple[UUID, UUID]] = set()
    assignments: dict[UUID, Assignment] = {}
    resolutions: dict[UUID, Resolution] = {}
    owners: dict[UUID, Owner] = {}
    for delivery in told:
        event = delivery.event
        if said := _as_fact(event):
            kind, amount, detail = said
            facts.append(
                Fact(
                    delivery.event_id, event.subject, kind, event.occurred_at, delivery.recorded_at, amount, detail,
                    opened_at=getattr(event, "opened_at", None), rating=_rating(event),
                )
            )  # fmt: skip
        if isinstance(event, PurchaseCompleted | PurchaseReturned | InteractionRecorded) and event.replaces:
            gone.add((event.replaces, event.replaced_subject or event.subject))
        elif isinstance(event, FactWithdrawn | LeadFactWithdrawn | CommunityFactWithdrawn):
            gone.add((event.fact_id, event.subject))
        if isinstance(event, PartyOwnerChanged) and event.version > owners.get(event.subject, (0,))[0]:
            owners[event.subject] = event.version, event.owner_id, event.team_id
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
    return facts, gone, holders, {party: each.resolves_to for party, each in resolutions.items()}, owners


def _as_fact(event: Event) -> tuple[Kind, int, str] | None:
    """What an event has to be kept as: said once more, by its name on the wire and what stands there."""
    name, told = event.wire_type.split(".")[1], event.model_dump(mode="json")
    match name:
        case "purchase_completed" | "purchase_returned":
            kind = Kind.PURCHASE if name == "purchase_completed" else Kind.RETURN
            return kind, told["amount_minor"], told["currency"]
        case "lead_won" if told["order"]:
            return Kind.PURCHASE, told["order"]["amount_minor"], told["order"]["currency"]
        case "lead_lost" | "lead_disqualified":
            return Kind[name.upper()], 0, told["reason"]
        case "lead_graded":
            return Kind.LEAD_GRADED, 0, told["grade"]
        case "interaction_recorded":
            said = (told["loss_reason"] or "unknown") if told["kind"] == "declined" else ""
            if told["kind"] == "survey" or (told["kind"], told["direction"]) == ("cart", "inbound"):
                said = told["kind"]
            asked = told["kind"] in ("inquiry", "cart")
            return _INTERACTIONS.get(told["kind"]) or _DIRECTED[told["direction"], asked], 0, said
        case "party_registered":
            return Kind.REGISTERED, 0, told["kind"]
        case _ if name in _NAMED:
            return _NAMED[name], 0, ""
    return None


def _rating(event: Event) -> int:
    """Above or below the middle of the scale from 1 to 5, as what is stated of a contact on average; 0 in a survey."""
    said = event.model_dump(mode="json")
    if said.get("kind") == "survey":
        return 0
    stated = [rate for name in ("attitude", "speed", "quality") if (rate := said.get(name)) is not None]
    mean = sum(stated) / len(stated) if stated else 3
    return 1 if mean > 3 else -1 if mean < 3 else 0


_NAMED = {
    **{
        kind.name.lower(): kind for kind in (Kind.LEAD_CAPTURED, Kind.LEAD_QUALIFIED, Kind.LEAD_WON, Kind.LEAD_REOPENED)
    },
    "lead_captured": Kind.LEAD_CAPTURED,
    "lead_qualified": Kind.LEAD_QUALIFIED,
    "lead_won": Kind.LEAD_WON,
    "lead_reopened": Kind.LEAD_REOPENED,
    "problem_opened": Kind.PROBLEM_OPENED,
    "problem_solved": Kind.PROBLEM_SOLVED,
    "referral_converted": Kind.REFERRAL_CONVERTED,
    "member_joined": Kind.JOINED,
    "post_published": Kind.POSTED,
    "reply_published": Kind.REPLIED,
    "reaction_given": Kind.REACTED,
    "referral_made": Kind.REFERRED,
    "person_referred": Kind.WAS_REFERRED,
}
_INTERACTIONS = {
    "visit": Kind.VISITED,
    "view": Kind.VISITED,
    "declined": Kind.DECLINED,
    "complaint": Kind.COMPLAINED,
    "praise": Kind.PRAISED,
    "survey": Kind.REACHED,
}
_DIRECTED = {
    ("inbound", True): Kind.INQUIRED,
    ("inbound", False): Kind.CONTACTED,
    ("outbound", True): Kind.REACHED,
    ("outbound", False): Kind.REACHED,
}
