"""Who stands elsewhere under another policy than under the one that decides."""

from uuid import UUID

from fastapi import APIRouter

from chassis.clock import now
from chassis.http import Cursor, Limit, Page, decode_cursor, encode_cursor
from contracts.scoring import Stage, Tier
from services.scoring.models.clocks import Question
from services.scoring.models.fields import PolicyHash
from services.scoring.models.standings import Elsewhere
from services.scoring.queries.clocks import Cells, elsewhere, moment_asked
from services.scoring.routes.reach import CareOf
from services.scoring.routes.snapshots import Snapshot

router = APIRouter(prefix="/v1/policies", tags=["policies"])


@router.get("/{policy_hash}/elsewhere")
async def list_who_would_stand_elsewhere(
    policy_hash: PolicyHash,
    snapshot: Snapshot,
    care: CareOf,
    stage_active: Stage | None = None,
    tier_active: Tier | None = None,
    stage_draft: Stage | None = None,
    tier_draft: Tier | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[Elsewhere]:
    """Parties whose stage or tier would be another at this moment if the policy decided, by party.

    They are computed; a page may be short, also empty, though there are more.
    """
    active = await moment_asked(snapshot, Question(), now())
    draft = await moment_asked(snapshot, Question(policy=policy_hash), now())
    after = decode_cursor(cursor, tuple[UUID])[0] if cursor else None
    wanted = Cells(stage_active, tier_active, stage_draft, tier_draft)
    differing, last = await elsewhere(snapshot, active, draft, wanted, care=care, after=after, limit=limit)
    shown = [
        Elsewhere(
            party_id=each.read.row["party_id"],
            owner_id=each.read.row["owner_id"],
            team_id=each.read.row["team_id"],
            currency=active.ruling.rates.currency,
            stage_active=each.active and each.active.stage,
            tier_active=each.active and each.active.tier,
            value_active_minor=each.active.value_minor if each.active else 0,
            stage_draft=each.draft and each.draft.stage,
            tier_draft=each.draft and each.draft.tier,
            value_draft_minor=each.draft.value_minor if each.draft else 0,
        )
        for each in differing
    ]
    return Page(data=shown, has_more=last is not None, next_cursor=encode_cursor(last) if last else None)
