"""What was told wrongly is put right: a new version, whose event names the fact that it replaces."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import select

from chassis import outbox
from chassis.clock import now
from chassis.db import driver
from chassis.ids import uuid7
from contracts.event import Event, seconds_late
from contracts.identity import Installation, PartyRef
from contracts.problems import Problem
from contracts.telling import AlreadyWithdrawn
from services.customers.domain.interactions import check_loss_reason
from services.customers.domain.observations import check_something_said
from services.customers.models.facts import FactCorrection, ShownFact
from services.customers.models.interactions import InteractionCorrection, InteractionRow
from services.customers.models.observations import ObservationCorrection, ObservationRow
from services.customers.models.problems import ProblemRow
from services.customers.models.purchases import Correction, PurchaseCorrection, PurchaseRow, ReturnRow
from services.customers.queries.assignments import assignments_of
from services.customers.queries.facts import holds, withdrawn
from services.customers.queries.identities import subjects
from services.customers.queries.interactions import passed
from services.customers.queries.lateness import least_late
from services.customers.queries.problems import move_problem, problem_to_change
from services.customers.queries.purchases import completed
from services.customers.queries.returns import came_back, original_of
from services.customers.queries.versions import keep

Row = PurchaseRow | ReturnRow | InteractionRow | ObservationRow


async def right_subject(
    session: AsyncSession, row: ShownFact, given: FactCorrection, installation: Installation
) -> UUID | None:
    """Under whom else a row should be recorded; none where it stays as it is, as with a party that it is about.

    Called before the row is locked, since identities come before facts.
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
    before = row.identity_id
    await _put_right(session, row, given.changes(), right_subject, completed)
    if row.identity_id != before:
        for returned in await _returns_under(session, row, before):
            await correct_return(session, returned, Correction(), row.identity_id)


async def correct_return(session: AsyncSession, row: ReturnRow, given: Correction, right_subject: UUID | None) -> None:
    """Give a locked return its right content."""
    purchase_id = row.purchase_id or await original_of(session, row)
    await _put_right(session, row, given.changes(), right_subject, partial(came_back, purchase_id=purchase_id))


async def correct_interaction(
    session: AsyncSession,
    row: InteractionRow,
    given: InteractionCorrection,
    right_subject: UUID | None,
    opened: ProblemRow | None = None,
) -> None:
    """Give a locked interaction its right content, and the problem that it `opened` to the right customer with it.

    A problem that something else with the former customer is about stays. Raises `UnfitLossReason`.
    """
    before, problem_id = row.identity_id, row.problem_id
    changes = given.changes()
    check_loss_reason(changes.get("kind", row.kind), changes.get("loss_reason", row.loss_reason))
    await _put_right(session, row, changes, right_subject, passed)
    if opened is None or row.identity_id == before or not row.problem_id == problem_id == opened.id:
        return
    await session.flush()
    others = await (await driver(session)).fetchval(_ABOUT, opened.id, before)
    if opened.withdrawn_at is None and opened.identity_id == before and not others:
        await move_problem(session, opened, row.identity_id)


async def correct_observation(
    session: AsyncSession, row: ObservationRow, given: ObservationCorrection, right_subject: UUID | None
) -> None:
    """Give a locked observation its right content. Raises `NothingObserved`."""
    changes = given.changes()
    check_something_said({"text": row.text, "rating": row.rating} | changes)
    await _put_right(session, row, changes, right_subject, None)


async def problem_opened_by(session: AsyncSession, interaction_id: UUID) -> ProblemRow | None:
    """The problem that an interaction opened and is still about, locked; problems come before interactions."""
    problem_id = await (await driver(session)).fetchval(_OPENED_BY, interaction_id)
    return await problem_to_change(session, problem_id) if problem_id else None


async def withdraw(session: AsyncSession, row: Row) -> None:
    """Take a locked fact back; its id in the source is free again. Twice is once.

    The returns of a purchase go with it, as far as they stand with the same customer.
    """
    if row.withdrawn_at is None:
        returns = await _returns_under(session, row, row.identity_id) if isinstance(row, PurchaseRow) else []
        row.withdrawn_at = now()
        row.version += 1
        if isinstance(row, ObservationRow):
            return
        assignments = await assignments_of(session, [row.identity_id])
        outbox.append(session, withdrawn(row.identity_id, row.fact_id, assignments, await _late_s(session, row)))
        for returned in returns:
            await withdraw(session, returned)


async def _put_right(
    session: AsyncSession,
    row: Row,
    content: Mapping[str, Any],
    right_subject: UUID | None,
    event: Callable[..., Event] | None,
) -> None:
    if row.withdrawn_at is not None:
        raise AlreadyWithdrawn("It was withdrawn and does not count; record it anew.")
    replaces, former = row.fact_id, row.identity_id
    right = {**content, "identity_id": right_subject or former}
    changes = {name: value for name, value in right.items() if getattr(row, name) != value}
    if not changes:
        return
    late_before = await _late_s(session, row)
    await keep(session, type(row).__tablename__, row.id)
    for name, value in changes.items():
        setattr(row, name, value)
    row.version += 1
    row.fact_id = uuid7()
    if event is None:
        return
    subject = row.identity_id
    assignments = await assignments_of(session, [subject])
    late_s = min(late_before, seconds_late(row.occurred_at, now()))
    replaced = {"replaces": replaces, "replaced_subject": former if former != subject else None, "late_s": late_s}
    outbox.append(session, event(row, row.id, subject, assignments.get(subject), **replaced), event_ids=[row.fact_id])


async def _late_s(session: AsyncSession, row: Row) -> int:
    return (await least_late(session, type(row).__tablename__, [row.id]))[row.id]


async def _returns_under(session: AsyncSession, purchase: PurchaseRow, subject: UUID) -> list[ReturnRow]:
    """Returns of a purchase that were recorded under a customer, locked in id order."""
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


_OPENED_BY = """
SELECT problem_id FROM interaction
WHERE id = $1 AND problem_category IS NOT NULL AND NOT EXISTS (
    SELECT FROM former_version WHERE of_id = $1 AND version = 1 AND content ->> 'problem_id' <> problem_id::text
)
"""

_ABOUT = """
SELECT EXISTS (SELECT FROM interaction WHERE problem_id = $1 AND identity_id = $2 AND withdrawn_at IS NULL)
"""

_RETURNS_UNDER = """
SELECT id FROM purchase_return
WHERE identity_id = $4 AND withdrawn_at IS NULL
  AND (purchase_id = $1 OR (purchase_id IS NULL AND source = $2 AND original_id = $3))
"""
