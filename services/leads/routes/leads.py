"""Leads over HTTP: captured, listed, edited, moved, assigned and taken back."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response, status

from chassis import bulk
from chassis.auth import Actor
from chassis.clock import now
from chassis.contact import check_search
from chassis.fields import Instant, PartyId, SourceId, TeamId, UserId, Versioned, Whole, Withdrawal
from chassis.http import (
    LAST_VERSION,
    LATEST,
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
from contracts.event import Slug
from contracts.identity import BadIdentifier, Installation, Scheme, check_not_ahead
from contracts.leads import Grade
from contracts.sources import SourceNotNamed
from services.leads.domain.leads import NewLead
from services.leads.domain.moves import MOVES, OPERATIONS, LeadStatus, NewMove
from services.leads.models.capture import LeadIn, LeadOutcome
from services.leads.models.changes import Assigned, Disqualified, LeadEdit, Lost, Moved, Won
from services.leads.models.fields import LeadId
from services.leads.models.leads import Lead, LeadRow, LeadSummary, LeadVersion, LegalMove, LegalMoves
from services.leads.queries import changes
from services.leads.queries import leads as known
from services.leads.queries.capture import capture_leads
from services.leads.queries.reach import assigned, check_team
from services.leads.queries.rubrics import in_force

router = APIRouter(prefix="/v1/leads", tags=["leads"], route_class=TransactionalRoute)
commands = APIRouter(prefix="/v1/leads", tags=["leads"], route_class=JoinedRoute)
"""Those that are joined with others of the moment."""


@commands.post("", status_code=status.HTTP_201_CREATED, response_model=Lead)
async def capture_lead(body: LeadIn, join: Join, here: Here) -> Response:
    """Capture a lead and grade it. The same again, by `system` and `source_id`, changes nothing (200)."""
    return await join(capture_leads_together, _told(body, here))


@router.post("/bulk", openapi_extra=bulk.body_of(LeadIn), response_model_exclude_none=True)
async def capture_leads_in_bulk(request: Request, session: Session, here: Here) -> bulk.BulkOutcome[LeadOutcome]:
    """Capture many leads, one JSON object per line; each has an outcome of its own."""
    rows = await bulk.rows(request, LeadIn, lambda body: _told(body, here))
    taken = [row for row in rows if isinstance(row, NewLead)]
    outcomes = bulk.outcomes(rows, await capture_leads(session, taken))
    return bulk.BulkOutcome[LeadOutcome].model_validate(bulk.told(outcomes, "lead_id"))


@router.get("")
async def list_leads(
    session: Session,
    here: Here,
    actor: Actor,
    lead_status: Annotated[LeadStatus | None, Query(alias="status")] = None,
    grade: Grade | None = None,
    owner_id: UserId | None = None,
    team_id: TeamId | None = None,
    source: Slug | None = None,
    campaign: Slug | None = None,
    since: Instant | None = None,
    until: Instant | None = None,
    party_id: PartyId | None = None,
    scheme: Scheme | None = None,
    system: Slug | None = None,
    value: Annotated[str | None, Query(max_length=400)] = None,
    source_id: SourceId | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[Lead]:
    """Leads, the latest first, without those withdrawn. `until` itself is not in the list any more.

    Of a party; with an identifier (`scheme`, `value`, and for an external id the `system` that gave it); or the one
    that a source told of (`system` and `source_id`, its id there). `source` is where leads came from.
    """
    check_search(actor, scheme)
    named: dict[str, Any] = {}
    if scheme and value is not None and source_id is None:
        named = {"identity_id": here.identity(scheme, value, system=system).id}
    elif scheme or value is not None or (system and source_id is None):
        raise BadIdentifier("Name leads by an identifier (scheme and value), or by their id in their source.")
    elif source_id and system is None:
        raise SourceNotNamed("An id in a source is found in its source; name system, too.")
    elif source_id:
        named = {"system": system, "source_id": source_id}
    wanted = known.Filter(
        status=lead_status,
        grade=grade,
        owner_id=owner_id,
        team_id=team_id,
        source=source,
        campaign=campaign,
        since=since,
        until=until,
        **named,
    )
    before = decode_cursor(cursor, tuple[datetime, UUID]) if cursor else LATEST
    found = await known.leads(session, wanted, here, party_id=party_id, before=before, limit=limit + 1)
    return page(found, limit=limit, key=lambda lead: [lead.occurred_at, lead.id])


@router.get("/moves")
async def list_legal_moves() -> LegalMoves:
    """Where a lead may go from each status, and by which operation."""
    return LegalMoves(
        data=[
            LegalMove(status=status, to=to, operation=OPERATIONS[to])
            for status, allowed in MOVES.items()
            for to in LeadStatus
            if to in allowed
        ]
    )


@router.get("/summary")
async def summarize_leads(
    session: Session,
    owner_id: UserId | None = None,
    team_id: TeamId | None = None,
    source: Slug | None = None,
    campaign: Slug | None = None,
    since: Instant | None = None,
    until: Instant | None = None,
) -> LeadSummary:
    """How many leads there are by status and grade, and what share of them was won. `until` itself is not counted."""
    wanted = known.Filter(
        owner_id=owner_id, team_id=team_id, source=source, campaign=campaign, since=since, until=until
    )
    return await known.summary(session, wanted)


@router.get("/{lead_id}")
async def read_lead(lead_id: LeadId, session: Session, here: Here, response: Response) -> Lead:
    """A lead as it stands, also one that was withdrawn."""
    return await _shown(session, lead_id, here, response)


@router.get("/{lead_id}/versions")
async def list_versions_of_lead(
    lead_id: LeadId, session: Session, limit: Limit = 50, cursor: Cursor = None
) -> Page[LeadVersion]:
    """Every version of a lead and what made it, the last one first."""
    [before] = decode_cursor(cursor, tuple[Whole]) if cursor else [LAST_VERSION]
    found = await known.versions(session, lead_id, before=before, limit=limit + 1)
    return page(found, limit=limit, key=lambda version: [version.version])


@router.patch("/{lead_id}")
async def edit_lead(
    lead_id: LeadId, body: LeadEdit, session: Session, here: Here, response: Response, seen: IfMatch
) -> Lead:
    """Put attributes or the note right: a new version, graded anew; the ones before stay readable."""
    rubric = await in_force(session)
    row = await _to_change(session, lead_id, body, seen)
    changes.edit(session, row, rubric, body.model_dump(exclude_unset=True, exclude={"version"}))
    return await _shown(session, lead_id, here, response)


@router.post("/{lead_id}/qualify")
async def qualify_lead(
    lead_id: LeadId, session: Session, here: Here, response: Response, seen: IfMatch, body: Moved | None = None
) -> Lead:
    """Mark a new lead as worth pursuing."""
    return await _moved(session, lead_id, LeadStatus.QUALIFIED, body or Moved(), here, response, seen)


@router.post("/{lead_id}/disqualify")
async def disqualify_lead(
    lead_id: LeadId, body: Disqualified, session: Session, here: Here, response: Response, seen: IfMatch
) -> Lead:
    """Mark a lead as not worth pursuing, and say why."""
    return await _moved(session, lead_id, LeadStatus.DISQUALIFIED, body, here, response, seen)


@router.post("/{lead_id}/win")
async def win_lead(
    lead_id: LeadId, session: Session, here: Here, response: Response, seen: IfMatch, body: Won | None = None
) -> Lead:
    """Win a lead. With an `order`, that is the purchase; without one it is told as a purchase, or only agreed on."""
    return await _moved(session, lead_id, LeadStatus.WON, body or Won(), here, response, seen)


@router.post("/{lead_id}/lose")
async def lose_lead(
    lead_id: LeadId, body: Lost, session: Session, here: Here, response: Response, seen: IfMatch
) -> Lead:
    """Lose a lead, and say why; `unknown` is followed up."""
    return await _moved(session, lead_id, LeadStatus.LOST, body, here, response, seen)


@router.post("/{lead_id}/reopen")
async def reopen_lead(
    lead_id: LeadId, session: Session, here: Here, response: Response, seen: IfMatch, body: Moved | None = None
) -> Lead:
    """Open a lost or disqualified lead again, which showed interest once more."""
    return await _moved(session, lead_id, LeadStatus.NEW, body or Moved(), here, response, seen)


@router.post("/{lead_id}/undo")
async def undo_lead_move(
    lead_id: LeadId, session: Session, here: Here, response: Response, seen: IfMatch, body: Versioned | None = None
) -> Lead:
    """Take the last move back, which was a mistake: the lead stands where it stood before."""
    row = await _to_change(session, lead_id, body, seen)
    await changes.undo(session, row)
    return await _shown(session, lead_id, here, response)


@router.post("/{lead_id}/assign")
async def assign_lead(
    lead_id: LeadId, body: Assigned, session: Session, here: Here, response: Response, seen: IfMatch
) -> Lead:
    """Give a lead to an owner and a team; who is not named takes care of it no longer. The same changes nothing."""
    row = await _to_change(session, lead_id, body, seen)
    check_team(session, body.team_id)
    changes.assign(session, row, body.owner_id, body.team_id)
    return await _shown(session, lead_id, here, response)


@router.post("/{lead_id}/withdraw")
async def withdraw_lead(
    lead_id: LeadId, session: Session, here: Here, response: Response, seen: IfMatch, body: Withdrawal | None = None
) -> Lead:
    """Take a lead back that never was, with everything that became of it. Twice is once."""
    row = await changes.lead_to_change(session, lead_id)
    if row.withdrawn_at is None:
        check_seen(row.version, seen, body.version if body else None)
        await changes.withdraw(session, row)
    return await _shown(session, lead_id, here, response)


def _told(body: LeadIn, here: Installation) -> NewLead:
    check_not_ahead(body.occurred_at, now())
    return body.lead(here)


async def _to_change(session: Session, lead_id: UUID, body: Versioned | None, seen: int | None) -> LeadRow:
    row = await changes.lead_to_change(session, lead_id)
    check_seen(row.version, seen, body.version if body else None)
    return row


async def _moved(
    session: Session,
    lead_id: UUID,
    to: LeadStatus,
    body: Moved,
    here: Installation,
    response: Response,
    seen: int | None,
) -> Lead:
    check_not_ahead(body.occurred_at, now())
    row = await _to_change(session, lead_id, body, seen)
    changes.make_move(session, row, NewMove(to=to, **body.told()))
    return await _shown(session, lead_id, here, response)


def _assigned(session: Session, told: NewLead) -> NewLead:
    owner_id, team_id = assigned(session, told.owner_id, told.team_id)
    if (owner_id, team_id) == (told.owner_id, told.team_id):
        return told
    return replace(told, owner_id=owner_id, team_id=team_id)


async def capture_leads_together(
    session: Session, rows: Sequence[NewLead], here: Installation, origins: Origins
) -> list[Answer]:
    """Capture the leads of any number of commands; the answer to each."""
    outcomes = await capture_leads(session, [_assigned(session, row) for row in rows], origins)
    return answers(outcomes, await known.recorded_leads(session, outcomes, here), "/v1/leads/lead_")


async def _shown(session: Session, lead_id: UUID, here: Installation, response: Response) -> Lead:
    lead = await known.lead(session, lead_id, here)
    response.headers["ETag"] = etag(lead.version)
    return lead
