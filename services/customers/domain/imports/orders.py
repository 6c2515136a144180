"""Orders of several lines: rows that share an order id, where the file has a column that tells lines apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.customers.domain.imports.amounts import MAX_MINOR
from services.customers.domain.imports.fields import Kind
from services.customers.domain.imports.reasons import Reason
from services.customers.domain.imports.rows import Entry, Refusal


@dataclass(frozen=True, slots=True)
class Order:
    """The lines of one order, each taken once."""

    lines: tuple[Entry, ...]
    amount_minor: int
    repeated: tuple[int, ...] = ()
    """Numbers of the rows that said again what a line of this order says."""

    @property
    def occurred_at(self) -> datetime:
        """The instant of its earliest line."""
        return min(line.occurred_at for line in self.lines) if len(self.lines) > 1 else self.lines[0].occurred_at

    @property
    def rows(self) -> tuple[int, ...]:
        """The numbers of all its rows."""
        return (*(line.row for line in self.lines), *self.repeated)


def order_of(kind: Kind, rows: Sequence[Entry | Refusal], *, numbered: bool) -> Order | list[Refusal]:
    """The order that the rows of one order id make, or why none of them is taken.

    A purchase adds up to zero or more; a return takes either sign. With `numbered`, the line is a name within the
    order: the same line again is a repetition if it says the same, and a contradiction if it does not. Without, the
    line is the product and every row counts.
    """
    entries = [row for row in rows if isinstance(row, Entry)]
    if len(entries) < len(rows):
        incomplete = [Refusal(entry.row, Reason.ORDER_INCOMPLETE) for entry in entries]
        return [*(row for row in rows if isinstance(row, Refusal)), *incomplete]
    lines: dict[object, Entry] = {}
    agree = len({(entry.party, entry.currency, entry.original_order_id) for entry in entries}) == 1
    for entry in entries:
        first = lines.setdefault(entry.line if numbered and entry.line else entry.row, entry)
        agree = agree and (first.amount_minor, first.product) == (entry.amount_minor, entry.product)
    if not agree:
        return [Refusal(entry.row, Reason.LINES_DISAGREE) for entry in entries]
    amount = sum(line.amount_minor for line in lines.values())
    if abs(amount) > MAX_MINOR or (amount < 0 and kind is Kind.PURCHASES):
        reason = Reason.NEGATIVE_AMOUNT if amount < 0 else Reason.BAD_AMOUNT
        return [Refusal(entry.row, reason) for entry in entries]
    kept = {line.row for line in lines.values()}
    return Order(tuple(lines.values()), abs(amount), tuple(entry.row for entry in entries if entry.row not in kept))
