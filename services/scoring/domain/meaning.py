"""What an event says as a fact. One event is one fact at most, of a kind of its own; policy says what kinds mean."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from contracts.community import (
    MemberJoined,
    PersonReferred,
    PostPublished,
    ReactionGiven,
    ReferralConverted,
    ReferralMade,
    ReplyPublished,
)
from contracts.customers import (
    Direction,
    InteractionKind,
    InteractionRecorded,
    PartyRegistered,
    ProblemOpened,
    ProblemSolved,
    PurchaseCompleted,
    PurchaseReturned,
)
from contracts.event import Event
from contracts.leads import LeadCaptured, LeadDisqualified, LeadGraded, LeadLost, LeadQualified, LeadReopened, LeadWon
from contracts.loss import LossReason
from services.scoring.domain.facts import ASIDE, CART, SURVEY, Kind


class Meaning(NamedTuple):
    """What is kept of an event besides whom it is about and when; the fields are those of a fact."""

    kind: Kind
    amount_minor: int = 0
    detail: str = ""
    opened_at: datetime | None = None
    rating: int = 0
    channel: str | None = None
    competitor: str | None = None


def meaning(event: Event) -> Meaning | None:
    """The fact in an event; None where it is none."""
    match event:
        case PurchaseCompleted():
            return Meaning(Kind.PURCHASE, event.amount_minor, event.currency, channel=event.channel)
        case PurchaseReturned():
            return Meaning(Kind.RETURN, event.amount_minor, event.currency, channel=event.channel)
        case InteractionRecorded():
            kind = _of_interaction(event)
            return Meaning(
                kind,
                detail=_said(event, kind),
                rating=_rating(event),
                channel=event.channel,
                competitor=event.competitor,
            )
        case PartyRegistered():
            return Meaning(Kind.REGISTERED, detail=str(event.kind))
        case LeadWon(order=order) if order is not None:
            return Meaning(Kind.PURCHASE, order.amount_minor, order.currency)
        case LeadLost():
            return Meaning(Kind.LEAD_LOST, detail=str(event.reason), competitor=event.competitor)
        case LeadDisqualified():
            return Meaning(Kind.LEAD_DISQUALIFIED, detail=str(event.reason))
        case LeadGraded():
            return Meaning(Kind.LEAD_GRADED, detail=str(event.grade))
        case ProblemSolved():
            return Meaning(Kind.PROBLEM_SOLVED, opened_at=event.opened_at)
    alone = KINDS.get(type(event))
    return None if alone is None else Meaning(alone)


KINDS: Mapping[type[Event], Kind] = {
    ProblemOpened: Kind.PROBLEM_OPENED,
    LeadCaptured: Kind.LEAD_CAPTURED,
    LeadQualified: Kind.LEAD_QUALIFIED,
    LeadWon: Kind.LEAD_WON,
    LeadReopened: Kind.LEAD_REOPENED,
    MemberJoined: Kind.JOINED,
    PostPublished: Kind.POSTED,
    ReplyPublished: Kind.REPLIED,
    ReactionGiven: Kind.REACTED,
    ReferralMade: Kind.REFERRED,
    PersonReferred: Kind.WAS_REFERRED,
    ReferralConverted: Kind.REFERRAL_CONVERTED,
}
"""Events of which nothing but the kind counts."""

INTERACTIONS: Mapping[InteractionKind, Kind] = {
    InteractionKind.VISIT: Kind.VISITED,
    InteractionKind.VIEW: Kind.VISITED,
    InteractionKind.DECLINED: Kind.DECLINED,
    InteractionKind.COMPLAINT: Kind.COMPLAINED,
    InteractionKind.PRAISE: Kind.PRAISED,
    InteractionKind.SURVEY: Kind.REACHED,
}
"""Interactions that mean the same whoever turned to whom. Who answers a survey was reached, and has no answer by it."""

MIDDLE = 3
"""Of the scale of what is stated."""
INQUIRIES = frozenset({InteractionKind.INQUIRY, InteractionKind.CART})
ASIDES = {InteractionKind.CART: CART, InteractionKind.SURVEY: SURVEY}


def _said(event: InteractionRecorded, kind: Kind) -> str:
    if kind is Kind.DECLINED:
        return str(event.loss_reason or LossReason.UNKNOWN)
    return aside if (aside := ASIDES.get(event.kind, "")) == ASIDE.get(kind) else ""


def _rating(event: InteractionRecorded) -> int:
    # What is said when asked is no evidence of what is felt: stated surveys are kept, and stay out of the index.
    if event.kind is InteractionKind.SURVEY:
        return 0
    stated = [rate for rate in (event.attitude, event.speed, event.quality) if rate is not None]
    against_the_middle = sum(rate - MIDDLE for rate in stated)
    return (against_the_middle > 0) - (against_the_middle < 0)


def _of_interaction(event: InteractionRecorded) -> Kind:
    if event.kind in INTERACTIONS:
        return INTERACTIONS[event.kind]
    if event.direction is Direction.OUTBOUND:
        return Kind.REACHED
    return Kind.INQUIRED if event.kind in INQUIRIES else Kind.CONTACTED
