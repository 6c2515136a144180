"""Problems: opened in sets, solved and opened again one by one under their row lock."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from asyncpg import Record
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import outbox
from chassis.clock import now
from chassis.db import driver
from chassis.ids import uuid7
from contracts.customers import Assignment, ProblemOpened, ProblemSolved, Severity
from contracts.event import seconds_late
from contracts.identity import Installation
from contracts.telling import AlreadyWithdrawn, Outcome, Status
from services.customers.domain.problems import (
    NewProblem,
    ProblemConflict,
    ProblemNotFound,
    ProblemStatus,
    StepKind,
    step,
)
from services.customers.models.problems import PartyProblem, ProblemRow, ProblemStep, StepIn, StepRow
from services.customers.queries.assignments import assignments_of
from services.customers.queries.facts import Kind, record, withdrawn
from services.customers.queries.histories import HOLDER_THEN, Condition, Place, as_it_stands, history, to_change


def _opened(told: NewProblem, id: UUID, subject: UUID, assignment: Assignment | None) -> ProblemOpened:
    return ProblemOpened(
        subject=subject,
        occurred_at=told.occurred_at,
        problem_id=id,
        category=told.category,
        severity=told.severity,
        assignment=assignment,
    )


PROBLEMS = Kind[NewProblem](
    name="problem",
    table="problem",
    own_columns={
        "category": "text",
        "severity": "text",
        "title": "text",
        "description": "text",
        "author_id": "uuid",
        "opened_at": "timestamptz",
    },
    own_values=lambda told: [
        told.category,
        told.severity,
        told.title,
        told.description,
        told.author_id,
        told.occurred_at,
    ],
    conflict=ProblemConflict,
    event=_opened,
    mends="withdraw",
)


async def record_problems(
    session: AsyncSession, rows: Sequence[NewProblem], installation: Installation, origins: outbox.Origins = None
) -> list[Outcome]:
    """Open problems of any number; return what became of each, in their order."""
    outcomes = await record(session, PROBLEMS, rows, installation, origins)
    opened = [outcome.id for outcome in outcomes if outcome.status is Status.ACCEPTED]
    await (await driver(session)).execute(_FIRST_STEPS, opened)
    return outcomes


async def take_step(session: AsyncSession, row: ProblemRow, kind: StepKind, given: StepIn) -> None:
    """Solve a locked problem, or open it again. Raises `IllegalStep`, `StepTooEarly`, `AlreadyWithdrawn`."""
    if row.withdrawn_at is not None:
        raise AlreadyWithdrawn("The problem was withdrawn; open it anew.")
    at = given.occurred_at or now()
    row.status = step(ProblemStatus(row.status), kind, after=row.solved_at or row.opened_at, at=at)
    row.version += 1
    assignment = (await assignments_of(session, [row.identity_id])).get(row.identity_id)
    if kind is StepKind.SOLVED:
        row.solved_at = at
    else:
        row.solved_at, row.opened_at = None, at
    event = _happened(row, kind, at, opened_at=row.opened_at, assignment=assignment)
    taken = StepRow(
        id=uuid7(),
        problem_id=row.id,
        identity_id=row.identity_id,
        version=row.version,
        kind=kind,
        occurred_at=at,
        note=given.note,
        author_id=given.author_id,
        recorded_at=now(),
    )
    session.add(taken)
    outbox.append(session, event, event_ids=[taken.id])


def _happened(
    row: ProblemRow,
    kind: StepKind,
    at: datetime,
    *,
    opened_at: datetime,
    assignment: Assignment | None,
    late_s: int | None = None,
) -> ProblemOpened | ProblemSolved:
    told = {"subject": row.identity_id, "occurred_at": at, "problem_id": row.id}
    told |= {"assignment": assignment, "late_s": late_s}
    if kind is StepKind.SOLVED:
        return ProblemSolved.model_validate({**told, "opened_at": opened_at})
    return ProblemOpened.model_validate({**told, "category": row.category, "severity": Severity(row.severity)})


def _late_s(taken: Record) -> int:
    return seconds_late(taken["occurred_at"], taken["recorded_at"])


async def move_problem(session: AsyncSession, row: ProblemRow, subject: UUID) -> None:
    """Tell a locked problem anew under another subject, step by step: it never was the former one's."""
    connection = await driver(session)
    taken = await connection.fetch(_TAKEN, row.id)
    assignments = await assignments_of(session, [row.identity_id, subject])
    outbox.append(session, *(withdrawn(row.identity_id, each["id"], assignments, _late_s(each)) for each in taken))
    row.identity_id = subject
    events, opened_at = [], row.occurred_at
    for each in taken:
        kind, at = StepKind(each["kind"]), each["occurred_at"]
        opened_at = opened_at if kind is StepKind.SOLVED else at
        held = assignments.get(subject)
        events.append(_happened(row, kind, at, opened_at=opened_at, assignment=held, late_s=_late_s(each)))
    facts = outbox.append(session, *events)
    await connection.execute(_MOVE_STEPS, [each["id"] for each in taken], facts, subject)
    row.fact_id = facts[0]
    row.version += 1


