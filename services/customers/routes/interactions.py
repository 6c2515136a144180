"""Interactions of any department over HTTP."""

from datetime import datetime
from uuid import UUID

from fastapi import APIRouter, Request, Response, status

from chassis import bulk
from chassis.clock import now
from chassis.fields import Instant, PartyId, Whole
from chassis.http import (
    Cursor,
    IfMatch,
    Limit,
    Page,
    Session,
    TransactionalRoute,
    decode_cursor,
    etag,
    page,
    same_version,
)
from chassis.installation import Here
from contracts.customers import Department, Direction, InteractionKind
from contracts.event import Slug
from contracts.identity import Installation, check_not_ahead
from contracts.telling import check_version
from services.customers.domain.interactions import NewInteraction
from services.customers.models.facts import Withdrawal
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
from services.customers.queries.histories import LATEST, present
from services.customers.queries.parties import party
from services.customers.queries.versions import LATEST as LATEST_VERSION

router = APIRouter(prefix="/v1/interactions", tags=["interactions"], route_class=TransactionalRoute)


@router.post("", status_code=status.HTTP_201_CREATED)
async def record_interaction(body: InteractionIn, session: Session, here: Here, response: Response) -> Interaction:
    """Record what passed with a party. The same again, by `source` and `source_id`, changes nothing (200)."""
    [outcome] = await known.record_interactions(session, [_told(body, here)], here)
    interaction_id, made = outcome.accepted()
    response.status_code = status.HTTP_201_CREATED if made else status.HTTP_200_OK
    response.headers["Location"] = f"/v1/interactions/interaction_{interaction_id.hex}"
    return await _shown(session, interaction_id, here, response)


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
    party_id: PartyId | None = None,
    department: Department | None = None,
    kind: InteractionKind | None = None,
    channel: Slug | None = None,
    direction: Direction | None = None,
    problem_id: ProblemId | None = None,
    source: Slug | None = None,
    since: Instant | None = None,
    until: Instant | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[Interaction]:
    """Interactions, the latest first, without those withdrawn. `until` itself is not in the list any more."""
    if party_id is not None:
        await party(session, party_id)
    wanted = present(
        {
            "fact.department = {}": department,
            "fact.kind = {}": kind,
            "fact.channel = {}": channel,
            "fact.direction = {}": direction,
            "fact.problem_id = {}": problem_id,
            "fact.source = {}": source,
            "fact.occurred_at >= {}": since,
            "fact.occurred_at < {}": until,
        }
    )
    before = decode_cursor(cursor, tuple[datetime, UUID]) if cursor else LATEST
    found = await known.interactions(session, here, party_id=party_id, where=wanted, before=before, limit=limit + 1)
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
    [before] = decode_cursor(cursor, tuple[Whole]) if cursor else [LATEST_VERSION]
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
    """Put an interaction right: what is named changes, and the former telling does not count any more."""
    if body.occurred_at is not None:
        check_not_ahead(body.occurred_at, now())
    told = await known.interaction(session, interaction_id, here)
    if body.problem_id is not None and body.problem_id != told.problem_id:
        await known.check_problem(session, body.problem_id)
    subject = await corrections.right_subject(session, told, body, here)
    row = await known.interaction_to_change(session, interaction_id)
    same_version(seen, row.version)
    check_version(body.version, row.version)
    await corrections.correct_interaction(session, row, body, subject)
    return await _shown(session, interaction_id, here, response)


@router.post("/{interaction_id}/withdraw")
async def withdraw_interaction(
    interaction_id: InteractionId, body: Withdrawal, session: Session, here: Here, response: Response, seen: IfMatch
) -> Interaction:
    """Take an interaction back that never happened; a problem that it opened stays. Twice is once."""
    row = await known.interaction_to_change(session, interaction_id)
    if row.withdrawn_at is None:
        same_version(seen, row.version)
        check_version(body.version, row.version)
        await corrections.withdraw(session, row)
    return await _shown(session, interaction_id, here, response)


def _told(body: InteractionIn, here: Installation) -> NewInteraction:
    check_not_ahead(body.occurred_at, now())
    return body.interaction(here)


async def _shown(session: Session, interaction_id: UUID, here: Installation, response: Response) -> Interaction:
    interaction = await known.interaction(session, interaction_id, here)
    response.headers["ETag"] = etag(interaction.version)
    return interaction
