"""The same measures of everybody, of groups, and of each party of a group."""

from collections.abc import Mapping
from typing import Annotated, TypeVar
from uuid import UUID

from fastapi import APIRouter, Query, Request

from chassis.clock import now
from chassis.fields import Day
from chassis.http import Cursor, Limit, decode_cursor, page
from services.scoring.domain.reports.zoom import Measures, ZoomBy
from services.scoring.models.reports import zooming as shown
from services.scoring.queries.reports import zooming
from services.scoring.queries.reports.apart import Report
from services.scoring.queries.rulings import Connection, present
from services.scoring.routes.reach import CareOf
from services.scoring.routes.reports.asking import reported
from services.scoring.routes.snapshots import Snapshot

router = APIRouter()

T = TypeVar("T")


@router.get("/zoom")
async def zoom(
    request: Request,
    snapshot: Snapshot,
    care: CareOf,
    level: shown.Level = shown.Level.POPULATION,
    by: ZoomBy = ZoomBy.STAGE,
    segment: Annotated[str | None, Query(max_length=100, pattern=r"^[^\x00]*$")] = None,
    as_of: Day | None = None,
    within_days: Annotated[int, Query(ge=0, le=3_650)] = 30,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> shown.Zoom:
    """The same measures of everybody, of groups, or of each party of a group: as stored, or after a whole local day.

    Parts add up to the whole exactly. As stored, groups take half a second for a million parties; as of a day, and by
    `kind`, every party is read, and a page of parties reads on until it is full.
    """
    asked = zooming.Zoomed(by, as_of, within_days, now(), care)
    ruling = (await present(snapshot)).ruling
    found = shown.Zoom(
        level=level,
        by=by,
        as_of=as_of,
        within_days=within_days,
        currency=ruling.rates.currency,
        calibration=ruling.calibration,
        data=[],
    )
    if level is shown.Level.PARTY:
        after = decode_cursor(cursor, tuple[UUID])[0] if cursor else None
        rows = page(
            await _read(request, snapshot, zooming.members, asked, segment, after, limit + 1),
            limit=limit,
            key=lambda part: [part.party_id],
        )
        data = [
            shown.Zoomed(segment=part.segment, party_id=part.party_id, measures=_measures(part.measures))
            for part in rows.data
        ]
        return found.model_copy(update={"data": data, "has_more": rows.has_more, "next_cursor": rows.next_cursor})
    groups = await _read(request, snapshot, zooming.segments, asked)
    if level is shown.Level.POPULATION:
        whole = sum(groups.values(), Measures())
        return found.model_copy(update={"data": [shown.Zoomed(segment=None, measures=_measures(whole))]})
    return found.model_copy(update={"data": _groups(groups, segment)})


async def _read(
    request: Request, snapshot: Connection, report: Report[T], asked: zooming.Zoomed, *arguments: object
) -> T:
    """What one statement tells as it is stored, at once; what is computed from every party, as such a report."""
    if asked.stored:
        return await report(snapshot, asked, *arguments)
    return await reported(request, snapshot, report, asked, *arguments)


def _groups(groups: Mapping[str, Measures], wanted: str | None) -> list[shown.Zoomed]:
    return [
        shown.Zoomed(segment=segment, measures=_measures(measures))
        for segment, measures in sorted(groups.items())
        if wanted in (None, segment)
    ]


def _measures(measures: Measures) -> shown.Measures:
    return shown.Measures.model_validate(measures)
