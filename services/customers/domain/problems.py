"""Problems that parties have with us: opened, solved, and sometimes opened again."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from contracts.customers import Severity
from contracts.problems import Conflict, Invalid, NotFound
from services.customers.domain.facts import NewFact


class ProblemNotFound(NotFound):
    """There is no such problem."""


class ProblemConflict(Conflict):
    """The id in the source was recorded before with other content; withdraw that one and open it anew."""


class ProblemStatus(StrEnum):
    """Where a problem is."""

    OPEN = "open"
    SOLVED = "solved"


class StepKind(StrEnum):
    """What happened to a problem."""

    OPENED = "opened"
    SOLVED = "solved"
    REOPENED = "reopened"


STEPS: Mapping[ProblemStatus, Mapping[StepKind, ProblemStatus]] = {
    ProblemStatus.OPEN: {StepKind.SOLVED: ProblemStatus.SOLVED},
    ProblemStatus.SOLVED: {StepKind.REOPENED: ProblemStatus.OPEN},
}
"""What may happen to a problem, and where it is then."""


class IllegalStep(Conflict):
    """This cannot happen to a problem where it is."""

    def __init__(self, status: ProblemStatus, step: StepKind) -> None:
        super().__init__(
            f"A problem that is {status} cannot be {step}.", status_now=status, allowed=sorted(STEPS[status])
        )


class StepTooEarly(Invalid):
    """It is said to have happened before the step before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewProblem(NewFact):
    """A problem as a source tells it."""

    category: str
    severity: Severity
    title: str | None = None
    description: str | None = None
    """What is wrong, in words. It never leaves customers."""
    author_id: UUID | None = None


def step(status: ProblemStatus, kind: StepKind, *, after: datetime, at: datetime) -> ProblemStatus:
    """Where a problem is after a step. Raises `IllegalStep`, or `StepTooEarly` for one before the last one."""
    to = STEPS[status].get(kind)
    if to is None:
        raise IllegalStep(status, kind)
    if at < after:
        raise StepTooEarly("The step before it happened later.", after=after.isoformat())
    return to
