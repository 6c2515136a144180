"""Files of purchases and of returns."""

from collections.abc import Mapping, Sequence
from functools import partial

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.imports.fields import AMOUNT, CURRENCY, OCCURRED_AT, Field, at_most
from chassis.imports.headers import weighted
from chassis.imports.kinds import ImportKind, Origin
from contracts.telling import Outcome
from services.customers.domain.purchases import Line, NewPurchase, NewReturn
from services.customers.handlers.imports.orders import FIELDS, ORDER_ID, WHO, Order, by_lines, notes, order, shown
from services.customers.queries.purchases import record_purchases, withdraw_purchases
from services.customers.queries.returns import record_returns, withdraw_returns


def purchase(order: Order, origin: Origin) -> NewPurchase:
    """The purchase that an order is."""
    first = order.lines[0]
    in_lines = len(order.lines) > 1 or first.product is not None
    return NewPurchase(
        party=first.party,
        source=origin.source,
        source_id=first.order_id or origin.row_id(first.row),
        occurred_at=order.occurred_at,
        currency=first.currency,
        amount_minor=order.amount_minor,
        channel=first.channel,
        lines=tuple(Line(line.product, amount_minor=line.amount_minor) for line in order.lines) if in_lines else (),
        import_id=origin.import_id,
    )


def returned(order: Order, origin: Origin) -> NewReturn:
    """The return that an order is."""
    first = order.lines[0]
    return NewReturn(
        party=first.party,
        source=origin.source,
        source_id=first.order_id or origin.row_id(first.row),
        original_id=first.original_order_id,
        occurred_at=order.occurred_at,
        currency=first.currency,
        amount_minor=order.amount_minor,
        channel=first.channel,
        import_id=origin.import_id,
    )


async def _record_purchases(session: AsyncSession, origin: Origin, orders: Sequence[Order]) -> list[Outcome]:
    return await record_purchases(session, [purchase(order, origin) for order in orders], origin.installation)


async def _record_returns(session: AsyncSession, origin: Origin, orders: Sequence[Order]) -> list[Outcome]:
    return await record_returns(session, [returned(order, origin) for order in orders], origin.installation)


PURCHASES = ImportKind(
    name="purchases",
    prefix="purchase",
    fields=FIELDS,
    any_of=WHO,
    one_of_any=True,
    read=partial(order, either_sign=False),
    shown=shown,
    record=_record_purchases,
    withdraw=withdraw_purchases,
    priced=True,
    grouping=by_lines(either_sign=False),
    notes=notes,
)

ORIGINAL_ORDER_ID = Field(
    "original_order_id",
    weighted({4: "original orig", 1: "order invoice purchase basket transaction"}),
    at_most(200),
)
"""The id of the purchase that a return belongs to."""

_WORDS_OF_RETURNS: Mapping[str, Mapping[int, str]] = {
    ORDER_ID.name: {4: "return refund rma credit"},
    OCCURRED_AT.name: {0: "refund refunded"},
    AMOUNT.name: {2: "refund refunded"},
    CURRENCY.name: {0: "refund"},
}

RETURNS = ImportKind(
    name="returns",
    prefix="return",
    fields=(
        *(field.called(_WORDS_OF_RETURNS.get(field.name, {})) for field in FIELDS),
        ORIGINAL_ORDER_ID,
    ),
    any_of=WHO,
    one_of_any=True,
    read=partial(order, either_sign=True),
    shown=shown,
    record=_record_returns,
    withdraw=withdraw_returns,
    priced=True,
    grouping=by_lines(either_sign=True),
    notes=notes,
)
