"""Reports on everybody: each reads every party, or a sample, and looks at a bounded range of days."""

from datetime import date
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from fastapi import APIRouter, Query, Request

from chassis.clock import now
from chassis.fields import Day
from chassis.http import Cursor, Limit, Page, decode_cursor, encode_cursor
from contracts.scoring import Stage
from services.scoring.domain.reports import purchases
from services.scoring.domain.reports.association import proven
from services.scoring.domain.reports.flows import Flow, Flows
from services.scoring.domain.reports.losses import Losses
from services.scoring.domain.reports.periods import ReportAhead, period
from services.scoring.domain.reports.sentences import of_association, of_win_back
from services.scoring.domain.reports.weeks import monday
from services.scoring.domain.reports.winback import WinBack
from services.scoring.models.reports import populations as shown
from services.scoring.models.standings import Move
from services.scoring.queries.reports import populations
from services.scoring.queries.reports.seeing import last_day
from services.scoring.queries.rulings import present
from services.scoring.routes.reach import CareOf
from services.scoring.routes.reports.asking import reported
from services.scoring.routes.snapshots import Snapshot

router = APIRouter()

Within = Annotated[int, Query(ge=1, le=3_650)]
Nobody = Literal["none"]
Starts = Annotated[int, Query(ge=1, le=12)]
WeekCount = Annotated[int, Query(ge=1, le=53)]


@router.get("/satisfaction-and-sales")
async def relate_satisfaction_to_sales(
    request: Request, snapshot: Snapshot, lag_days: Within = 90, starts: Starts = 4, as_of: Day | None = None
) -> shown.SatisfactionAndSales:
    """Does satisfaction go with later purchases? A rank correlation with its uncertainty; `not_proven` where it is so.

    At the end of each of several past days, `lag_days` apart, the index of customers is held against the days on which
    they bought in the `lag_days` after it. Of more than 20,000 customers as many are drawn: the answer takes some
    seconds and no more however many there are. A correlation is no cause.
    """
    until = await last_day(snapshot, as_of, now())
    days = [until.toordinal() - lag_days * back for back in range(starts, 0, -1)]
    found = await reported(request, snapshot, populations.satisfaction_and_sales, days, lag_days, until, now())
    return shown.SatisfactionAndSales(
        as_of=until,
        lag_days=lag_days,
        starts=[date.fromordinal(day) for day in days],
        sampled=found.sampled,
        whole=shown.Association.model_validate(found.whole),
        without_purchases=shown.Association.model_validate(found.without_purchases),
        verdict=proven(found.whole, found.without_purchases),
        sentence=of_association(found.whole, found.without_purchases, lag_days),
    )


@router.get("/sales-weeks")
async def measure_sales_by_week(
    request: Request, snapshot: Snapshot, until: Day | None = None, weeks: WeekCount = 12
) -> shown.SalesWeeks:
    """How many prospects there are, how much they want to buy and how fast they do, for whole weeks up to a local day.

    Of the week of `until` only what happened up to that day counts. What happens later says nothing of a week: each can
    be computed again. It reads every party, and is about a year at most.
    """
    last = await last_day(snapshot, until, now())
    first = monday(last.toordinal()) - 7 * (weeks - 1)
    found = await reported(request, snapshot, populations.sales_weeks, first, weeks, last, now())
    policy = (await present(snapshot)).ruling.policy.name
    return shown.SalesWeeks(as_of=last, policy=policy, data=[shown.SalesWeek.of(week) for week in found.weeks])


@router.get("/purchase-kinds")
async def classify_purchases(
    request: Request,
    snapshot: Snapshot,
    since: Day | None = None,
    until: Day | None = None,
    add_on_days: Within = purchases.ADD_ON_DAYS,
) -> shown.PurchaseKinds:
    """What purchase days were, month by month: referred, first, upgrade, add_on, repeat; each day is exactly one.

    Without days, the last 365. It reads every party.
    """
    first, last = period(since, until, known=await last_day(snapshot, until, now()))
    kinds = purchases.KindsByMonth(first, last, add_on_days)
    kinds = await reported(request, snapshot, populations.kinds_by_month, kinds, last, now())
    return shown.PurchaseKinds(
        since=first,
        until=last,
        add_on_days=add_on_days,
        currency=(await present(snapshot)).currency,
        data=[shown.MonthOfKinds.of(kinds, month) for month in kinds.months()],
    )


