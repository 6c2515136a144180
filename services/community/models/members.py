"""Members: their table, what a caller sends, and what is shown."""

from datetime import datetime
from typing import Self
from uuid import UUID

from pydantic import model_validator
from pydantic_core import PydanticCustomError
from sqlalchemy import Integer, Text
from sqlmodel import Field as Column
from sqlmodel import SQLModel

from chassis.fields import Body, EventId, Identifier, IdentityId, ImportId, Instant, PartyId, Shown, SourceId, Versioned
from contracts.event import Slug
from services.community.domain.members import MemberKey, MemberRef, NewMember
from services.community.models.fields import Bio, DisplayName, MemberId


class MemberRow(SQLModel, table=True):
    """A member of a community; its row is the lock over what it is linked to."""

    __tablename__ = "member"

    id: UUID = Column(primary_key=True)
    identity_id: UUID
    """The subject of everything that the member does."""
    community: str = Column(sa_type=Text)
    source_id: str = Column(sa_type=Text)
    """Its id there."""
    display_name: str | None = Column(sa_type=Text)
    bio: str | None = Column(sa_type=Text)
    joined_at: datetime
    """The latest time; `membership` has those before."""
    joining_recorded_at: datetime
    left_at: datetime | None
    left_recorded_at: datetime | None
    linked_party_id: UUID | None
    """The party that it is linked to, as named; or else"""
    linked_identity_id: UUID | None
    """an identity of that party."""
    import_id: UUID | None
    """The import that made it known, where nothing but imports did."""
    fact_id: UUID
    """The event of its joining."""
    version: int = Column(sa_type=Integer)
    """Rises with every change, of what it is linked to as well."""
    recorded_at: datetime
    joining_told_at: datetime | None
    """When its community said when it joined; until then, that is when it did the first thing known."""
    changed_at: datetime
    """When this version came to be."""
    withdrawn_at: datetime | None


class MembershipRow(SQLModel, table=True):
    """A time that a member was in its community, before it came back."""

    __tablename__ = "membership"

    fact_id: UUID = Column(primary_key=True)
    """The event of this joining."""
    member_id: UUID
    joined_at: datetime
    joining_recorded_at: datetime
    left_at: datetime
    left_recorded_at: datetime


class MemberVersionRow(SQLModel, table=True):
    """What a member was in a version that changed since."""

    __tablename__ = "member_version"

    member_id: UUID = Column(primary_key=True)
    version: int = Column(primary_key=True, sa_type=Integer)
    display_name: str | None = Column(sa_type=Text)
    bio: str | None = Column(sa_type=Text)
    joined_at: datetime
    left_at: datetime | None
    linked_party_id: UUID | None
    linked_identity_id: UUID | None
    changed_at: datetime


class MemberKeyIn(Body):
    """A member as its community knows it; one that is not known becomes so."""

    community: Slug
    source_id: SourceId
    """Its id there."""


class NamesMember(Body):
    """Exactly one of both: a member by its id here, or by its id in its community."""

    member_id: MemberId | None = None
    member: MemberKeyIn | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.member_id is None) == (self.member is None):
            raise PydanticCustomError("one_member", "Name the member by member_id or by member")
        return self

    def ref(self) -> MemberRef:
        """Whom it names."""
        if self.member is not None:
            return MemberKey(self.member.community, self.member.source_id)
        assert self.member_id is not None
        return self.member_id


class MemberIn(Body):
    """A member that a community tells of."""

    community: Slug
    source_id: SourceId | None = None
    """Its id there, by which it is known when it is told again; one is made where there is none."""
    joined_at: Instant | None = None
    """Now where it is not said."""
    display_name: DisplayName | None = None
    bio: Bio | None = None

    def told(self, made_id: str) -> NewMember:
        """For the domain; `made_id` serves where the community gave none."""
        return NewMember(
            key=MemberKey(self.community, self.source_id or made_id),
            **self.model_dump(exclude={"community", "source_id"}),
        )


class MemberChange(Versioned):
    """What is different about a member; null takes it away, what is not named stays."""

    display_name: DisplayName | None = None
    bio: Bio | None = None


class JoiningCorrection(Versioned):
    """When a member joined in truth."""

    joined_at: Instant


class Link(Versioned):
    """The party that a member is; neither takes the link back."""

    party_id: PartyId | None = None
    identifier: Identifier | None = None

    @model_validator(mode="after")
    def _at_most_one(self) -> Self:
        if self.party_id is not None and self.identifier is not None:
            raise PydanticCustomError("one_party", "Name the party by party_id or by identifier")
        return self


class Leaving(Versioned):
    """A member leaves."""

    left_at: Instant | None = None
    """Now where it is not said."""


class Joining(Versioned):
    """A member that left is back."""

    joined_at: Instant | None = None
    """Now where it is not said."""


class MemberVersion(Shown):
    """What a member was or is, in one version."""

    version: int
    display_name: str | None = None
    bio: str | None = None
    joined_at: datetime
    left_at: datetime | None = None
    linked_party_id: PartyId | None = None
    linked_identity_id: IdentityId | None = None
    changed_at: datetime
    """When this version came to be."""


class Membership(Shown):
    """From when until when a member was in its community."""

    fact_id: EventId
    """The event of its joining."""
    joined_at: datetime
    left_at: datetime | None = None
    recorded_at: datetime
    """When its joining became known as it is now."""


class Member(Shown):
    """A member as it stands."""

    id: MemberId
    party_id: PartyId
    """Who that is today, as far as it is known."""
    identity_id: IdentityId
    community: str
    source_id: str
    display_name: str | None = None
    bio: str | None = None
    joined_at: datetime
    """Where its community did not tell, when it did the first thing known."""
    left_at: datetime | None = None
    linked_party_id: PartyId | None = None
    linked_identity_id: IdentityId | None = None
    import_id: ImportId | None = None
    version: int
    recorded_at: datetime
    withdrawn_at: datetime | None = None
