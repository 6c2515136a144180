"""What is told of a party: what all tellings have alike."""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from contracts.identity import PartyRef

_NOT_CONTENT = {"id", "party", "source", "source_id", "import_id"}


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFact:
    """Something that a source tells of a party."""

    party: PartyRef
    source: str
    source_id: str | None = None
    """Its id in the source; without one it is like no other."""
    occurred_at: datetime
    import_id: UUID | None = None
    id: UUID | None = None
    """Its id here, where it has to be known before it is recorded."""

    def content(self) -> dict[str, Any]:
        """What two tellings under one id in the source must agree on, whom it is about aside."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name not in _NOT_CONTENT}


Told = TypeVar("Told", bound=NewFact)
