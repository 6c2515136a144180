"""How a party came to stand where it stands."""

from datetime import date
from typing import Annotated
from uuid import UUID

import msgspec
from fastapi import APIRouter, Query

from chassis.clock import now
from chassis.fields import PartyId
from chassis.http import Cursor, Limit, Page, decode_cursor, page
from services.scoring.domain.standing import NoStanding
from services.scoring.domain.trajectory import named, worth_over_time
from services.scoring.models.fields import AnyInstant, AnyWhole
from services.scoring.models.standings import Move, ValuesOverTime, ValueThen
from services.scoring.queries.reading import implied_moves, moment, one
from services.scoring.queries.standings import lived_moves
from services.scoring.routes.reach import CareOf, check_read
from services.scoring.routes.snapshots import Snapshot

router = APIRouter(prefix="/v1/standings", tags=["standings"])

FIRST = date.min, UUID(int=0)
"""The cursor before the first page."""


@router.get("/{party_id}/moves")
async def list_moves(
    party_id: PartyId, snapshot: Snapshot, care: CareOf, lived: bool = False, limit: Limit = 50, cursor: Cursor = None
) -> Page[Move]:
    """Every change of stage or tier, oldest first: the history that the facts imply as they are known now.

    With `lived`, what was announced at the time, also of parties merged into this one since.
    """
    await check_read(snapshot, care, party_id)
    read = await one(snapshot, party_id)
    if read is None:
        raise NoStanding
    holder: UUID = read.row["party_id"]
    then = await moment(snapshot, None, now())
    if lived:
        place = decode_cursor(cursor, tuple[AnyInstant, UUID, AnyWhole]) if cursor else None
        rows = await lived_moves(snapshot, holder, after=place, limit=limit + 1)
        told = [Move(**row, day=date.fromordinal(then.ruling.day(row["occurred_at"]))) for row in rows]
        return page(told, limit=limit, key=lambda move: (move.assessed_at, move.party_id, move.revision))
    implied = named(holder, await implied_moves(snapshot, read, then))
    after = decode_cursor(cursor, tuple[date, UUID]) if cursor else FIRST
    behind = [(id, move) for id, move in implied if (move.day, id) > after]
    found = page(behind, limit=limit, key=lambda row: (row[1].day, row[0]))
    return found.shown(lambda row: Move(party_id=holder, **msgspec.structs.asdict(row[1])))


@router.get("/{party_id}/values")
async def list_values(
    party_id: PartyId, snapshot: Snapshot, care: CareOf, points: Annotated[int, Query(ge=2, le=400)] = 60
) -> ValuesOverTime:
    """What a party was worth at the end of so many local days, evenly spread from the first one on which anything is
    known of it up to today, as the facts known now imply it under the present policy and model."""
    await check_read(snapshot, care, party_id)
    read = await one(snapshot, party_id)
    then = await moment(snapshot, None, now())
    seen = read and then.seen(read.calendar, read.row["assessed_at"])
    if not read or not seen or not seen[0].entries:
        raise NoStanding
    return ValuesOverTime(
        party_id=read.row["party_id"],
        currency=then.ruling.rates.currency,
        data=[
            ValueThen(day=date.fromordinal(day), value_minor=value, stage=stage)
            for day, value, stage in worth_over_time(seen[0], seen[1], then.ruling, points)
        ],
    )
