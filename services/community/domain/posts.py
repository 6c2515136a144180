"""Posts and replies as they are told, and when two tellings say the same."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from contracts.problems import Conflict, NotFound
from services.community.domain.groups import GroupRef
from services.community.domain.members import MemberRef

LONGEST_TEXT = 20_000
"""Characters of a post."""


class PostNotFound(NotFound):
    """There is no such post."""


class PostConflict(Conflict):
    """The id in the source was recorded before with other content; `PATCH` changes a text."""


class ReactionNotFound(NotFound):
    """There is no such reaction to this post."""


class ReactionConflict(Conflict):
    """The id in the source was recorded before with another reaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPost:
    """A post as a source tells it; a reply where it names what it answers."""

    member: MemberRef
    source: str
    source_id: str | None = None
    """Its id in the source; without one it is like no other."""
    occurred_at: datetime | None = None
    """None where it was not said: now, and no contradiction to another time."""
    text: str
    group: GroupRef | None = None
    post_id: UUID | None = None
    """What it answers, by its id here."""
    in_reply_to: str | None = None
    """What it answers, by its id in the source; that may come later or never."""
    import_id: UUID | None = None
