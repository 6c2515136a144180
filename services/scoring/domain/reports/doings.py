"""What reports take of a calendar: which days had what, and what was bought on them."""

from collections.abc import Collection

from services.scoring.domain.calendar import Calendar
from services.scoring.domain.facts import Kind
from services.scoring.domain.money import Rates
from services.scoring.domain.reports.weeks import Sign


def purchase_days(calendar: Calendar) -> list[int]:
    """Days with a purchase, rising."""
    return days_with(calendar, Kind.PURCHASE)


def days_with(calendar: Calendar, kind: Kind) -> list[int]:
    """Days with a fact of a kind, rising."""
    return sorted({entry[0] for entry in calendar.entries if entry[1] == kind})


def gross(calendar: Calendar, rates: Rates) -> dict[int, int]:
    """What was bought on a day, in the reporting currency; without days of which no rate converts all."""
    sums: dict[int, int] = {}
    in_part: set[int] = set()
    for day, kind, currency, _, amount in calendar.entries:
        if kind != Kind.PURCHASE:
            continue
        worth = rates.converted(amount, currency, day)
        if worth is None:
            in_part.add(day)
        else:
            sums[day] = sums.get(day, 0) + worth
    return {day: worth for day, worth in sums.items() if day not in in_part}


def signs(calendar: Calendar, kinds: Collection[int]) -> list[Sign]:
    """How often a party showed interest, by day and kind, rising."""
    return [(day, kind, count) for day, kind, _, count, _ in calendar.entries if kind in kinds]
