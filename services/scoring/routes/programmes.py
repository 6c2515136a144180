"""Programmes that are to win lost customers back, beside those who are left alone."""

from datetime import date
from uuid import UUID

from fastapi import APIRouter, Request, Response, status

from chassis.auth import Actor
from chassis.clock import now
from chassis.db import driver
from chassis.http import (
    LATEST,
    Cursor,
    Limit,
    Page,
    Session,
    TransactionalRoute,
    decode_cursor,
    made,
    page,
)
from chassis.ids import uuid7
from services.scoring.domain.reports.sentences import of_win_back
from services.scoring.models.fields import AnyInstant, ProgrammeId
from services.scoring.models.programmes import NewProgramme, Programme, ProgrammeMember, ProgrammeResult
from services.scoring.models.reports.populations import WinBack
from services.scoring.queries import programmes
from services.scoring.queries.reports.seeing import last_day
from services.scoring.queries.rulings import present
from services.scoring.routes.reports.asking import reported
from services.scoring.routes.snapshots import Snapshot

router = APIRouter(prefix="/v1/win-back", tags=["follow-ups"])
# What is only read takes a while, and wants no transaction that waits for it.
beginning = APIRouter(prefix="/v1/win-back", tags=["follow-ups"], route_class=TransactionalRoute)


@beginning.post("", status_code=status.HTTP_201_CREATED)
async def begin_win_back(body: NewProgramme, session: Session, actor: Actor, response: Response) -> Programme:
    """Begin a programme for the customers that stand lost now: lots are drawn whom of them to contact.

    Who was drawn, and who was not, stays so. Coming back counts from tomorrow on.
    """
    connection, at, programme_id = await driver(session), now(), uuid7()
    today = date.fromordinal((await present(connection)).ruling.day(at))
    row = await programmes.begin_programme(connection, programme_id, body, today=today, at=at, by=actor.key_id)
    made(response, f"/v1/win-back/programme_{programme_id.hex}", new=True)
    return Programme.stored(row)


@router.get("")
async def list_win_backs(snapshot: Snapshot, limit: Limit = 50, cursor: Cursor = None) -> Page[Programme]:
    """The programmes, the last that began first."""
    before = decode_cursor(cursor, tuple[AnyInstant, UUID]) if cursor else LATEST
    rows = await programmes.programmes(snapshot, before, limit + 1)
    return page(rows, limit=limit, key=lambda row: (row["begun_at"], row["id"])).shown(Programme.stored)


@router.get("/{programme_id}")
async def read_win_back(programme_id: ProgrammeId, request: Request, snapshot: Snapshot) -> ProgrammeResult:
    """A programme with its result so far: who came back of those who were drawn, beside those who were not.

    As lots were drawn, a difference that chance does not make is the doing of the programme.
    """
    row = await programmes.programme(snapshot, programme_id)
    known = await last_day(snapshot, None, now())
    came = await reported(request, snapshot, programmes.what_came, programme_id, known, now())
    currency = (await present(snapshot)).currency
    # Whoever looks every day finds one day what is no more than chance: the last one counts.
    sentence = of_win_back(came.back, by_lot=known.toordinal() > came.back.until)
    result = WinBack.of(came.back, known=known, not_lost=row["not_lost"], currency=currency, sentence=sentence)
    return ProgrammeResult.stored(
        row, result=result, contacted_reached=came.contacted_reached, others_reached=came.others_reached
    )


@router.get("/{programme_id}/members")
async def list_win_back_members(
    programme_id: ProgrammeId,
    snapshot: Snapshot,
    contact: bool | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[ProgrammeMember]:
    """Who is in a programme, by party id: with `contact=true` whom to contact, with `false` whom to leave alone."""
    await programmes.programme(snapshot, programme_id)
    [after] = decode_cursor(cursor, tuple[UUID]) if cursor else [None]
    rows = await programmes.members_of(snapshot, programme_id, contact=contact, after=after, limit=limit + 1)
    return page(rows, limit=limit, key=lambda row: [row["party_id"]]).shown(lambda row: ProgrammeMember(**dict(row)))
