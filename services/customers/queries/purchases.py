"""Purchases: recorded in sets, corrected and withdrawn one by one under their row lock."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from asyncpg import Record
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import driver
from contracts.customers import Assignment, PurchaseCompleted
from contracts.identity import Installation
from contracts.telling import Outcome
from services.customers.domain.purchases import Line, NewPurchase, PurchaseConflict, PurchaseNotFound, in_order
from services.customers.models.purchases import Purchase, PurchaseRow
from services.customers.queries.facts import HOLDER, Kind, record, withdraw_import


def completed(
    told: NewPurchase | PurchaseRow,
    id: UUID,
    subject: UUID,
    assignment: Assignment | None,
    *,
    replaces: UUID | None = None,
    replaced_subject: UUID | None = None,
) -> PurchaseCompleted:
    """The event of a purchase, or of its correction."""
    return PurchaseCompleted(
        subject=subject,
        occurred_at=told.occurred_at,
        purchase_id=id,
        amount_minor=told.amount_minor,
        currency=told.currency,
        source=told.source,
        channel=told.channel,
        line_count=len(told.lines),
        replaces=replaces,
        replaced_subject=replaced_subject,
        assignment=assignment,
    )


PURCHASES = Kind[NewPurchase](
    name="purchase",
    table="purchase",
    own_columns={"lines": "jsonb"},
    own_values=lambda told: [msgspec.json.encode(in_order(told.lines)).decode()],
    conflict=PurchaseConflict,
    event=completed,
)


async def record_purchases(
    session: AsyncSession, rows: Sequence[NewPurchase], installation: Installation
) -> list[Outcome]:
    """Record purchases of any number; return what became of each, in their order."""
    return await record(session, PURCHASES, rows, installation)


async def withdraw_purchases(session: AsyncSession, import_id: UUID, limit: int) -> int:
    """Withdraw up to `limit` purchases of an import; return how many, 0 when none is left."""
    return await withdraw_import(session, "purchase", import_id, limit)


async def purchase_to_change(session: AsyncSession, purchase_id: UUID) -> PurchaseRow:
    """The purchase, locked until the transaction ends, so that its events keep their order."""
    row = await session.get(PurchaseRow, purchase_id, with_for_update={"key_share": True}, populate_existing=True)
    if row is None:
        raise PurchaseNotFound("There is no such purchase.")
    return row


async def purchase(session: AsyncSession, purchase_id: UUID, installation: Installation) -> Purchase:
    """The purchase as it is shown. Raises `PurchaseNotFound`."""
    await session.flush()
    row = await (await driver(session)).fetchrow(f"{_SHOWN} WHERE purchase.id = $2", installation.zone.key, purchase_id)
    if row is None:
        raise PurchaseNotFound("There is no such purchase.")
    return _purchase(row)


async def purchases_of(
    session: AsyncSession, party_id: UUID, installation: Installation, *, before: tuple[datetime, UUID], limit: int
) -> list[Purchase]:
    """Purchases of the party that an id leads to, the latest first, without those withdrawn."""
    statement = f"{_SHOWN} {OF_PARTY.format(table='purchase')}"
    rows = await (await driver(session)).fetch(statement, installation.zone.key, party_id, *before, limit)
    return [_purchase(row) for row in rows]


def _purchase(row: Record) -> Purchase:
    shown: dict[str, Any] = dict(row)
    shown["lines"] = [Line(*line)._asdict() for line in shown["lines"]]
    return Purchase.model_validate(shown)


HOLDER_THEN = HOLDER.format(identity="{table}.identity_id", day="({table}.occurred_at AT TIME ZONE $1)::date")
"""The customer of a row on its local day, $1 being the zone."""

_SHOWN = f"SELECT purchase.*, {HOLDER_THEN.format(table='purchase')} AS party_id FROM purchase"

OF_PARTY = f"""
JOIN (
    SELECT DISTINCT identity_id FROM holding JOIN party ON party.id = holding.party_id
    JOIN party AS asked ON asked.id = $2
    WHERE party.id = asked.resolves_to OR (party.resolves_to = asked.resolves_to AND party.resolves_to <> party.id)
) AS member USING (identity_id)
WHERE withdrawn_at IS NULL AND (occurred_at, {{table}}.id) < ($3, $4)
  AND {HOLDER_THEN} = (SELECT resolves_to FROM party WHERE id = $2)
ORDER BY occurred_at DESC, {{table}}.id DESC LIMIT $5
"""
