"""The days that a report is about."""

from datetime import date, timedelta

from contracts.problems import Invalid

LONGEST_DAYS = 3_660
"""A report over months is about ten years at most."""


class BadPeriod(Invalid):
    """A report cannot be about these days."""


class ReportAhead(Invalid):
    """A report is about days up to the last one that was read: what comes is not known."""


def period(since: date | None, until: date | None, *, known: date, usual_days: int = 365) -> tuple[date, date]:
    """The first and the last day of a report: up to the last day that is known, so many days where none are said.

    Raises `BadPeriod` where the first comes after the last, or where there are more days than a report is about.
    """
    last = known if until is None else until
    first = last - timedelta(days=usual_days - 1) if since is None else since
    if first > last:
        raise BadPeriod("The first day of the period comes after the last.", since=str(first), until=str(last))
    if (last - first).days >= LONGEST_DAYS:
        raise BadPeriod(
            f"A report is about {LONGEST_DAYS} days at most.", earliest=str(last - timedelta(LONGEST_DAYS - 1))
        )
    return first, last
