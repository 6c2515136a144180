"""Orders as files have them: a row each, or rows that share an order id and are its lines."""

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from chassis.imports.amounts import MAX_MINOR
from chassis.imports.fields import (
    AMOUNT,
    CHANNEL,
    CURRENCY,
    EMAIL,
    OCCURRED_AT,
    PARTY,
    PHONE,
    QUANTITY,
    UNIT_PRICE,
    Field,
    mostly,
)
from chassis.imports.headers import weighted, words_of
from chassis.imports.kinds import Grouping, Taken
from chassis.imports.plans import NOTHING, Cells, Plan, Refusal, Row, Survey, id_of, line_of_text, slug
from chassis.imports.reasons import Reason, RowReason, Unreadable
from contracts.identity import Identity
from contracts.money import MINOR_DIGITS, major


class OrderReason(RowReason):
    """What can be wrong with the rows of orders alone."""

    NEGATIVE_AMOUNT = "negative_amount"
    """A purchase below zero; returns are imported as returns."""
    BAD_ORDER_ID = "bad_order_id"
    """Longer than 200 characters, with control characters, or missing where others have one."""
    LINES_DISAGREE = "lines_disagree"
    """The lines of one order name several parties, currencies or original orders, or one twice with other content."""
    ORDER_INCOMPLETE = "order_incomplete"
    """Another line of the same order is rejected, and a part of an order would be a wrong amount."""


class Entry(NamedTuple):
    """A purchase or a return, or a line of it, as a row tells it."""

    row: int
    party: Identity
    occurred_at: datetime
    amount_minor: int
    currency: str
    order_id: str | None = None
    channel: str | None = None
    product: str | None = None
    line: str | None = None
    original_order_id: str | None = None
    currency_said: bool = True
    """Whether the row says it, and not the file for all rows."""


@dataclass(frozen=True, slots=True)
class Order:
    """The lines of one order, each taken once."""

    lines: tuple[Entry, ...]
    amount_minor: int
    """Zero or more, of returns too."""

    @property
    def occurred_at(self) -> datetime:
        """The instant of its earliest line."""
        return min(line.occurred_at for line in self.lines) if len(self.lines) > 1 else self.lines[0].occurred_at


ORDER_ID = Field(
    "order_id",
    weighted(
        {
            3: "order invoice basket transaction receipt",
            2: "orderid invoiceno ticket bill purchase sale bestellung rechnung pedido",
        }
    ),
    mostly(lambda text: len(text) <= 200),
)
"""The id of the purchase, or of the return, in the source."""

PRODUCT = Field(
    "product", weighted({3: "product sku item article artikel stock"}), mostly(lambda text: len(text) <= 500)
)

LINE = Field("line")
"""The line within its order; mapped, rows of one order are its lines and are added up.

Guessed to be the product where the first rows have several of one order (`line_guess`), and never by a name.
"""

WHO = (PARTY.name, EMAIL.name, PHONE.name)
"""What a party is named by: the first of these that a row has."""

FIELDS = (
    PARTY,
    ORDER_ID,
    OCCURRED_AT.must_be().called(
        {3: "purchased ordered", 2: "returned", 0: "order invoice purchase transaction sale return"}
    ),
    replace(AMOUNT, factors=(QUANTITY.name, UNIT_PRICE.name)),
    CURRENCY,
    CHANNEL,
    PRODUCT,
    LINE,
    QUANTITY,
    UNIT_PRICE,
    EMAIL,
    PHONE,
)


