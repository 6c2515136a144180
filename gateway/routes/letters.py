"""Dead letters of every service, and of the gateway's feed: listed, shown, handled again, given up."""

from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request

from chassis.fields import Instant
from chassis.http import Cursor, Limit, TransactionalRoute, decode_cursor, encode_cursor
from chassis.letters import DeadLetterNotFound
from gateway.domain import letters
from gateway.domain.joined import Part, joined
from gateway.domain.services import ServiceFailed, ServiceUnavailable
from gateway.models.operating import DeadLetter, DeadLetterList, LetterOutcomes, LettersToDiscard, LettersToRequeue
from gateway.queries.services import Services
from gateway.routes.door import Asking

router = APIRouter(prefix="/v1/dead-letters", tags=["status"], route_class=TransactionalRoute)

Place = tuple[str, int]
"""When a letter was set aside, and its number."""
FIRST = 2**63 - 1
"""The place before the last letter of a service."""
Asked = Literal["open", "requeued", "discarded", "any"]
Text = Annotated[str | None, Query(max_length=200)]


@router.get("")
async def list_dead_letters(
    request: Request,
    asking: Asking,
    status: Asked = "open",
    service: Text = None,
    topic: Text = None,
    reason: Text = None,
    since: Instant | None = None,
    until: Instant | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> DeadLetterList:
    """What services could not handle and set aside, the last of each first; `since` and `until` ask by when.

    `reason` is the class of what was wrong. A service that does not answer is in `unavailable`; what it has comes on a
    later page.
    """
    services: Services = request.app.state.services
    positions: dict[str, Place | None] = dict.fromkeys(_meant(services, service))
    if cursor:
        positions = decode_cursor(cursor, tuple[dict[str, Place | None]])[0]
    asked = {"status": status, "topic": topic, "reason": reason, **_spelled(since, until), "limit": limit}
    parts: dict[str, Part | None] = {}
    for name, last in positions.items():
        query = {key: value for key, value in asked.items() if value is not None} | {
            "before": last[1] if last else FIRST
        }
        answer = await services.part(name, "GET", f"/internal/dead-letters?{urlencode(query)}", within_s=5)
        rows = answer.data
        parts[name] = rows and Part([{**row, "service": name} for row in rows["data"]], rows["has_more"])
    page = joined(parts, positions, limit=limit, key=lambda row: (str(row["first_failed_at"]), int(row["id"])))
    return DeadLetterList(
        data=[letters.shown(row["service"], row) for row in page.rows],
        has_more=bool(page.positions),
        next_cursor=encode_cursor(page.positions) if page.positions else None,
        unavailable=[name for name, part in parts.items() if part is None],
    )


@router.get("/{letter_id}")
async def read_dead_letter(letter_id: str, request: Request, asking: Asking) -> DeadLetter:
    """A dead letter with its payload, as it stood on the bus."""
    services: Services = request.app.state.services
    service, number = letters.opened(letter_id)
    if service not in services.readers:
        raise DeadLetterNotFound("There is no dead letter with this id.")
    status, letter = await services.told(service, "GET", f"/internal/dead-letters/{number}")
    if status == 404:
        raise DeadLetterNotFound("There is no dead letter with this id.")
    if letter is None:
        raise ServiceFailed(f"{service} answered with {status}.", service=service)
    return DeadLetter.model_validate(letters.shown(service, letter))


@router.post("/requeue")
async def requeue_dead_letters(body: LettersToRequeue, request: Request, asking: Asking) -> LetterOutcomes:
    """Hand letters to their handler once more: by their ids, or the open ones that fit.

    Each is handled in a transaction of its own, in the order in which they were set aside, not behind the topic. One
    that was handled or given up before is left alone, and one that is refused again stays open with the new reason:
    the same request may be sent as often as one likes.
    """
    return await _told(body, request, asking, "requeue", {})


@router.post("/discard")
async def discard_dead_letters(body: LettersToDiscard, request: Request, asking: Asking) -> LetterOutcomes:
    """Give letters up: by their ids, or the open ones that fit. They stay readable for a time and cannot come back."""
    return await _told(body, request, asking, "discard", {"why": body.why})


async def _told(
    body: LettersToRequeue, request: Request, asking: Asking, word: str, more: dict[str, Any]
) -> LetterOutcomes:
    services: Services = request.app.state.services
    begun, after = decode_cursor(body.cursor, tuple[str, int]) if body.cursor else ("", 0)
    asked = _asked(body, services)
    reports = await services.each("GET", "/readyz") if body.ids is None and body.service is None else {}
    if away := sorted(name for name in asked if name in reports and reports[name] is None):
        raise ServiceUnavailable(
            f"{', '.join(away)} did not answer, and may have such letters too. Name another service, or try again.",
            services=away,
        )
    data: list[dict[str, Any]] = []
    names = [name for name in asked if name >= begun]
    for place, name in enumerate(names):
        sent = asked[name] | more | {"after": after if name == begun else 0, "limit": max(1, body.limit - len(data))}
        told = await services.json(name, "POST", f"/internal/dead-letters/{word}", sent, caller=asking)
        data += [letters.shown(name, each) for each in told["data"]]
        last = told["data"][-1]["id"] if told["data"] else 0
        if told["has_more"] or (len(data) >= body.limit and place + 1 < len(names) and body.ids is None):
            following = (name, last) if told["has_more"] else (names[place + 1], 0)
            return LetterOutcomes(data=data, has_more=True, next_cursor=encode_cursor(*following))
    return LetterOutcomes(data=data, has_more=False, next_cursor=None)


def _asked(body: LettersToRequeue, services: Services) -> dict[str, dict[str, Any]]:
    """What each service is told, in the order of their names."""
    if body.ids is not None:
        numbers = letters.by_service(body.ids)
        if unknown := numbers.keys() - set(services.readers):
            raise DeadLetterNotFound("There is no dead letter with this id.", services=sorted(unknown))
        return {name: {"ids": numbers[name]} for name in sorted(numbers)}
    fits = {"topic": body.topic, "reason": body.reason, **_spelled(body.since, body.until)}
    return {name: fits for name in _meant(services, body.service)}


def _meant(services: Services, service: str | None) -> list[str]:
    return [name for name in services.readers if service in (None, name)]


def _spelled(since: datetime | None, until: datetime | None) -> dict[str, str | None]:
    return {"since": since.isoformat() if since else None, "until": until.isoformat() if until else None}
