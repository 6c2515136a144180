"""Events of the services, taken into the feed by whole batches."""

from collections.abc import Sequence
from datetime import date
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.consumer import Delivery
from chassis.db import driver
from contracts.customers import PartyOwnerChanged
from contracts.event import Event
from contracts.topics import STANDING_CHANGES
from gateway.domain.feed import ABOUT_PARTIES, TYPES, Holdings, after, data_of, holdings, is_historic
from gateway.queries import feed


async def take_in(session: AsyncSession, batch: Sequence[Delivery], *, zone: ZoneInfo, historic_days: int) -> None:
    """Keep whose identities and parties are, and stage what the feed tells."""
    connection = await driver(session)
    found: dict[UUID, Holdings] = {}
    owners: dict[UUID, tuple[int, UUID | None, UUID | None]] = {}
    for event in (each.event for each in batch):
        for identity_id, held in holdings(event):
            found[identity_id] = max(found.get(identity_id, held), held, key=lambda known: known.version)
        if isinstance(event, PartyOwnerChanged):
            owner = event.version, event.owner_id, event.team_id
            owners[event.subject] = max(owners.get(event.subject, owner), owner, key=lambda known: known[0])
    await feed.learn_holders(connection, found)
    await feed.learn_owners(connection, owners)
    told = [each for each in batch if each.event.wire_type in TYPES]
    if not told:
        return
    named = {each.event.subject for each in told if not isinstance(each.event, ABOUT_PARTIES)}
    known = await feed.holders(connection, named) if named else {}
    staged = [
        _staged(
            each,
            _party(each.event, known, each.event.occurred_at.astimezone(zone).date()),
            historic=is_historic(each.event, each.recorded_at, days=historic_days),
        )
        for each in told
    ]
    await feed.stage(connection, staged)


def _party(event: Event, known: dict[UUID, Holdings], day: date) -> UUID:
    held = None if isinstance(event, ABOUT_PARTIES) else known.get(event.subject)
    return held.on(day) if held else event.subject


def _staged(delivery: Delivery, party_id: UUID, *, historic: bool) -> feed.Staged:
    event = delivery.event
    body = {
        "id": f"event_{delivery.event_id.hex}",
        "type": event.wire_type,
        "party_id": f"party_{party_id.hex}",
        "occurred_at": event.occurred_at,
        "recorded_at": delivery.recorded_at,
        "historic": historic,
        "data": data_of(event),
    }
    return feed.Staged(
        delivery.event_id,
        event.wire_type,
        party_id,
        *after(event),
        historic,
        event.topic is STANDING_CHANGES,
        vars(event).get("revision", 0),
        delivery.recorded_at,
        msgspec.json.encode(body).decode(),
    )
