"""The proof: one hash over all standings, and the comparison with what the facts give by a second computation."""

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse

from chassis.clock import now
from chassis.db import Database
from chassis.fields import PartyId
from services.scoring.domain.standing import NoStanding
from services.scoring.domain.verdict import Difference
from services.scoring.models.standings import Digest as DigestShown
from services.scoring.models.standings import Disagreement, Verdict
from services.scoring.queries.clocks import day_asked
from services.scoring.queries.overall import digest_of
from services.scoring.queries.proof import (
    Judge,
    all_evidence,
    astray,
    count_parties,
    evidence,
    evidence_of_some,
    last_rebuild,
    missummed,
)
from services.scoring.queries.reading import snapshot
from services.scoring.routes.clocks import Asked
from services.scoring.routes.reach import CareOf, check_read
from services.scoring.routes.snapshots import Snapshot, population

router = APIRouter(prefix="/v1")

Sample = Annotated[int | None, Query(ge=1, le=1_000_000, description="So many parties, as they happen to be drawn.")]


@router.get("/digest", tags=["proof"])
async def read_digest(request: Request, snapshot: Snapshot, asked: Asked) -> DigestShown:
    """One hash over how every party stands after a whole local day: that of `known_at`, or today, where none is given.

    Two installations with the same facts, assignments, rates, policy and cut points have the same digest: of the first
    day of a stage it has the one as if these had always decided.
    """
    day, then = await day_asked(snapshot, asked, now())
    whole = await digest_of(population(request, snapshot), then)
    return DigestShown(as_of=day, known_at=asked.known_at, parties=whole.parties, digest=whole.hex)


@router.post("/standings/{party_id}/verify", tags=["standings"])
async def verify_standing(party_id: PartyId, snapshot: Snapshot, care: CareOf) -> Verdict:
    """Compare what is stored of a party with what its facts give by a second computation."""
    await check_read(snapshot, care, party_id)
    stored = await evidence(snapshot, party_id)
    if stored is None:
        raise NoStanding
    facts, found = await Judge(snapshot, await last_rebuild(snapshot)).judge(stored)
    return Verdict(party_id=stored.row["party_id"], facts=facts, disagreements=len(found), found=_shown(found))


@router.post("/verify", tags=["proof"], response_class=StreamingResponse)
async def verify_standings(request: Request, sample: Sample = None) -> StreamingResponse:
    """Compare all that is stored with what the facts give, in one state of the database.

    Of a sample only so many parties, drawn anew each time, without sums and what no party accounts for. Lines of JSON:
    `checked` of `parties` so far, and what was `found` since the line before. The last one has `done`, the number of
    `disagreements`, and how many are `waiting` to be assessed by calendars that were just rebuilt.
    """
    return StreamingResponse(_verified(request.app.state.database, sample), media_type="application/x-ndjson")


async def _verified(database: Database, sample: int | None) -> AsyncIterator[bytes]:
    async with snapshot(database) as connection:
        judge, parties = Judge(connection, await last_rebuild(connection)), await count_parties(connection)
        parties = parties if sample is None else min(sample, parties)
        checked = facts = disagreements = 0
        pages = all_evidence(connection) if sample is None else evidence_of_some(connection, sample)
        async for stored in pages:
            found: list[Difference] = []
            for each in stored:
                counted, differences = await judge.judge(each)
                facts += counted
                found += differences
            checked += len(stored)
            disagreements += len(found)
            yield _line(checked=checked, parties=parties, found=_told(found))
        found = [] if sample else [*await astray(connection), *await missummed(connection)]
        disagreements += len(found)
    counts = {"facts": facts, "waiting": judge.waiting, "disagreements": disagreements}
    yield _line(done=True, checked=checked, parties=parties, **counts, found=_told(found))


def _shown(found: Iterable[Difference]) -> list[Disagreement]:
    return [Disagreement.model_validate(difference) for difference in found]


def _told(found: Iterable[Difference]) -> Sequence[object]:
    return [disagreement.model_dump(mode="json") for disagreement in _shown(found)]


def _line(**members: object) -> bytes:
    return msgspec.json.encode(members) + b"\n"
