"""What came and went, day by day: money in the reporting currency, and evidence."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from services.scoring.domain.calendar import Calendar
from services.scoring.domain.evidence import evidence
from services.scoring.domain.facts import MONEY, Kind
from services.scoring.domain.indexes import Evidence
from services.scoring.domain.ruling import Ruling


class Earned(NamedTuple):
    """Of one day, in minor units, at the rates of the day; what does not convert is left out."""

    day: int
    bought_minor: int
    returned_minor: int


def earnings(calendar: Calendar, ruling: Ruling) -> Iterator[Earned]:
    """The days with money that converts, in order."""
    for day, entries in groupby((entry for entry in calendar.entries if entry[1] in MONEY), key=lambda entry: entry[0]):
        converted = [
            (kind, worth)
            for _, kind, currency, _, amount in entries
            if (worth := ruling.rates.converted(amount, currency, day)) is not None
        ]
        if converted:
            bought = sum(worth for kind, worth in converted if kind == Kind.PURCHASE)
            yield Earned(day, bought, sum(worth for _, worth in converted) - bought)


def gross(calendar: Calendar, purchase_days: Sequence[int], ruling: Ruling) -> list[int]:
    """What each purchase day was worth."""
    bought = {day: bought for day, bought, _ in earnings(calendar, ruling)}
    return [bought.get(day, 0) for day in purchase_days]


class Piece(NamedTuple):
    """Evidence that enters on a day."""

    day: int
    what: Evidence
    times: int


def pieces(calendar: Calendar, purchase_days: Sequence[int], ruling: Ruling) -> list[Piece]:
    """All evidence of a calendar in the order of its days; see `evidence`."""
    found = evidence(calendar.entries, purchase_days, gross(calendar, purchase_days, ruling), ruling.policy)
    return [Piece(day, _EVIDENCE[place], times) for day, place, times in found]


_EVIDENCE = tuple(Evidence)
