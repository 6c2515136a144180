"""From what the rows of a chunk say to purchases and returns that can be recorded."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from contracts.identity import Installation, Scheme
from contracts.telling import Outcome, Status
from services.customers.domain.imports.fields import Field, Kind
from services.customers.domain.imports.orders import Order, order_of
from services.customers.domain.imports.rows import Entry, Plan, Refusal, read
from services.customers.domain.imports.uploads import Row
from services.customers.domain.purchases import Line, NewPurchase, NewReturn


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the rows come from."""

    installation: Installation
    source: str
    import_id: UUID
    content_hash: str


@dataclass(slots=True)
class Understood:
    """What a chunk says: orders to record, and rows that are not taken."""

    orders: list[Order] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)


def rows_understood(plan: Plan, rows: Sequence[Row], *, latest: datetime) -> Understood:
    """Rows that are an order each."""
    found = Understood()
    for row, cells in rows:
        entry = read(plan, row, cells, latest=latest)
        if isinstance(entry, Refusal):
            found.refusals.append(entry)
        else:
            found.orders.append(Order((entry,), entry.amount_minor))
    return found


def lines_understood(plan: Plan, orders: Iterable[Sequence[Row]], *, latest: datetime) -> Understood:
    """Rows that are lines, already sorted by their orders."""
    found = Understood()
    numbered = plan.positions[Field.LINE] != plan.positions.get(Field.PRODUCT)
    for rows in orders:
        order = order_of(plan.kind, [read(plan, row, cells, latest=latest) for row, cells in rows], numbered=numbered)
        if isinstance(order, Order):
            found.orders.append(order)
        else:
            found.refusals.extend(order)
    return found


def purchase(order: Order, origin: Origin) -> NewPurchase:
    """The purchase that an order is."""
    first = order.lines[0]
    in_lines = len(order.lines) > 1 or first.product is not None
    return NewPurchase(
        party=origin.installation.identity(Scheme.EXTERNAL, first.party, system=origin.source),
        source=origin.source,
        source_id=_source_id(first, origin),
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
        party=origin.installation.identity(Scheme.EXTERNAL, first.party, system=origin.source),
        source=origin.source,
        source_id=_source_id(first, origin),
        original_id=first.original_order_id,
        occurred_at=order.occurred_at,
        currency=first.currency,
        amount_minor=order.amount_minor,
        channel=first.channel,
        import_id=origin.import_id,
    )


def _source_id(entry: Entry, origin: Origin) -> str:
    return entry.order_id or f"{origin.content_hash[:32]}:{entry.row}"


@dataclass(slots=True)
class Tally:
    """What became of the rows of a chunk."""

    accepted: int = 0
    duplicate: int = 0
    conflict: int = 0
    refusals: list[Refusal] = field(default_factory=list)


def tally(kind: Kind, understood: Understood, outcomes: Mapping[int, Outcome]) -> Tally:
    """Count rows; `outcomes` are those of the orders by position, an order without one would have been taken."""
    counted = Tally(refusals=list(understood.refusals))
    for position, order in enumerate(understood.orders):
        outcome = outcomes.get(position, Outcome(Status.ACCEPTED))
        match outcome.status:
            case Status.ACCEPTED:
                counted.accepted += len(order.lines)
                counted.duplicate += len(order.repeated)
            case Status.DUPLICATE:
                counted.duplicate += len(order.rows)
            case Status.CONFLICT:
                counted.conflict += len(order.rows)
                there = f"{kind.removesuffix('s')}_{outcome.id.hex}" if outcome.id else "another row"
                counted.refusals += [Refusal(row, Status.CONFLICT, f"It differs from {there}.") for row in order.rows]
            case Status.REJECTED:
                detail = outcome.problem.detail if outcome.problem else ""
                counted.refusals += [Refusal(row, outcome.reason or "rejected", detail) for row in order.rows]
    return counted
