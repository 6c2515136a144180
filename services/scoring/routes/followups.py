"""Whom to follow up, as the standings are stored."""

from datetime import date
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from chassis.clock import now
from chassis.fields import Day, TeamId, UserId
from chassis.http import Cursor, Limit, Page, decode_cursor, page
from contracts.loss import LossReason
from contracts.scoring import Stage, Tier
from services.scoring.domain.days import start_of_day
from services.scoring.models.fields import AnyInstant, AnyWhole
from services.scoring.models.standings import FollowUp
from services.scoring.queries.followups import AtRisk, Lost, at_risk, losses
from services.scoring.queries.rulings import present
from services.scoring.routes.reach import CareOf
from services.scoring.routes.snapshots import Snapshot

router = APIRouter(prefix="/v1", tags=["follow-ups"])

WithinDays = Annotated[int, Query(ge=0, le=3_650)]


@router.get("/at-risk")
async def list_parties_at_risk(
    snapshot: Snapshot,
    care: CareOf,
    within_days: WithinDays = 30,
    stage: Stage | None = None,
    tier: Tier | None = None,
    owner_id: UserId | None = None,
    team_id: TeamId | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[FollowUp]:
    """Parties whose stage falls within so many local days if nothing happens: the first to fall, then the most worth.

    `next_stage_at` is the day, `next_stage` where they fall to. With 0 days, those that fall today.
    """
    ruling = (await present(snapshot)).ruling
    until = start_of_day(ruling.day(now()) + within_days, ruling.zone)
    after = decode_cursor(cursor, tuple[AnyInstant, AnyWhole, UUID]) if cursor else None
    found = page(
        await at_risk(snapshot, AtRisk(stage, tier, owner_id, team_id, care), until, after=after, limit=limit + 1),
        limit=limit,
        key=lambda row: [row["next_stage_at"], row["value_minor"], row["party_id"]],
    )
    return found.shown(lambda row: FollowUp.stored(row, ruling))


@router.get("/losses")
async def list_losses(
    snapshot: Snapshot,
    care: CareOf,
    reason: LossReason | None = None,
    follow_up: bool = False,
    stage: Stage | None = None,
    since: Day | None = None,
    until: Day | None = None,
    owner_id: UserId | None = None,
    team_id: TeamId | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[FollowUp]:
    """Parties that are lost, with the reason, the last to be lost first; `since` and `until` bound the day of the loss.

    With `follow_up`, those with one of the `follow_up_reasons` of the policy: `unknown` where it names no others, for
    somebody has yet to ask them.
    """
    ruling = (await present(snapshot)).ruling
    after = decode_cursor(cursor, tuple[date, UUID]) if cursor else None
    reasons = ruling.policy.follow_up_reasons if follow_up else tuple(LossReason)
    reasons = tuple(each for each in reasons if reason in (None, each))
    wanted = Lost(reasons, stage, since, until, owner_id, team_id, care)
    found = page(
        await losses(snapshot, wanted, after=after, limit=limit + 1),
        limit=limit,
        key=lambda row: [row["since"], row["party_id"]],
    )
    return found.shown(lambda row: FollowUp.stored(row, ruling))
