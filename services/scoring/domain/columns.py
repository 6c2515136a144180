"""The calendars of many parties as columns, an entry a row, in the order of parties and days."""

from collections.abc import Sequence
from functools import cached_property
from itertools import chain
from typing import Any, NamedTuple, Self

import numpy as np

from contracts.customers import PartyKind
from contracts.leads import Grade
from services.scoring.domain.calendar import Calendar
from services.scoring.domain.facts import ASIDE, MONEY, Kind
from services.scoring.domain.likelihood import Whole
from services.scoring.domain.money import Rates
from services.scoring.domain.rounding import Holds

SPAN = 1 << 23
"""More days than a calendar has: `party * SPAN + day` sorts as party and day do."""
NEVER = SPAN - 1
"""A day that does not come."""
EPOCH = 719_163
"""The ordinal of the day from which numpy counts."""
WIDTH = 5
"""Parts of an entry."""
EXACT = 2.0**62
"""Sums up to here are whole numbers that an array holds."""


_MONEY = [int(kind) for kind in MONEY]
_REGISTERED, _ORGANISATION = int(Kind.REGISTERED), PartyKind.ORGANISATION
_LEAD_GRADED = int(Kind.LEAD_GRADED)
GRADES: Sequence[Grade | None] = (None, *Grade)
"""How a lead may be graded, behind not at all."""


class TooLarge(Exception):
    """Amounts are beyond what an array of whole numbers holds."""


class Days:
    """Days (ordinals) of parties that are numbered from 0 on: sorted by party and day, each day of a party once."""

    def __init__(self, party: Whole, day: Whole, parties: int) -> None:
        self.party, self.day = party, day
        self.keys = party * SPAN + day
        everybody = np.arange(parties)
        self.begin: Whole = np.searchsorted(party, everybody)
        """Of each party, the place of its first day."""
        self.end: Whole = np.searchsorted(party, everybody, "right")
        """The place behind its last day."""

    @cached_property
    def number(self) -> Whole:
        """How many days each party has."""
        return self.end - self.begin

    @cached_property
    def first(self) -> Whole:
        """The first day of each party; 0 where it has none."""
        return self._at(self.begin)

    @cached_property
    def last(self) -> Whole:
        """The last day of each party; 0 where it has none."""
        return self._at(self.end - 1)

    @cached_property
    def place(self) -> Whole:
        """Of each day, its place among those of its party."""
        return np.arange(len(self.party)) - self.begin[self.party]

    def up_to(self, party: Whole, day: Whole) -> Whole:
        """How many of all rows lie before or on a day of a party; differences of these count days."""
        return np.searchsorted(self.keys, party * SPAN + day, "right")

    def _at(self, place: Whole) -> Whole:
        if not len(self.day):
            return np.zeros(len(place), np.int64)
        return np.where(self.end > self.begin, self.day[np.clip(place, 0, len(self.day) - 1)], 0)


class Columns(NamedTuple):
    """Of each entry."""

    parties: int
    party: Whole
    day: Whole
    kind: Whole
    times: Whole
    worth: Whole
    """In minor units of the reporting currency; 0 of what is no money and of what does not convert."""
    converts: Holds
    """Whether it is money that counts."""
    organised: Holds
    """Whether it says that the party is an organisation."""
    aside: Holds
    """Whether it neither asks nor answers, though others of its kind do."""
    grade: Whole
    """Of a graded lead the place of its grade in `GRADES`; 0 of anything else."""

    def of(self, parties: Holds) -> Self:
        """Without the entries of other parties, which keep their numbers."""
        return self.only(parties[self.party])

    def only(self, rows: Holds) -> Self:
        """Without other entries than some; parties without any left keep their numbers."""
        return self._replace(**{name: getattr(self, name)[rows] for name in self._fields if name != "parties"})

    def days(self, rows: Holds) -> Days:
        """The days of some rows."""
        party, day = self.party[rows], self.day[rows]
        new = (np.diff(party, prepend=-1) != 0) | (np.diff(day, prepend=-1) != 0)
        return Days(party[new], day[new], self.parties)

    def sums(self, rows: Holds, over: Days, values: Whole) -> Whole:
        """What some rows come to on each of the days that these rows lie on."""
        total = np.zeros(len(over.day), np.int64)
        place = np.searchsorted(over.keys, self.party[rows] * SPAN + self.day[rows])
        np.add.at(total, place, values[rows])
        return total

    def any_of(self, rows: Holds) -> Holds:
        """The parties that have any of some rows."""
        return np.bincount(self.party[rows], minlength=self.parties) > 0

    def total(self, rows: Holds, values: Whole) -> Whole:
        """What some rows of each party come to."""
        total = np.zeros(self.parties, np.int64)
        np.add.at(total, self.party[rows], values[rows])
        return total


def columns(calendars: Sequence[Calendar], rates: Rates) -> Columns:
    """The columns of calendars, which number the parties. Raises `TooLarge`."""
    # One flat list is the quickest way from tuples to columns.
    flat: list[Any] = list(chain.from_iterable(chain.from_iterable(calendar.entries for calendar in calendars)))
    details = flat[2::WIDTH]
    try:
        day, kind, times, worth = (np.array(flat[place::WIDTH], dtype=np.int64) for place in (0, 1, 3, 4))
    except OverflowError as error:
        raise TooLarge from error
    lengths = [len(calendar.entries) for calendar in calendars]
    party: Whole = np.repeat(np.arange(len(calendars)), lengths)
    converts = np.isin(kind, _MONEY)
    foreign = [
        place
        for place, (detail, money) in enumerate(zip(details, converts.tolist(), strict=True))
        if money and detail != rates.currency
    ]
    for place in foreign:
        converted = rates.converted(int(worth[place]), details[place], int(day[place]))
        if converted is not None and abs(converted) >= EXACT:
            raise TooLarge
        worth[place], converts[place] = converted or 0, converted is not None
    organised, aside = kind == _REGISTERED, np.zeros(len(kind), np.bool_)
    for place in np.flatnonzero(organised).tolist():
        organised[place] = details[place] == _ORGANISATION
    for of, detail in ASIDE.items():
        for place in np.flatnonzero(kind == of).tolist():
            aside[place] = details[place] == detail
    grade = np.zeros(len(kind), np.int64)
    for place in np.flatnonzero(kind == _LEAD_GRADED).tolist():
        grade[place] = GRADES.index(details[place][-1])
    worth = np.where(converts, worth, 0)
    if np.abs(worth.astype(np.float64)).sum() >= EXACT:
        raise TooLarge
    return Columns(len(calendars), party, day, kind, times, worth, converts, organised, aside, grade)
