"""How promising somebody is who has not bought yet.

The detail of the fact of a lead that was graded is `{at}|{grade}`: the instant (ISO, UTC, with microseconds), by which
the last one of a day is known, and the grade.
"""

from datetime import UTC, date, datetime
from typing import NamedTuple

from contracts.leads import Grade
from services.scoring.domain.calendar import Calendar
from services.scoring.domain.facts import Kind


class Potential(NamedTuple):
    """What a rubric said of a lead, and on which local day."""

    grade: Grade
    day: date


def detail(at: datetime, grade: Grade) -> str:
    """What the fact of a lead that was graded says."""
    return f"{at.astimezone(UTC).isoformat(timespec='microseconds')}|{grade}"


def potential(calendar: Calendar, day: int) -> Potential | None:
    """What was said last up to a local day (ordinal) of the leads of whoever has not bought.

    None of whoever has bought, and of whom no lead counts.
    """
    said, has_lead = ("", 0), False
    for on_day, kind, told, *_ in calendar.entries:
        if on_day > day:
            break
        if kind == Kind.PURCHASE:
            return None
        has_lead = has_lead or kind == Kind.LEAD_CAPTURED
        if kind == Kind.LEAD_GRADED:
            said = max(said, (told, on_day))
    told, on_day = said
    return Potential(Grade(told.split("|")[1]), date.fromordinal(on_day)) if told and has_lead else None
