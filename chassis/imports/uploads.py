"""A file on its way in: what was asked for, what its rows say together, and the plan that follows from both."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, tzinfo
from hashlib import sha256
from typing import Any

import msgspec

from chassis.imports.dates import DateOrder
from chassis.imports.fields import CURRENCY, OCCURRED_AT
from chassis.imports.files import Table
from chassis.imports.kinds import ImportKind
from chassis.imports.mapping import constants_of, mapping_of
from chassis.imports.plans import Plan, Refusal, Row, Survey, date_order
from chassis.imports.understanding import read
from contracts.identity import Installation

CHUNK_ROWS = 2_000
"""Rows that are kept, and later recorded, at once."""
CHUNK_CHARACTERS = 4 << 20
"""A chunk of wide rows ends before that, so that memory does not feel their width."""
SAMPLE_ROWS = 200
PREVIEW_ROWS = 5

_ROWS = msgspec.json.Decoder(list[Row])


@dataclass(frozen=True, slots=True)
class Wish:
    """What was said about a file."""

    kind: ImportKind[Any]
    mapping: Mapping[str, str] = field(default_factory=dict)
    dates: DateOrder | None = None
    day: date | None = None
    constants: Mapping[str, str] = field(default_factory=dict)
    unfinished: bool = False
    """Whether what is missing refuses the rows that need it, rather than the file."""


class Upload:
    """A file that is read once, chunk by chunk; afterwards its plan is known."""

    def __init__(self, table: Table, wish: Wish) -> None:
        self._chunks = _chunked(table.rows)
        self._first: list[Row] = next(self._chunks, [])
        self.columns, self._wish, self._notes = table.columns, wish, table.notes
        sample = [cells for _, cells in self._first[:SAMPLE_ROWS]]
        self.constants = constants_of(wish.kind, wish.constants)
        self.mapping = mapping_of(
            wish.kind,
            table.columns,
            sample,
            wish.mapping,
            one_day=wish.day is not None,
            constants=self.constants,
            unfinished=wish.unfinished,
        )
        self.survey = Survey(positions_of(table.columns, self.mapping))
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

    def plan(self, installation: Installation, *, source: str, currency: str, times: tzinfo, latest: datetime) -> Plan:
        """How its rows are read. Raises `AmbiguousDates`."""
        dates = self.survey.dates
        return plan_of(
            self._wish.kind,
            self.columns,
            self.mapping,
            installation=installation,
            source=source,
            currency=currency if self._wish.kind.has_money({**self.mapping, **self.constants}) else "",
            times=times,
            latest=latest,
            order=date_order(dates, self._wish.dates, unfinished=self._wish.unfinished),
            days_only=dates.times and dates.midnights_only,
            mark=self.survey.mark,
            day=self._wish.day,
            constants=self.constants,
        )

    def notes(self, plan: Plan, *, currency_said: bool) -> list[str]:
        """What was decided and might surprise."""
        kind = self._wish.kind
        money = kind.has_money({**self.mapping, **self.constants})
        told = {
            f"No currency is named: amounts are read as {plan.currency}.": (
                money and not currency_said and not plan.says(CURRENCY.name)
            ),
            **kind.notes(plan, self.survey, self._first),
            f"No column is the date: every row is of {plan.day}.": (
                plan.day is not None and OCCURRED_AT.name not in self.mapping
            ),
            f"Where a row does not say it: {', '.join(' '.join(said) for said in self.constants.items())}.": (
                bool(self.constants)
            ),
            "Day and month cannot be told apart in this file.": (
                plan.order is None and (self.survey.dates.open or self.survey.dates.day_first)
            ),
            "Days come before months.": plan.order is DateOrder.DAY_FIRST,
            "Months come before days.": plan.order is DateOrder.MONTH_FIRST,
            "Every time is midnight, so the dates are taken as days.": plan.days_only,
            "Amounts have a decimal comma.": plan.mark == ",",
        }
        return [*self._notes, *(note for note, holds in told.items() if holds)]

    def preview(self, plan: Plan) -> list[dict[str, object]]:
        """The first rows as they are understood."""
        return [shown(self._wish.kind, plan, row, cells) for row, cells in self._first[:PREVIEW_ROWS]]


def _chunked(rows: Iterable[Row]) -> Iterator[list[Row]]:
    chunk: list[Row] = []
    characters = 0
    for row in rows:
        chunk.append(row)
        characters += sum(map(len, row[1]))
        if len(chunk) == CHUNK_ROWS or characters > CHUNK_CHARACTERS:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk


def plan_of(kind: ImportKind[Any], columns: Sequence[str], mapping: Mapping[str, str], **how: Any) -> Plan:
    """How the rows of a file of a kind are read."""
    return Plan(
        fields=[field.name for field in kind.fields],
        positions=positions_of(columns, mapping),
        columns=columns,
        grouped=kind.groups(mapping),
        keeps_attributes=kind.keeps_attributes,
        **how,
    )


def positions_of(columns: Sequence[str], mapping: Mapping[str, str]) -> dict[str, int]:
    """Where each field stands in a row."""
    return {name: columns.index(column) for name, column in mapping.items()}


def unpack(chunk: bytes) -> list[Row]:
    """The rows of a packed chunk."""
    return _ROWS.decode(chunk)


def shown(kind: ImportKind[Any], plan: Plan, row: int, cells: Sequence[str]) -> dict[str, object]:
    """A row as it is understood, for people to look at."""
    told = read(kind, plan, row, cells)
    if isinstance(told, Refusal):
        return {"row": row, "reason": told.reason, "detail": told.detail}
    known = {} if told is None else kind.shown(told)
    return {"row": row, **{name: value for name, value in known.items() if value is not None}}