@router.get("/second-purchases")
async def measure_second_purchases(
    request: Request,
    snapshot: Snapshot,
    since: Day | None = None,
    until: Day | None = None,
    within_days: Within = 90,
    as_of: Day | None = None,
) -> shown.SecondPurchases:
    """Of those who bought for the first time in a month, who bought again within so many days.

    `since` and `until` bound the first purchase; without them, the last 365 days. It reads every party.
    """
    known = await last_day(snapshot, as_of, now())
    until = until and await last_day(snapshot, until, now())
    first, last = period(since, until, known=known)
    second = purchases.SecondPurchases(first, last, within_days=within_days, known=known.toordinal())
    second = await reported(request, snapshot, populations.second_purchases, second, known, now())
    return shown.SecondPurchases.of(second)


@router.post("/win-back")
async def judge_win_back(asked: shown.NewWinBack, request: Request, snapshot: Snapshot) -> shown.WinBack:
    """Of the customers that stood lost after a day, how many came back: those who were contacted beside the others.

    It reads every party. Nobody drew lots who is called, so that a difference need not be the calls' doing.
    """
    known = await last_day(snapshot, None, now())
    if asked.lost_on > known:
        raise ReportAhead("Who will stand lost is not known.", last=known.isoformat())
    programme = WinBack(
        asked.lost_on.toordinal(),
        contact_days=asked.contact_days,
        within_days=asked.within_days,
        listed=asked.party_ids is not None,
    )
    programme, not_lost = await reported(
        request, snapshot, populations.win_back, programme, asked.party_ids, known, now()
    )
    currency = (await present(snapshot)).currency
    return shown.WinBack.of(
        programme, known=known, not_lost=not_lost, currency=currency, sentence=of_win_back(programme)
    )


@router.get("/losses")
async def count_losses(
    request: Request, snapshot: Snapshot, since: Day | None = None, until: Day | None = None
) -> shown.LossesByMonth:
    """Who was lost, month by month, with the reason, as the facts known now imply it under the present policy.

    Without days, the last 365. It reads every party. `GET /v1/losses` lists who is lost now.
    """
    first, last = period(since, until, known=await last_day(snapshot, until, now()))
    found = await reported(request, snapshot, populations.losses_by_month, Losses(first, last), last, now())
    return shown.LossesByMonth.of(found, (await present(snapshot)).ruling)


@router.get("/flows")
async def count_flows(
    request: Request, snapshot: Snapshot, care: CareOf, since: Day | None = None, until: Day | None = None
) -> shown.FlowsBetweenStages:
    """From where to where parties moved in a period, and how many stood where on days of it, as the facts known now
    imply it under the present policy.

    Without days, the last 365. Of more than 20,000 parties as many are drawn, and counts are what that comes to for
    all: the answer takes some seconds and no more however many there are.
    """
    first, last = period(since, until, known=await last_day(snapshot, until, now()))
    found, drawn, parties = await reported(request, snapshot, populations.flows, Flows(first, last), care, now())
    return shown.FlowsBetweenStages.of(found, drawn, parties)


@router.get("/flows/moves")
async def list_moves_of_flow(
    request: Request,
    snapshot: Snapshot,
    care: CareOf,
    from_stage: Stage | Nobody,
    to_stage: Stage | Nobody,
    since: Day | None = None,
    until: Day | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[Move]:
    """The moves that a flow counts, each with its party: as many as its count where everybody was looked at for it.

    `none` stands for no stage: of those who became known, or of whom nothing is left. They come by party and day, and
    are computed: a page may be short, also empty, though there are more.
    """
    first, last = period(since, until, known=await last_day(snapshot, until, now()))
    flow = Flow(_stage(from_stage), _stage(to_stage), first, last)
    after = decode_cursor(cursor, tuple[UUID, UUID]) if cursor else None
    moved, place = await reported(request, snapshot, populations.moves_of_flow, flow, care, after, limit, now())
    return Page(
        data=[Move(party_id=party_id, **msgspec.structs.asdict(move)) for party_id, _, move in moved],
        has_more=place is not None,
        next_cursor=encode_cursor(*place) if place else None,
    )


def _stage(asked: Stage | Nobody) -> Stage | None:
    return None if asked == "none" else asked
