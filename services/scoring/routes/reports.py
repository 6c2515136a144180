"""What managers ask of many standings at once. Reports change nothing; `docs/reports.md` says how to read each."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from chassis.clock import now
from chassis.fields import Day, PartyId
from chassis.http import Cursor, Limit, decode_cursor, page
from services.scoring.domain.days import start_of_day
from services.scoring.domain.reports import losses, purchases
from services.scoring.domain.reports.losses import SegmentBy
from services.scoring.domain.reports.periods import BadPeriod, period
from services.scoring.domain.reports.sentences import of_association, of_win_back
from services.scoring.domain.reports.surprises import Stands, agreed, missed, over_rated
from services.scoring.domain.reports.weeks import monday
from services.scoring.domain.reports.winback import WinBack
from services.scoring.domain.reports.zoom import Measures, ZoomBy
from services.scoring.domain.standing import NoStanding
from services.scoring.models import reports as shown
from services.scoring.queries.reports import comparing, populations, zooming
from services.scoring.queries.reports.seeing import last_day, survivors, those
from services.scoring.queries.rulings import present
from services.scoring.routes.snapshots import Snapshot

router = APIRouter(prefix="/v1/reports", tags=["reports"])

Within = Annotated[int, Query(ge=1, le=3_650)]
Soon = Annotated[int, Query(ge=0, le=3_650)]
Starts = Annotated[int, Query(ge=1, le=12)]
WeekCount = Annotated[int, Query(ge=1, le=53)]


@router.post("/surprises")
async def compare_with_a_list(asked: shown.NewSurprises, snapshot: Snapshot) -> shown.Surprises:
    """Where a manager's own list differs from what the facts say, as standings are stored now, each with its reason.

    Ids of parties merged since count as the party that they are now. A tier means that tier or a higher one.
    """
    here = await present(snapshot)
    held, currency, rule = asked.held_as, here.currency, here.ruling.policy.vip
    leads = await survivors(snapshot, asked.party_ids)
    named = await comparing.named(snapshot, list(set(leads.values())), here.ruling, now())
    agree = [each for each in named if each.stands is not None and each.stands.derived(held)]
    less = [each for each in named if each.stands is None or not each.stands.derived(held)]
    others = await comparing.missed(
        snapshot, held, [each.party_id for each in named],
        owner_id=asked.owner_id, team_id=asked.team_id, limit=asked.limit,
    )  # fmt: skip
    return shown.Surprises(
        held_as=held,
        currency=currency,
        named=len(named),
        agreements=[
            _surprise(each.party_id, each.stands, agreed(each.stands, held, currency)) for each in agree if each.stands
        ],
        missed=[_surprise(party_id, stands, missed(stands, held, currency)) for party_id, stands in others.first],
        missed_total=others.total,
        missed_value_minor=others.value_minor,
        over_rated=[
            _surprise(each.party_id, each.stands, over_rated(each.stands, held, currency, rule, each.facts))
            for each in less
        ],
        unknown=[party_id for party_id in dict.fromkeys(asked.party_ids) if party_id not in leads],
    )


@router.get("/satisfaction-and-sales")
async def relate_satisfaction_to_sales(
    snapshot: Snapshot, lag_days: Within = 90, starts: Starts = 4, as_of: Day | None = None
) -> shown.SatisfactionAndSales:
    """Does satisfaction go with later purchases? A rank correlation with its uncertainty; `not_proven` where it is so.

    At the end of each of several past days, `lag_days` apart, the index of customers is held against the days on which
    they bought in the `lag_days` after it. With more than 20,000 customers, as many are drawn: the answer takes some
    seconds and no more however many there are. A correlation is no cause.
    """
    until = await last_day(snapshot, as_of, now())
    days = [until.toordinal() - lag_days * back for back in range(starts, 0, -1)]
    found = await populations.satisfaction_and_sales(snapshot, days, lag_days, until, now())
    return shown.SatisfactionAndSales(
        as_of=until,
        lag_days=lag_days,
        starts=[date.fromordinal(day) for day in days],
        sampled=found.sampled,
        whole=shown.Association.model_validate(found.whole),
        without_purchases=shown.Association.model_validate(found.without_purchases),
        sentence=of_association(found.whole, found.without_purchases, lag_days),
    )


@router.get("/sales-weeks")
async def measure_sales_by_week(
    snapshot: Snapshot, until: Day | None = None, weeks: WeekCount = 12
) -> shown.SalesWeeks:
    """How many prospects there are, how much they want to buy and how fast they do, for whole weeks up to a local day.

    Of the week of `until` only what happened up to that day counts. What happens later says nothing of a week: each can
    be computed again. It reads every party, and is about a year at most.
    """
    last = await last_day(snapshot, until, now())
    first = monday(last.toordinal()) - 7 * (weeks - 1)
    found = await populations.sales_weeks(snapshot, first, weeks, last, now())
    policy = (await present(snapshot)).ruling.policy.name
    return shown.SalesWeeks(
        as_of=last,
        policy=policy,
        data=[
            shown.SalesWeek(
                week="{}-W{:02}".format(*date.fromordinal(week.first).isocalendar()[:2]),
                first_day=date.fromordinal(week.first),
                last_day=date.fromordinal(week.last),
                new_prospects=week.became,
                prospects_again=week.again,
                active_prospects=week.active,
                desire=week.desire,
                first_purchases=week.bought,
                unannounced=week.unannounced,
                median_deal_days=week.median_deal_days,
                median_stage_days=week.median_stay_days,
            )
            for week in found.weeks
        ],
    )


@router.get("/purchase-kinds")
async def classify_purchases(
    snapshot: Snapshot, since: Day | None = None, until: Day | None = None, add_on_days: Within = purchases.ADD_ON_DAYS
) -> shown.PurchaseKinds:
    """What purchase days were, month by month: referred, first, upgrade, add_on, repeat; each day is exactly one.

    Without days, the last 365. It reads every party.
    """
    first, last = period(since, until, known=await last_day(snapshot, None, now()))
    kinds = purchases.KindsByMonth(first, last, add_on_days)
    await populations.kinds_by_month(snapshot, kinds, last, now())
    return shown.PurchaseKinds(
        since=first,
        until=last,
        add_on_days=add_on_days,
        currency=(await present(snapshot)).currency,
        data=[_month_of_kinds(kinds, month) for month in kinds.months()],
    )


@router.get("/second-purchases")
async def measure_second_purchases(
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
    first, last = period(since, until, known=known)
    second = purchases.SecondPurchases(first, last, within_days=within_days, known=known.toordinal())
    await populations.second_purchases(snapshot, second, known, now())
    return shown.SecondPurchases(
        as_of=known,
        within_days=within_days,
        rate=shown.Rate.model_validate(second.whole()),
        data=[
            shown.Cohort(
                month=month, first_buyers=count, young=second.young[month],
                rate=shown.Rate.model_validate(second.rate(month)),
            )
            for month, count in sorted(second.first.items())
        ],
    )  # fmt: skip


@router.post("/win-back")
async def judge_win_back(asked: shown.NewWinBack, snapshot: Snapshot) -> shown.WinBack:
    """Of the customers that stood lost after a day, how many came back: those who were contacted beside the others.

    It reads every party. Nobody drew lots who is called, so that a difference need not be the calls' doing.
    """
    if asked.lost_on.year > 8_900:
        raise BadPeriod("So late a day has no days after it: name an earlier one.")
    known = await last_day(snapshot, None, now())
    programme = WinBack(
        asked.lost_on.toordinal(), contact_days=asked.contact_days, within_days=asked.within_days,
        listed=asked.party_ids is not None,
    )  # fmt: skip
    not_lost = await populations.win_back(snapshot, programme, asked.party_ids, known, now())
    comparison = programme.comparison
    return shown.WinBack(
        lost_on=asked.lost_on,
        counted_from=date.fromordinal(programme.landmark + 1),
        counted_until=date.fromordinal(programme.until),
        complete=programme.until < known.toordinal(),
        currency=(await present(snapshot)).currency,
        contacted=shown.WinBackGroup.model_validate(programme.contacted),
        others=shown.WinBackGroup.model_validate(programme.others),
        back_before=programme.early,
        not_lost=not_lost,
        comparison=shown.Difference.model_validate(comparison) if comparison else None,
        sentence=of_win_back(programme),
    )


@router.get("/losses")
async def count_losses(snapshot: Snapshot, since: Day | None = None, until: Day | None = None) -> shown.LossesByMonth:
    """Who was lost, month by month, with the reason, as the facts known now imply it under the present policy.

    Without days, the last 365. It reads every party. `GET /v1/losses` lists who is lost now.
    """
    first, last = period(since, until, known=await last_day(snapshot, None, now()))
    found = await populations.losses_by_month(snapshot, losses.Losses(first, last), last, now())
    return shown.LossesByMonth(
        since=first,
        until=last,
        currency=(await present(snapshot)).currency,
        count=found.count.total(),
        data=[
            shown.LossCell(
                month=key[0], stage=key[1], reason=key[2], count=count, value_minor=found.value_minor[key]
            )
            for key, count in sorted(found.count.items())
        ],
    )  # fmt: skip


@router.get("/defections")
async def report_defections(
    snapshot: Snapshot,
    since: Day | None = None,
    until: Day | None = None,
    by: SegmentBy = SegmentBy.TIER,
    within_days: Soon = 30,
) -> shown.Defections:
    """Who may be lost soon, and who was lost to which competitor, month by month and by where they stood before.

    Without days, the last 365. Of the lost it reads those alone of which somebody named a competitor as the reason.
    """
    here = await present(snapshot)
    first, last = period(since, until, known=await last_day(snapshot, None, now()))
    soon = start_of_day(here.ruling.day(now()) + within_days, here.ruling.zone)
    risk = await comparing.at_risk(snapshot, by, soon)
    found = await comparing.defections(snapshot, losses.Defections(first, last, by), now())
    return shown.Defections(
        since=first,
        until=last,
        by=by,
        within_days=within_days,
        currency=here.currency,
        at_risk=[
            shown.AtRisk(segment=segment, count=count, value_minor=value)
            for segment, (count, value) in sorted(risk.items())
        ],
        lost_to_competitors=[
            shown.Defection(
                month=key[0], competitor=key[1], segment=key[2], count=count, value_minor=found.value_minor[key]
            )
            for key, count in sorted(found.count.items())
        ],
    )


@router.get("/patterns/{party_id}")
async def find_patterns(party_id: PartyId, snapshot: Snapshot, as_of: Day | None = None) -> shown.Patterns:
    """The habits of a party, each with its evidence, and `found` only where a test says so."""
    until = await last_day(snapshot, as_of, now())
    leads = await survivors(snapshot, [party_id])
    async for seen in those(snapshot, leads.values(), until, now()):
        found = await comparing.patterns_of(snapshot, seen, until)
        return shown.Patterns(
            party_id=seen.party_id,
            as_of=until,
            currency=seen.history.ruling.rates.currency,
            interval=shown.IntervalHabit.model_validate(found.interval),
            basket=shown.BasketHabit.model_validate(found.basket),
            season=shown.SeasonHabit.model_validate(found.season),
            channel=shown.ChannelHabit.model_validate(found.channel),
            price_sensitivity=shown.PriceHabit.model_validate(found.price_sensitivity),
        )
    raise NoStanding("now" if as_of is None else f"as of {as_of}")


@router.get("/zoom")
async def zoom(
    snapshot: Snapshot,
    level: shown.Level = shown.Level.POPULATION,
    by: ZoomBy = ZoomBy.STAGE,
    segment: Annotated[str | None, Query(max_length=100)] = None,
    as_of: Day | None = None,
    within_days: Soon = 30,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> shown.Zoom:
    """The same measures of everybody, of groups, or of each party of a group: as stored, or after a whole local day.

    Parts add up to the whole exactly. As stored, groups take half a second for a million parties; as of a day, and by
    `kind`, every party is read, and a page of parties reads on until it is full.
    """
    asked = zooming.Zoomed(by, as_of, within_days, now())
    found = shown.Zoom(
        level=level, by=by, as_of=as_of, within_days=within_days, currency=(await present(snapshot)).currency, data=[]
    )
    if level is shown.Level.PARTY:
        after = decode_cursor(cursor, tuple[UUID])[0] if cursor else None
        rows = page(
            await zooming.members(snapshot, asked, segment, after=after, limit=limit + 1),
            limit=limit,
            key=lambda part: [part.party_id],
        )
        data = [
            shown.Zoomed(segment=part.segment, party_id=part.party_id, measures=_measures(part.measures))
            for part in rows.data
        ]
        return found.model_copy(update={"data": data, "has_more": rows.has_more, "next_cursor": rows.next_cursor})
    groups = await zooming.segments(snapshot, asked)
    if level is shown.Level.POPULATION:
        whole = sum(groups.values(), Measures())
        return found.model_copy(update={"data": [shown.Zoomed(segment=None, measures=_measures(whole))]})
    return found.model_copy(update={"data": _groups(groups, segment)})


def _groups(groups: Mapping[str, Measures], wanted: str | None) -> list[shown.Zoomed]:
    return [
        shown.Zoomed(segment=segment, measures=_measures(measures))
        for segment, measures in sorted(groups.items())
        if wanted in (None, segment)
    ]


def _measures(measures: Measures) -> shown.Measures:
    return shown.Measures.model_validate(measures)


def _month_of_kinds(kinds: purchases.KindsByMonth, month: date) -> shown.MonthOfKinds:
    shares = kinds.shares(month)
    return shown.MonthOfKinds(
        month=month,
        purchase_days=sum(share.hits for share in shares.values()),
        data=[
            shown.KindOfMonth(
                kind=kind, purchase_days=share.hits, amount_minor=kinds.amount_minor[month, kind],
                rate=shown.Rate.model_validate(share),
            )
            for kind, share in shares.items()
        ],
    )  # fmt: skip


def _surprise(party_id: UUID, stands: Stands | None, reason: str) -> shown.Surprise:
    return shown.Surprise(
        party_id=party_id,
        stage=stands.stage if stands else None,
        tier=stands.tier if stands else None,
        vip=stands.vip if stands else False,
        value_minor=stands.value_minor if stands else 0,
        reason=reason,
    )
