"""What lists of facts of any kind are asked for alike."""

from datetime import datetime
from typing import Annotated, NamedTuple, Self
from uuid import UUID

from fastapi import Depends

from chassis.fields import Instant, PartyId, SourceId
from chassis.http import LATEST, Cursor, Session, decode_cursor
from contracts.event import Slug
from contracts.sources import SourceNotNamed
from services.customers.queries.histories import Condition, Place
from services.customers.queries.parties import party


class Asked(NamedTuple):
    """Which facts are wanted: of a party or of all, under conditions, behind a place."""

    party_id: UUID | None
    where: list[Condition]
    before: Place

    def also(self, where: list[Condition]) -> Self:
        """The same under more conditions."""
        return self._replace(where=[*self.where, *where])


async def _asked(
    session: Session,
    party_id: PartyId | None = None,
    source: Slug | None = None,
    source_id: SourceId | None = None,
    since: Instant | None = None,
    until: Instant | None = None,
    cursor: Cursor = None,
) -> Asked:
    if source_id is not None and source is None:
        raise SourceNotNamed("An id in a source is found in its source; name source, too.")
    if party_id is not None:
        await party(session, party_id)
    wanted: list[Condition] = [
        ("fact.source = {}", source),
        ("fact.source_id = {}", source_id),
        ("fact.occurred_at >= {}", since),
        ("fact.occurred_at < {}", until),
    ]
    return Asked(party_id, wanted, decode_cursor(cursor, tuple[datetime, UUID]) if cursor else LATEST)


WhatIsAsked = Annotated[Asked, Depends(_asked)]
