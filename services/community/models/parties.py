"""What community knows of a party, for the gateway."""

from pydantic import Field

from chassis.fields import Shown
from contracts.community import Reaction
from services.community.models.groups import Group
from services.community.models.members import Member
from services.community.models.posts import Post
from services.community.models.referrals import Referral


class Counts(Shown):
    """How much of each a party did that counts."""

    posts: int = 0
    """Conversations that it began."""
    replies: int = 0
    reactions: dict[Reaction, int] = Field(default_factory=dict)
    referrals: int = 0
    """Recommendations that it made."""
    converted: int = 0
    """Those of them that led to a sale."""


class PartyInCommunity(Shown):
    """A party as its communities know it."""

    members: list[Member]
    groups: list[Group]
    counts: Counts
    posts: list[Post]
    """The latest, replies too."""
    referrals: list[Referral]
    """The latest that it made."""
    referred_by: list[Referral]
    """The latest that named it."""
