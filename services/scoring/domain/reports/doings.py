"""What reports take of a calendar: which days had what, and what was bought on them."""

from collections.abc import Collection

from services.scoring.domain.calendar import Calendar
from services.scoring.domain.facts import Kind
from services.scoring.domain.history import History
from services.scoring.domain.reports.weeks import Sign


def purchase_days(calendar: Calendar) -> list[int]:
    """Days with a purchase, rising."""
    return days_with(calendar, Kind.PURCHASE)


def days_with(calendar: Calendar, kind: Kind) -> list[int]:
    """Days with a fact of a kind, rising."""
    return sorted({entry[0] for entry in calendar.entries if entry[1] == kind})


def gross(history: History) -> dict[int, int]:
    """What was bought on a day, in the reporting currency; without days of which no rate converts all."""
    in_part = {day for day, kind, _ in history.unconverted if kind == Kind.PURCHASE}
    worth = zip(history.purchase_days, history.gross, strict=True)
    return {day: bought for day, bought in worth if day not in in_part}


def signs(calendar: Calendar, kinds: Collection[int]) -> list[Sign]:
    """How often a party showed interest, by day and kind, rising."""
    return [(day, kind, count) for day, kind, _, count, _ in calendar.entries if kind in kinds]
