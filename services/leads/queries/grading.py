"""Grading the leads that are there by a rubric that was activated, page by page."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from asyncpg import Connection, Record
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from chassis.db import driver
from services.leads.domain.rubrics import Rubric
from services.leads.models.leads import LeadRow
from services.leads.queries.changes import put_grade
from services.leads.queries.rubrics import rubric_named

NOBODY = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Grading:
    """A rubric that still has leads to be put to."""

    activation: int
    rubric: Rubric
    after_lead: UUID


async def grading_to_carry_on(session: AsyncSession) -> Grading | None:
    """The open grading, locked until the transaction ends; None without one, or while another process works on it."""
    row = await (await driver(session)).fetchrow(_OPEN)
    if row is None:
        return None
    return Grading(row["id"], await rubric_named(session, row["rubric"]), row["after_lead"] or NOBODY)


async def grade_page(session: AsyncSession, grading: Grading, limit: int, at: datetime) -> bool:
    """Put a rubric to the next leads in the order of their ids; false where none was left, and it is done."""
    connection = await driver(session)
    statement = (
        select(LeadRow)
        .where(col(LeadRow.id) > grading.after_lead, col(LeadRow.withdrawn_at).is_(None))
        .order_by(col(LeadRow.id))
        .limit(limit)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    rows = (await session.scalars(statement)).all()
    if not rows:
        await connection.execute(_DONE, grading.activation, at)
        return False
    changed = sum(put_grade(session, row, grading.rubric, at) for row in rows)
    await session.flush()
    await connection.execute(_MOVE_ON, grading.activation, rows[-1].id, len(rows), changed, at)
    return True


async def ungraded(connection: "Connection[Record]") -> int:
    """How many leads the open grading has not come to yet; at least one until it is done."""
    count: int = await connection.fetchval(_UNGRADED)
    return count


_OPEN = """
SELECT id, rubric, after_lead FROM activation WHERE state IN ('waiting', 'running') FOR UPDATE SKIP LOCKED
"""

_UNGRADED = """
SELECT coalesce((SELECT greatest(leads - graded, 1) FROM activation WHERE state IN ('waiting', 'running')), 0)
"""

_MOVE_ON = """
UPDATE activation
SET state = 'running', after_lead = $2, graded = graded + $3, changed = changed + $4,
    started_at = coalesce(started_at, $5)
WHERE id = $1
"""

_DONE = """
UPDATE activation SET state = 'done', finished_at = $2, started_at = coalesce(started_at, $2) WHERE id = $1
"""
