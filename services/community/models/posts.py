"""Posts, replies and reactions: their tables, what a caller sends, and what is shown."""

from datetime import datetime
from typing import Self
from uuid import UUID

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError
from sqlalchemy import Integer
from sqlalchemy import Text as TextColumn
from sqlmodel import Field as Column
from sqlmodel import SQLModel

from chassis.bulk import RowOutcome
from chassis.fields import IdentityId, ImportId, Instant, PartyId, Shown, SourceId, Versioned
from contracts.community import Reaction
from contracts.event import Slug
from services.community.domain.posts import NewPost
from services.community.models.fields import GroupId, MemberId, PostId, ReactionId, Text
from services.community.models.members import NamesMember


class PostRow(SQLModel, table=True):
    """A post or a reply in its latest version; its row is the lock over its edits."""

    __tablename__ = "post"

    id: UUID = Column(primary_key=True)
    member_id: UUID
    identity_id: UUID
    """The subject of its fact: the member's."""
    community: str = Column(sa_type=TextColumn)
    group_id: UUID | None
    post_id: UUID | None
    """What it answers, which may not be here yet."""
    in_reply_to: str | None = Column(sa_type=TextColumn)
    """The same by its id in the source, where it was named so."""
    text: str = Column(sa_type=TextColumn)
    source: str = Column(sa_type=TextColumn)
    source_id: str | None = Column(sa_type=TextColumn)
    occurred_at: datetime
    import_id: UUID | None
    fact_id: UUID
    version: int = Column(sa_type=Integer)
    recorded_at: datetime
    edited_at: datetime | None
    withdrawn_at: datetime | None


class PostVersionRow(SQLModel, table=True):
    """The text of a post in a version that was edited since."""

    __tablename__ = "post_version"

    post_id: UUID = Column(primary_key=True)
    version: int = Column(primary_key=True, sa_type=Integer)
    text: str = Column(sa_type=TextColumn)
    changed_at: datetime


class PostNameRow(SQLModel, table=True):
    """The post behind an id in a source: one that is here, or one that a reply names before it comes."""

    __tablename__ = "post_name"

    source: str = Column(primary_key=True, sa_type=TextColumn)
    source_id: str = Column(primary_key=True, sa_type=TextColumn)
    post_id: UUID


class ReactionRow(SQLModel, table=True):
    """A reaction of a member to a post: of each kind at most one."""

    __tablename__ = "reaction"

    id: UUID = Column(primary_key=True)
    post_id: UUID
    member_id: UUID
    identity_id: UUID
    reaction: str = Column(sa_type=TextColumn)
    source: str = Column(sa_type=TextColumn)
    source_id: str | None = Column(sa_type=TextColumn)
    occurred_at: datetime
    fact_id: UUID
    version: int = Column(sa_type=Integer)
    recorded_at: datetime
    corrected_at: datetime | None
    withdrawn_at: datetime | None


class ReactionVersionRow(SQLModel, table=True):
    """What a reaction said in a version that was corrected since."""

    __tablename__ = "reaction_version"

    reaction_id: UUID = Column(primary_key=True)
    version: int = Column(primary_key=True, sa_type=Integer)
    reaction: str = Column(sa_type=TextColumn)
    occurred_at: datetime
    changed_at: datetime


class ReplyIn(NamesMember):
    """A reply to the post in the path; it stands in the same group."""

    source: Slug = "api"
    """The system that it came from."""
    source_id: SourceId | None = None
    """Its id there. Told again with the same content, it changes nothing; without an id it counts every time."""
    occurred_at: Instant | None = None
    """Now where it is not said."""
    text: Text

    def reply(self, post_id: UUID) -> NewPost:
        """For the domain."""
        return NewPost(member=self.ref(), post_id=post_id, **self.model_dump(exclude={"member_id", "member"}))


class PostIn(ReplyIn):
    """A post that a source tells of; a reply where it names what it answers."""

    group_id: GroupId | None = None
    post_id: PostId | None = None
    """What it answers, by its id here."""
    in_reply_to: SourceId | None = None
    """What it answers, by its id in the source; that may be told later."""

    @model_validator(mode="after")
    def _at_most_one(self) -> Self:
        if self.post_id is not None and self.in_reply_to is not None:
            raise PydanticCustomError("one_post", "Name what it answers by post_id or by in_reply_to")
        return self

    def post(self) -> NewPost:
        """For the domain."""
        content = self.model_dump(exclude={"member_id", "member", "group_id"})
        return NewPost(member=self.ref(), group=self.group_id, **content)


class PostChange(Versioned):
    """The text as it reads from now on."""

    text: Text


class Post(Shown):
    """A post or a reply as it stands."""

    id: PostId
    member_id: MemberId
    party_id: PartyId
    """Who wrote it, as far as it is known."""
    identity_id: IdentityId
    community: str
    group_id: GroupId | None = None
    post_id: PostId | None = None
    """What it answers."""
    in_reply_to: str | None = None
    text: str
    reactions: dict[Reaction, int] = Field(default_factory=dict)
    """How many there are of each kind."""
    replies: int = 0
    source: str
    source_id: str | None = None
    occurred_at: datetime
    import_id: ImportId | None = None
    version: int
    recorded_at: datetime
    edited_at: datetime | None = None
    withdrawn_at: datetime | None = None


class PostVersion(Shown):
    """A text that a post had or has."""

    version: int
    text: str
    changed_at: datetime
    """When this version came to be."""


class ReactionIn(NamesMember):
    """What a member says of the post in the path."""

    source: Slug = "api"
    source_id: SourceId | None = None
    occurred_at: Instant | None = None
    """Now where it is not said."""
    reaction: Reaction


class ReactionCorrection(Versioned):
    """What the member says instead."""

    reaction: Reaction
    occurred_at: Instant | None = None
    """As it was where it is not said."""


class GivenReaction(Shown):
    """A reaction to a post."""

    id: ReactionId
    post_id: PostId
    member_id: MemberId
    party_id: PartyId
    """Whose it is, as far as it is known."""
    identity_id: IdentityId
    reaction: Reaction
    source: str
    source_id: str | None = None
    occurred_at: datetime
    version: int
    recorded_at: datetime
    corrected_at: datetime | None = None
    withdrawn_at: datetime | None = None


class ReactionVersion(Shown):
    """What a reaction said or says."""

    version: int
    reaction: Reaction
    occurred_at: datetime
    changed_at: datetime
    """When this version came to be."""


class PostOutcome(RowOutcome):
    """What became of a post of a bulk request."""

    post_id: PostId | None = Field(None)