async def withdraw_problem(session: AsyncSession, row: ProblemRow) -> None:
    """Take a locked problem back with all that happened to it; its id in the source is free again. Twice is once."""
    if row.withdrawn_at is None:
        row.withdrawn_at = now()
        row.version += 1
        taken = await (await driver(session)).fetch(_TAKEN, row.id)
        assignments = await assignments_of(session, [row.identity_id])
        outbox.append(session, *(withdrawn(row.identity_id, each["id"], assignments, _late_s(each)) for each in taken))


async def problem_to_change(session: AsyncSession, problem_id: UUID) -> ProblemRow:
    """The problem, locked until the transaction ends, so that its events keep their order."""
    return await to_change(session, ProblemRow, problem_id, _missing())


async def problem(session: AsyncSession, problem_id: UUID, installation: Installation) -> PartyProblem:
    """The problem as it is shown. Raises `ProblemNotFound`."""
    row = await as_it_stands(session, "problem", problem_id, installation, _missing())
    return PartyProblem.model_validate(dict(row))


def _missing() -> ProblemNotFound:
    return ProblemNotFound("There is no such problem.")


async def problems(
    session: AsyncSession,
    installation: Installation,
    *,
    party_id: UUID | None,
    where: Sequence[Condition],
    before: Place,
    limit: int,
) -> list[PartyProblem]:
    """Problems of the party that an id leads to, or of all, the latest first, without those withdrawn."""
    rows = await history(session, "problem", installation, party_id=party_id, where=where, before=before, limit=limit)
    return [PartyProblem.model_validate(dict(row)) for row in rows]


async def steps(session: AsyncSession, problem_id: UUID, *, before: int, limit: int) -> list[ProblemStep]:
    """What happened to a problem, the latest first."""
    rows = await (await driver(session)).fetch(_STEPS, problem_id, before, limit)
    return [ProblemStep.model_validate(dict(row)) for row in rows]


# The identities that such parties hold, at whatever time, are found by indexes; the holder of its day decides.
OWNED = f"""fact.identity_id IN (
    SELECT holding.identity_id FROM party_owner JOIN holding USING (party_id) WHERE party_owner.{{column}} = {{{{0}}}}
    UNION ALL
    SELECT holding.identity_id FROM party_owner
    JOIN party ON party.resolves_to = party_owner.party_id AND party.resolves_to <> party.id
    JOIN holding ON holding.party_id = party.id WHERE party_owner.{{column}} = {{{{0}}}}
) AND EXISTS (
    SELECT FROM party_owner WHERE party_owner.party_id = {HOLDER_THEN} AND party_owner.{{column}} = {{{{0}}}}
)"""
"""Condition: the party has this owner or team; for `str.format`."""

OPEN_SINCE = "fact.status = 'open' AND fact.opened_at <= {}"
"""Condition: open at least since an instant."""

_FIRST_STEPS = """
INSERT INTO problem_step (id, problem_id, identity_id, version, kind, occurred_at, author_id, recorded_at)
SELECT fact_id, id, identity_id, version, 'opened', occurred_at, author_id, recorded_at
FROM problem WHERE id = ANY($1)
"""

_TAKEN = "SELECT id, kind, occurred_at, recorded_at FROM problem_step WHERE problem_id = $1 ORDER BY version"

_MOVE_STEPS = """
UPDATE problem_step SET id = new.id, identity_id = $3 FROM unnest($1::uuid[], $2::uuid[]) AS new(former, id)
WHERE problem_step.id = former
"""

_STEPS = "SELECT * FROM problem_step WHERE problem_id = $1 AND version < $2 ORDER BY version DESC LIMIT $3"
