"""A file on its way in: what was asked for, what its rows say together, and the plan that follows from both."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from hashlib import sha256
from itertools import islice

import msgspec

from contracts.money import major
from services.customers.domain.imports.dates import DateOrder
from services.customers.domain.imports.fields import Field, Kind
from services.customers.domain.imports.files import Table
from services.customers.domain.imports.mapping import ColumnMissing, mapping_of
from services.customers.domain.imports.rows import Plan, Refusal, Survey, date_order, read

CHUNK_ROWS = 2_000
"""Rows that are kept, and later recorded, at once."""
SAMPLE_ROWS = 200
PREVIEW_ROWS = 5

Row = tuple[int, list[str]]
_ROWS = msgspec.json.Decoder(list[Row])


@dataclass(frozen=True, slots=True)
class Wish:
    """What was said about a file."""

    kind: Kind
    mapping: Mapping[str, str] = field(default_factory=dict)
    dates: DateOrder | None = None


class Upload:
    """A file that is read once, chunk by chunk; afterwards its plan is known."""

    def __init__(self, table: Table, wish: Wish) -> None:
        self._chunks = iter(lambda: list(islice(table.rows, CHUNK_ROWS)), [])
        self._first: list[Row] = next(self._chunks, [])
        self.columns, self._wish, self._notes = table.columns, wish, table.notes
        self.mapping = mapping_of(
            wish.kind, table.columns, [cells for _, cells in self._first[:SAMPLE_ROWS]], wish.mapping
        )
        if Field.LINE in self.mapping and Field.ORDER_ID not in self.mapping:
            raise ColumnMissing("Lines belong to an order: say order_id=COLUMN.", columns=list(table.columns))
        self.positions = positions_of(table.columns, self.mapping)
        self.survey = Survey(self.positions)
        self._hash = sha256(msgspec.json.encode(table.columns))

    def chunks(self) -> Iterator[bytes]:
        """The rows, packed, each chunk looked at on the way."""
        chunk = self._first
        while chunk:
            self.survey.add(cells for _, cells in chunk)
            packed = msgspec.json.encode(chunk)
            self._hash.update(packed)
            yield packed
            chunk = next(self._chunks, [])

    @property
    def content_hash(self) -> str:
        """SHA-256 over the rows as read: the same however the file was compressed, encoded or delimited."""
        return self._hash.hexdigest()

    def plan(self, *, currency: str, times: tzinfo, days: tzinfo) -> Plan:
        """How its rows are read. Raises `AmbiguousDates`."""
        dates = self.survey.dates
        return Plan(
            self._wish.kind,
            self.positions,
            len(self.columns),
            currency,
            times,
            days,
            date_order(dates, self._wish.dates),
            dates.times and dates.midnights_only,
            self.survey.mark,
        )

    def notes(self, plan: Plan, *, currency_said: bool) -> list[str]:
        """What was decided and might surprise."""
        told = {
            f"No currency is named: amounts are read as {plan.currency}.": (
                not currency_said and Field.CURRENCY not in self.mapping
            ),
            "No column is the order id: a row is known by the content of its file and its number. The same file again "
            "changes nothing, but the same rows in another file count again.": Field.ORDER_ID not in self.mapping,
            f"No column is the amount: every row counts with 0 {plan.currency}.": Field.AMOUNT not in self.mapping,
            f"{self.survey.without_amount} rows have no amount and count with 0.": self.survey.without_amount > 0,
            "Days come before months.": plan.order is DateOrder.DAY_FIRST,
            "Months come before days.": plan.order is DateOrder.MONTH_FIRST,
            "Every time is midnight, so the dates are taken as days.": plan.days_only,
            "Amounts have a decimal comma.": plan.mark == ",",
            "Rows that share an order id are its lines and are added up.": Field.LINE in self.mapping,
            "Order ids repeat in the file: map a column to line if these rows are lines of one order.": (
                Field.LINE not in self.mapping and self._repeats()
            ),
        }
        return [*self._notes, *(note for note, holds in told.items() if holds)]

    def preview(self, plan: Plan, *, latest: datetime) -> list[dict[str, object]]:
        """The first rows as they are understood."""
        return [shown(plan, row, cells, latest=latest) for row, cells in self._first[:PREVIEW_ROWS]]

    def _repeats(self) -> bool:
        at = self.positions.get(Field.ORDER_ID)
        ids = [cells[at] for _, cells in self._first if at is not None and len(cells) > at]
        return len(set(ids)) < len(ids)


def positions_of(columns: Sequence[str], mapping: Mapping[Field, str]) -> dict[Field, int]:
    """Where each field stands in a row."""
    return {Field(name): columns.index(column) for name, column in mapping.items()}


def unpack(chunk: bytes) -> list[Row]:
    """The rows of a packed chunk."""
    return _ROWS.decode(chunk)


def shown(plan: Plan, row: int, cells: Sequence[str], *, latest: datetime) -> dict[str, object]:
    """A row as it is understood, for people to look at."""
    entry = read(plan, row, cells, latest=latest)
    if isinstance(entry, Refusal):
        return {"row": row, "reason": entry.reason, "detail": entry.detail}
    known: dict[str, object] = {
        "row": row,
        "party": entry.party,
        "order_id": entry.order_id,
        "occurred_at": entry.occurred_at.isoformat(),
        "amount": str(major(entry.amount_minor, entry.currency)),
        "currency": entry.currency,
        "channel": entry.channel,
        "product": entry.product,
        "line": entry.line,
        "original_order_id": entry.original_order_id,
    }
    return {name: value for name, value in known.items() if value is not None}
