"""Everything about one party, put together from what each service knows of it."""

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from pydantic import Field

from chassis.fields import PartyId
from chassis.http import BadCursor, Cursor, Limit, decode_cursor, encode_cursor
from contracts.identity import PartyNotFound
from gateway.domain.joined import Part, joined
from gateway.domain.parts import Status
from gateway.domain.rights import scopes
from gateway.domain.timeline import SERVICES, Place, place, wanted
from gateway.models import PartyView, TimelinePage
from gateway.queries.services import Answered, Services
from gateway.routes.door import Asking

router = APIRouter(prefix="/v1/parties", tags=["parties"])

FEW = 10
"""Leads, members, interactions and problems that a view shows; the lists of the services have the rest."""
ROUNDS = 10
"""How often services are asked for one page of which most rows are not wanted."""
SIFTED = 200
"""Rows that each service is asked for at once where some are not wanted."""

Words = Annotated[list[Annotated[str, Field(max_length=100)]], Query(max_length=50, default_factory=list)]


@router.get("/{party_id}/360")
async def read_party_view(party_id: PartyId, request: Request, asking: Asking) -> PartyView:
    """All that is known of a party, each part from its service, as far as they answer in time.

    The id of a party that was merged leads to the one that it is part of now: `resolves_to`. There is no such party
    only where customers and scoring both say so; a prospect is known to scoring by its leads alone.
    """
    id = f"party_{party_id.hex}"
    answers = await _asked(
        request,
        asking,
        {
            "party": ("customers", f"/v1/parties/{id}"),
            "standing": ("scoring", f"/v1/standings/{id}"),
            "leads": ("leads", f"/internal/parties/{id}/leads?limit={FEW}"),
            "community": ("community", f"/internal/parties/{id}/community?limit={FEW}"),
            "problems": ("customers", f"/v1/problems?party_id={id}&status=open&limit={FEW}"),
            "interactions": ("customers", f"/v1/interactions?party_id={id}&limit={FEW}"),
        },
    )
    party, standing = answers["party"], answers["standing"]
    if party.status is standing.status is Status.NOT_FOUND:
        raise PartyNotFound("There is no such party.")
    known = (party.data or {}).get("id") or (standing.data or {}).get("party_id")
    return PartyView(party_id=party_id, resolves_to=known, **{name: _shown(part) for name, part in answers.items()})


@router.get("/{party_id}/timeline")
async def read_party_timeline(
    party_id: PartyId,
    request: Request,
    asking: Asking,
    kinds: Words,
    departments: Words,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> TimelinePage:
    """Everything that happened with a party, from all services, the latest first.

    `kinds` and `departments` may come several times; with departments, only what has to do with one of them. A page may
    have fewer rows than `limit`, even none, while `has_more` is true: go on with `next_cursor`. A service that does not
    answer is named in `unavailable`, and the cursor waits for it: its rows come on the next page on which it answers,
    in their order among themselves, though later than others. None is left out.
    """
    positions: dict[str, Place | None] = dict.fromkeys(SERVICES)
    if cursor:
        positions = decode_cursor(cursor, tuple[dict[str, Place | None]])[0]
    if not positions.keys() <= set(SERVICES):
        raise BadCursor("This is not a cursor of this list.")
    sifted = bool(kinds or departments)
    at_once = max(limit, SIFTED) if sifted else limit
    rows: list[dict[str, Any]] = []
    unavailable: list[str] = []
    for _ in range(ROUNDS):
        left = {service: last for service, last in positions.items() if service not in unavailable}
        if not left or len(rows) == limit:
            break
        answers = await _asked(
            request,
            asking,
            {service: (service, _target(party_id.hex, last, at_once)) for service, last in left.items()},
        )
        parts = {service: _part(answer, at_once) for service, answer in answers.items()}
        unavailable += [service for service, part in parts.items() if part is None]
        page = joined(parts, left, limit=limit - len(rows), key=place, wanted=wanted(kinds, departments))
        rows += [dict(row) for row in page.rows]
        positions = {
            service: page.positions.get(service, last)
            for service, last in positions.items()
            if service in page.positions or service not in left
        }
        if not sifted:
            break
    return TimelinePage.model_validate(
        {
            "data": rows,
            "has_more": bool(positions),
            "next_cursor": encode_cursor(positions) if positions else None,
            "unavailable": unavailable,
        }
    )


def _target(party: str, last: Place | None, limit: int) -> str:
    before = {"before_at": last[0].isoformat(), "before_id": last[1]} if last else {}
    return f"/internal/parties/party_{party}/timeline?" + urlencode({**before, "limit": limit})


def _part(answer: Answered, limit: int) -> Part | None:
    if answer.status is Status.NOT_FOUND:
        return Part([], has_more=False)
    if answer.status is not Status.OK:
        return None
    rows = answer.data["data"]
    return Part(rows, answer.data.get("has_more", len(rows) >= limit))


async def _asked(request: Request, asking: Asking, asked: Mapping[str, tuple[str, str]]) -> dict[str, Answered]:
    services: Services = request.app.state.services
    caller = asking.key_id, scopes(asking.scopes)
    return await services.side_by_side(asked, caller=caller, within_s=request.app.state.settings.part_s)


def _shown(part: Answered) -> dict[str, Any]:
    return {"status": part.status, "data": part.data}
