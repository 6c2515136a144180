"""Dates as other systems write them: which one is the day, which the month, and at which instant it was."""

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from chassis.imports.reasons import Reason, Unreadable


class DateOrder(StrEnum):
    """Which of the two comes first in `01/12/2011`."""

    DAY_FIRST = "dmy"
    MONTH_FIRST = "mdy"


class Stamp(NamedTuple):
    """A date as written. Without `ordered`, it is open which of `first` and `second` is the month."""

    year: int
    first: int
    second: int
    ordered: bool = True
    """`first` is the month and `second` the day."""
    at: time | None = None
    offset: tzinfo | None = None


@dataclass(frozen=True, slots=True)
class DateHabits:
    """What all dates of a file together say about how they are written."""

    day_first: bool = False
    """Some date can only be read with the day first."""
    month_first: bool = False
    open: bool = False
    """Some date can be read both ways, as different days."""
    times: bool = False
    """Some date has a time."""
    midnights_only: bool = True
    """No time is other than midnight: they are days."""

    def seen(self, text: str) -> "DateHabits":
        """These habits with one more date looked at."""
        stamp = stamp_of(text)
        if stamp is None or (stamp.ordered and stamp.at and self.times and not self.midnights_only):
            return self
        unordered = not stamp.ordered
        return DateHabits(
            self.day_first or (unordered and stamp.first > 12),
            self.month_first or (unordered and stamp.second > 12),
            self.open or (unordered and stamp.first <= 12 and stamp.second <= 12 and stamp.first != stamp.second),
            self.times or stamp.at is not None,
            self.midnights_only and stamp.at in (None, time()) and stamp.offset is None,
        )

    @property
    def order(self) -> DateOrder | None:
        """The one order that every date of the file can be read in, where there is exactly one."""
        if self.day_first == self.month_first:
            return None
        return DateOrder.DAY_FIRST if self.day_first else DateOrder.MONTH_FIRST


def date_habits(dates: Iterable[str]) -> DateHabits:
    """The habits of all dates of a file."""
    habits = DateHabits()
    for text in dates:
        habits = habits.seen(text)
    return habits


def instant(text: str, *, order: DateOrder | None, times: tzinfo, days: tzinfo, days_only: bool = False) -> datetime:
    """The instant in UTC. Raises `Unreadable`.

    A time without an offset is one of the zone `times`. A date without a time is the start of that day in the zone
    `days`, and so is every one with `days_only`. A time that a change of the clock leaves out is read as if the clock
    had not been changed; one that comes twice is the first.
    """
    stamp = stamp_of(text)
    if stamp is None:
        raise Unreadable(Reason.BAD_DATE, "This is not a date.")
    month, day = stamp.first, stamp.second
    if not stamp.ordered:
        if order is None and month != day and month <= 12 and day <= 12:
            raise Unreadable(Reason.AMBIGUOUS_DATE, "Day and month could be swapped.")
        if order is DateOrder.DAY_FIRST or (order is None and month > 12):
            month, day = day, month
    try:
        on = date(stamp.year, month, day)
    except ValueError:
        raise Unreadable(Reason.BAD_DATE, "There is no such day.") from None
    if not 1900 <= on.year < 2200:
        raise Unreadable(Reason.BAD_DATE, "The year is out of range.")
    if stamp.at is None or days_only:
        return datetime.combine(on, time(), days).astimezone(UTC)
    return datetime.combine(on, stamp.at, stamp.offset or times).astimezone(UTC)


_TIME = (
    r"(?:(?:\s*T\s*|\s*,\s*|\s+)(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9}))?)?"
    r"\s*(?P<half>[AaPp]\.?[Mm]\.?)?\s*(?P<offset>[Zz]|UTC|GMT|[+-]\d{2}(?::?\d{2})?)?)?"
)
_FORMS = tuple(
    re.compile(form + _TIME, re.ASCII)
    for form in (
        r"(?P<year>\d{4})(?P<mark>[-/.])(?P<first>\d{1,2})(?P=mark)(?P<day>\d{1,2})",
        r"(?P<one>\d{1,2})(?P<mark>[-/.])(?P<other>\d{1,2})(?P=mark)(?P<year>\d{4}|\d{2})",
        r"(?P<year>(?:19|20|21)\d{2})(?P<first>\d{2})(?P<day>\d{2})",
        r"(?P<day>\d{1,2})[-\s.]+(?P<name>[A-Za-z]{3,9})[-,\s.]+(?P<year>\d{4}|\d{2})",
        r"(?P<name>[A-Za-z]{3,9})\.?\s+(?P<day>\d{1,2}),?\s+(?P<year>\d{4})",
    )
)
_HAN = re.compile(r"\s*[年月]\s*")
_SERIAL = re.compile(r"[1-9]\d{4}(?:\.\d{1,12})?", re.ASCII)
LONGEST = 50
"""Characters of a date; anything longer is none, and is not kept in memory."""
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]


def stamp_of(text: str) -> Stamp | None:
    """A date, or a date and a time, as written; None where it is neither.

    Years of two digits are 1969 to 2068 (POSIX strptime). A bare number of five digits is a day of Excel.
    """
    return _stamp(text) if len(text) <= LONGEST else None


@lru_cache(maxsize=65_536)
def _stamp(text: str) -> Stamp | None:
    if len(text) == 19 and text[4] == "-":
        with suppress(ValueError):
            told = datetime.fromisoformat(text)
            return Stamp(told.year, told.month, told.day, True, told.time())
    if _SERIAL.fullmatch(text):
        return _excel_day(text)
    if "年" in text:
        text = _HAN.sub("-", text).replace("日", " ").strip()
    found = next((found for form in _FORMS if (found := form.fullmatch(text))), None)
    if found is None:
        return None
    part = found.groupdict()
    year = int(part["year"])
    if len(part["year"]) == 2:
        year += 2000 if year < 69 else 1900
    try:
        at = _time(part) if part["hour"] else None
        offset = _offset(part["offset"]) if part["offset"] else None
    except ValueError:
        return None
    if "one" in part:
        one, other = int(part["one"]), int(part["other"])
        if part["mark"] == ".":
            return Stamp(year, other, one, True, at, offset)
        return Stamp(year, one, other, False, at, offset)
    if "name" not in part:
        return Stamp(year, int(part["first"]), int(part["day"]), True, at, offset)
    name = part["name"][:3].lower()
    return Stamp(year, _MONTHS.index(name) + 1, int(part["day"]), True, at, offset) if name in _MONTHS else None


def _time(part: dict[str, str]) -> time:
    hour = int(part["hour"])
    if part["half"]:
        if not 1 <= hour <= 12:
            raise ValueError
        hour = hour % 12 + (12 if part["half"][0] in "Pp" else 0)
    micros = (part["fraction"] or "")[:6].ljust(6, "0")
    return time(hour, int(part["minute"]), int(part["second"] or 0), int(micros))


def _offset(text: str) -> tzinfo:
    if text[0] not in "+-":
        return UTC
    hours, minutes = int(text[1:3]), int(text[-2:]) if len(text) > 3 else 0
    return timezone((1 if text[0] == "+" else -1) * timedelta(hours=hours, minutes=minutes))


def _excel_day(text: str) -> Stamp:
    """Days since 1899-12-30, with the time as the fraction of a day, to the second."""
    whole, _, fraction = text.partition(".")
    seconds = round(int(fraction) * 86_400 / 10 ** len(fraction)) if fraction else 0
    at = datetime(1899, 12, 30) + timedelta(days=int(whole), seconds=seconds)  # noqa: DTZ001
    return Stamp(at.year, at.month, at.day, True, at.time() if fraction else None)
