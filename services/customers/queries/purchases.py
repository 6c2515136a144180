"""Purchases: recorded in sets, corrected and withdrawn one by one under their row lock."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import msgspec
from asyncpg import Record
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.outbox import Origins
from contracts.customers import Assignment, PurchaseCompleted
from contracts.identity import Installation
from contracts.telling import Outcome, ids_of
from services.customers.domain.purchases import (
    Line,
    NewPurchase,
    NewReturn,
    PurchaseConflict,
    PurchaseNotFound,
    in_order,
)
from services.customers.models.purchases import Purchase, PurchaseRow, PurchaseVersion
from services.customers.queries.facts import Kind, record, withdraw_import
from services.customers.queries.histories import Condition, Place, as_it_stands, as_they_stand, history, to_change
from services.customers.queries.versions import versions


def completed(
    told: NewPurchase | PurchaseRow,
    id: UUID,
    subject: UUID,
    assignment: Assignment | None,
    *,
    replaces: UUID | None = None,
    replaced_subject: UUID | None = None,
    late_s: int | None = None,
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
        late_s=late_s,
        assignment=assignment,
    )


MONEY = {"currency": "text", "amount_minor": "bigint", "channel": "text", "import_id": "uuid"}
"""What the tables of purchases and returns have alike."""


def money(told: NewPurchase | NewReturn) -> tuple[str, int, str | None, UUID | None]:
    """The values of `MONEY`."""
    return told.currency, told.amount_minor, told.channel, told.import_id


PURCHASES = Kind[NewPurchase](
    name="purchase",
    table="purchase",
    own_columns=MONEY | {"lines": "jsonb"},
    own_values=lambda told: [*money(told), msgspec.json.encode(in_order(told.lines)).decode()],
    conflict=PurchaseConflict,
    event=completed,
    stored=lambda row: dict(row) | {"lines": tuple(Line(*line) for line in row["lines"])},
)


async def record_purchases(
    session: AsyncSession, rows: Sequence[NewPurchase], installation: Installation, origins: Origins = None
) -> list[Outcome]:
    """Record purchases of any number; return what became of each, in their order."""
    return await record(session, PURCHASES, rows, installation, origins)


async def withdraw_purchases(session: AsyncSession, import_id: UUID, limit: int) -> int:
    """Withdraw up to `limit` purchases of an import; return how many, 0 when none is left."""
    return await withdraw_import(session, "purchase", import_id, limit)


async def purchase_to_change(session: AsyncSession, purchase_id: UUID) -> PurchaseRow:
    """The purchase, locked until the transaction ends, so that its events keep their order."""
    return await to_change(session, PurchaseRow, purchase_id, _missing())


async def purchase(session: AsyncSession, purchase_id: UUID, installation: Installation) -> Purchase:
    """The purchase as it is shown. Raises `PurchaseNotFound`."""
    row = await as_it_stands(session, "purchase", purchase_id, installation, _missing())
    return Purchase.model_validate(_shown(row))


async def recorded_purchases(
    session: AsyncSession, outcomes: Iterable[Outcome], installation: Installation
) -> dict[UUID, Purchase]:
    """Those that now stand for what was told, as they are shown."""
    rows = await as_they_stand(session, "purchase", ids_of(outcomes), installation)
    return {row["id"]: Purchase.model_validate(_shown(row)) for row in rows}


def _missing() -> PurchaseNotFound:
    return PurchaseNotFound("There is no such purchase.")


async def purchases(
    session: AsyncSession,
    installation: Installation,
    *,
    party_id: UUID | None,
    where: Sequence[Condition],
    before: Place,
    limit: int,
) -> list[Purchase]:
    """Purchases of the party that an id leads to, or of all, the latest first, without those withdrawn."""
    rows = await history(session, "purchase", installation, party_id=party_id, where=where, before=before, limit=limit)
    return [Purchase.model_validate(_shown(row)) for row in rows]


async def versions_of_purchase(
    session: AsyncSession, purchase_id: UUID, installation: Installation, *, before: int, limit: int
) -> list[PurchaseVersion]:
    """Every version of a purchase, the latest first. Raises `PurchaseNotFound`."""
    await purchase(session, purchase_id, installation)
    rows = await versions(session, "purchase", purchase_id, installation, before=before, limit=limit)
    return [PurchaseVersion.model_validate(_shown(row)) for row in rows]


def _shown(row: Record) -> dict[str, Any]:
    return dict(row) | {"lines": [Line(*line)._asdict() for line in row["lines"]]}
