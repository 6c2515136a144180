"""Where each of many parties is in its course, as `Course` has it, as long as nobody declared anything."""

from typing import NamedTuple, Protocol

import numpy as np

from services.scoring.domain.columns import NEVER, Days
from services.scoring.domain.course import Phase
from services.scoring.domain.likelihood import Whole
from services.scoring.domain.outlook import Outlook
from services.scoring.domain.stages import ByProbability

ACTIVE, DORMANT, LOST = (phase.value for phase in Phase)
"""The numbers of phases; 0 is none."""


class Silences(Protocol):
    """How many days after acts silence makes dormant, and how many make lost; `NEVER` where it does not.

    Acts are named by their rows.
    """

    least: int
    """Nobody is dormant earlier than this."""

    def dormant_in(self, rows: Whole) -> Whole:
        """Days from each act to the first dormant one."""

    def lost_in(self, rows: Whole) -> Whole:
        """Days from each act to the first lost one, no fewer."""


class FixedSilences:
    """The same days after every act."""

    def __init__(self, *, dormant_after_days: int, lost_after_days: int) -> None:
        self.least = dormant_after_days + 1
        self._lost_in = lost_after_days + 1

    def dormant_in(self, rows: Whole) -> Whole:
        """See `Silences`."""
        return np.full(len(rows), self.least)

    def lost_in(self, rows: Whole) -> Whole:
        """See `Silences`."""
        return np.full(len(rows), self._lost_in)


class SilencesByModel:
    """After a purchase: as long as the probability of another one stays at or above the thresholds of a policy."""

    def __init__(self, outlook: Outlook, customers: ByProbability, horizon_days: int, bought: Days) -> None:
        self._outlook, self._customers, self._horizon_days = outlook, customers, horizon_days
        self._bought = bought
        self.least = customers.fresh_days + 1

    def dormant_in(self, rows: Whole) -> Whole:
        """See `Silences`."""
        return self._first_below(rows, self._customers.dormant_below)

    def lost_in(self, rows: Whole) -> Whole:
        """See `Silences`."""
        return self._first_below(rows, self._customers.lost_below)

    def _first_below(self, rows: Whole, threshold: float) -> Whole:
        bought = self._bought
        tx = bought.day[rows] - bought.first[bought.party[rows]]
        below = self._outlook.first_below(bought.place[rows], tx, threshold, self._horizon_days)
        return np.maximum(below, self.least)


class Phases(NamedTuple):
    """Of each party."""

    phase: Whole
    """0 where nothing happened yet."""
    since: Whole
    """The first day of the phase; 0 where there is none."""
    turn: Whole
    """The first later day with another phase, if nothing happens; `NEVER` where it stays."""
    then: Whole
    """The phase from that day on."""


def phases(acts: Days, day: Whole, silences: Silences) -> Phases:
    """The phases on a day of each party, which is no earlier than its last act."""
    there = np.flatnonzero(acts.number)
    rows, last, on = acts.end[there] - 1, acts.last[there], day[there]
    dormant, lost = (_behind(last, days) for days in (silences.dormant_in(rows), silences.lost_in(rows)))
    active, gone = (on - last < silences.least) | (on < dormant), on >= lost
    found = Phases(*(np.zeros(len(day), np.int64) for _ in Phases._fields))
    found.phase[there] = np.where(active, ACTIVE, np.where(gone, LOST, DORMANT))
    found.since[there] = np.where(active, _begun(acts, silences)[there], np.where(gone, lost, dormant))
    found.turn[:] = NEVER
    found.turn[there] = np.where(active, dormant, np.where(gone, NEVER, lost))
    found.then[there] = np.where(active & (dormant < lost), DORMANT, LOST)
    return found


def _behind(last: Whole, days: Whole) -> Whole:
    return np.where(days >= NEVER, NEVER, last + days)


def _begun(acts: Days, silences: Silences) -> Whole:
    """The last act of each party that made active who was not."""
    gap = np.diff(acts.day, prepend=0)
    long = np.flatnonzero((acts.place > 0) & (gap >= silences.least))
    begins = acts.place == 0
    begins[long] = gap[long] >= silences.dormant_in(long - 1)
    begun = np.zeros(len(acts.begin), np.int64)
    np.maximum.at(begun, acts.party[begins], acts.day[begins])
    return begun
