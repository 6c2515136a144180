"""API keys: the table, and what is shown of them. What several services answer together."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import ConfigDict, Field, model_validator
from sqlalchemy import LargeBinary, Text
from sqlalchemy.dialects.postgresql import ARRAY, TIMESTAMP
from sqlmodel import Field as Column
from sqlmodel import SQLModel

from chassis.fields import Body, Instant, PartyId, Shown
from chassis.ids import prefixed
from chassis.timelines import Entry
from gateway.domain.keys import GRACE_MOST, Life
from gateway.domain.parts import Status
from gateway.domain.rates import Rate
from gateway.domain.rights import Role

KeyId = Annotated[UUID, prefixed("key")]

_Instant = TIMESTAMP(timezone=True)


class ApiKey(SQLModel, table=True):
    """A key and what it may do. The key itself is not here, only its hash."""

    __tablename__ = "api_key"

    id: UUID = Column(primary_key=True)
    name: str
    scopes: list[str] = Column(sa_type=ARRAY(Text))
    secret_hash: bytes = Column(sa_type=LargeBinary)
    created_at: datetime = Column(sa_type=_Instant)
    revoked_at: datetime | None = Column(default=None, sa_type=_Instant)
    last_four: str | None = None
    previous_hash: bytes | None = Column(default=None, sa_type=LargeBinary)
    previous_until: datetime | None = Column(default=None, sa_type=_Instant)
    expires_at: datetime | None = Column(default=None, sa_type=_Instant)
    last_used_at: datetime | None = Column(default=None, sa_type=_Instant)
    rotated_at: datetime | None = Column(default=None, sa_type=_Instant)
    rate_per_s: int | None = None
    rate_burst: int | None = None

    def life(self) -> Life:
        """What ends it."""
        return Life(self.revoked_at, self.expires_at, self.previous_until)

    def rate(self) -> Rate | None:
        """Its own rate; None for that of its roles."""
        return None if self.rate_per_s is None or self.rate_burst is None else Rate(self.rate_per_s, self.rate_burst)


KeyName = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$")]
Requests = Annotated[int, Field(strict=True, ge=1, le=999_999)]


class KeyLimit(Body):
    """Requests per second in the long run, and how many may come at once."""

    per_s: Requests
    burst: Requests


class NewKey(Body):
    """A key that is wanted."""

    name: KeyName
    """Whose key it is, for people."""
    scopes: Annotated[list[Role], Field(min_length=1, max_length=4)]
    expires_at: Instant | None = None
    """From when on it works no more; null for one that lasts."""
    limit: KeyLimit | None = None
    """How many requests it may make; null for what its roles may."""


class KeyChange(Body):
    """What is to be different about a key; what is left out stays."""

    name: KeyName | None = None
    expires_at: Instant | None = None
    """Null takes the expiry away."""
    limit: KeyLimit | None = None
    """Null goes back to what its roles may."""

    @model_validator(mode="after")
    def _named(self) -> Self:
        if "name" in self.model_fields_set and self.name is None:
            raise ValueError("a key has a name")
        return self


class Rotation(Body):
    """How a secret is replaced."""

    grace_s: Annotated[int, Field(strict=True, ge=0, le=int(GRACE_MOST.total_seconds()))] = 0
    """Seconds for which the old secret goes on beside the new one."""


class Key(Shown):
    """A key without its secret."""

    id: KeyId
    name: str
    scopes: list[Role]
    last_four: str | None
    """The end of its secret; null for a key from before these were kept."""
    created_at: datetime
    rotated_at: datetime | None
    previous_until: datetime | None
    """Until when the secret before the present one works, too."""
    last_used_at: datetime | None
    """To some ten seconds."""
    expires_at: datetime | None
    revoked_at: datetime | None
    limit: KeyLimit
    """How many requests it may make, by its own limit or that of its roles."""
    own_limit: bool
    """Whether the limit is its own."""
    current: bool
    """Whether it is the key that this request came with."""

    @classmethod
    def shown(cls, row: ApiKey, rate: Rate, *, asking: str) -> Self:
        """A row as it is shown to the key `asking`."""
        return cls(
            **row.model_dump(exclude={"secret_hash", "previous_hash", "rate_per_s", "rate_burst"}),
            limit=KeyLimit(per_s=rate.per_s, burst=rate.burst),
            own_limit=row.rate() is not None,
            current=asking == key_text(row.id),
        )


class MadeKey(Key):
    """A key with the secret just made for it: the only time that it is shown."""

    secret: str
    """To be sent as `Authorization: Bearer …`."""


def key_text(key_id: UUID) -> str:
    """The outer spelling of a key's id."""
    return f"key_{key_id.hex}"


class ImportList(Shown):
    """A part of the list of all imports; `next_cursor` asks for the part after it."""

    data: list[dict[str, Any]]
    """Each as `GET /v1/imports/{import_id}` answers."""
    has_more: bool
    """Also true while a service in `unavailable` may have more."""
    next_cursor: str | None = None
    unavailable: list[str]
    """Services that did not answer."""


class ViewPart(Shown):
    """What one service knows of a party."""

    status: Status
    data: dict[str, Any] | None = None
    """As the service answers; null unless the status is `ok`."""


