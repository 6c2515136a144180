"""The calendars of many parties as columns.

A key names a party and a day: place of the party * `DAYS` + day (ordinal). Keys are in the order of parties and days.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from itertools import chain
from typing import NamedTuple

import numpy as np

from contracts.loss import LossReason
from services.scoring.domain.calendar import Calendar
from services.scoring.domain.facts import DECLARATIONS, MONEY, Kind
from services.scoring.domain.likelihood import Whole
from services.scoring.domain.money import Rates
from services.scoring.domain.reading import ALONE

DAYS = 1 << 23
"""More than twice as many as there are days, so that no sum of a day and a span leads to another party."""
NEVER = 1 << 22
"""Days after any day that leads behind every day."""
LARGEST = 1 << 40
"""Amounts up to this, in minor units, add up exactly in 64 bits, however many there are."""
REASONS = tuple(LossReason)


class Declarations(NamedTuple):
    """Days on which somebody was declared lost, each with the place of its reason in `REASONS`."""

    keys: Whole
    reasons: Whole


class Columns(NamedTuple):
    """What calendars say, read under rates. Sums are in minor units of the reporting currency."""

    until: Whole
    """Of each party the key of the day at whose end it is looked at; it has no later one."""
    keys: Whole
    """Of each entry, as the two below."""
    kinds: Whole
    counts: Whole
    known: Whole
    """Days on which anything happened."""
    bought: Whole
    """Purchase days."""
    nth: Whole
    """Of each purchase day how many the party had before it."""
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
    """Of each entry the key of the day on which the problem was opened that it says is solved; -1 of any other."""
    beyond: Whole
    """Places of the parties with an amount that is too large to be added up here: what is said of them is wrong."""

    def of_kinds(self, kinds: Iterable[int]) -> Whole:
        """The days with an entry of one of some kinds."""
        return distinct(self.keys[among(self.kinds, kinds)])


def columns(calendars: Sequence[Calendar], until: Sequence[int], rates: Rates) -> Columns:
    """The columns of calendars, none of which is empty or has a day after the one (ordinal) in its place in `until`."""
    entries = list(chain.from_iterable(calendar.entries for calendar in calendars))
    days, kinds_, details, counts_, amounts_ = zip(*entries, strict=True)
    kinds, counts = np.array(kinds_), np.array(counts_)
    parties = np.repeat(np.arange(len(calendars)), [len(calendar.entries) for calendar in calendars])
    keys = parties * DAYS + np.array(days)
    worth, counting = _worth(kinds, days, details, amounts_, rates)

    purchase = kinds == Kind.PURCHASE
    bought = distinct(keys[purchase])
    first = starts(bought)
    nth = np.arange(len(bought)) - first
    gross = sums(bought, keys[purchase], np.where(counting, worth, 0)[purchase])
    money = distinct(keys[counting])
    signed = np.where(purchase, worth, -worth)[counting]
    return Columns(
        until=np.arange(len(calendars)) * DAYS + np.array(until),
        keys=keys,
        kinds=kinds,
        counts=counts,
        known=distinct(keys[~among(kinds, ALONE)]),
        bought=bought,
        nth=nth,
        since_first=bought - bought[first],
        gross=gross,
        paid_days=_upto((gross > 0).astype(np.int64), first),
        paid=_upto(gross, first),
        money=money,
        net=np.concatenate(([0], np.cumsum(sums(money, keys[counting], signed)))),
        declared=_declarations(keys, kinds, details, DECLARATIONS),
        declined=_declarations(keys, kinds, details, (Kind.DECLINED,)),
        opened=_opened(parties, kinds, details),
        beyond=np.unique(parties[np.abs(worth) > LARGEST]),
    )


def among(kinds: Whole, those: Iterable[int]) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    """Of each kind whether it is one of some."""
    chosen = np.zeros(len(Kind) + 1, dtype=bool)
    chosen[[int(kind) for kind in those]] = True
    return chosen[kinds]


def distinct(keys: Whole) -> Whole:
    """Each of some keys that are in order, once."""
    return keys[np.flatnonzero(np.diff(keys, prepend=-1))]


def starts(keys: Whole) -> Whole:
    """Of each key in order the place of the first one of its party."""
    begins = np.flatnonzero(np.diff(keys // DAYS, prepend=-1))
    return np.repeat(begins, np.diff(begins, append=len(keys)))


def sums(places: Whole, keys: Whole, amounts: Whole) -> Whole:
    """Sums of amounts by their keys, of which each is one of `places`, both in order."""
    upto = np.concatenate(([0], np.cumsum(amounts)))
    return upto[np.searchsorted(keys, places, "right")] - upto[np.searchsorted(keys, places, "left")]


def _upto(amounts: Whole, first: Whole) -> Whole:
    """Sums of the amounts of a party up to and with each, exact also where the sum of all wraps around."""
    upto = np.cumsum(amounts)
    return upto - upto[first] + amounts[first]


def _worth(
    kinds: Whole, days: Sequence[int], details: Sequence[str], amounts: Sequence[int], rates: Rates
) -> tuple[Whole, "np.ndarray[tuple[int], np.dtype[np.bool_]]"]:
    """What each entry is worth in the reporting currency, and whether it is money that counts."""
    counting, found, currency = among(kinds, MONEY), list(amounts), rates.currency
    for place in np.flatnonzero(counting).tolist() if {*details} != {currency} else ():
        if details[place] != currency:
            worth = rates.converted(amounts[place], details[place], days[place])
            counting[place] = worth is not None
            found[place] = worth or 0
    if max(found) > LARGEST or min(found) < -LARGEST:
        found = [min(max(amount, -LARGEST - 1), LARGEST + 1) for amount in found]
    return np.array(found, dtype=np.int64), counting


def _declarations(keys: Whole, kinds: Whole, details: Sequence[str], those: Iterable[int]) -> Declarations:
    places = np.flatnonzero(among(kinds, those))
    reasons = np.array([REASONS.index(LossReason(details[place])) for place in places.tolist()], dtype=np.int64)
    # Of several on one day counts the reason that the taxonomy has first.
    order = np.lexsort((reasons, keys[places]))
    days, reasons = keys[places][order], reasons[order]
    once = np.flatnonzero(np.diff(days, prepend=-1))
    return Declarations(days[once], reasons[once])


def _opened(parties: Whole, kinds: Whole, details: Sequence[str]) -> Whole:
    opened = np.full(len(kinds), -1)
    for place in np.flatnonzero(kinds == Kind.PROBLEM_SOLVED).tolist():
        if details[place]:
            opened[place] = parties[place] * DAYS + date.fromisoformat(details[place]).toordinal()
    return opened
