"""What a worker remembers of long calendars, so that one more fact costs it no more than with a short one.

Nothing is taken from here that is not what the database has: the transaction that wrote each year of a calendar is
compared under the locks. What a transaction was to write is remembered as written by it, and is not found there where
it was rolled back.
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID
from weakref import WeakKeyDictionary

from sqlalchemy.ext.asyncio import AsyncSession

from services.scoring.domain.calendar import Calendar
from services.scoring.domain.history import History

LONG = 200
"""Entries of a calendar from which on it is remembered: to read as many takes as long as all else about an event."""
MOST = 400_000
"""Entries that are remembered in all, for some 300 MB."""


class Long(NamedTuple):
    """A long calendar as it was stored last."""

    versions: Mapping[int, int]
    """Which transaction wrote each year."""
    calendar: Calendar
    history: History
    """Under the ruling of that time."""


class Remembered:
    """Long calendars by their identities; those used least recently are forgotten where there are too many."""

    def __init__(self) -> None:
        self._long: OrderedDict[UUID, Long] = OrderedDict()
        self._entries = 0

    def take(self, identity_id: UUID) -> Long | None:
        """One that is kept again when it is stored: until then nobody else has it."""
        long = self._long.pop(identity_id, None)
        if long is not None:
            self._entries -= len(long.calendar.entries)
        return long

    def keep_all(self, unchanged: Mapping[UUID, Long]) -> None:
        """Keep again what was taken and not changed."""
        for identity_id, long in unchanged.items():
            self.keep(identity_id, long)

    def keep(self, identity_id: UUID, long: Long) -> None:
        """Remember one as it is stored, or will be if the transaction is not rolled back."""
        self.take(identity_id)
        long.history.forget_days()
        self._long[identity_id] = long
        self._entries += len(long.calendar.entries)
        while self._entries > MOST:
            self.take(next(iter(self._long)))


_OF_DATABASES: WeakKeyDictionary[object, Remembered] = WeakKeyDictionary()


def remembered(session: AsyncSession) -> Remembered:
    """What this process remembers of the database of a session."""
    return _OF_DATABASES.setdefault(session.bind, Remembered())