def order(plan: Plan, cells: Cells, *, either_sign: bool) -> Order:
    """The order, or the part of one, that a row tells of. Raises `Unreadable`."""
    party, order_id, when, text, said, channel, product, line, quantity, price, email, phone, *original = cells.texts
    named = plan.identities(party=party) or plan.identities(email=email) or plan.identities(phone=phone)
    if not named:
        raise Unreadable(Reason.NO_PARTY)
    occurred_at = plan.instant(when)
    currency = plan.currency_of(said)
    amount = plan.amount(text, currency) if plan.says(AMOUNT.name) else plan.amount_of(quantity, price, currency)
    if either_sign and not plan.grouped:
        amount = abs(amount)
    elif amount < 0 and not plan.grouped:
        # A discount is a line below zero: there, what counts is the sign of the order.
        raise Unreadable(OrderReason.NEGATIVE_AMOUNT, _BELOW_ZERO)
    if order_id:
        order_id = order_key(order_id)
    elif ORDER_ID.name in plan.positions:
        raise Unreadable(OrderReason.BAD_ORDER_ID, "The order id is missing.")
    entry = Entry(
        cells.row,
        named[0],
        occurred_at,
        amount,
        currency,
        order_id or None,
        slug(channel, "channel") if channel else None,
        line_of_text(product, 500),
        line or None,
        order_key(original[0]) if original and original[0] and original[0] not in NOTHING else None,
        (bool(said) and said != plan.constants.get(CURRENCY.name)) or bool(_WRITTEN.search(text + price)),
    )
    return Order((entry,), amount)


_WRITTEN = re.compile(r"[^\d\s.,+\-−()'’eE]")
"""Where anything but a number is written with an amount, it is its currency."""


def order_key(text: str) -> str:
    """The id of an order as it is kept. Raises `Unreadable`."""
    if text.strip() in NOTHING:
        raise Unreadable(OrderReason.BAD_ORDER_ID, "The order id is missing.")
    return id_of(text, OrderReason.BAD_ORDER_ID)


def lines_together(*, either_sign: bool) -> Callable[[Plan, Sequence[Order | Refusal]], Taken[Order] | list[Refusal]]:
    """How rows of one order id make an order, or why none of them is taken.

    A purchase adds up to zero or more; a return takes either sign. Where the line is a column of its own, it is a name
    within the order: the same line again is a repetition if it says the same, and a contradiction if it does not.
    Where it is the product, every row counts.
    """

    def together(plan: Plan, rows: Sequence[Order | Refusal]) -> Taken[Order] | list[Refusal]:
        entries = _in_one_currency([row.lines[0] for row in rows if isinstance(row, Order)])
        if len(entries) < len(rows):
            incomplete = [Refusal(entry.row, OrderReason.ORDER_INCOMPLETE) for entry in entries]
            return [*(row for row in rows if isinstance(row, Refusal)), *incomplete]
        numbered = plan.positions[LINE.name] != plan.positions.get(PRODUCT.name)
        lines: dict[object, Entry] = {}
        agree = len({(entry.party, entry.currency, entry.original_order_id) for entry in entries}) == 1
        for entry in entries:
            first = lines.setdefault(entry.line if numbered and entry.line else entry.row, entry)
            agree = agree and (first.amount_minor, first.product) == (entry.amount_minor, entry.product)
        if not agree:
            detail = "They name several parties, currencies or original orders, or one line with other content."
            return [Refusal(entry.row, OrderReason.LINES_DISAGREE, detail) for entry in entries]
        amount = sum(line.amount_minor for line in lines.values())
        if abs(amount) > MAX_MINOR:
            return [Refusal(entry.row, Reason.BAD_AMOUNT) for entry in entries]
        if amount < 0 and not either_sign:
            return [Refusal(entry.row, OrderReason.NEGATIVE_AMOUNT, _BELOW_ZERO) for entry in entries]
        kept = {line.row for line in lines.values()}
        repeated = tuple(entry.row for entry in entries if entry.row not in kept)
        return Taken(Order(tuple(lines.values()), abs(amount)), tuple(kept), repeated)

    return together


_BELOW_ZERO = "A purchase has no amount below zero; import returns as returns."


def _in_one_currency(entries: list[Entry]) -> list[Entry]:
    """Lines that name no currency are in the only one that others of their order name."""
    said = {entry.currency for entry in entries if entry.currency_said}
    if len(said) != 1:
        return entries
    (currency,) = said
    return [
        entry._replace(currency=currency) if MINOR_DIGITS[entry.currency] == MINOR_DIGITS[currency] else entry
        for entry in entries
    ]


