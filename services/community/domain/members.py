"""Members of communities, and what is allowed to whom."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, TypeAlias
from uuid import UUID

from contracts.identity import Identity, Installation, Scheme
from contracts.problems import Conflict, Invalid, NotFound


class MemberNotFound(NotFound):
    """There is no such member."""


class MemberConflict(Conflict):
    """The member is known with other content; change or correct that one."""


class MemberLeft(Conflict):
    """The member had left the community by then."""


class WrongOrder(Invalid):
    """A member joins, does what it does, leaves, and is back after that, in this order."""


class OtherCommunity(Invalid):
    """Member, group and post are not of one community."""


class MemberKey(NamedTuple):
    """A member as its community knows it."""

    community: str
    source_id: str
    """Its id there."""


MemberRef: TypeAlias = MemberKey | UUID
"""Whom something names: a member by its id here, or by its id in its community, which makes it known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMember:
    """A member as a community tells of it."""

    key: MemberKey
    joined_at: datetime | None = None
    """None where it was not said: now, and no contradiction to another time."""
    display_name: str | None = None
    bio: str | None = None
    import_id: UUID | None = None


def identity_of(key: MemberKey, installation: Installation) -> Identity:
    """Under which identity a member does everything, linked or not."""
    return installation.identity(Scheme.EXTERNAL, key.source_id, system=key.community)


def check_not_left(left_at: datetime | None, occurred_at: datetime) -> None:
    """Raise `MemberLeft` where a member does something after it left."""
    if left_at is not None and occurred_at >= left_at:
        raise MemberLeft("The member had left the community by then.", left_at=left_at)
