"""Interactions of any department over HTTP."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Request, Response, status

from chassis import bulk
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
    page,
)
from chassis.installation import Here
from chassis.joining import Answer, Join, JoinedRoute, answers
from chassis.outbox import Origins
from contracts.customers import Department, Direction, InteractionKind
from contracts.event import Slug
from contracts.identity import Installation, check_not_ahead
from services.customers.domain.interactions import NewInteraction
from services.customers.models.fields import InteractionId, ProblemId
from services.customers.models.interactions import (
    Interaction,
    InteractionCorrection,
    InteractionIn,
    InteractionOutcome,
    InteractionVersion,
)
from services.customers.queries import corrections
from services.customers.queries import interactions as known
from services.customers.queries.histories import Condition
from services.customers.queries.problems import OWNED
from services.customers.routes.lists import WhatIsAsked

router = APIRouter(prefix="/v1/interactions", tags=["interactions"], route_class=TransactionalRoute)
commands = APIRouter(prefix="/v1/interactions", tags=["interactions"], route_class=JoinedRoute)
"""Those that are joined with others of the moment."""


@commands.post("", status_code=status.HTTP_201_CREATED, response_model=Interaction)
async def record_interaction(body: InteractionIn, join: Join, here: Here) -> Response:
    """Record what passed with a party. The same again, by `source` and `source_id`, changes nothing (200)."""
    return await join(record_interactions_together, _told(body, here))


@router.post("/bulk", openapi_extra=bulk.body_of(InteractionIn), response_model_exclude_none=True)
async def record_interactions_in_bulk(
    request: Request, session: Session, here: Here
) -> bulk.BulkOutcome[InteractionOutcome]:
    """Record many interactions, one JSON object per line; each has an outcome of its own."""
    rows = await bulk.rows(request, InteractionIn, lambda body: _told(body, here))
    taken = [row for row in rows if isinstance(row, NewInteraction)]
    outcomes = bulk.outcomes(rows, await known.record_interactions(session, taken, here))
    return bulk.BulkOutcome[InteractionOutcome].model_validate(bulk.told(outcomes, "interaction_id"))


@router.get("")
async def list_interactions(
    session: Session,
    here: Here,
    asked: WhatIsAsked,
    department: Department | None = None,
    kind: InteractionKind | None = None,
    channel: Slug | None = None,
    direction: Direction | None = None,
    problem_id: ProblemId | None = None,
    owner_id: UserId | None = None,
    team_id: TeamId | None = None,
    unanswered: bool = False,
    limit: Limit = 50,
) -> Page[Interaction]:
    """Interactions, the latest first, without those withdrawn. `until` itself is not in the list any more.

    `owner_id` and `team_id` are those of the party. With `unanswered`, only what waits for an answer: inquiries,
    contacts, complaints and requests for support from a party that nobody turned to since.
    """
    wanted: list[Condition] = [
        ("fact.department = {}", department),
        ("fact.kind = {}", kind),
        ("fact.channel = {}", channel),
        ("fact.direction = {}", direction),
        ("fact.problem_id = {}", problem_id),
        (OWNED.format(column="owner_id"), owner_id),
        (OWNED.format(column="team_id"), team_id),
        (known.UNANSWERED, known.ASKING if unanswered else None),
    ]
    found = await known.interactions(session, here, **asked.also(wanted)._asdict(), limit=limit + 1)
    return page(found, limit=limit, key=lambda interaction: [interaction.occurred_at, interaction.id])


@router.get("/{interaction_id}")
async def read_interaction(
    interaction_id: InteractionId, session: Session, here: Here, response: Response
) -> Interaction:
    """An interaction as it stands, also one that was withdrawn."""
    return await _shown(session, interaction_id, here, response)


@router.get("/{interaction_id}/versions")
async def list_versions_of_interaction(
    interaction_id: InteractionId, session: Session, here: Here, limit: Limit = 50, cursor: Cursor = None
) -> Page[InteractionVersion]:
    """Every version of an interaction, the latest first: nothing that was put right is lost."""
    [before] = decode_cursor(cursor, tuple[Whole]) if cursor else [LAST_VERSION]
    found = await known.versions_of_interaction(session, interaction_id, here, before=before, limit=limit + 1)
    return page(found, limit=limit, key=lambda version: [version.version])


@router.post("/{interaction_id}/correct")
async def correct_interaction(
    interaction_id: InteractionId,
    body: InteractionCorrection,
    session: Session,
    here: Here,
    response: Response,
    seen: IfMatch,
) -> Interaction:
    """Put an interaction right: what is named changes, and the former telling does not count any more.

    A problem that it opened becomes the right party's with it, if nothing else with the former one is about it.
    """
    check_not_ahead(body.occurred_at, now())
    told = await known.interaction(session, interaction_id, here)
    if body.problem_id is not None and body.problem_id != told.problem_id:
        await known.check_problem(session, body.problem_id)
    subject = await corrections.right_subject(session, told, body, here)
    opened = await corrections.problem_opened_by(session, interaction_id) if subject else None
    row = await known.interaction_to_change(session, interaction_id)
    check_seen(row.version, seen, body.version)
    await corrections.correct_interaction(session, row, body, subject, opened)
    return await _shown(session, interaction_id, here, response)


@router.post("/{interaction_id}/withdraw")
async def withdraw_interaction(
    interaction_id: InteractionId,
    body: Annotated[Withdrawal, Body(default_factory=Withdrawal)],
    session: Session,
    here: Here,
    response: Response,
    seen: IfMatch,
) -> Interaction:
    """Take an interaction back that never happened; a problem that it opened stays. Twice is once."""
    row = await known.interaction_to_change(session, interaction_id)
    if row.withdrawn_at is None:
        check_seen(row.version, seen, body.version)
        await corrections.withdraw(session, row)
    return await _shown(session, interaction_id, here, response)


def _told(body: InteractionIn, here: Installation) -> NewInteraction:
    check_not_ahead(body.occurred_at, now())
    return body.interaction(here)


async def record_interactions_together(
    session: Session, rows: Sequence[NewInteraction], here: Installation, origins: Origins
) -> list[Answer]:
    """Record interactions of any number of commands; the answer to each."""
    outcomes = await known.record_interactions(session, rows, here, origins)
    shown = await known.recorded_interactions(session, outcomes, here)
    return answers(outcomes, shown, "/v1/interactions/interaction_")


async def _shown(session: Session, interaction_id: UUID, here: Installation, response: Response) -> Interaction:
    interaction = await known.interaction(session, interaction_id, here)
    response.headers["ETag"] = etag(interaction.version)
    return interaction
