"""Where a list and the facts differ, who left for whom, and the habits of one party."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from chassis.clock import now
from chassis.fields import Day, PartyId
from services.scoring.domain.reports import losses
from services.scoring.domain.reports.periods import period
from services.scoring.domain.reports.surprises import agreed, missed, over_rated
from services.scoring.domain.reports.zoom import ZoomBy
from services.scoring.domain.standing import NoStanding
from services.scoring.models.reports import comparing as shown
from services.scoring.queries.reach import reached
from services.scoring.queries.reports import comparing, zooming
from services.scoring.queries.reports.seeing import last_day, survivors, those
from services.scoring.queries.rulings import present
from services.scoring.routes.reach import CareOf, check_read
from services.scoring.routes.reports.asking import reported
from services.scoring.routes.snapshots import Snapshot

router = APIRouter()


@router.post("/surprises")
async def compare_with_a_list(asked: shown.NewSurprises, snapshot: Snapshot, care: CareOf) -> shown.Surprises:
    """Where a manager's own list differs from what the facts say now, each with its reason.

    Standings are as they are stored, with what is set by hand; what the facts say is told without that. Ids of parties
    merged since count as the party that they are now. A tier means that tier or a higher one.
    """
    here, held = await present(snapshot), asked.held_as
    currency, rule = here.currency, here.ruling.policy.vip
    leads = await survivors(snapshot, await reached(snapshot, care, asked.party_ids))
    named = await comparing.named(snapshot, list(set(leads.values())), here.ruling, now())
    listed = [each.party_id for each in named]
    others = await comparing.missed(
        snapshot, held, listed, now(), owner_id=asked.owner_id, team_id=asked.team_id, care=care, limit=asked.limit
    )
    agreements = [each for each in named if each.given.derived(held)]
    over = [each for each in named if not each.given.derived(held)]

    return shown.Surprises(
        held_as=held,
        currency=currency,
        named=len(named),
        agreements=[
            shown.Surprise.of(each.party_id, each.stands, agreed(each.given, held, currency)) for each in agreements
        ],
        missed=[
            shown.Surprise.of(each.party_id, each.stands, missed(each.given, held, currency)) for each in others.first
        ],
        missed_total=others.total,
        missed_value_minor=others.value_minor,
        over_rated=[
            shown.Surprise.of(each.party_id, each.stands, over_rated(each.given, held, currency, rule)) for each in over
        ],
        unknown=[party_id for party_id in dict.fromkeys(asked.party_ids) if party_id not in leads],
    )


@router.get("/defections")
async def report_defections(
    request: Request,
    snapshot: Snapshot,
    since: Day | None = None,
    until: Day | None = None,
    by: ZoomBy = ZoomBy.TIER,
    within_days: Annotated[int, Query(ge=0, le=3_650)] = 30,
) -> shown.Defections:
    """Who may be lost soon, and who was lost to which competitor, month by month and by where they stood before.

    Owners and teams are those of now. By kind of party who may be lost is found among everybody, which takes longer.
    Without days, the last 365. Of the lost it reads those alone of which somebody said, or set as an override, that the
    reason is a competitor.
    """
    here = await present(snapshot)
    first, last = period(since, until, known=await last_day(snapshot, until, now()))
    risk = await comparing.at_risk(snapshot, by, within_days, now())
    if risk is None:
        groups = await reported(request, snapshot, zooming.segments, zooming.Zoomed(by, None, within_days, now()))
        risk = {segment: (sums.at_risk, sums.at_risk_value_minor) for segment, sums in groups.items() if sums.at_risk}
    found = await reported(request, snapshot, comparing.defections, losses.Defections(first, last), by, now())
    return shown.Defections.of(found, by, risk, within_days, here.ruling)


@router.get("/patterns/{party_id}")
async def find_patterns(
    party_id: PartyId, snapshot: Snapshot, care: CareOf, as_of: Day | None = None
) -> shown.Patterns:
    """The habits of a party, each with its evidence, and `found` only where a test says so."""
    until = await last_day(snapshot, as_of, now())
    await check_read(snapshot, care, party_id)
    leads = await survivors(snapshot, [party_id])
    async for seen in those(snapshot, leads.values(), until, now()):
        found = await comparing.patterns_of(snapshot, seen, until)
        return shown.Patterns(
            party_id=seen.party_id,
            as_of=until,
            currency=seen.history.ruling.rates.currency,
            interval=found.interval,
            basket=found.basket,
            season=found.season,
            channel=found.channel,
            price_sensitivity=found.price_sensitivity,
        )
    raise NoStanding("now" if as_of is None else f"as of {as_of}")
