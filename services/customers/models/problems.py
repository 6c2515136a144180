"""Problems that parties have with us: the tables, what a caller sends, and what is shown."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field
from sqlalchemy import Text
from sqlmodel import Field as Column
from sqlmodel import SQLModel

from chassis.fields import Instant, NamesParty, Shown, SourceId, UserId, Versioned
from contracts.customers import Severity
from contracts.event import Slug
from contracts.identity import Installation
from services.customers.domain.problems import NewProblem, ProblemStatus, StepKind
from services.customers.models.facts import ShownFact
from services.customers.models.fields import LongText, PlainText, ProblemId, StepId

Title = Annotated[PlainText, Field(min_length=1, max_length=200)]


class ProblemRow(SQLModel, table=True):
    """A problem as it stands; its row is the lock over its steps."""

    __tablename__ = "problem"

    id: UUID = Column(primary_key=True)
    identity_id: UUID
    """The subject of its facts, whoever has the identity later."""
    source: str = Column(sa_type=Text)
    source_id: str | None = Column(sa_type=Text)
    occurred_at: datetime
    """When it was opened first."""
    category: str = Column(sa_type=Text)
    severity: str = Column(sa_type=Text)
    title: str | None = Column(sa_type=Text)
    description: str | None = Column(sa_type=Text)
    author_id: UUID | None
    status: str = Column(sa_type=Text)
    opened_at: datetime
    """When it was last opened."""
    solved_at: datetime | None
    """When it was solved, while it is."""
    fact_id: UUID
    """The event of its first opening."""
    version: int
    recorded_at: datetime
    withdrawn_at: datetime | None


class StepRow(SQLModel, table=True):
    """What happened to a problem, once; it is told anew where the problem turns out to be another party's."""

    __tablename__ = "problem_step"

    id: UUID = Column(primary_key=True)
    """That of the event, which is the fact."""
    problem_id: UUID = Column(index=True)
    identity_id: UUID
    version: int
    """Of the problem, after it."""
    kind: str = Column(sa_type=Text)
    occurred_at: datetime
    note: str | None = Column(sa_type=Text)
    author_id: UUID | None
    recorded_at: datetime


class ProblemIn(NamesParty):
    """A problem that a party has with us."""

    source: Slug = "api"
    """The system that it came from."""
    source_id: SourceId | None = None
    """Its id there. Told again with the same content, it changes nothing; without an id it counts every time."""
    occurred_at: Instant
    """When it was opened."""
    category: Slug
    """What kind of problem, such as `delivery`."""
    severity: Severity = Severity.NORMAL
    title: Title | None = None
    description: LongText | None = None
    """What is wrong. Title and description are kept here and never published."""
    author_id: UserId | None = None
    """The user who wrote it down."""

    def problem(self, installation: Installation) -> NewProblem:
        """For the domain. Raises `BadIdentifier`."""
        return NewProblem(party=self.party(installation), **self.model_dump(exclude={"party_id", "identifier"}))


class StepIn(Versioned):
    """A step of a problem. `version`, or If-Match, names the latest one."""

    occurred_at: Instant | None = None
    """Now, where it is not said."""
    note: LongText | None = None
    """How it was solved, or why it is open again. It is kept here and never published."""
    author_id: UserId | None = None


class PartyProblem(ShownFact):
    """A problem as it stands."""

    id: ProblemId
    category: str
    severity: Severity
    title: str | None = None
    description: str | None = None
    status: ProblemStatus
    opened_at: datetime
    """When it was last opened; `occurred_at` is when it was opened first."""
    solved_at: datetime | None = None
    author_id: UserId | None = None


class ProblemStep(Shown):
    """What happened to a problem."""

    id: StepId
    problem_id: ProblemId
    version: int
    """Of the problem, after it."""
    kind: StepKind
    occurred_at: datetime
    note: str | None = None
    author_id: UserId | None = None
    recorded_at: datetime
