"""What operators are shown of events on their way, and what they ask for."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from chassis.fields import Body, Instant, Shown


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
    key: UUID | None = None
    """Only what is about this identity or party."""
    dry_run: bool = False
    """Only tried: how many events there are, and how many would be refused. All is rolled back."""


class Drain(Shown):
    """How far a drain is."""

    closed_at: datetime | None
    closed_by: str | None
    waiting: dict[str, Any]
    """What is still on its way: requests, imports, pairs undecided, leads ungraded, unnumbered, unpublished, unread,
    reassessing, services away."""
    quiet: bool
    """Nothing comes in and nothing is on its way."""
