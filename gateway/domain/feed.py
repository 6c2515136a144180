"""The feed: which events it tells, how they look outside, and who is told which of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from contracts import community, customers, leads, scoring
from contracts.event import Event, Shape
from contracts.problems import Invalid, Problem, Unavailable
from contracts.scoring import Stage, StandingChanged, StandingRegraded, Tier

TOLD: tuple[type[Event], ...] = (
    scoring.StandingChanged,
    scoring.StandingRegraded,
    customers.PurchaseCompleted,
    customers.PurchaseReturned,
    customers.InteractionRecorded,
    customers.ProblemOpened,
    customers.ProblemSolved,
    customers.FactWithdrawn,
    customers.PartyOwnerChanged,
    leads.LeadCaptured,
    leads.LeadGraded,
    leads.LeadQualified,
    leads.LeadDisqualified,
    leads.LeadWon,
    leads.LeadLost,
    leads.LeadReopened,
    leads.LeadAssigned,
    leads.LeadFactWithdrawn,
    community.MemberJoined,
    community.ReferralMade,
    community.ReferralConverted,
)
"""The events that the feed tells. Who exists and whose identity is whose it only reads, to tell each event's party."""
TYPES = frozenset(event.wire_type for event in TOLD)

ABOUT_PARTIES = (scoring.StandingChanged, scoring.StandingRegraded, customers.PartyOwnerChanged)
"""Events whose subject is a party; that of any other is an identity."""

KINDS_OF_IDS: Mapping[str, str] = {
    "purchase_id": "purchase",
    "return_id": "return",
    "interaction_id": "interaction",
    "problem_id": "problem",
    "lead_id": "lead",
    "member_id": "member",
    "referral_id": "referral",
    "referred_id": "identity",
    "owner_id": "user",
    "team_id": "team",
    "merged_into": "party",
    "fact_id": "event",
    "replaces": "event",
}
"""What the ids in events are called outside, by the name of the field."""
INSIDE = frozenset({"subject", "assignment", "replaced_subject", "other_identities", "given", "occurred_at"})
"""Fields that readers do not find in the data: who is who, for which they see the party, and what stands beside it."""


class HistoryGone(Problem):
    """What came after the event that a reader saw last is kept no longer."""

    status = 410


class UnknownEventType(Invalid):
    """The feed tells no event of this type."""


class StreamUnavailable(Unavailable):
    """The feed cannot be followed just now."""


class TooManyStreams(Unavailable):
    """As many streams are open as this process, or this caller, may have."""


class Holdings(NamedTuple):
    """Who holds an identity, from which local day on; the first one has no day."""

    version: int
    days: Sequence[date | None]
    parties: Sequence[UUID]

    def on(self, day: date) -> UUID:
        """The holder on a day."""
        held = [party for since, party in zip(self.days, self.parties, strict=True) if since is None or since <= day]
        return held[-1] if held else self.parties[0]


def holdings(event: Event) -> Iterable[tuple[UUID, Holdings]]:
    """What an event says about who holds an identity."""
    told = event.assignments if isinstance(event, customers.IdentitiesAssigned) else [vars(event).get("assignment")]
    for assignment in told:
        if assignment is not None:
            days = [holding.from_day for holding in assignment.holdings]
            parties = [holding.party_id for holding in assignment.holdings]
            yield assignment.identity_id, Holdings(assignment.version, days, parties)


def data_of(event: Event) -> dict[str, Any]:
    """The data of an event as readers see it: ids in their outer spelling, nothing about identities."""
    said = vars(event).items()
    return {name: _outside(name, value) for name, value in said if value is not None and name not in INSIDE}


def _outside(name: str, value: Any) -> Any:
    # Asked first, as most are: whether something is a shape takes longest to find out.
    if isinstance(value, (str, int)):
        return value
    if isinstance(value, UUID):
        return f"{KINDS_OF_IDS[name]}_{value.hex}"
    return value.model_dump() if isinstance(value, Shape) else value


def after(event: Event) -> tuple[Stage | None, Tier | None]:
    """Stage and tier in which an event leaves its party; None where it says nothing of them."""
    match event:
        case StandingChanged():
            return event.to_stage, event.to_tier
        case StandingRegraded():
            return event.stage, event.tier
    return None, None


def is_historic(event: Event, recorded_at: datetime, *, days: int) -> bool:
    """Whether an event rests on what was long past when it was recorded, as after an import of old files.

    Most events say themselves when it happened. What follows from something else, as a standing that a late fact puts
    right, or a fact that is taken back, says how late that was recorded.
    """
    late_s: int | None = vars(event).get("late_s")
    late = recorded_at - event.occurred_at if late_s is None else timedelta(seconds=late_s)
    return late > timedelta(days=days)


class Told(NamedTuple):
    """An event of the feed, as far as it decides who is told."""

    seq: int
    type: str
    party_id: UUID
    stage: str | None
    tier: str | None
    historic: bool
    owner_id: UUID | None
    team_id: UUID | None
    body: str
    """The JSON that readers see."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a reader wants to be told; None is everything."""

    types: frozenset[str] | None = None
    stages: frozenset[str] | None = None
    tiers: frozenset[str] | None = None
    parties: frozenset[UUID] | None = None
    historic: bool = False

    def includes(self, event: Told) -> bool:
        """Whether it is to be told."""
        return (
            (self.historic or not event.historic)
            and (self.types is None or event.type in self.types)
            and (self.stages is None or event.stage in self.stages)
            and (self.tiers is None or event.tier in self.tiers)
            and (self.parties is None or event.party_id in self.parties)
        )


def known_types(types: Iterable[str]) -> frozenset[str]:
    """Types that the feed tells. Raises `UnknownEventType`."""
    wanted = frozenset(types)
    if unknown := sorted(wanted - TYPES):
        raise UnknownEventType(f"The feed tells no {', '.join(unknown)}.", allowed=sorted(TYPES))
    return wanted
