"""Observations: the table, what a caller sends, and what is shown."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field
from sqlalchemy import SmallInteger, Text
from sqlmodel import Field as Column
from sqlmodel import SQLModel

from chassis.fields import Body, Instant, SourceId, UserId
from contracts.event import Slug
from services.customers.domain.observations import Certainty, NewObservation, check_something_said
from services.customers.models.facts import FactCorrection, ShownFact
from services.customers.models.fields import ObservationId, PlainText

Aspect = Annotated[str, Field(pattern=r"^(mood|(preference|need):[a-z0-9][a-z0-9_.-]{0,63})$", examples=["mood"])]
"""`mood`, or a preference or a need with a short name, such as `preference:tea`."""
Words = Annotated[PlainText, Field(min_length=1, max_length=2_000)]
Degree = Annotated[int, Field(strict=True, ge=1, le=5)]


class ObservationRow(SQLModel, table=True):
    """An observation in its latest version; its row is the lock over its corrections."""

    __tablename__ = "observation"

    id: UUID = Column(primary_key=True)
    identity_id: UUID
    source: str = Column(sa_type=Text)
    source_id: str | None = Column(sa_type=Text)
    occurred_at: datetime
    aspect: str = Column(sa_type=Text)
    text: str | None = Column(sa_type=Text)
    rating: int | None = Column(sa_type=SmallInteger)
    certainty: str = Column(sa_type=Text)
    author_id: UUID | None
    fact_id: UUID
    """Names the latest version, as with other facts; nobody is told of it."""
    version: int
    recorded_at: datetime
    withdrawn_at: datetime | None


class ObservationIn(Body):
    """What somebody noticed about a party."""

    source: Slug = "api"
    """The system that it came from."""
    source_id: SourceId | None = None
    """Its id there. Told again with the same content, it changes nothing; without an id it counts every time."""
    occurred_at: Instant
    """When it was observed."""
    aspect: Aspect
    text: Words | None = None
    """In words. They are kept here and never published."""
    rating: Degree | None = None
    """From 1 (bad, not at all) to 5 (good, very much)."""
    certainty: Certainty = Certainty.NOTICED
    author_id: UserId | None = None
    """The user who noticed it."""

    def observation(self, party_id: UUID) -> NewObservation:
        """For the domain. Raises `NothingObserved`."""
        said = self.model_dump()
        check_something_said(said)
        return NewObservation(party=party_id, **said)


class ObservationCorrection(FactCorrection):
    """What was wrong and how it should be; what is not named stays, and null takes away what can be absent."""

    removable = frozenset({"text", "rating", "author_id"})

    aspect: Aspect | None = None
    text: Words | None = None
    rating: Degree | None = None
    certainty: Certainty | None = None
    author_id: UserId | None = None


class Observation(ShownFact):
    """An observation as it stands."""

    id: ObservationId
    aspect: str
    text: str | None = None
    rating: int | None = None
    certainty: Certainty
    author_id: UserId | None = None


class ObservationVersion(Observation):
    """An observation as it stood, or stands."""

    changed_at: datetime
    """When this version came to be."""
