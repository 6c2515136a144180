"""Leads as they are told, and when two tellings say the same."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from uuid import UUID

from contracts.identity import Identity, Scheme
from contracts.problems import Conflict, NotFound


class LeadNotFound(NotFound):
    """There is no such lead."""


class LeadConflict(Conflict):
    """The id in the source was captured before with other content."""


class Change(StrEnum):
    """What made a version of a lead."""

    CAPTURED = "captured"
    GRADED = "graded"
    """Another rubric, or an edit, gave it another grade or other points."""
    QUALIFIED = "qualified"
    DISQUALIFIED = "disqualified"
    WON = "won"
    LOST = "lost"
    REOPENED = "reopened"
    ASSIGNED = "assigned"
    EDITED = "edited"
    UNDONE = "undone"
    """A move was taken back."""
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewLead:
    """A lead as a source tells it."""

    identities: tuple[Identity, ...]
    """Whom it is about, the subject first."""
    system: str
    """The system that tells of it."""
    source_id: str | None = None
    """Its id there; without one it is like no other."""
    occurred_at: datetime | None = None
    """None where it was not said: now."""
    source: str
    """Where it came from."""
    medium: str | None = None
    campaign: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    note: str | None = None
    owner_id: UUID | None = None
    team_id: UUID | None = None
    import_id: UUID | None = None

    @property
    def content_hash(self) -> bytes:
        """What two tellings under one id must agree on, the time aside, which need not be said."""
        said = {
            "identities": [str(identity.id) for identity in self.identities],
            "source": self.source,
            "medium": self.medium,
            "campaign": self.campaign,
            "attributes": dict(self.attributes),
            "note": self.note,
            "owner": str(self.owner_id) if self.owner_id else None,
            "team": str(self.team_id) if self.team_id else None,
        }
        return sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).digest()


_RANK = {Scheme.EMAIL: 0, Scheme.PHONE: 1, Scheme.EXTERNAL: 2}


def subject_first(identities: Iterable[Identity]) -> tuple[Identity, ...]:
    """Each identity once: e-mail before phone before an id in another system; of one scheme as they were given."""
    known = dict.fromkeys(identities)
    return tuple(sorted(known, key=lambda identity: _RANK[identity.scheme] if identity.scheme else len(_RANK)))
