"""A population as the model sees it: purchase days, and what they say as of a day."""

from array import array
from typing import NamedTuple

import numpy as np

from services.scoring.domain.calendar import Calendar
from services.scoring.domain.facts import Kind
from services.scoring.domain.likelihood import Whole
from services.scoring.domain.money import Rates


class Buyers(NamedTuple):
    """Those who had bought by a day, one place each in every array."""

    party: Whole
    x: Whole
    """Purchase days after the first."""
    tx: Whole
    """Days from the first purchase day to the last."""
    T: Whole
    """Days from the first purchase day to the day asked."""
    paid_days: Whole
    """Purchase days with a gross amount above zero in the reporting currency."""
    paid: Whole
    """The sum of these, in minor units."""


class Ledger(NamedTuple):
    """The purchase days of a population, those of a party together and in day order."""

    party: Whole
    """The number of the party, from 0 on in the order of the rows."""
    day: Whole
    """As an ordinal."""
    amount: Whole
    """Gross, in minor units of the reporting currency; 0 where nothing converts."""

    def last_day(self) -> int:
        """The last day on which anybody bought; 0 where nobody did."""
        return int(self.day.max(initial=0))

    def buyers(self, day: int) -> Buyers:
        """Those who had bought by the end of a day."""
        until = self.day <= day
        party, when, amount = self.party[until], self.day[until], self.amount[until]
        first = np.flatnonzero(np.diff(party, prepend=-1))
        last = np.append(first[1:], len(party)) - 1 if len(first) else first
        paid = np.append(0, np.cumsum(np.maximum(amount, 0)))
        paid_days = np.append(0, np.cumsum(amount > 0))
        begun = when[first]
        return Buyers(
            party[first],
            last - first,
            when[last] - begun,
            day - begun,
            paid_days[last + 1] - paid_days[first],
            paid[last + 1] - paid[first],
        )

    def afterwards(self, of: Buyers, day: int, until: int) -> tuple[Whole, Whole]:
        """On how many days each of them bought after a day up to another, and what they paid on these."""
        then = (self.day > day) & (self.day <= until)
        size = int(self.party[-1]) + 1 if len(self.party) else 0
        # Sums of doubles are exact up to 2^53 minor units.
        bought = np.bincount(self.party[then], minlength=size)
        paid = np.bincount(self.party[then], weights=self.amount[then], minlength=size)
        return bought[of.party], paid[of.party].astype(np.int64)


class Gathering:
    """A ledger in the making: three numbers for each purchase day, whatever else a calendar holds."""

    def __init__(self, rates: Rates) -> None:
        self._rates = rates
        self._party, self._day, self._amount = array("q"), array("q"), array("q")
        self._parties = 0

    def take(self, calendar: Calendar) -> None:
        """One more party, by its whole calendar."""
        last = 0
        for day, kind, currency, _, amount in calendar.entries:
            if kind != Kind.PURCHASE:
                continue
            converted = self._rates.converted(amount, currency, day) or 0
            if day == last:
                self._amount[-1] += converted
                continue
            self._party.append(self._parties)
            self._day.append(day)
            self._amount.append(converted)
            last = day
        self._parties += bool(last)

    def ledger(self) -> Ledger:
        """What was taken."""
        return Ledger(*(np.frombuffer(column, dtype=np.int64) for column in (self._party, self._day, self._amount)))
