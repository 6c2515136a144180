"""What a person set in the place of what the facts say.

An override is a fact of the kind `overridden`. Its detail is `{set_at}|{field}|{value}|{until}`: the instant at which
it was set (ISO, UTC, with microseconds), the part of the standing, its value there, and the last local day on which it
holds (ISO; empty where none was said). An empty value leaves the field to the facts again from its day on: behind its
own instant, each behind a space, are those at which what it ends was set. Where none is named it ends all that were set
before, as ends did before they named any.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple


class Field(StrEnum):
    """The parts of a standing that may be overridden."""

    STAGE = "stage"
    TIER = "tier"
    SATISFACTION = "satisfaction"
    """The band."""
    LOYALTY = "loyalty"
    """The band."""
    POSTURE = "posture"
    POTENTIAL = "potential"
    """Of who never bought: of anybody else there is none, whatever was set."""
    LEVEL = "level"
    TREATMENT = "treatment"
    HIGH_VALUE = "high_value"
    """A flag: `true` or `false`, as the three that follow, and as `vip`."""
    PROFIT_MAKING = "profit_making"
    RETURNING = "returning"
    SATISFIED = "satisfied"
    VIP = "vip"
    LOSS_REASON = "loss_reason"
    """Of a lost stage: of any other there is none, whatever was set."""
    VALUE_MINOR = "value_minor"
    """The tier follows from it."""
    TURNOVER_MINOR = "turnover_minor"
    """The level follows from it, whether they make profit and, where no model expects amounts, the value."""
    P = "p"
    """Stages are decided by what the facts give all the same."""
    SATISFACTION_INDEX = "satisfaction_index"
    """The band follows from it."""
    LOYALTY_INDEX = "loyalty_index"
    """Likewise."""


AMOUNTS = frozenset({Field.VALUE_MINOR, Field.TURNOVER_MINOR})
"""The parts that are in the reporting currency."""
NUMBERS: Mapping[str, Callable[[str], float]] = {
    Field.VALUE_MINOR: int,
    Field.TURNOVER_MINOR: int,
    Field.P: float,
    Field.SATISFACTION_INDEX: float,
    Field.LOYALTY_INDEX: float,
}
"""The parts that are numbers, and how each is read."""


def written(number: float | None) -> str:
    """A number as an override has it, in digits; empty for none."""
    return "" if number is None else f"{Decimal(str(number)):f}"


def detail(set_at: datetime, field: Field, value: str, until: date | None, ended: Iterable[datetime] = ()) -> str:
    """What the fact of an override says; an empty value ends those that were set at some instants, else all before."""
    instants = " ".join(at.astimezone(UTC).isoformat(timespec="microseconds") for at in (set_at, *ended))
    return f"{instants}|{field}|{value}|{until.isoformat() if until else ''}"


class _Row(NamedTuple):
    said: str
    begun: int
    last: int | None
    value: str
    set_at: str
    ended: frozenset[str]


class Overrides:
    """All that were ever set for a party. Of two for one field the one set last holds, as long as it lasts."""

    __slots__ = ("_by_field", "_known", "boundaries", "entries")

    def __init__(self, entries: Iterable[tuple[int, str]]) -> None:
        """`entries` are the local day (ordinal) and the detail of each fact."""
        self.entries = tuple(entries)
        by_field: dict[str, list[_Row]] = {}
        boundaries = set()
        for day, said in self.entries:
            instants, field, value, until = said.split("|")
            set_at, *ended = instants.split(" ")
            last = date.fromisoformat(until).toordinal() if until else None
            by_field.setdefault(field, []).append(_Row(said, day, last, value, set_at, frozenset(ended)))
            boundaries.add(day)
            if last is not None:
                boundaries.add(last + 1)
        self._by_field = {field: sorted(rows, reverse=True) for field, rows in by_field.items()}
        self._known: dict[int, Mapping[str, str]] = {}
        self.boundaries = sorted(boundaries)
        """The days on which another value may begin to hold."""

    def on(self, day: int) -> Mapping[str, str]:
        """The value of each field that is overridden on a day."""
        place = bisect_right(self.boundaries, day)
        if place not in self._known:
            self._known[place] = {
                field: value for field, rows in self._by_field.items() if (value := self._holding(rows, day)[1])
            }
        return self._known[place]

    def said(self, field: str, day: int) -> str:
        """The fact of the override that holds for a field on a day; empty where none does."""
        return self._holding(self._by_field.get(field, ()), day)[0]

    @staticmethod
    def _holding(rows: Iterable[_Row], day: int) -> tuple[str, str]:
        """What is said of a day and the value there, by rows of which the one set last comes first."""
        ended = frozenset[str]()
        for row in rows:
            if row.begun > day:
                continue
            if row.value and row.set_at not in ended and (row.last is None or day <= row.last):
                return row.said, row.value
            if not row.value:
                if not row.ended:
                    break
                ended |= row.ended
        return "", ""
