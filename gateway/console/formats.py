"""How a page writes numbers, money, days and instants in somebody's language and time zone."""

import re
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal
from typing import Any

from babel.dates import format_date, format_datetime, format_skeleton, format_timedelta
from babel.numbers import format_compact_decimal, format_currency, format_decimal, format_percent

from contracts.money import MINOR_DIGITS
from gateway.console.messages import locale, say


class Formats:
    """Writes values for one person."""

    def __init__(self, language: str, zone: tzinfo, present: datetime) -> None:
        self.language = language
        self.locale = locale(language)
        self.zone = zone
        self.present = present

    def number(self, value: float | Decimal | None, digits: int = 0) -> str:
        """A number with so many decimals; a dash where there is none."""
        if value is None:
            return NONE
        pattern = "#,##0." + "0" * digits if digits else "#,##0"
        return format_decimal(value, format=pattern, locale=self.locale)

    def short(self, value: float | None) -> str:
        """A large number in few characters: 1.2M."""
        return NONE if value is None else format_compact_decimal(value, fraction_digits=1, locale=self.locale)

    def percent(self, share: float | None, digits: int = 0) -> str:
        """A share of one as per cent."""
        pattern = "#,##0." + "0" * digits + "%" if digits else "#,##0%"
        return NONE if share is None else format_percent(share, format=pattern, locale=self.locale)

    def money(self, minor: int | None, currency: str | None, *, whole: bool = False) -> str:
        """An amount given in minor units; `whole` leaves out the cents."""
        if minor is None or currency is None:
            return NONE
        amount = Decimal(minor).scaleb(-MINOR_DIGITS.get(currency, 2))
        if whole:
            return format_currency(round(amount), currency, format="¤#,##0", currency_digits=False, locale=self.locale)
        return format_currency(amount, currency, locale=self.locale)

    def day(self, value: Any, length: str = "medium") -> str:
        """A day, or the local day of an instant."""
        read = self._read(value)
        if read is None:
            return NONE
        return format_date(read.date() if isinstance(read, datetime) else read, length, locale=self.locale)

    def month(self, value: str) -> str:
        """A month of a year: `2026-05`."""
        return format_skeleton("yMMM", date.fromisoformat(f"{value}-01"), locale=self.locale)

    def told(self, sentence: str) -> str:
        """A sentence of the API, with its days as the reader writes them."""
        return ISO_DAY.sub(lambda day: self.day(day[0]), sentence)

    def instant(self, value: Any, length: str = "medium") -> str:
        """Day and time of day where the reader is."""
        read = self._read(value)
        if read is None:
            return NONE
        if not isinstance(read, datetime):
            return self.day(read, length)
        return format_datetime(read, length, tzinfo=self.zone, locale=self.locale)

    def ago(self, value: Any) -> str:
        """How long ago, or how long until: 3 days ago, today, in 2 hours."""
        read = self._read(value)
        if read is None:
            return NONE
        if isinstance(read, datetime):
            return format_timedelta(read - self.present, add_direction=True, locale=self.locale)
        days = read - self.present.astimezone(self.zone).date()
        if not days:
            return say(self.language, "frame.today")
        return format_timedelta(days, granularity="day", add_direction=True, locale=self.locale)

    def _read(self, value: Any) -> datetime | date | None:
        if isinstance(value, str):
            value = datetime.fromisoformat(value) if "T" in value else date.fromisoformat(value)
        if isinstance(value, datetime):
            return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(self.zone)
        return value if isinstance(value, date) else None


ISO_DAY = re.compile(r"\b\d{4}-\d\d-\d\d\b", re.ASCII)
NONE = "–"
"""What stands where there is no value."""
