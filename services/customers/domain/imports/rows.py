"""From the cells of a row to what happened, or to the reason why it is not taken."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from functools import cached_property
from hashlib import sha256
from typing import NamedTuple
from zoneinfo import ZoneInfo

from contracts.money import MINOR_DIGITS
from contracts.problems import Invalid
from contracts.sources import in_source
from services.customers.domain.imports.amounts import DecimalMark, decimal_mark, minor_units
from services.customers.domain.imports.dates import DateHabits, DateOrder, instant
from services.customers.domain.imports.fields import Field, Kind
from services.customers.domain.imports.reasons import Reason, Unreadable

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class AmbiguousDates(Invalid):
    """Every date of the file could have day and month swapped, or some say one order and some the other."""


class UnknownTimeZone(Invalid):
    """No time zone has this name."""


@dataclass(frozen=True)
class Plan:
    """How the rows of one file are read."""

    kind: Kind
    positions: Mapping[Field, int]
    """Where each field stands in a row."""
    width: int
    currency: str
    """The currency of rows that name none."""
    times: tzinfo
    """The zone of times without an offset."""
    days: tzinfo
    """The zone of the installation's days."""
    order: DateOrder | None = None
    days_only: bool = False
    mark: DecimalMark | None = None

    @cached_property
    def places(self) -> tuple[int, ...]:
        """Where each field stands, in the order of `Field`; behind the row where no column is mapped."""
        return tuple(self.positions.get(field, self.width) for field in Field)

    @cached_property
    def by_lines(self) -> bool:
        """Whether rows that share an order id are its lines."""
        return Field.LINE in self.positions


class Entry(NamedTuple):
    """A purchase or a return as a row tells it; the amount of a return is positive."""

    row: int
    party: str
    occurred_at: datetime
    amount_minor: int
    currency: str
    order_id: str | None = None
    channel: str | None = None
    product: str | None = None
    line: str | None = None
    original_order_id: str | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that is not taken."""

    row: int
    reason: str
    """A `Reason`, or the code of the problem that recording it met."""
    detail: str = ""


@dataclass(slots=True)
class Survey:
    """What all rows of a file say together; only then can one of them be read."""

    positions: Mapping[Field, int]
    rows: int = 0
    without_amount: int = 0
    dates: DateHabits = field(default_factory=DateHabits)
    marks: set[DecimalMark] = field(default_factory=set)

    def add(self, rows: Iterable[Sequence[str]]) -> None:
        """Look at some more rows."""
        at, amount = self.positions[Field.OCCURRED_AT], self.positions.get(Field.AMOUNT)
        for row in rows:
            self.rows += 1
            if len(row) > at:
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


def date_order(habits: DateHabits, said: DateOrder | None) -> DateOrder | None:
    """Whether days or months come first. Raises `AmbiguousDates` where the file does not decide and nobody said."""
    order = said or habits.order
    if order is None and (habits.open or habits.day_first):
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


def read(plan: Plan, row: int, cells: Sequence[str], *, latest: datetime) -> Entry | Refusal:
    """What a row says happened, up to `latest`, or why it is not taken."""
    try:
        return _entry(plan, row, cells, latest)
    except Unreadable as unreadable:
        return Refusal(row, unreadable.reason, unreadable.detail)


def _entry(plan: Plan, row: int, cells: Sequence[str], latest: datetime) -> Entry:
    count = len(cells)
    if count > plan.width:
        if any(cells[plan.width :]):
            raise Unreadable(Reason.TOO_MANY_CELLS, f"The file has {plan.width} columns.")
        count = plan.width
    party, order_id, when, text, said, channel, product, line, original = [
        cells[at].strip() if at < count else "" for at in plan.places
    ]
    if not party:
        raise Unreadable(Reason.NO_PARTY)
    party = _id(party, Reason.BAD_PARTY)
    if not when:
        raise Unreadable(Reason.NO_DATE)
    occurred_at = instant(when, order=plan.order, times=plan.times, days=plan.days, days_only=plan.days_only)
    if occurred_at > latest:
        raise Unreadable(Reason.FUTURE_DATE, "The date is more than 24 hours ahead.")
    currency = said.upper() if said else plan.currency
    if currency not in MINOR_DIGITS:
        raise Unreadable(Reason.BAD_CURRENCY, "This is not a currency of ISO 4217.")
    amount = minor_units(text, currency, plan.mark) if text else 0
    if plan.kind is Kind.RETURNS and not plan.by_lines:
        amount = abs(amount)
    elif amount < 0 and not plan.by_lines:
        # A discount is a line below zero: there, what counts is the sign of the order.
        raise Unreadable(Reason.NEGATIVE_AMOUNT, "A purchase has no amount below zero; import returns as returns.")
    if order_id:
        order_id = _id(order_id, Reason.BAD_ORDER_ID)
    elif Field.ORDER_ID in plan.positions:
        raise Unreadable(Reason.BAD_ORDER_ID, "The order id is missing.")
    if original:
        original = _id(original, Reason.BAD_ORDER_ID)
    return Entry(
        row,
        party,
        occurred_at,
        amount,
        currency,
        order_id or None,
        slug(channel) if channel else None,
        _CONTROL.sub(" ", product)[:500] if product else None,
        line or None,
        original or None,
    )


def _id(text: str, reason: Reason) -> str:
    id = in_source(text)
    if len(id) > 200 or _CONTROL.search(id):
        raise Unreadable(reason, "An id has at most 200 characters and no control characters.")
    return id


def order_key(plan: Plan, cells: Sequence[str]) -> str | None:
    """The order under which a line is sorted; none where it names none that is read."""
    at = plan.positions[Field.ORDER_ID]
    try:
        return _id(cells[at], Reason.BAD_ORDER_ID) if len(cells) > at else None
    except Unreadable:
        return None


def slug(text: str) -> str:
    """A machine name of a channel: `Web Shop` is `web-shop`; one without Latin letters or digits gets a hash."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:64]
    return name or f"channel-{sha256(text.encode()).hexdigest()[:8]}"
