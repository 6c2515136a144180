"""Problems that parties have with us, over HTTP."""

from datetime import timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Query, Response, status

from chassis.clock import now
from chassis.fields import TeamId, UserId, Whole, Withdrawal
from chassis.http import (
    LAST_VERSION,
    Cursor,
    IfMatch,
    Limit,
    Page,
    Session,
    TransactionalRoute,
    check_seen,
    decode_cursor,
    etag,
    made,
    page,
)
from chassis.installation import Here
from contracts.customers import Severity
from contracts.event import Slug
from contracts.identity import Installation, check_not_ahead
from services.customers.domain.problems import ProblemStatus, StepKind
from services.customers.models.fields import ProblemId
from services.customers.models.problems import PartyProblem, ProblemIn, ProblemStep, StepIn
from services.customers.queries import problems as known
from services.customers.queries.histories import Condition
from services.customers.routes.lists import WhatIsAsked

router = APIRouter(prefix="/v1/problems", tags=["problems"], route_class=TransactionalRoute)


@router.post("", status_code=status.HTTP_201_CREATED)
async def open_problem(body: ProblemIn, session: Session, here: Here, response: Response) -> PartyProblem:
    """Open a problem of a party. The same again, by `source` and `source_id`, changes nothing (200)."""
    check_not_ahead(body.occurred_at, now())
    [outcome] = await known.record_problems(session, [body.problem(here)], here)
    problem_id, new = outcome.accepted()
    made(response, f"/v1/problems/problem_{problem_id.hex}", new=new)
    return await _shown(session, problem_id, here, response)


@router.get("")
async def list_problems(
    session: Session,
    here: Here,
    asked: WhatIsAsked,
    status: ProblemStatus | None = None,
    category: Slug | None = None,
    severity: Severity | None = None,
    owner_id: UserId | None = None,
    team_id: TeamId | None = None,
    open_days: Annotated[int | None, Query(ge=0, le=36_500)] = None,
    limit: Limit = 50,
) -> Page[PartyProblem]:
    """Problems, the latest first, without those withdrawn. `since` and `until`, which is not in the list any more, are
    about when they were opened first, `open_days` about how long they have been open at least; `owner_id` and `team_id`
    are those of the party."""
    wanted: list[Condition] = [
        ("fact.status = {}", status),
        ("fact.category = {}", category),
        ("fact.severity = {}", severity),
        (known.OWNED.format(column="owner_id"), owner_id),
        (known.OWNED.format(column="team_id"), team_id),
        (known.OPEN_SINCE, None if open_days is None else now() - timedelta(days=open_days)),
    ]
    found = await known.problems(session, here, **asked.also(wanted)._asdict(), limit=limit + 1)
    return page(found, limit=limit, key=lambda problem: [problem.occurred_at, problem.id])


@router.get("/{problem_id}")
async def read_problem(problem_id: ProblemId, session: Session, here: Here, response: Response) -> PartyProblem:
    """A problem as it stands, also one that was withdrawn."""
    return await _shown(session, problem_id, here, response)


@router.get("/{problem_id}/steps")
async def list_steps_of_problem(
    problem_id: ProblemId, session: Session, here: Here, limit: Limit = 50, cursor: Cursor = None
) -> Page[ProblemStep]:
    """What happened to a problem, the latest first: opened, solved, opened again."""
    await known.problem(session, problem_id, here)
    [before] = decode_cursor(cursor, tuple[Whole]) if cursor else [LAST_VERSION]
    found = await known.steps(session, problem_id, before=before, limit=limit + 1)
    return page(found, limit=limit, key=lambda step: [step.version])


@router.post("/{problem_id}/solve")
async def solve_problem(
    problem_id: ProblemId,
    body: Annotated[StepIn, Body(default_factory=StepIn)],
    session: Session,
    here: Here,
    response: Response,
    seen: IfMatch,
) -> PartyProblem:
    """Say that a problem is solved."""
    return await _stepped(session, problem_id, StepKind.SOLVED, body, here, response, seen)


@router.post("/{problem_id}/reopen")
async def reopen_problem(
    problem_id: ProblemId,
    body: Annotated[StepIn, Body(default_factory=StepIn)],
    session: Session,
    here: Here,
    response: Response,
    seen: IfMatch,
) -> PartyProblem:
    """Open a solved problem again: it is there still, or again."""
    return await _stepped(session, problem_id, StepKind.REOPENED, body, here, response, seen)


@router.post("/{problem_id}/withdraw")
async def withdraw_problem(
    problem_id: ProblemId,
    body: Annotated[Withdrawal, Body(default_factory=Withdrawal)],
    session: Session,
    here: Here,
    response: Response,
    seen: IfMatch,
) -> PartyProblem:
    """Take a problem back that was opened by mistake, with all its steps. Twice is once."""
    row = await known.problem_to_change(session, problem_id)
    if row.withdrawn_at is None:
        check_seen(row.version, seen, body.version)
        await known.withdraw_problem(session, row)
    return await _shown(session, problem_id, here, response)


async def _stepped(
    session: Session,
    problem_id: UUID,
    kind: StepKind,
    body: StepIn,
    here: Installation,
    response: Response,
    seen: int | None,
) -> PartyProblem:
    check_not_ahead(body.occurred_at, now())
    row = await known.problem_to_change(session, problem_id)
    check_seen(row.version, seen, body.version)
    await known.take_step(session, row, kind, body)
    return await _shown(session, problem_id, here, response)


async def _shown(session: Session, problem_id: UUID, here: Installation, response: Response) -> PartyProblem:
    problem = await known.problem(session, problem_id, here)
    response.headers["ETag"] = etag(problem.version)
    return problem
