"""Everything about one party, put together from what each service knows of it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Request

from chassis.auth import Reach
from chassis.fields import PartyId
from chassis.http import BadCursor, Cursor, Limit, decode_cursor, encode_cursor
from chassis.timelines import Words
from contracts.identity import PartyNotFound
from gateway.domain.joined import Part, joined
from gateway.domain.parts import Status
from gateway.domain.services import ServiceUnavailable
from gateway.domain.timeline import SERVICES, Place, place
from gateway.domain.users import Language
from gateway.models.composed import PartyView, TimelinePage
from gateway.queries.services import Answered, Services
from gateway.routes.door import Asking

router = APIRouter(prefix="/v1/parties", tags=["parties"])

FEW = 10
"""Leads, members, interactions and problems that a view shows; the lists of the services have the rest."""


@router.get("/{party_id}/360")
async def read_party_view(
    party_id: PartyId, request: Request, asking: Asking, language: Language = Language.ENGLISH
) -> PartyView:
    """All that is known of a party, each part from its service, as far as they answer in time.

    The id of a party that was merged leads to the one that it is part of now: `resolves_to`. There is no such party
    only where customers and scoring both say so. A party that nobody takes care of is within reach where one of its
    leads is. `language` is that of the sentences that say why it stands where it stands.
    """
    id = f"party_{party_id.hex}"
    asked = {
        "party": ("customers", f"/v1/parties/{id}"),
        "standing": ("scoring", f"/v1/standings/{id}?language={language}"),
        "leads": ("leads", f"/internal/parties/{id}/leads?limit={FEW}"),
        "community": ("community", f"/internal/parties/{id}/community?limit={FEW}"),
        "problems": ("customers", f"/v1/problems?party_id={id}&status=open&limit={FEW}"),
        "interactions": ("customers", f"/v1/interactions?party_id={id}&limit={FEW}"),
    }
    answers = await _asked(request, asking, asked)
    if await _is_reached_by_lead(request, asking, id, answers):
        answers |= await _asked(request, replace(asking, reach=Reach.ALL), _of_the_party(asked))
    party, standing = answers["party"], answers["standing"]
    if party.status is standing.status is Status.NOT_FOUND:
        raise PartyNotFound("There is no such party.")
    if asking.reach is not Reach.ALL and Status.OK not in (party.status, standing.status):
        # Communities know nobody's owner: without a word of who does, nothing is told of the party there.
        answers["community"] = Answered(Status.UNAVAILABLE)
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

    `kinds` and `departments` may come several times; with departments, only what has to do with one of them. While a
    service does not answer, it is named in `unavailable`, `has_more` is true, also of a page without rows, and the
    cursor waits for it: its rows come on the next page on which it answers, in their order among themselves, though
    later than others. None is left out. A service that is not installed is not asked.
    """
    by_lead = await _check_reach(request, asking, party_id)
    positions: dict[str, Place | None] = dict.fromkeys(SERVICES)
    if cursor:
        positions = decode_cursor(cursor, tuple[dict[str, Place | None]])[0]
    if not positions.keys() <= set(SERVICES):
        raise BadCursor("This is not a cursor of this list.")
    sent = {"limit": [limit], "kinds": kinds, "departments": departments}
    targets = {service: (service, _target(party_id, last, sent)) for service, last in positions.items()}
    answers = await _asked(request, asking, targets)
    if by_lead:
        answers |= await _asked(request, replace(asking, reach=Reach.ALL), _of_the_party(targets))
    parts = {service: _part(answer) for service, answer in answers.items()}
    page = joined(parts, positions, limit=limit, key=place)
    return TimelinePage.model_validate(
        {
            "data": page.rows,
            "has_more": bool(page.positions),
            "next_cursor": encode_cursor(page.positions) if page.positions else None,
            "unavailable": [service for service, part in parts.items() if part is None],
        }
    )


async def _check_reach(request: Request, asking: Asking, party_id: UUID) -> bool:
    """Raise where whoever reaches only some parties does not reach this one: communities know nobody's owner.

    Whether it is within reach by a lead alone.
    """
    if asking.reach is Reach.ALL:
        return False
    id = f"party_{party_id.hex}"
    asked = {"party": ("customers", f"/v1/parties/{id}"), "leads": ("leads", f"/internal/parties/{id}/leads?limit=1")}
    answers = await _asked(request, asking, asked)
    if await _is_reached_by_lead(request, asking, id, answers):
        return True
    party = answers["party"]
    if party.status is Status.NOT_FOUND:
        raise PartyNotFound("There is no such party.")
    if party.status is not Status.OK:
        raise ServiceUnavailable("customers, which knows whose party it is, did not answer.", services=["customers"])
    return False


async def _is_reached_by_lead(request: Request, asking: Asking, id: str, answers: Mapping[str, Answered]) -> bool:
    """Whether a party out of a reach short of everything has nobody who takes care of it, and a lead within reach.

    Whoever looks after a lead sees whose it is, until somebody takes care of that party itself.
    """
    party, leads = answers["party"], answers["leads"]
    if asking.reach is Reach.ALL or party.status is not Status.NOT_FOUND or leads.status is not Status.OK:
        return False
    if not leads.data["data"]:
        return False
    asked = {"owner": ("customers", f"/v1/parties/{id}/owner")}
    owner = (await _asked(request, replace(asking, reach=Reach.ALL), asked))["owner"]
    if owner.status is Status.OK:
        return owner.data["owner_id"] is None and owner.data["team_id"] is None
    return owner.status is Status.NOT_FOUND


def _of_the_party(asked: Mapping[str, tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """What is asked of the services that tell only of parties that somebody within reach takes care of."""
    return {part: (service, target) for part, (service, target) in asked.items() if service in ("customers", "scoring")}


def _target(party_id: UUID, last: Place | None, sent: Mapping[str, Any]) -> str:
    before = {"before_at": last[0].isoformat(), "before_id": last[1]} if last else {}
    return f"/internal/parties/party_{party_id.hex}/timeline?" + urlencode({**before, **sent}, doseq=True)


def _part(answer: Answered) -> Part | None:
    if answer.status.has_nothing:
        return Part([], has_more=False)
    return Part(answer.data["data"], answer.data["has_more"]) if answer.status is Status.OK else None


async def _asked(request: Request, asking: Asking, asked: Mapping[str, tuple[str, str]]) -> dict[str, Answered]:
    services: Services = request.app.state.services
    return await services.side_by_side(asked, caller=asking, within_s=request.app.state.settings.part_s)


def _shown(part: Answered) -> dict[str, Any]:
    return {"status": part.status, "data": part.data}
