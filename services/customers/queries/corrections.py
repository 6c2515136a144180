"""What was told wrongly is put right: a new version, whose event names the fact that it replaces."""

from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import select

from chassis import outbox
from chassis.clock import now
from chassis.db import driver
from chassis.ids import uuid7
from contracts.identity import Installation, PartyRef
from contracts.problems import Problem
from services.customers.domain.purchases import AlreadyWithdrawn
from services.customers.models.purchases import Correction, Fact, PurchaseCorrection, PurchaseRow, ReturnRow
from services.customers.queries.assignments import assignments_of
from services.customers.queries.facts import holds, withdrawn
from services.customers.queries.identities import subjects
from services.customers.queries.purchases import completed
from services.customers.queries.returns import came_back, original_of


async def right_subject(session: AsyncSession, row: Fact, given: Correction, installation: Installation) -> UUID | None:
    """Under whom else a row should be recorded; none where it stays as it is, as with a party that is the customer.

    Called before the row is locked, since identities come before purchases.
    """
    party: PartyRef | None = given.party(installation)
    day = installation.day(given.occurred_at or row.occurred_at)
    if party is None or (isinstance(party, UUID) and await holds(session, party, row.identity_id, day)):
        return None
    [subject], _ = await subjects(session, [(party, day)])
    if isinstance(subject, Problem):
        raise subject
    return subject


async def correct_purchase(
    session: AsyncSession, row: PurchaseRow, given: PurchaseCorrection, right_subject: UUID | None
) -> None:
    """Give a locked purchase its right content, and its returns to the right customer with it."""
    before, subject = (row.fact_id, row.identity_id), right_subject or row.identity_id
    if not _change(row, given.changes() | {"identity_id": subject}):
        return
    assignments = await assignments_of(session, [subject])
    replaced = {"replaces": before[0], "replaced_subject": before[1] if before[1] != subject else None}
    event = completed(row, row.id, subject, assignments.get(subject), **replaced)
    outbox.append(session, event, event_ids=[row.fact_id])
    if before[1] != subject:
        for returned in await _returns_under(session, row, before[1]):
            await correct_return(session, returned, Correction(), subject)


async def correct_return(session: AsyncSession, row: ReturnRow, given: Correction, right_subject: UUID | None) -> None:
    """Give a locked return its right content."""
    before, subject = (row.fact_id, row.identity_id), right_subject or row.identity_id
    if not _change(row, given.changes() | {"identity_id": subject}):
        return
    assignments = await assignments_of(session, [subject])
    replaced = {"replaces": before[0], "replaced_subject": before[1] if before[1] != subject else None}
    purchase_id = row.purchase_id or await original_of(session, row)
    event = came_back(row, row.id, subject, assignments.get(subject), purchase_id=purchase_id, **replaced)
    outbox.append(session, event, event_ids=[row.fact_id])


async def withdraw(session: AsyncSession, row: PurchaseRow | ReturnRow) -> None:
    """Take a locked purchase or return back; its id in the source is free again. Twice is once."""
    if row.withdrawn_at is None:
        row.withdrawn_at = now()
        row.version += 1
        assignments = await assignments_of(session, [row.identity_id])
        outbox.append(session, withdrawn(row.identity_id, row.fact_id, assignments))


def _change(row: PurchaseRow | ReturnRow, right: dict[str, Any]) -> bool:
    if row.withdrawn_at is not None:
        raise AlreadyWithdrawn("It was withdrawn and does not count; record it anew.")
    changes = {name: value for name, value in right.items() if getattr(row, name) != value}
    for name, value in changes.items():
        setattr(row, name, value)
    if changes:
        row.version += 1
        row.fact_id = uuid7()
    return bool(changes)


async def _returns_under(session: AsyncSession, purchase: PurchaseRow, subject: UUID) -> list[ReturnRow]:
    """Returns of a purchase that were recorded under its former customer, locked in id order."""
    ids = await (await driver(session)).fetch(_RETURNS_UNDER, purchase.id, purchase.source, purchase.source_id, subject)
    statement = (
        select(ReturnRow)
        .where(ReturnRow.id.in_([row["id"] for row in ids]))  # type: ignore[attr-defined]
        .order_by(ReturnRow.id)  # type: ignore[arg-type]
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    return [
        row for row in (await session.scalars(statement)) if row.withdrawn_at is None and row.identity_id == subject
    ]


_RETURNS_UNDER = """
SELECT id FROM purchase_return
WHERE identity_id = $4 AND withdrawn_at IS NULL
  AND (purchase_id = $1 OR (purchase_id IS NULL AND source = $2 AND original_id = $3))
"""
