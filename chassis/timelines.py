"""Timelines of a party: the entries that each service gives, and where and of what a page of them is asked for."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, NamedTuple

from fastapi import Depends, Query
from pydantic import Field

from chassis.fields import Instant, Shown

END_OF_TIME = datetime(9999, 1, 1, tzinfo=UTC)

Word = Annotated[str, Field(max_length=100, pattern=r"^[\x20-\x7e]*$")]
Words = Annotated[list[Word], Query(max_length=50, default_factory=list)]
"""Words that may come several times in a query."""


class Entry(Shown):
    """Something that happened with a party."""

    at: datetime
    """When it happened."""
    id: str
    kind: str
    service: str
    """The service that knows of it."""
    recorded_at: datetime
    """When we learned of it."""
    detail: dict[str, Any]
    """What there is to say about something of this kind."""


class Timeline(Shown):
    """Entries, the latest first."""

    data: list[Entry]
    has_more: bool


class Asked(NamedTuple):
    """Which entries are wanted, whichever services have them."""

    before_at: datetime = END_OF_TIME
    before_id: str = ""
    """Behind the entry of this time and id, of any service."""
    kinds: Collection[str] = ()
    """Of these kinds, or of all; those that a service does not know, others may."""
    departments: Collection[str] = ()
    """Only what has to do with one of these."""

    @property
    def place(self) -> tuple[datetime, str]:
        """The entry behind which it goes on."""
        return self.before_at, self.before_id

    def among(self, kinds: Sequence[str]) -> Sequence[str]:
        """Those of some kinds that are wanted."""
        return [kind for kind in kinds if kind in self.kinds] if self.kinds else kinds


async def _asked(
    kinds: Words,
    departments: Words,
    before_at: Instant | None = None,
    before_id: Annotated[Word, Query()] = "",
) -> Asked:
    return Asked(before_at or END_OF_TIME, before_id, kinds, departments)


WhatIsAsked = Annotated[Asked, Depends(_asked)]


def timeline(entries: Sequence[Entry], *, limit: int) -> Timeline:
    """A page from up to `limit + 1` entries."""
    return Timeline(data=list(entries[:limit]), has_more=len(entries) > limit)
