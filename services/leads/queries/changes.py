"""What becomes of a lead: each change is a version of its own, made under the lock of the lead's row."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from chassis import outbox
from chassis.clock import now
from chassis.db import driver
from chassis.ids import uuid7
from contracts.event import Event, seconds_late
from contracts.leads import (
    LeadAssigned,
    LeadDisqualified,
    LeadFactWithdrawn,
    LeadGraded,
    LeadLost,
    LeadQualified,
    LeadReopened,
    LeadWon,
    Order,
)
from contracts.loss import LossReason
from contracts.telling import AlreadyWithdrawn
from services.leads.domain.leads import Change, LeadNotFound
from services.leads.domain.moves import (
    CHANGES,
    FACTS,
    LeadStatus,
    NewMove,
    NoMoveToUndo,
    check_not_before,
    move,
    status_after,
)
from services.leads.domain.rubrics import Graded, Rubric, Seen, grade
from services.leads.models.leads import LeadRow, VersionRow
from services.leads.queries.reach import check_reach


async def lead_to_change(session: AsyncSession, lead_id: UUID) -> LeadRow:
    """The lead, locked until the transaction ends, so that its events keep their order."""
    row = await session.get(LeadRow, lead_id, with_for_update={"key_share": True}, populate_existing=True)
    if row is None:
        raise LeadNotFound("There is no such lead.")
    check_reach(session, row.owner_id, row.team_id)
    return row


async def leads_to_change(session: AsyncSession, lead_ids: Iterable[UUID]) -> dict[UUID, LeadRow]:
    """Leads, locked in the order of their ids; without those withdrawn."""
    statement = (
        select(LeadRow)
        .where(col(LeadRow.id).in_(list(lead_ids)))
        .order_by(col(LeadRow.id))
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    return {row.id: row for row in await session.scalars(statement) if row.withdrawn_at is None}


def make_move(session: AsyncSession, row: LeadRow, told: NewMove) -> VersionRow:
    """Move a locked lead; return the version that this made.

    Raises `IllegalMove`, `BeforeCapture` or `AlreadyWithdrawn`.
    """
    _refuse_withdrawn(row)
    at = now()
    occurred_at = told.occurred_at or max(at, row.occurred_at)
    status = move(LeadStatus(row.status), told.to)
    check_not_before(occurred_at, row.occurred_at)
    row.status = status
    [event_id] = outbox.append(session, _moved(row, told, occurred_at))
    return _version(
        session,
        row,
        CHANGES[status],
        occurred_at,
        at,
        event_id=event_id,
        reason=told.reason,
        competitor=told.competitor,
        amount_minor=told.amount_minor,
        currency=told.currency,
        import_id=told.import_id,
    )


def _moved(row: LeadRow, told: NewMove, occurred_at: datetime) -> Event:
    about: dict[str, Any] = {"subject": row.identity_id, "occurred_at": occurred_at, "lead_id": row.id}
    reason = told.reason or LossReason.UNKNOWN
    match told.to:
        case LeadStatus.QUALIFIED:
            return LeadQualified(**about)
        case LeadStatus.DISQUALIFIED:
            return LeadDisqualified(**about, reason=reason)
        case LeadStatus.WON:
            bought = told.amount_minor is not None and told.currency is not None
            return LeadWon(
                **about, order=Order(amount_minor=told.amount_minor, currency=told.currency) if bought else None
            )
        case LeadStatus.LOST:
            return LeadLost(**about, reason=reason, competitor=told.competitor)
        case LeadStatus.NEW:
            return LeadReopened(**about)


async def undo(session: AsyncSession, row: LeadRow) -> None:
    """Take the last move of a locked lead back, whose fact then never counted. Raises `NoMoveToUndo`."""
    _refuse_withdrawn(row)
    moves = (await moves_that_count(session, [row.id]))[row.id]
    if not moves:
        raise NoMoveToUndo("No move of this lead counts that could be taken back; withdraw the lead itself.")
    take_back(session, row, moves, moves[-1])


async def undo_moves_of_import(session: AsyncSession, import_id: UUID, limit: int) -> int:
    """Take back what an import said of up to `limit` leads; return of how many, 0 when none is left.

    Where a lead has moved on since, it stays where it is.
    """
    ids = [row["lead_id"] for row in await (await driver(session)).fetch(_MOVED_BY_IMPORT, import_id, limit)]
    rows = await leads_to_change(session, ids)
    moves = await moves_that_count(session, rows)
    for lead_id, row in rows.items():
        for made in [made for made in moves[lead_id] if made.import_id == import_id]:
            take_back(session, row, moves[lead_id], made)
            moves[lead_id].remove(made)
    await session.flush()
    # Also where all of them were withdrawn before they were locked: more may be left.
    return len(ids)


def take_back(session: AsyncSession, row: LeadRow, moves: Sequence[VersionRow], made: VersionRow) -> None:
    """Take one of the moves of a locked lead back."""
    at = now()
    row.status = status_after([Change(each.change) for each in moves if each is not made])
    late_s = seconds_late(made.occurred_at, made.recorded_at)
    withdrawn = LeadFactWithdrawn(subject=row.identity_id, occurred_at=at, fact_id=made.event_id, late_s=late_s)
    [event_id] = outbox.append(session, withdrawn)
    _version(session, row, Change.UNDONE, at, at, event_id=event_id, undoes=made.version)


async def moves_that_count(session: AsyncSession, lead_ids: Iterable[UUID]) -> dict[UUID, list[VersionRow]]:
    """The moves of leads that were not taken back, the oldest first."""
    ids = list(lead_ids)
    undone = select(VersionRow.lead_id, VersionRow.undoes).where(
        col(VersionRow.lead_id).in_(ids), col(VersionRow.undoes).is_not(None)
    )
    gone = {tuple(row) for row in await session.execute(undone)}
    made = (
        select(VersionRow)
        .where(col(VersionRow.lead_id).in_(ids), col(VersionRow.change).in_(list(CHANGES.values())))
        .order_by(col(VersionRow.lead_id), col(VersionRow.version))
    )
    found: defaultdict[UUID, list[VersionRow]] = defaultdict(list)
    for version in await session.scalars(made):
        if (version.lead_id, version.version) not in gone:
            found[version.lead_id].append(version)
    return found


def assign(session: AsyncSession, row: LeadRow, owner_id: UUID | None, team_id: UUID | None) -> None:
    """Give a locked lead to an owner and a team. The same again changes nothing."""
    _refuse_withdrawn(row)
    if (row.owner_id, row.team_id) == (owner_id, team_id):
        return
    at = now()
    row.owner_id, row.team_id, row.owner_version = owner_id, team_id, row.owner_version + 1
    [event_id] = outbox.append(
        session,
        LeadAssigned(
            subject=row.identity_id,
            occurred_at=at,
            lead_id=row.id,
            version=row.owner_version,
            owner_id=owner_id,
            team_id=team_id,
        ),
    )
    _version(session, row, Change.ASSIGNED, at, at, event_id=event_id)


def edit(session: AsyncSession, row: LeadRow, rubric: Rubric, changes: dict[str, Any]) -> None:
    """Give a locked lead other attributes or another note, and the grade that follows. The same changes nothing."""
    _refuse_withdrawn(row)
    told = {name: value for name, value in changes.items() if getattr(row, name) != value}
    if not told:
        return
    at = now()
    for name, value in told.items():
        setattr(row, name, value)
    _version(session, row, Change.EDITED, at, at, attributes=row.attributes, note=row.note)
    if "attributes" in told:
        put_grade(session, row, rubric, at)


def put_grade(session: AsyncSession, row: LeadRow, rubric: Rubric, at: datetime) -> bool:
    """Put a rubric to a locked lead; whether it says something else of it. Another grade is published."""
    given = grade(rubric, Seen(row.source, row.medium, row.campaign, row.attributes))
    before = Graded(type(given.grade)(row.grade), row.points, tuple(row.met))
    if given == before:
        return False
    row.grade, row.points, row.met, row.rubric = given.grade, given.points, list(given.met), rubric.content_hash
    event_ids: tuple[UUID, ...] = ()
    if given.grade is not before.grade:
        event_ids = outbox.append(
            session,
            LeadGraded(
                subject=row.identity_id,
                # Behind that of its capture, which may be dated ahead.
                occurred_at=max(at, row.occurred_at + timedelta(microseconds=1)),
                lead_id=row.id,
                grade=given.grade,
                points=given.points,
                rubric=rubric.content_hash,
            ),
        )
    told = event_ids[0] if event_ids else None
    _version(session, row, Change.GRADED, at, at, event_id=told, grade_event_id=told)
    return True


async def withdraw(session: AsyncSession, row: LeadRow) -> None:
    """Take a locked lead back that never was, and all its facts; its id in the source is free again. Twice is once."""
    if row.withdrawn_at is None:
        at = now()
        row.withdrawn_at = at
        _version(session, row, Change.WITHDRAWN, at, at)
        await session.flush()
        await _withdraw_facts(session, [row.id])


async def withdraw_leads_of_import(session: AsyncSession, import_id: UUID, limit: int) -> int:
    """Withdraw up to `limit` leads of an import; return how many, 0 when none is left."""
    connection = await driver(session)
    ids = [row["id"] for row in await connection.fetch(_LEADS_OF_IMPORT, import_id, limit)]
    rows = await leads_to_change(session, ids)
    await connection.execute(_WITHDRAW, list(rows), now())
    await _withdraw_facts(session, list(rows))
    # Also where all of them were withdrawn before they were locked: more may be left.
    return len(ids)


async def _withdraw_facts(session: AsyncSession, lead_ids: Sequence[UUID]) -> None:
    at = now()
    rows = await (await driver(session)).fetch(_FACTS_THAT_COUNT, lead_ids, list(FACTS))
    outbox.append(
        session,
        *(
            LeadFactWithdrawn(
                subject=row["identity_id"],
                occurred_at=at,
                fact_id=row["event_id"],
                late_s=seconds_late(row["occurred_at"], row["recorded_at"]),
            )
            for row in rows
        ),
    )


def _refuse_withdrawn(row: LeadRow) -> None:
    if row.withdrawn_at is not None:
        raise AlreadyWithdrawn("The lead was withdrawn; capture it anew.")


def _version(
    session: AsyncSession, row: LeadRow, change: Change, occurred_at: datetime, at: datetime, **told: Any
) -> VersionRow:
    row.version += 1
    row.changed_at = at
    kept = {name: getattr(row, name) for name in ("status", "grade", "points", "met", "rubric", "owner_id", "team_id")}
    event_id = told.pop("event_id", None) or uuid7()
    made = VersionRow(
        lead_id=row.id,
        version=row.version,
        change=change,
        event_id=event_id,
        occurred_at=occurred_at,
        recorded_at=at,
        **kept,
        **told,
    )
    session.add(made)
    return made


_MOVED_BY_IMPORT = """
SELECT DISTINCT made.lead_id FROM lead_version AS made JOIN lead ON lead.id = made.lead_id
WHERE made.import_id = $1 AND made.change <> 'captured' AND lead.withdrawn_at IS NULL
  AND NOT EXISTS (
      SELECT FROM lead_version AS undone WHERE undone.lead_id = made.lead_id AND undone.undoes = made.version
  )
