"""What readers of the feed see of an event."""

from datetime import datetime
from typing import Any

from chassis.fields import EventId, PartyId, Shown


class FeedEvent(Shown):
    """An event as streams and webhooks tell it."""

    sequence: int
    """Its number in the feed: rises by one from event to event, over all types."""
    id: EventId
    """Names it for ever; what comes twice has the same id."""
    type: str
    """Its name and version, such as `scoring.standing_changed.v1`; `docs/events.md` describes each."""
    party_id: PartyId
    """Whom it is about, with the merges known by then followed."""
    occurred_at: datetime
    """Business time: when it happened."""
    recorded_at: datetime
    """When it was recorded."""
    historic: bool
    """Whether it was long past when it was recorded, as what an import of old files tells."""
    data: dict[str, Any]
    """What the type has, without what is absent; ids in the spelling of this API."""
