"""How parties are told apart and together: the queue of possible duplicates, its rules, previews, hand-overs."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Query, Response

from chassis.auth import Actor
from chassis.clock import now
from chassis.fields import IdentityId, PartyId, Whole
from chassis.http import (
    Cursor,
    IfMatch,
    Limit,
    Page,
    Session,
    TransactionalRoute,
    decode_cursor,
    etag,
    page,
    same_version,
)
from chassis.installation import Here
from contracts.identity import FutureDate
from services.customers.domain.duplicates import CandidateStatus, Rules
from services.customers.models.duplicates import (
    Acceptance,
    Candidate,
    CandidateDetail,
    CandidateId,
    Dismissal,
    Holders,
    HoldingShown,
    IdentifierHandOver,
    ListedCandidate,
    MergeAsked,
    MergePreview,
    RulesNow,
    SharedIdentifier,
    Side,
    UnmergeAsked,
    UnmergePreview,
)
from services.customers.models.fields import MergeId
from services.customers.models.parties import Merge
from services.customers.queries import duplicates as queue
from services.customers.queries import handovers, previews
from services.customers.queries import parties as known
from services.customers.queries.merges import merge_named

router = APIRouter(prefix="/v1", tags=["duplicates"], route_class=TransactionalRoute)


@router.get("/duplicates")
async def list_duplicates(
    session: Session,
    status: CandidateStatus = CandidateStatus.OPEN,
    min_score: Annotated[int, Query(ge=0, le=100)] = 0,
    party_id: PartyId | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[ListedCandidate]:
    """Parties that may be one and that nothing merges by itself, the likeliest first: the queue to be reviewed."""
    after = decode_cursor(cursor, tuple[Whole, UUID]) if cursor else queue.BEFORE_ALL
    found = await queue.candidates(
        session, status=status, min_score=min_score, party_id=party_id, after=after, limit=limit + 1
    )
    listed = page(found, limit=limit, key=lambda candidate: (candidate.score, candidate.id))
    names = await queue.known_by(session, {id for each in listed.data for id in (each.party_id, each.other_id)})
    return listed.shown(
        lambda each: ListedCandidate(**each.model_dump(), one=names[each.party_id], other=names[each.other_id])
    )


@router.get("/duplicates/rules")
async def read_duplicate_rules(session: Session, response: Response) -> RulesNow:
    """What makes two parties one without a person, and how far that is applied to what was there before."""
    rules, row = await queue.present_rules(session)
    response.headers["ETag"] = etag(row.version if row else 0)
    return RulesNow.shown(rules, row, await queue.pairs_waiting(session))


@router.put("/duplicates/rules")
async def change_duplicate_rules(
    body: Rules, session: Session, actor: Actor, response: Response, seen: IfMatch
) -> RulesNow:
    """Have other rules from now on. Every pair that was ever seen is decided anew by them, bit by bit.

    What people merged, unmerged or dismissed stays. The rules that are in force already change nothing.
    """
    present, row = await queue.rules_to_change(session)
    version = row.version if row else 0
    same_version(seen, version)
    if body.content_hash != present.content_hash:
        row = await queue.activate(session, body, version + 1, actor.key_id)
    response.headers["ETag"] = etag(row.version if row else 0)
    return RulesNow.shown(body, row, await queue.pairs_waiting(session))


@router.get("/duplicates/{candidate_id}")
async def read_duplicate(candidate_id: CandidateId, session: Session, here: Here) -> CandidateDetail:
    """A possible duplicate: both parties side by side, and all that speaks for their being one."""
    found = await queue.candidate(session, candidate_id)
    sides = {}
    for party_id in (found.party_id, found.other_id):
        party = await known.party(session, party_id)
        sides[party.id] = Side(party=party, belongings=await previews.belongings_of(session, party_id, here))
    evidence = await queue.evidence(session, found)
    return CandidateDetail(**found.model_dump(), evidence=evidence, sides=list(sides.values()))


@router.post("/duplicates/{candidate_id}/accept")
async def accept_duplicate(
    candidate_id: CandidateId,
    body: Annotated[Acceptance, Body(default_factory=Acceptance)],
    session: Session,
    actor: Actor,
) -> Candidate:
    """Merge both parties, as a person's decision: it stays when the evidence goes. Twice is once."""
    return await queue.accept(session, candidate_id, body.note, actor.key_id)


@router.post("/duplicates/{candidate_id}/dismiss")
async def dismiss_duplicate(candidate_id: CandidateId, body: Dismissal, session: Session, actor: Actor) -> Candidate:
    """Say that they are two. Nothing merges them by itself; evidence of another kind puts them into the queue again."""
    return await queue.dismiss(session, candidate_id, body.note, actor.key_id)


@router.get("/identifiers/shared")
async def list_shared_identifiers(session: Session, limit: Limit = 50, cursor: Cursor = None) -> Page[SharedIdentifier]:
    """Identifiers that several people use, such as `info@` or a family's phone: they merge nobody."""
    after = decode_cursor(cursor, tuple[Whole, UUID]) if cursor else queue.MOST
    found = await queue.shared_identifiers(session, after=after, limit=limit + 1)
    return page(found, limit=limit, key=lambda shared: (shared.claims, shared.identity_id))


@router.post("/parties/{party_id}/merge-preview")
async def preview_merge(party_id: PartyId, body: MergeAsked, session: Session, here: Here) -> MergePreview:
    """What a merge would do: who survives, what moves, what contradicts itself. Nothing is changed."""
    return await previews.merge_preview(session, party_id, body.party_id, here)


@router.post("/parties/{party_id}/unmerge-preview")
async def preview_unmerge(party_id: PartyId, body: UnmergeAsked, session: Session, here: Here) -> UnmergePreview:
    """What taking a merge back would do: who they are then, and what each has. Nothing is changed."""
    return await previews.unmerge_preview(session, party_id, body.merge_id, here)


@router.get("/merges/{merge_id}")
async def read_merge(merge_id: MergeId, session: Session) -> Merge:
    """A merge, also one that was taken back."""
    return await merge_named(session, merge_id)


@router.post("/parties/{party_id}/identifiers/{identity_id}/hand-over")
async def hand_over_identifier(
    party_id: PartyId,
    identity_id: IdentityId,
    body: IdentifierHandOver,
    session: Session,
    actor: Actor,
    here: Here,
    response: Response,
    seen: IfMatch,
) -> Holders:
    """Give an identifier to another party from a local day on, such as a phone number that changed hands.

    The days before stay with the holder of that time, also where somebody else has it by now. Twice is once.
    """
    if body.from_day > here.day(now()):
        raise FutureDate("An identifier is handed over today at the latest.")
    connected, to = await handovers.holders_to_change(session, party_id, identity_id, body.to.party(here))
    same_version(seen, connected.version_of(party_id))
    holders = await handovers.hand_over_identifier(
        session, connected, party_id, identity_id, to=to, from_day=body.from_day, told_by=actor.key_id
    )
    response.headers["ETag"] = etag((await known.party(session, party_id)).version)
    return Holders(identity_id=identity_id, holders=[HoldingShown.model_validate(held) for held in holders])