ORDER BY made.lead_id LIMIT $2
"""

_LEADS_OF_IMPORT = "SELECT id FROM lead WHERE import_id = $1 AND withdrawn_at IS NULL ORDER BY id LIMIT $2"

_WITHDRAW = """
WITH gone AS (
    UPDATE lead SET withdrawn_at = $2, changed_at = $2, version = version + 1 WHERE id = ANY($1) RETURNING *
)
INSERT INTO lead_version (lead_id, version, change, event_id, occurred_at, recorded_at, status, grade, points, met,
                          rubric, owner_id, team_id)
SELECT id, version, 'withdrawn', gen_random_uuid(), $2, $2, status, grade, points, met, rubric, owner_id, team_id
FROM gone
"""

_FACTS_THAT_COUNT = """
SELECT lead.identity_id, said.event_id, told.occurred_at, told.recorded_at
FROM lead_version AS told JOIN lead ON lead.id = told.lead_id
CROSS JOIN LATERAL (
    SELECT told.event_id, 1 AS place
    WHERE told.change = ANY($2) AND NOT EXISTS (
        SELECT FROM lead_version AS undone WHERE undone.lead_id = told.lead_id AND undone.undoes = told.version
    )
    UNION ALL
    SELECT told.grade_event_id, 2 WHERE told.grade_event_id IS NOT NULL
) AS said
WHERE told.lead_id = ANY($1)
ORDER BY told.lead_id, told.version, said.place
"""