class PartyView(Shown):
    """What every service knows of a party."""

    party_id: PartyId
    """As it was asked for."""
    resolves_to: PartyId | None
    """The party that the id leads to now; null where neither customers nor scoring answered."""
    party: ViewPart
    """From customers: as `GET /v1/parties/{party_id}` answers."""
    standing: ViewPart
    """From scoring: as `GET /v1/standings/{party_id}` answers."""
    leads: ViewPart
    """From leads: the latest, as `GET /v1/leads` answers."""
    community: ViewPart
    """From community: memberships and what they did last."""
    problems: ViewPart
    """From customers: open ones, as `GET /v1/problems` answers."""
    interactions: ViewPart
    """From customers: the last ones, as `GET /v1/interactions` answers."""


class TimelineRow(Entry):
    """Something that happened with a party; a service may say more of it."""

    model_config = ConfigDict(extra="allow")


class TimelinePage(Shown):
    """A part of a timeline; `next_cursor` asks for the part after it."""

    data: list[TimelineRow]
    has_more: bool
    """Also true while a service in `unavailable` may have more."""
    next_cursor: str | None = None
    unavailable: list[str]
    """Services that did not answer. Their rows come on a later page, once they answer."""


class GapToPass(Body):
    """A stopped partition that is to go on without what is missing."""

    topic: Annotated[str, Field(max_length=200)]
    partition: Annotated[int, Field(ge=0, le=100_000)]
    service: Annotated[str, Field(max_length=200)] | None = None
    """Whose consumer is to go on; needed where several services have stopped there."""
    consumer: Annotated[str, Field(max_length=200)] | None = None
    """Which consumer is to go on; needed where several of one service have stopped there."""


class Gap(Shown):
    """A consumer that had stopped at a partition."""

    service: str
    consumer: str
    topic: str
    partition: int
    reason: str
    """Why it stopped: with a gap, what is given up now."""


class ConsumerLag(Shown):
    """How far consumers are."""

    data: list[dict[str, Any]]
    """A line per service, consumer, topic and partition: `events` behind, seconds that the oldest has waited, place."""
    unavailable: list[str]
    """Services that did not answer."""


class Topics(Shown):
    """What is written where, and who reads it."""

    data: list[dict[str, Any]]
    unavailable: list[str]
    """Services that did not answer."""


class WhatIsRead(Body):
    """What a service reads, or a topic of it."""

    service: Annotated[str, Field(max_length=200)]
    topic: Annotated[str, Field(max_length=200)] | None = None


class Turned(Shown):
    """Whose reading was turned off or on."""

    service: str
    topic: str | None
    consumers: list[str]
    partitions: int
    """How many stand, or go on, that did not before."""


class LetterState(StrEnum):
    """What became of a dead letter."""

    OPEN = "open"
    REQUEUED = "requeued"
    DISCARDED = "discarded"


class DeadLetter(Shown):
    """An event that a handler could not take, with where it stood."""

    id: str
    service: str
    consumer: str
    topic: str
    partition: int
    offset: int
    key: str | None
    event_id: str | None
    type: str | None
    """None where not even the envelope could be read; then it has no `sequence` either."""
    sequence: str | None
    reason: str
    """The class of what was wrong."""
    detail: str
    attempts: int
    first_failed_at: datetime
    status: LetterState
    closed_at: datetime | None
    closed_by: str | None
    note: str | None
    payload: str | None = None


class DeadLetterList(Shown):
    """A part of the list of dead letters."""

    data: list[DeadLetter]
    has_more: bool
    next_cursor: str | None
    unavailable: list[str]
    """Services that did not answer."""


class LettersToRequeue(Body):
    """Letters by their ids, or the open ones that fit; with neither, all that are open."""

    ids: Annotated[list[Annotated[str, Field(max_length=100)]], Field(min_length=1, max_length=1_000)] | None = None
    service: Annotated[str, Field(max_length=200)] | None = None
    topic: Annotated[str, Field(max_length=200)] | None = None
    reason: Annotated[str, Field(max_length=200)] | None = None
    """The class of what was wrong."""
    since: Instant | None = None
    until: Instant | None = None
    limit: Annotated[int, Field(ge=1, le=1_000)] = 100
    cursor: Annotated[str, Field(max_length=2_000)] | None = None


class LettersToDiscard(LettersToRequeue):
    """Letters to be given up, and why."""

    why: Annotated[str, Field(max_length=1_000)] | None = None


class LetterOutcome(Shown):
    """What became of a letter."""

    id: str
    service: str
    became: str
    """`handled`, `failed`, `discarded`; `was_requeued`, `was_discarded`, `unknown` where nothing was done."""
    reason: str | None
    detail: str | None


class LetterOutcomes(Shown):
    """What became of each; `next_cursor` goes on behind the last one."""

    data: list[LetterOutcome]
    has_more: bool
    next_cursor: str | None


class Replay(Body):
    """What a service is to read again."""

    service: Annotated[str, Field(max_length=200)]
    topic: Annotated[str, Field(max_length=200)] | None = None
    partition: Annotated[int, Field(ge=0, le=100_000)] | None = None
    since: Instant | None = None
    """What was numbered from then on."""
    epoch: Annotated[int, Field(ge=1, le=2**31 - 1)] = 1
    seq: Annotated[int, Field(ge=1, le=2**53)] | None = None
    """The first event, by its number in its partition and epoch."""


class Drain(Shown):
    """How far a drain is."""

    closed_at: datetime | None
    closed_by: str | None
    waiting: dict[str, Any]
    """What is still on its way: requests, imports, unnumbered, unpublished, unread, reassessing, services away."""
    quiet: bool
    """Nothing comes in and nothing is on its way."""
