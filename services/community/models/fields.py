"""Ids and values of community alone."""

from typing import Annotated
from uuid import UUID

from pydantic import BeforeValidator, Field

from chassis.ids import prefixed
from services.community.domain.groups import spelled
from services.community.domain.posts import LONGEST_TEXT

MemberId = Annotated[UUID, prefixed("member")]
GroupId = Annotated[UUID, prefixed("group")]
JoiningId = Annotated[UUID, prefixed("joining")]
PostId = Annotated[UUID, prefixed("post")]
ReactionId = Annotated[UUID, prefixed("reaction")]
ReferralId = Annotated[UUID, prefixed("referral")]

GroupName = Annotated[
    str,
    Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$"),
    BeforeValidator(lambda name: spelled(name) if isinstance(name, str) else name),
]
DisplayName = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
Bio = Annotated[str, Field(min_length=1, max_length=2_000, pattern=r"^[^\x00]*$")]
Text = Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT, pattern=r"^[^\x00]*$")]
Code = Annotated[str, Field(min_length=4, max_length=40, pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
