"""The moment that a read is about, and what may be known at it."""

from datetime import date, datetime, timedelta
from typing import Self
from uuid import UUID

import msgspec

from contracts.problems import Invalid
from services.scoring.domain.calendar import Calendar
from services.scoring.domain.days import end_of_day
from services.scoring.domain.ruling import Ruling

ONE_DAY = timedelta(days=1)


class OnlyByParty(Invalid):
    """Standings that are computed for a list come in the order of party ids."""

    def __init__(self) -> None:
        super().__init__("These standings are computed, not stored: sort by `party`.", sort=["party"])


Care = tuple[UUID | None, UUID | None]
"""An owner and a team: parties that have at least one of them."""


class Moment(msgspec.Struct, frozen=True):
    """The end of a local day, or as late as everything was read: what lies unread must not be taken for silence."""

    ruling: Ruling
    as_of: date | None
    """The day; None is now."""
    reached: datetime | None
    """Until when every event was read; None where that is not known."""
    known_at: datetime | None = None
    """Only what was recorded up to then counts; None is all that is known."""
    care: Care | None = None
    """Whose parties alone are looked at; None looks at everybody."""

    def from_the_beginning(self) -> Self:
        """The same as if its ruling had always decided."""
        return msgspec.structs.replace(self, ruling=self.ruling.from_the_beginning())

    def looks_at(self, owner_id: UUID | None, team_id: UUID | None) -> bool:
        """Whether a party with this owner and team is one of those looked at."""
        if self.care is None:
            return True
        owner, team = self.care
        return (owner is not None and owner == owner_id) or (team is not None and team == team_id)

    def seen(self, calendar: Calendar, assessed_at: datetime | None) -> tuple[Calendar, datetime] | None:
        """What counts of a party's calendar, and when; None for a party that was never assessed."""
        if assessed_at is None:
            return None
        if self.as_of is not None:
            return calendar.between(None, self.as_of + ONE_DAY), end_of_day(self.as_of.toordinal(), self.ruling.zone)
        return calendar, max(assessed_at, self.reached or assessed_at)
