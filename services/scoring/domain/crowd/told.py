"""What the calendars of many parties tell, day by day.

A key names a party and a day, as in `columns`: place of the party * `SPAN` + day. Keys are in the order of parties and
days.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import NamedTuple

import numpy as np

from contracts.loss import LossReason
from services.scoring.domain.calendar import Calendar
from services.scoring.domain.columns import SPAN, Columns, Days, columns
from services.scoring.domain.facts import DECLARATIONS, Kind
from services.scoring.domain.likelihood import Whole
from services.scoring.domain.money import Rates
from services.scoring.domain.reading import ALONE
from services.scoring.domain.rounding import Holds

NEVER = 1 << 22
"""Days after any day that lead behind every day, and not to another party."""
REASONS = tuple(LossReason)


class Declarations(NamedTuple):
    """Days on which somebody was declared lost, each with the place of its reason in `REASONS`."""

    keys: Whole
    reasons: Whole


class Told(NamedTuple):
    """What calendars say, read under rates. Sums are in minor units of the reporting currency."""

    rows: Columns
    until: Whole
    """Of each party the key of the day at whose end it is looked at; it has no later one."""
    known: Whole
    """Days on which anything happened."""
    purchases: Days
    bought: Whole
    """The keys of these."""
    since_first: Whole
    """Of each purchase day the days since the party's first."""
    gross: Whole
    """What each purchase day was worth."""
    paid_days: Whole
    """Of each purchase day how many up to it were worth anything."""
    paid: Whole
    """Of each purchase day the sum of what these were worth."""
    money: Whole
    """Days with money that counts."""
    net: Whole
    """Sums of all money before the first of these days, and up to each."""
    declared: Declarations
    """By anybody."""
    declined: Declarations
    """By the party itself."""
    opened: Whole
    """Of each row the key of the day on which the problem was opened that it says is solved; -1 of any other."""

    @property
    def nth(self) -> Whole:
        """Of each purchase day how many the party had before it."""
        return self.purchases.place

    def of_kinds(self, kinds: Iterable[int]) -> Whole:
        """The days with a fact of one of some kinds."""
        return self.rows.days(np.isin(self.rows.kind, list(kinds))).keys


def told(calendars: Sequence[Calendar], until: Sequence[int], rates: Rates) -> Told:
    """What calendars tell, none of which is empty or has a day after the one (ordinal) in its place in `until`.

    Raises `TooLarge`.
    """
    rows = columns(calendars, rates)
    purchase, details = rows.kind == Kind.PURCHASE, [entry[2] for of in calendars for entry in of.entries]
    purchases, money = rows.days(purchase), rows.days(rows.converts)
    gross = rows.sums(purchase, purchases, rows.worth)
    first: Whole = purchases.begin[purchases.party]
    net = rows.sums(rows.converts, money, np.where(purchase, rows.worth, -rows.worth))
    return Told(
        rows=rows,
        until=np.arange(len(calendars)) * SPAN + np.array(until),
        known=rows.days(~np.isin(rows.kind, list(ALONE))).keys,
        purchases=purchases,
        bought=purchases.keys,
        since_first=purchases.day - purchases.day[first],
        gross=gross,
        paid_days=_up_to((gross > 0).astype(np.int64), first),
        paid=_up_to(gross, first),
        money=money.keys,
        net=np.append(0, np.cumsum(net)),
        declared=_declarations(rows, details, np.isin(rows.kind, list(DECLARATIONS))),
        declined=_declarations(rows, details, rows.kind == Kind.DECLINED),
        opened=_opened(rows, details),
    )


def distinct(keys: Whole) -> Whole:
    """Each of some keys that are in order, once."""
    return keys[np.flatnonzero(np.diff(keys, prepend=-1))]


def first_of_party(keys: Whole) -> Holds:
    """Which of some keys in order, each there once, are the first ones of their parties."""
    return np.asarray(np.diff(keys // SPAN, prepend=-1) != 0)


def _up_to(amounts: Whole, first: Whole) -> Whole:
    """Sums of the amounts of a party up to and with each."""
    upto = np.cumsum(amounts)
    return np.asarray(upto - upto[first] + amounts[first])


def _declarations(rows: Columns, details: Sequence[str], those: Holds) -> Declarations:
    places = np.flatnonzero(those)
    keys = rows.party[places] * SPAN + rows.day[places]
    reasons = np.array([REASONS.index(LossReason(details[place])) for place in places.tolist()], dtype=np.int64)
    # Of several on one day counts the reason that the taxonomy has first.
    order = np.lexsort((reasons, keys))
    keys, reasons = keys[order], reasons[order]
    once = np.flatnonzero(np.diff(keys, prepend=-1))
    return Declarations(keys[once], reasons[once])


def _opened(rows: Columns, details: Sequence[str]) -> Whole:
    opened = np.full(len(details), -1)
    for place in np.flatnonzero(rows.kind == Kind.PROBLEM_SOLVED).tolist():
        if details[place]:
            opened[place] = rows.party[place] * SPAN + date.fromisoformat(details[place]).toordinal()
    return opened
