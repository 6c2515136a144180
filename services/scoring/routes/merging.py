"""How parties would stand as one, before anybody merges them."""

from collections.abc import Sequence

from fastapi import APIRouter

from chassis.clock import now
from chassis.fields import PartyId
from services.scoring.domain.calendar import total
from services.scoring.domain.standing import NoStanding, assess
from services.scoring.models.clocks import Question
from services.scoring.models.standings import MergeAsked, MergedStanding, Standing
from services.scoring.queries.clocks import moment_asked, party
from services.scoring.queries.reading import Read
from services.scoring.routes.reach import CareOf, check_read
from services.scoring.routes.snapshots import Snapshot

router = APIRouter(prefix="/v1/standings", tags=["standings"])


@router.post("/{party_id}/merge-preview")
async def preview_standing_of_merge(
    party_id: PartyId, body: MergeAsked, snapshot: Snapshot, care: CareOf
) -> MergedStanding:
    """How two parties stand, each by itself, and how they would stand as one. Nothing is changed.

    Ids of parties merged since lead to the party that they are now; two names of one party stand as that does.
    """
    for each in (party_id, body.party_id):
        await check_read(snapshot, care, each)
    then = await moment_asked(snapshot, Question(), now())

    one, other = await party(snapshot, then, party_id), await party(snapshot, then, body.party_id)
    reads = {read.row["party_id"]: read for read in (one, other) if read}
    if not reads:
        raise NoStanding

    def standing(of: Sequence[Read]) -> Standing | None:
        rows = [read.row for read in of]
        assessed = max((row["assessed_at"] for row in rows if row["assessed_at"]), default=None)
        seen = then.seen(total(read.calendar for read in of), assessed)
        decided = seen and assess(*seen, then.ruling)
        if not seen or not decided or decided.stage is None:
            return None
        survivor = min(row["party_id"] for row in rows)
        return Standing.shown(survivor, max(row["revision"] for row in rows), decided, seen[1], then.ruling)

    return MergedStanding(
        one=standing([one]) if one else None,
        other=standing([other]) if other else None,
        together=standing(list(reads.values())),
    )
