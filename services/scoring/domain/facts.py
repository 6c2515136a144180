"""Facts: what scoring keeps of an event, for ever."""

from datetime import datetime
from enum import IntEnum
from uuid import UUID

import msgspec


class Kind(IntEnum):
    """What a fact says. The numbers are stored in facts and calendars and never change their meaning."""

    REGISTERED = 1
    """Known to exist."""
    PURCHASE = 2
    """Bought; the amount is gross."""
    RETURN = 3
    """Gave goods back; the amount is positive and netted on the day of the return."""


class Fact(msgspec.Struct, frozen=True, gc=False):
    """One thing that happened to one identity. It counts unless it is withdrawn or replaced."""

    fact_id: UUID
    """The id of the event."""
    identity_id: UUID
    kind: Kind
    occurred_at: datetime
    recorded_at: datetime
    amount_minor: int = 0
    """Minor units of `currency`, never negative."""
    currency: str = ""
    """ISO 4217; empty for a kind without money."""
    replaces: UUID | None = None
    """The fact that this one corrects, which no longer counts."""
