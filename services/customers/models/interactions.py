"""Interactions: the table, what a caller sends, and what is shown."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError
from sqlalchemy import SmallInteger, Text
from sqlmodel import Field as Column
from sqlmodel import SQLModel

from chassis.bulk import RowOutcome
from chassis.fields import Body, ImportId, Instant, NamesParty, SourceId, UserId
from contracts.customers import Department, Direction, InteractionKind, Rating, Severity
from contracts.event import Slug
from contracts.identity import Installation
from contracts.loss import LossReason
from services.customers.domain.interactions import NewInteraction, Opens, check_loss_reason
from services.customers.models.facts import FactCorrection, ShownFact
from services.customers.models.fields import InteractionId, LongText, ProblemId

Stated = Annotated[Rating, Field(strict=True)]


class InteractionRow(SQLModel, table=True):
    """An interaction in its latest version; its row is the lock over its corrections."""

    __tablename__ = "interaction"

    id: UUID = Column(primary_key=True)
    identity_id: UUID
    """The subject of its facts."""
    source: str = Column(sa_type=Text)
    source_id: str | None = Column(sa_type=Text)
    occurred_at: datetime
    department: str = Column(sa_type=Text)
    role: str | None = Column(sa_type=Text)
    channel: str = Column(sa_type=Text)
    kind: str = Column(sa_type=Text)
    direction: str = Column(sa_type=Text)
    attitude: int | None = Column(sa_type=SmallInteger)
    speed: int | None = Column(sa_type=SmallInteger)
    quality: int | None = Column(sa_type=SmallInteger)
    text: str | None = Column(sa_type=Text)
    problem_id: UUID | None
    problem_category: str | None = Column(sa_type=Text)
    """Of the problem that it opened, as told with it."""
    problem_severity: str | None = Column(sa_type=Text)
    loss_reason: str | None = Column(sa_type=Text)
    competitor: str | None = Column(sa_type=Text)
    author_id: UUID | None
    import_id: UUID | None
    fact_id: UUID
    """The event of the latest version."""
    version: int
    recorded_at: datetime
    withdrawn_at: datetime | None


class OpenedProblem(Body):
    """A problem that is opened with an interaction."""

    category: Slug
    severity: Severity = Severity.NORMAL


class InteractionIn(NamesParty):
    """Something that passed between a party and a department."""

    source: Slug = "api"
    """The system that it came from."""
    source_id: SourceId | None = None
    """Its id there. Told again with the same content, it changes nothing; without an id it counts every time."""
    occurred_at: Instant
    department: Department
    role: Slug | None = None
    """Of the person there, such as `inspector`."""
    channel: Slug
    """By which way, such as `phone` or `store`."""
    kind: InteractionKind
    direction: Direction
    attitude: Stated | None = None
    """How the party was treated, from 1 (bad) to 5 (good), as it said."""
    speed: Stated | None = None
    quality: Stated | None = None
    text: LongText | None = None
    """What was said. It is kept here and never published."""
    problem_id: ProblemId | None = None
    """The problem that it is about."""
    problem: OpenedProblem | None = None
    """The problem that it opens, instead."""
    loss_reason: LossReason | None = None
    """Why they will not buy: with the kind `declined`, and only there."""
    competitor: Slug | None = None
    """Whom they buy from instead: a short name of the company."""
    author_id: UserId | None = None
    """The user who wrote it down."""

    @model_validator(mode="after")
    def _one_problem(self) -> Self:
        if self.problem_id is not None and self.problem is not None:
            raise PydanticCustomError("one_problem", "Name a problem by problem_id, or open one by problem")
        return self

    def interaction(self, installation: Installation) -> NewInteraction:
        """For the domain. Raises `BadIdentifier`, `UnfitLossReason`."""
        check_loss_reason(self.kind, self.loss_reason)
        return NewInteraction(
            party=self.party(installation),
            opens=Opens(self.problem.category, self.problem.severity) if self.problem else None,
            **self.model_dump(exclude={"party_id", "identifier", "problem"}),
        )


class InteractionCorrection(FactCorrection):
    """What was wrong and how it should be; what is not named stays, and null takes away what can be absent."""

    removable = frozenset(
        {
            "role",
            "attitude",
            "speed",
            "quality",
            "text",
            "problem_id",
            "loss_reason",
            "competitor",
            "author_id",
        }
    )

    department: Department | None = None
    role: Slug | None = None
    channel: Slug | None = None
    kind: InteractionKind | None = None
    direction: Direction | None = None
    attitude: Stated | None = None
    speed: Stated | None = None
    quality: Stated | None = None
    text: LongText | None = None
    problem_id: ProblemId | None = None
    loss_reason: LossReason | None = None
    competitor: Slug | None = None
    author_id: UserId | None = None


class Interaction(ShownFact):
    """An interaction as it stands."""

    id: InteractionId
    department: Department
    role: str | None = None
    channel: str
    kind: InteractionKind
    direction: Direction
    attitude: int | None = None
    speed: int | None = None
    quality: int | None = None
    text: str | None = None
    problem_id: ProblemId | None = None
    loss_reason: LossReason | None = None
    competitor: str | None = None
    author_id: UserId | None = None
    import_id: ImportId | None = None


class InteractionVersion(Interaction):
    """An interaction as it stood, or stands."""

    changed_at: datetime
    """When this version came to be."""


class InteractionOutcome(RowOutcome):
    """What became of an interaction of a bulk request."""

    interaction_id: InteractionId | None = None
