"""What became of leads that are named by their ids in a source."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import driver
from contracts.identity import Installation
from contracts.loss import LossReason
from contracts.problems import Problem
from contracts.telling import Outcome, Status
from services.leads.domain.leads import LeadNotFound
from services.leads.domain.moves import CHANGES, MOVES, IllegalMove, LeadStatus, NewMove, ToldOutcome
from services.leads.models.leads import LeadRow, VersionRow
from services.leads.queries.changes import leads_to_change, make_move, moves_that_count


async def record_outcomes(
    session: AsyncSession, told: Sequence[ToldOutcome], here: Installation, *, system: str, import_id: UUID
) -> list[Outcome]:
    """Move leads by what a source says of them; return what became of each, in the order of the rows.

    What the last move said already is a duplicate; where it said otherwise, that is a conflict.
    """
    found = await (await driver(session)).fetch(_NAMED, system, sorted({each.lead_id for each in told}))
    rows = await leads_to_change(session, [row["id"] for row in found])
    moves = await moves_that_count(session, rows)
    # Read under the lock: one that was withdrawn, and told anew under another id, meanwhile is gone.
    by_name = {row.source_id: row for row in rows.values()}
    outcomes: list[Outcome] = []
    for each in told:
        row = by_name.get(each.lead_id)
        if row is None:
            outcomes.append(Outcome(Status.REJECTED, problem=LeadNotFound("No lead of this source has this id.")))
        else:
            outcomes.append(_moved(session, row, moves[row.id], replace(each.move, import_id=import_id), here))
    await session.flush()
    return outcomes


def _moved(session: AsyncSession, row: LeadRow, moves: list[VersionRow], told: NewMove, here: Installation) -> Outcome:
    said = told.occurred_at
    if said is None or (said < row.occurred_at and here.day(said) == here.day(row.occurred_at)):
        # A day without a time is that of the capture: it happened then.
        told = replace(told, occurred_at=row.occurred_at)
    if moves and moves[-1].change == CHANGES[told.to]:
        same = _same(moves[-1], told, any_time=said is None)
        return Outcome(Status.DUPLICATE if same else Status.CONFLICT, row.id)
    if told.to not in MOVES[LeadStatus(row.status)]:
        return Outcome(Status.CONFLICT, row.id, IllegalMove(LeadStatus(row.status), told.to))
    try:
        moves.append(make_move(session, row, told))
    except Problem as problem:
        return Outcome(Status.REJECTED, row.id, problem)
    return Outcome(Status.ACCEPTED, row.id)


def _same(made: VersionRow, told: NewMove, *, any_time: bool) -> bool:
    """Whether nothing that is told contradicts the move that was made; what is not said contradicts nothing."""
    return (
        (any_time or made.occurred_at == told.occurred_at)
        and told.reason in (None, LossReason.UNKNOWN, made.reason)
        and (told.amount_minor is None or (told.amount_minor, told.currency) == (made.amount_minor, made.currency))
    )


_NAMED = "SELECT id FROM lead WHERE system = $1 AND source_id = ANY($2) AND withdrawn_at IS NULL ORDER BY id"
