"""Webhooks and their deliveries: the table, what is wanted and what is shown."""

from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import Field, model_validator
from sqlalchemy import Text
from sqlalchemy.dialects.postgresql import ARRAY, TIMESTAMP
from sqlmodel import Field as Column
from sqlmodel import SQLModel

from chassis.fields import Body, Instant, Shown
from chassis.ids import prefixed
from contracts.scoring import Stage, Tier
from gateway.domain.feed import Wanted
from gateway.domain.webhooks import warning_of

WebhookId = Annotated[UUID, prefixed("webhook")]

_Instant = TIMESTAMP(timezone=True)


class Webhook(SQLModel, table=True):
    """Where a system wants to be told what."""

    __tablename__ = "webhook"

    id: UUID = Column(primary_key=True)
    url: str
    name: str = ""
    types: list[str] | None = Column(default=None, sa_type=ARRAY(Text))
    stages: list[str] | None = Column(default=None, sa_type=ARRAY(Text))
    tiers: list[str] | None = Column(default=None, sa_type=ARRAY(Text))
    historic: bool = False
    secret: str
    previous_secret: str | None = None
    previous_until: datetime | None = Column(default=None, sa_type=_Instant)
    state: str = "active"
    notice: str | None = None
    position: int
    failures: int = 0
    failing_since: datetime | None = Column(default=None, sa_type=_Instant)
    version: int = 1
    created_at: datetime = Column(sa_type=_Instant)
    created_by: str

    def wanted(self) -> Wanted:
        """What it is told."""
        types, stages, tiers = (
            None if each is None else frozenset(each) for each in (self.types, self.stages, self.tiers)
        )
        return Wanted(types=types, stages=stages, tiers=tiers, historic=self.historic)


Url = Annotated[str, Field(min_length=8, max_length=2_000, pattern=r"^[!-~]+$", examples=["https://example.com/hooks"])]
Name = Annotated[str, Field(max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$", examples=["Newsletter"])]
Types = Annotated[list[str], Field(min_length=1, max_length=50)]
Stages = Annotated[list[Stage], Field(min_length=1)]
Tiers = Annotated[list[Tier], Field(min_length=1)]


class NewWebhook(Body):
    """A webhook that is wanted."""

    url: Url
    """Where it is called, by https."""
    name: Name = ""
    """What people call it."""
    types: Types | None = None
    """Only these types; null for all that the feed tells."""
    stages: Stages | None = None
    """Only what leaves its party in one of these stages."""
    tiers: Tiers | None = None
    """Only what leaves its party in one of these tiers."""
    historic: bool = False
    """Also what was long past when it was recorded."""


class WebhookChange(Body):
    """What is to be different; what is left out stays."""

    url: Url | None = None
    name: Name | None = None
    types: Types | None = None
    """Null for all."""
    stages: Stages | None = None
    """Null for all."""
    tiers: Tiers | None = None
    """Null for all."""
    historic: bool | None = None

    @model_validator(mode="after")
    def _there(self) -> Self:
        for name in ("url", "name", "historic"):
            if name in self.model_fields_set and getattr(self, name) is None:
                raise ValueError(f"{name} may be left out, but not null")
        return self


class SecretRotation(Body):
    """How a secret is replaced."""

    grace_s: Annotated[int, Field(strict=True, ge=0, le=604_800)] = 86_400
    """Seconds for which messages carry a signature with the old secret too."""


class Replaying(Body):
    """From where it is to be told again: one of both."""

    after: Annotated[int, Field(strict=True, ge=0, lt=10**18)] | None = None
    """After this `sequence`."""
    since: Instant | None = None
    """What was told from this instant on."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.after is None) == (self.since is None):
            raise ValueError("name either after or since")
        return self


class ShownWebhook(Shown):
    """A webhook without its secret."""

    id: WebhookId
    url: str
    name: str
    """What people call it; empty where nobody gave it a name."""
    types: list[str] | None
    stages: list[Stage] | None
    tiers: list[Tier] | None
    historic: bool
    state: Literal["active", "paused", "disabled"]
    """`paused` by a person, or because its receiver took nothing for too long; `disabled` because it answered 410."""
    notice: str | None
    """Why it does not deliver, or that its receiver has taken nothing for a day; and what it has missed."""
    position: int
    """The `sequence` up to which deliveries were planned."""
    failures: int
    """Tries in a row that failed; 0 once one message was taken."""
    failing_since: datetime | None
    """When the first of them was."""
    previous_until: datetime | None
    """Until when messages carry a signature with the secret before the present one."""
    version: int
    created_at: datetime

    @classmethod
    def of(cls, row: Webhook, at: datetime) -> Self:
        """A row as it is shown at an instant."""
        shown = cls.model_validate(row)
        if shown.state == "active":
            shown.notice = warning_of(row.failures, row.failing_since, at, row.notice)
        return shown


class MadeWebhook(ShownWebhook):
    """A webhook with the secret just made for it: the only time that it is shown."""

    secret: str
    """Verifies the messages (Standard Webhooks)."""


class Delivery(Shown):
    """A message to a receiver, and how it fares."""

    id: int
    sequence: int
    """Of the event; 0 for a test."""
    message_id: str
    """`webhook-id` of the message: the id of the event."""
    type: str
    state: Literal["waiting", "delivered"]
    attempts: int
    planned_at: datetime
    next_at: datetime | None
    """When it is tried next; null for what was delivered."""
    last_at: datetime | None
    response_code: int | None
    duration_ms: int | None
    error: str | None
