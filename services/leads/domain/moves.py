"""Where a lead may go: the table that the routes, the problem and the documentation share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from contracts.loss import LossReason
from contracts.problems import Conflict, Invalid
from services.leads.domain.leads import Change


class LeadStatus(StrEnum):
    """Where a lead stands."""

    NEW = "new"
    QUALIFIED = "qualified"
    """Worth pursuing."""
    DISQUALIFIED = "disqualified"
    """Not worth pursuing."""
    WON = "won"
    LOST = "lost"


MOVES: Mapping[LeadStatus, frozenset[LeadStatus]] = {
    LeadStatus.NEW: frozenset(
        {LeadStatus.QUALIFIED, LeadStatus.DISQUALIFIED, LeadStatus.WON, LeadStatus.LOST},
    ),
    LeadStatus.QUALIFIED: frozenset({LeadStatus.DISQUALIFIED, LeadStatus.WON, LeadStatus.LOST}),
    LeadStatus.DISQUALIFIED: frozenset({LeadStatus.NEW}),
    LeadStatus.WON: frozenset(),
    LeadStatus.LOST: frozenset({LeadStatus.NEW}),
}
"""Where a lead may go next. A lost one may come back; a won one is a customer."""

OPERATIONS: Mapping[LeadStatus, str] = {
    LeadStatus.QUALIFIED: "qualify",
    LeadStatus.DISQUALIFIED: "disqualify",
    LeadStatus.WON: "win",
    LeadStatus.LOST: "lose",
    LeadStatus.NEW: "reopen",
}
"""The operation that leads to a status."""


CHANGES: Mapping[LeadStatus, Change] = {
    LeadStatus.QUALIFIED: Change.QUALIFIED,
    LeadStatus.DISQUALIFIED: Change.DISQUALIFIED,
    LeadStatus.WON: Change.WON,
    LeadStatus.LOST: Change.LOST,
    LeadStatus.NEW: Change.REOPENED,
}
"""What a move to a status is called in the history."""

FACTS = (Change.CAPTURED, *CHANGES.values())
"""What counts, and is withdrawn with the lead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMove:
    """A move as somebody tells it."""

    to: LeadStatus
    occurred_at: datetime | None = None
    """None where it was not said: now."""
    reason: LossReason | None = None
    competitor: str | None = None
    amount_minor: int | None = None
    """What was bought, together with `currency`."""
    currency: str | None = None
    import_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class ToldOutcome:
    """What a source says became of one of its leads."""

    lead_id: str
    """Its id there."""
    move: NewMove


class IllegalMove(Conflict):
    """A lead cannot go from where it is to where it was sent."""

    def __init__(self, status: LeadStatus, to: LeadStatus) -> None:
        allowed = sorted(MOVES[status])
        super().__init__(f"A {status} lead cannot become {to}.", status_now=status, allowed=allowed)


class BeforeCapture(Invalid):
    """Nothing becomes of a lead before it is captured."""


class NoMoveToUndo(Conflict):
    """No move of the lead counts that could be taken back."""


def move(status: LeadStatus, to: LeadStatus) -> LeadStatus:
    """The status after a move. Raises `IllegalMove`."""
    if to not in MOVES[status]:
        raise IllegalMove(status, to)
    return to


def check_not_before(occurred_at: datetime, captured_at: datetime) -> None:
    """Raise `BeforeCapture` for a move before its lead was captured."""
    if occurred_at < captured_at:
        raise BeforeCapture("The lead was captured later than that.", captured_at=captured_at)


def status_after(moves: Sequence[Change]) -> LeadStatus:
    """Where a lead stands by its moves that count, the oldest first."""
    reached = {change: status for status, change in CHANGES.items()}
    return reached[moves[-1]] if moves else LeadStatus.NEW
