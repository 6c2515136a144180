"""Groups within a community."""

import unicodedata
from enum import StrEnum
from typing import NamedTuple, TypeAlias
from uuid import UUID

from contracts.problems import Conflict, NotFound


class GroupNotFound(NotFound):
    """There is no such group."""


class GroupTaken(Conflict):
    """The community has another group of this name."""


class GroupClosed(Conflict):
    """Only members of the group write in it."""


class NotInGroup(Conflict):
    """The member is not in the group."""


class Access(StrEnum):
    """Who may write in a group."""

    OPEN = "open"
    """Every member of the community."""
    CLOSED = "closed"
    """Members of the group."""


class GroupKey(NamedTuple):
    """A group as its community knows it."""

    community: str
    name: str


GroupRef: TypeAlias = GroupKey | UUID
"""A group by its id, or by its name in a community, which makes it known."""


def spelled(name: str) -> str:
    """The one spelling of a name: NFC, single spaces."""
    return " ".join(unicodedata.normalize("NFC", name).split())


def folded(name: str) -> str:
    """What tells groups of a community apart: the name without its capitals."""
    return unicodedata.normalize("NFC", name.casefold())