def line_guess(rows: Sequence[Mapping[str, str]]) -> str | None:
    """The product where some order of these rows has several of them, and no order has several parties.

    Not where every order says one amount again and again: it may be that of the whole order.
    """
    orders: defaultdict[str, list[tuple[str, ...]]] = defaultdict(list)
    for row in rows:
        party = next((text for text in map(row.get, WHO) if text and text not in NOTHING), "")
        if party and (order_id := row.get(ORDER_ID.name)):
            orders[order_id].append((party, *(row.get(field.name, "") for field in (PRODUCT, AMOUNT))))
    several = [lines for lines in orders.values() if len({product for _, product, _ in lines}) > 1]
    if not several or any(len({party for party, *_ in lines}) > 1 for lines in orders.values()):
        return None
    amounts = [{amount for *_, amount in lines} for lines in several]
    differ = any(len(said) > 1 for said in amounts)
    return PRODUCT.name if differ or not any(AMOUNT.name in row for row in rows) else None


def by_lines(*, either_sign: bool) -> Grouping[Order]:
    """Rows of one order id are its lines, where a column is mapped to the line."""
    together = lines_together(either_sign=either_sign)
    return Grouping(by=ORDER_ID.name, part=LINE.name, key=order_key, together=together, guess=line_guess)


ALIKE = 20
"""So many rows of one and the same party are worth a word."""
STATES = frozenset(["order", "payment", "financial", "fulfillment", "fulfilment", "transaction", "purchase", "status"])
"""The words of a header that says what became of an order."""
MOST_STATES = 10
"""What has more of them is no state of an order."""


def shown(order: Order) -> Mapping[str, object]:
    """An order before it is recorded."""
    entry = order.lines[0]
    return {
        "party": entry.party.value,
        "order_id": entry.order_id,
        "occurred_at": entry.occurred_at.isoformat(),
        "amount": str(major(entry.amount_minor, entry.currency)),
        "currency": entry.currency,
        "channel": entry.channel,
        "product": entry.product,
        "line": entry.line,
        "original_order_id": entry.original_order_id,
    }


def notes(plan: Plan, survey: Survey, first: Sequence[Row]) -> Mapping[str, bool]:
    """What was decided about a file of orders and might surprise."""
    at = plan.positions.get(ORDER_ID.name)
    column, states = _states(plan, first)
    who = plan.positions.get(PARTY.name)
    parties = {cells[who].strip() for _, cells in first if who is not None and len(cells) > who}
    ids = [cells[at] for _, cells in first if at is not None and len(cells) > at]
    return {
        "No column is the order id: a row is known by the content of its file and its number. The same file again "
        "changes nothing, but the same rows in another file count again.": at is None,
        f"No column is the amount: every row counts with 0 {plan.currency}.": (
            not plan.says(AMOUNT.name) and not plan.says(UNIT_PRICE.name)
        ),
        "An amount is the quantity times the unit price: map a column to amount where that is not so.": (
            not plan.says(AMOUNT.name) and plan.says(UNIT_PRICE.name)
        ),
        f"{survey.without_amount} rows have no amount and count with 0.": survey.without_amount > 0,
        "Rows that share an order id are its lines and are added up.": plan.grouped,
        "Order ids repeat in the file: map a column to line if these rows are lines of one order.": (
            not plan.grouped and len(set(ids)) < len(ids)
        ),
        f"Every row is of one party, {', '.join(parties)}: map another column to party where that is not so.": (
            len(first) >= ALIKE and len(parties) == 1
        ),
        f"Every row counts, whatever {column} says: {', '.join(states)}.": len(states) > 1,
    }


def _states(plan: Plan, first: Sequence[Row]) -> tuple[str, list[str]]:
    """The column that says what became of each order, where there is one, and what the first rows say there."""
    taken = set(plan.positions.values())
    for at, column in enumerate(plan.columns):
        words = words_of(column)
        if at not in taken and "status" in words and STATES.issuperset(words):
            said = {text for _, cells in first if len(cells) > at and (text := cells[at].strip())}
            if len(said) <= MOST_STATES:
                return column, sorted(said)
    return "", []
