"""How the rows of one file are read, and what is read from their cells."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, tzinfo
from functools import cached_property
from hashlib import sha256
from typing import NamedTuple
from zoneinfo import ZoneInfo

from chassis.imports.amounts import DecimalMark, decimal_mark, minor_units, minor_units_of
from chassis.imports.dates import DateHabits, DateOrder, instant
from chassis.imports.fields import AMOUNT, OCCURRED_AT, UNIT_PRICE
from chassis.imports.reasons import Reason, RowReason, Unreadable
from contracts.identity import BadIdentifier, Identity, Installation, Scheme
from contracts.money import MINOR_DIGITS
from contracts.problems import Invalid
from contracts.sources import in_source

CONTROL = re.compile(r"[\x00-\x1f\x7f]")
ROUNDED = re.compile(r"\d[.,]\d+E\+?\d+", re.ASCII)
DECIMAL = re.compile(r"\d+\.0", re.ASCII)
NOTHING = frozenset({"NULL", "null", "\\N", "None", "NaN", "nan", "N/A", "n/a", "#N/A", "<NA>"})
"""What programs write where there is no value."""

Row = tuple[int, list[str]]
"""The number of a row and its cells."""


class AmbiguousDates(Invalid):
    """Every date of the file could have day and month swapped, or some say one order and some the other."""


class UnknownTimeZone(Invalid):
    """No time zone has this name."""


class Cells(NamedTuple):
    """A row by what its columns are."""

    row: int
    texts: Sequence[str]
    """One for each field of the kind, in their order, without space around; empty where there is nothing."""
    attributes: Mapping[str, str]
    """Column to what it holds, of columns that are no field, where the kind keeps them."""


NO_ATTRIBUTES: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that is not taken."""

    row: int
    reason: str
    """A `RowReason`, or the code of the problem that recording it met."""
    detail: str = ""


@dataclass(frozen=True)
class Plan:
    """How the rows of one file are read."""

    installation: Installation
    source: str
    """The system that gave the ids."""
    fields: Sequence[str]
    positions: Mapping[str, int]
    """Where each field stands in a row."""
    columns: Sequence[str]
    currency: str
    """The currency of rows that name none; empty where the file has no amounts."""
    times: tzinfo
    """The zone of times without an offset."""
    latest: datetime
    """Nothing has happened after it."""
    order: DateOrder | None = None
    days_only: bool = False
    mark: DecimalMark | None = None
    day: date | None = None
    """The day of rows that name none."""
    constants: Mapping[str, str] = field(default_factory=dict)
    """What rows have that do not say it, by field."""
    grouped: bool = False
    """Whether rows that share an id are parts of one thing."""
    keeps_attributes: bool = False

    @cached_property
    def places(self) -> tuple[int, ...]:
        """Where each field stands; behind the row where no column is mapped."""
        return tuple(self.positions.get(field, len(self.columns)) for field in self.fields)

    @cached_property
    def unsaid(self) -> tuple[str, ...]:
        """What each field is where a row does not say it."""
        return tuple(self.constants.get(field, "") for field in self.fields)

    def says(self, field: str) -> bool:
        """Whether rows say a field, each by a column or all alike."""
        return field in self.positions or field in self.constants

    @cached_property
    def others(self) -> tuple[tuple[int, str], ...]:
        """The columns that are no field, where they are kept."""
        taken = set(self.positions.values())
        free = [(at, name) for at, name in enumerate(self.columns) if at not in taken]
        return tuple(free) if self.keeps_attributes else ()

    @cached_property
    def start_of_day(self) -> datetime | None:
        """The instant of rows that name none."""
        return datetime.combine(self.day, time(), self.installation.zone).astimezone(UTC) if self.day else None

    def cells(self, row: int, cells: Sequence[str]) -> Cells:
        """A row by what its columns are. Raises `Unreadable` where there are more cells than columns."""
        count, width = len(cells), len(self.columns)
        if count > width:
            if any(cells[width:]):
                raise Unreadable(Reason.TOO_MANY_CELLS, f"The file has {width} columns.")
            count = width
        texts = [cells[at].strip() if at < count else "" for at in self.places]
        if self.constants:
            texts = [text or constant for text, constant in zip(texts, self.unsaid, strict=True)]
        if not self.others:
            return Cells(row, texts, NO_ATTRIBUTES)
        return Cells(row, texts, {name: text for at, name in self.others if at < count and (text := cells[at].strip())})

    def instant(self, text: str) -> datetime:
        """When it was, in UTC; the start of the day of all rows where nothing is written. Raises `Unreadable`."""
        at = self.instant_if_said(text)
        if at is None:
            raise Unreadable(Reason.NO_DATE)
        return at

    def instant_if_said(self, text: str) -> datetime | None:
        """The same for a kind that can do without; None where nothing says when it was."""
        if not text:
            return self.start_of_day
        days = self.installation.zone
        at = instant(text, order=self.order, times=self.times, days=days, days_only=self.days_only)
        if at > self.latest:
            raise Unreadable(Reason.FUTURE_DATE, "The date is more than 24 hours ahead.")
        return at

    def currency_of(self, text: str) -> str:
        """The currency as written, or that of the file, which has one where it has amounts. Raises `Unreadable`."""
        currency = text.upper() if text else self.currency
        if currency not in MINOR_DIGITS:
            raise Unreadable(Reason.BAD_CURRENCY, "This is not a currency of ISO 4217.")
        return currency

    def amount(self, text: str, currency: str) -> int:
        """The amount in minor units with its sign; 0 where nothing is written. Raises `Unreadable`."""
        return minor_units(text, currency, self.mark) if text else 0

    def amount_of(self, quantity: str, unit_price: str, currency: str) -> int:
        """The same of a quantity at a price for each; 0 where no price is written. Raises `Unreadable`."""
        if not unit_price:
            return 0
        if not quantity:
            raise Unreadable(Reason.BAD_AMOUNT, "The quantity is missing.")
        return minor_units_of(quantity, unit_price, currency, self.mark)

    def money(self, amount: str, currency: str) -> tuple[int, str] | None:
        """An amount with its currency; None where no amount is written. Raises `Unreadable`."""
        if not amount:
            return None
        code = self.currency_of(currency)
        return self.amount(amount, code), code

    def party(self, text: str) -> Identity:
        """The party by its id in the source. Raises `Unreadable`."""
        if not text or text in NOTHING:
            raise Unreadable(Reason.NO_PARTY)
        if ROUNDED.fullmatch(text):
            raise Unreadable(Reason.BAD_PARTY, "A spreadsheet has rounded the id: write the column as text.")
        return self.installation.identity(Scheme.EXTERNAL, id_of(text, Reason.BAD_PARTY), system=self.source)

    def identities(self, *, party: str = "", email: str = "", phone: str = "") -> list[Identity]:
        """The identities of the identifiers that are written, in this order. Raises `Unreadable`."""
        party, email, phone = ("" if text in NOTHING else text for text in (party, email, phone))
        found = [self.party(party)] if party else []
        for scheme, text, what in ((Scheme.EMAIL, email, "an e-mail address"), (Scheme.PHONE, phone, "a phone number")):
            if text:
                try:
                    found.append(self.installation.identity(scheme, text))
                except BadIdentifier as bad:
                    raise Unreadable(Reason.BAD_IDENTIFIER, f"{bad.detail} It should be {what}.") from None
        return found


