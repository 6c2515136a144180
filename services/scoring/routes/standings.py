"""Who stands where: lists as they are stored, one party as it stands now or stood after a day."""

from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query

from chassis.clock import now
from chassis.fields import Day, PartyId, TeamId, UserId
from chassis.http import Cursor, Limit, Page, decode_cursor, page
from contracts.loss import LossReason
from contracts.scoring import Stage, Tier
from services.scoring.domain.reasons import reason
from services.scoring.domain.standing import NoStanding, assess
from services.scoring.models.fields import AnyInstant, AnyWhole
from services.scoring.models.standings import Cell, FactTold, Order, ReasonedStanding, Standing, Summary
from services.scoring.queries.facts import latest_facts
from services.scoring.queries.reading import moment, one, summary_after
from services.scoring.queries.rulings import present
from services.scoring.queries.standings import Filter, keyset, standings, summary
from services.scoring.routes.snapshots import Snapshot

router = APIRouter(prefix="/v1/standings", tags=["standings"])

Minor = Annotated[int | None, Query(ge=-(2**63), lt=2**63)]
PLACES: Mapping[Order, type[tuple[Any, ...]]] = {
    Order.VALUE: tuple[AnyWhole, UUID],
    Order.NEXT_CHANGE_AT: tuple[AnyInstant, UUID],
    Order.PARTY: tuple[UUID],
}
"""What the cursor of an order holds."""


@router.get("")
async def list_standings(
    snapshot: Snapshot,
    stage: Stage | None = None,
    tier: Tier | None = None,
    min_value: Minor = None,
    max_value: Minor = None,
    loss_reason: LossReason | None = None,
    owner_id: UserId | None = None,
    team_id: TeamId | None = None,
    sort: Order = Order.VALUE,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[Standing]:
    """Standings as they are stored, each as of its `assessed_at`; values are minor units of the reporting currency."""
    ruling = (await present(snapshot)).ruling
    after = decode_cursor(cursor, PLACES[sort]) if cursor else None
    wanted = Filter(stage, tier, min_value, max_value, loss_reason, owner_id, team_id)
    found = page(
        await standings(snapshot, wanted, sort, after=after, limit=limit + 1),
        limit=limit,
        key=lambda row: keyset(row, sort),
    )
    return found.shown(lambda row: Standing.stored(row, ruling))


@router.get("/summary")
async def summarize_standings(snapshot: Snapshot, as_of: Day | None = None) -> Summary:
    """How many parties stand where and what they are worth: as stored, or after that whole local day, as known now."""
    currency = (await present(snapshot)).currency
    cells = await summary(snapshot) if as_of is None else await summary_after(snapshot, as_of, now())
    shown = [
        Cell(stage=stage, tier=tier, count=count, value_minor=value)
        for (stage, tier), (count, value) in sorted(cells.items())
    ]
    return Summary(
        as_of=as_of,
        currency=currency,
        count=sum(cell.count for cell in shown),
        value_minor=sum(cell.value_minor for cell in shown),
        data=shown,
    )


@router.get("/{party_id}")
async def read_standing(party_id: PartyId, snapshot: Snapshot, as_of: Day | None = None) -> ReasonedStanding:
    """How a party stands now, or stood after that whole local day as known now, and why.

    Ids of parties merged since lead to the party that they are now.
    """
    then = await moment(snapshot, as_of, now())
    read = await one(snapshot, party_id)
    seen = read and then.seen(read.calendar, read.row["assessed_at"])
    if not read or not seen:
        raise NoStanding
    calendar, at = seen
    decided = assess(calendar, at, then.ruling)
    if decided.stage is None:
        raise NoStanding("now" if as_of is None else f"as of {as_of}")
    facts, total = await latest_facts(snapshot, read.members, then.ruling.zone, until=as_of)
    return ReasonedStanding.shown(
        read.row["party_id"],
        read.row["revision"],
        decided,
        at,
        then.ruling,
        reasons=reason(calendar, at, then.ruling),
        facts=[FactTold.shown(fact, then.ruling) for fact in facts],
        facts_total=total,
    )
