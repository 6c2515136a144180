"""Groups: their tables, what a caller sends, and what is shown."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Integer, Text
from sqlmodel import Field as Column
from sqlmodel import SQLModel

from chassis.fields import Body, Instant, Shown, Versioned
from contracts.event import Slug
from services.community.domain.groups import Access
from services.community.models.fields import GroupId, GroupName, JoiningId, MemberId
from services.community.models.members import NamesMember


class GroupRow(SQLModel, table=True):
    """A group of a community; its row is the lock over its name and access."""

    __tablename__ = "community_group"

    id: UUID = Column(primary_key=True)
    community: str = Column(sa_type=Text)
    name: str = Column(sa_type=Text)
    folded: str = Column(sa_type=Text)
    """What tells it apart from the other groups: the name without its capitals."""
    access: str = Column(sa_type=Text)
    version: int = Column(sa_type=Integer)
    recorded_at: datetime
    changed_at: datetime
    """When this version came to be."""


class GroupVersionRow(SQLModel, table=True):
    """A name and an access that a group had in a version that changed since."""

    __tablename__ = "group_version"

    group_id: UUID = Column(primary_key=True)
    version: int = Column(primary_key=True, sa_type=Integer)
    name: str = Column(sa_type=Text)
    access: str = Column(sa_type=Text)
    changed_at: datetime


class GroupMemberRow(SQLModel, table=True):
    """A member in a group, from when it joined until it left."""

    __tablename__ = "group_member"

    id: UUID = Column(primary_key=True)
    group_id: UUID
    member_id: UUID
    joined_at: datetime
    recorded_at: datetime
    left_at: datetime | None
    left_recorded_at: datetime | None


class GroupIn(Body):
    """A group of a community."""

    community: Slug
    name: GroupName
    access: Access = Access.OPEN


class GroupChange(Versioned):
    """What is different about a group; what is not named stays."""

    name: GroupName | None = None
    access: Access | None = None


class GroupJoining(NamesMember):
    """Somebody joins a group."""

    joined_at: Instant | None = None
    """Now where it is not said."""


class GroupLeaving(Body):
    """A member leaves a group."""

    left_at: Instant | None = None
    """Now where it is not said."""


class Group(Shown):
    """A group as it stands."""

    id: GroupId
    community: str
    name: str
    access: Access
    members: int
    """How many are in it now."""
    version: int
    recorded_at: datetime


class GroupVersion(Shown):
    """A name and an access that a group had or has."""

    version: int
    name: str
    access: Access
    changed_at: datetime
    """When this version came to be."""


class GroupMember(Shown):
    """A member in a group, or one that left it."""

    id: JoiningId
    group_id: GroupId
    member_id: MemberId
    joined_at: datetime
    left_at: datetime | None = None
