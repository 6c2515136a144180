"""What facts of any kind show, how they are put right, and the versions that they had."""

from datetime import datetime
from typing import Any, ClassVar, Self
from uuid import UUID

from pydantic import model_validator
from pydantic_core import PydanticCustomError
from sqlalchemy import Integer
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field as Column
from sqlmodel import SQLModel

from chassis.fields import Identifier, IdentityId, Instant, PartyId, Shown, Versioned
from contracts.identity import Installation, PartyRef


class FormerVersion(SQLModel, table=True):
    """The row of a fact as it was, before it was put right. Never changed, never deleted."""

    __tablename__ = "former_version"

    of_id: UUID = Column(primary_key=True)
    version: int = Column(primary_key=True, sa_type=Integer)
    content: dict[str, Any] = Column(sa_type=JSONB)
    """The whole row."""
    replaced_at: datetime


class FactCorrection(Versioned):
    """What was wrong and how it should be; what is not named stays. `version`, or If-Match, names the latest one."""

    removable: ClassVar[frozenset[str]] = frozenset()
    """Fields that can be taken away, by null."""

    party_id: PartyId | None = None
    identifier: Identifier | None = None
    occurred_at: Instant | None = None

    @model_validator(mode="after")
    def _at_most_one(self) -> Self:
        if self.party_id is not None and self.identifier is not None:
            raise PydanticCustomError("one_party", "Name the party by party_id or by identifier")
        return self

    def party(self, installation: Installation) -> PartyRef | None:
        """The right party, where that is what was wrong. Raises `BadIdentifier`."""
        return self.identifier.identity(installation) if self.identifier else self.party_id

    def changes(self) -> dict[str, Any]:
        """The content as it should be, where it is named."""
        named = self.model_dump(exclude_unset=True, exclude={"version", "party_id", "identifier"})
        return {name: value for name, value in named.items() if value is not None or name in self.removable}


class ShownFact(Shown):
    """What facts of any kind show alike."""

    party_id: PartyId
    """Whom it is about now."""
    identity_id: IdentityId
    source: str
    source_id: str | None = None
    occurred_at: datetime
    version: int
    recorded_at: datetime
    withdrawn_at: datetime | None = None