def id_of(text: str, reason: RowReason = Reason.BAD_ID) -> str:
    """An id of the source in its one spelling. Raises `Unreadable` with the reason where it is none."""
    # Whole numbers beside empty cells become such with `.0` in what many programs write.
    id = in_source(text.removesuffix(".0") if DECIMAL.fullmatch(text) else text)
    if not id or len(id) > 200 or CONTROL.search(id):
        raise Unreadable(reason, "An id has 1 to 200 characters and no control characters.")
    return id


def slug(text: str, noun: str) -> str:
    """A machine name: `Web Shop` is `web-shop`; one without Latin letters or digits is the noun and a hash."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:64]
    return name or f"{noun}-{sha256(text.encode()).hexdigest()[:8]}"


def line_of_text(text: str, length: int) -> str | None:
    """A short text without control characters, cut to a length; None where there is none."""
    return CONTROL.sub(" ", text)[:length] if text else None


@dataclass(slots=True)
class Survey:
    """What all rows of a file say together; only then can one of them be read."""

    positions: Mapping[str, int]
    rows: int = 0
    without_amount: int = 0
    dates: DateHabits = field(default_factory=DateHabits)
    marks: set[DecimalMark] = field(default_factory=set)

    def add(self, rows: Iterable[Sequence[str]]) -> None:
        """Look at some more rows."""
        at = self.positions.get(OCCURRED_AT.name)
        amount = self.positions.get(AMOUNT.name, self.positions.get(UNIT_PRICE.name))
        for row in rows:
            self.rows += 1
            if at is not None and len(row) > at:
                self.dates = self.dates.seen(row[at].strip())
            if amount is not None:
                text = row[amount].strip() if len(row) > amount else ""
                self.without_amount += not text
                if mark := decimal_mark((text,)):
                    self.marks.add(mark)

    @property
    def mark(self) -> DecimalMark | None:
        """The decimal mark of the file, where its amounts show one."""
        return DecimalMark.EITHER if len(self.marks) > 1 else next(iter(self.marks), None)


def date_order(habits: DateHabits, said: DateOrder | None, *, unfinished: bool = False) -> DateOrder | None:
    """Whether days or months come first.

    Raises `AmbiguousDates` where the file does not decide and nobody said, unless that is still to be decided.
    """
    order = said or habits.order
    if order is None and not unfinished and (habits.open or habits.day_first):
        raise AmbiguousDates(
            "Day and month cannot be told apart in this file. Say dates=dmy where the day comes first, or dates=mdy.",
            allowed=list(DateOrder),
        )
    return order


def zone(name: str) -> ZoneInfo:
    """The time zone of an IANA name."""
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError):
        raise UnknownTimeZone(f"There is no time zone {name[:64]!r}; names are like Europe/Berlin.") from None
