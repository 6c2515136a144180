"""Events of the community service: who joined, wrote, reacted and referred."""

from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field

from contracts.event import Currency, Event, Slug
from contracts.topics import MEMBERS


class Reaction(StrEnum):
    """What a reaction says of a post."""

    LIKE = "like"
    THANKS = "thanks"
    HELPFUL = "helpful"
    DISLIKE = "dislike"


class MemberJoined(Event, type="community.member_joined.v1", topic=MEMBERS):
    """Somebody joined a community. The subject is the identity of the member there."""

    member_id: UUID
    """The member."""
    community: Slug
    """Which community."""


class MemberLinked(Event, type="community.member_linked.v1", topic=MEMBERS):
    """A member was found to be a known party. What the member did before belongs to that party, too."""

    member_id: UUID
    """The member."""
    version: Annotated[int, Field(ge=1)]
    """Rises with every change of a member's link; of two, the higher one holds."""
    party_id: UUID | None = None
    """The party, named by its id."""
    identity_id: UUID | None = None
    """The party, named by an identity that it holds. Neither: the link is taken back."""


class PostPublished(Event, type="community.post_published.v1", topic=MEMBERS):
    """A member began a conversation."""

    post_id: UUID
    """The post."""
    group_id: UUID | None = None
    """The group that it was written in."""


class ReplyPublished(Event, type="community.reply_published.v1", topic=MEMBERS):
    """A member answered a post."""

    reply_id: UUID
    """The reply, itself a post."""
    post_id: UUID
    """What it answers."""
    author_id: UUID | None = None
    """The identity of whom it answers, where they are known."""
    group_id: UUID | None = None
    """The group that it was written in."""


class ReactionGiven(Event, type="community.reaction_given.v1", topic=MEMBERS):
    """A member reacted to a post."""

    post_id: UUID
    """The post."""
    reaction: Reaction
    """What it says."""
    author_id: UUID | None = None
    """The identity of whom it is given to, where they are known."""


class ReferralMade(Event, type="community.referral_made.v1", topic=MEMBERS):
    """Somebody recommended us to somebody else. The subject is who did."""

    referral_id: UUID
    """The referral."""
    referred_id: UUID | None = None
    """The identity of whom we were recommended to, where they are named."""


class PersonReferred(Event, type="community.person_referred.v1", topic=MEMBERS):
    """Somebody was recommended to us. The subject is who was."""

    referral_id: UUID
    """The referral."""
    referrer_id: UUID
    """The identity of who recommended us."""


class ReferralConverted(Event, type="community.referral_converted.v1", topic=MEMBERS):
    """A referral led to a sale. The subject is who made the referral."""

    referral_id: UUID
    """The referral."""
    referred_id: UUID | None = None
    """The identity of who bought."""
    amount_minor: Annotated[int | None, Field(ge=0, lt=2**53)] = None
    """What it was worth, in minor units of `currency`."""
    currency: Currency | None = None
    """Of the amount (ISO 4217)."""


class CommunityFactWithdrawn(Event, type="community.fact_withdrawn.v1", topic=MEMBERS):
    """What a member did was entered by mistake and never counted. It has the subject of the fact that it names."""

    fact_id: UUID
    """The event id of the withdrawn fact."""
