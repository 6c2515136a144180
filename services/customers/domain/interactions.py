"""Interactions as they are told: what passed between a party and a department."""

from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from contracts.customers import Department, Direction, InteractionKind, Severity
from contracts.loss import LossReason
from contracts.problems import Conflict, Invalid, NotFound
from services.customers.domain.facts import NewFact


class InteractionNotFound(NotFound):
    """There is no such interaction."""


class InteractionConflict(Conflict):
    """The id in the source was recorded before with other content; `correct` puts that right."""


class UnfitLossReason(Invalid):
    """An interaction of the kind `declined` has a loss reason, and no other one has."""


class Opens(NamedTuple):
    """A problem that an interaction opens."""

    category: str
    severity: Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class NewInteraction(NewFact):
    """An interaction as a source tells it."""

    department: Department
    role: str | None = None
    channel: str
    kind: InteractionKind
    direction: Direction
    attitude: int | None = None
    speed: int | None = None
    quality: int | None = None
    text: str | None = None
    """What was said. It never leaves customers."""
    problem_id: UUID | None = None
    """The problem that it is about."""
    opens: Opens | None = None
    """The problem that it opens, instead."""
    loss_reason: LossReason | None = None
    competitor: str | None = None
    author_id: UUID | None = None

    def content(self) -> dict[str, Any]:
        """See `NewFact.content`. Of a problem that it opens its content says more than its id."""
        said = NewFact.content(self)
        opens = said.pop("opens")
        if opens:
            del said["problem_id"]
        category, severity = opens or (None, None)
        return said | {"problem_category": category, "problem_severity": severity}


def check_loss_reason(kind: str, reason: str | None) -> None:
    """Raise `UnfitLossReason` unless exactly what was declined says why."""
    if kind == InteractionKind.DECLINED and reason is None:
        raise UnfitLossReason(
            "Who declines has a reason; say unknown where nobody knows it yet.", loss_reasons=list(LossReason)
        )
    if kind != InteractionKind.DECLINED and reason is not None:
        raise UnfitLossReason("Only an interaction of the kind declined has a loss reason.", kind=str(kind))
