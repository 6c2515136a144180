"""What is done on the page of a party: contacts, purchases, overrides, owner, name, merges, problems."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from chassis.clock import now
from gateway.console.api import Refused
from gateway.console.forms import unreadable
from gateway.console.frame import Page, Somebody
from gateway.console.numbers import minor_of, minor_read, number_of, share_of, whole
from gateway.console.pages.party import DEPARTMENT, DEPARTMENTS, show_mistake, usual_department
from gateway.console.standing import NUMBERS

router = APIRouter(prefix="/parties/{party_id}", include_in_schema=False)

CONTACTS = {
    "called": ("phone", "contact", "outbound"),
    "was_called": ("phone", "inquiry", "inbound"),
    "wrote": ("email", "contact", "outbound"),
    "was_written": ("email", "inquiry", "inbound"),
    "met": ("visit", "visit", "inbound"),
    "complaint": ("phone", "complaint", "inbound"),
    "wants_no_more": ("phone", "declined", "inbound"),
}
"""Channel, kind and direction of what is recorded with one click."""
DEPARTMENT_S = 400 * 86_400


@router.post("/contacts")
async def record_contact(party_id: str, page: Somebody) -> Response:
    """Write down what passed with a party: now, or on the day that is said."""
    note = _text(page, "note")
    department = _text(page, "department") or usual_department(page)

    async def record() -> None:
        channel, kind, direction = _contact(page)
        body: dict[str, Any] = {
            "party_id": party_id,
            "source": "console",
            "source_id": _text(page, "once") or None,
            "occurred_at": _when(page),
            "department": department,
            "channel": channel,
            "kind": kind,
            "direction": direction,
            **({"text": note} if note else {}),
            **_author(page),
        }
        if kind == "complaint" and _text(page, "problem"):
            body["problem"] = {"category": "complaint"}
        if kind == "declined":
            body["loss_reason"] = _text(page, "loss_reason") or "unknown"
        await page.api.post("/v1/interactions", body)

    done = await _done(page, party_id, "contacts", "party.contact_recorded", record)
    if department in DEPARTMENTS:
        done.set_cookie(DEPARTMENT, department, max_age=DEPARTMENT_S, httponly=True, samesite="lax", secure=page.secure)
    return done


@router.post("/purchases")
async def record_purchase(party_id: str, page: Somebody) -> Response:
    """Write down what a party bought."""
    currency = _text(page, "currency").upper()

    async def record() -> None:
        body = {
            "party_id": party_id,
            "source": "console",
            "source_id": _text(page, "once") or None,
            "occurred_at": _when(page),
            "currency": currency,
            "amount_minor": _minor(page, currency),
        }
        await page.api.post("/v1/purchases", body)

    return await _done(page, party_id, "purchases", "party.purchase_recorded", record)


@router.post("/overrides")
async def set_override(party_id: str, page: Somebody) -> Response:
    """Set a part of the standing to what somebody knows better, up to a day."""
    field, _, chosen = _text(page, "to").partition(":")

    async def set_it() -> None:
        value = _number(page, field) if field in NUMBERS else chosen
        body = {"field": field, "value": value, "why": _text(page, "why"), "until": _text(page, "until") or None}
        await page.api.post(f"/v1/standings/{party_id}/overrides", body)

    return await _done(page, party_id, "overrides", "party.override_set", set_it)


@router.post("/overrides/{override_id}/end")
async def end_override(party_id: str, override_id: str, page: Somebody) -> Response:
    """Leave that part to the facts again."""
    return await _done(
        page, party_id, "", "party.override_over", lambda: page.api.post(f"/v1/overrides/{override_id}/end", {})
    )


@router.post("/owner")
async def change_owner(party_id: str, page: Somebody) -> Response:
    """Give the party to a person, a team, both or nobody."""
    body = {"owner_id": _text(page, "owner_id") or None, "team_id": _text(page, "team_id") or None}
    version = {"if_match": f'"{_text(page, "version")}"'} if _text(page, "version") else {}
    path = f"/v1/parties/{party_id}/owner"
    return await _done(page, party_id, "owner", "party.owner_changed_now", lambda: page.api.put(path, body, **version))


@router.post("/name")
async def name_party(party_id: str, page: Somebody) -> Response:
    """Say what the party is called."""
    body = {"name": _text(page, "name") or None}
    path = f"/v1/parties/{party_id}/name"
    return await _done(page, party_id, "name", "party.named", lambda: page.api.put(path, body))


@router.post("/unmerge")
async def unmerge(party_id: str, page: Somebody) -> Response:
    """Take one merge back."""
    body = {"merge_id": _text(page, "merge_id")}
    path = f"/v1/parties/{party_id}/unmerge"
    return await _done(page, party_id, "", "party.unmerged_now", lambda: page.api.post(path, body))


@router.post("/problems/{problem_id}/solve")
async def solve_problem(party_id: str, problem_id: str, page: Somebody) -> Response:
    """Say that a problem is solved."""
    note = _text(page, "note")
    body: dict[str, Any] = {**({"note": note} if note else {}), **_author(page)}
    if version := _text(page, "version"):
        body["version"] = whole(version) or 0
    return await _done(
        page, party_id, "", "party.problem_solved_now", lambda: page.api.post(f"/v1/problems/{problem_id}/solve", body)
    )


@router.get("/contacts")
@router.get("/purchases")
@router.get("/overrides")
@router.get("/name")
async def leave_form(party_id: str, page: Somebody) -> Response:
    """The page of the party, for whoever comes back to the address of a form that was wrong."""
    return page.to(f"/parties/{party_id}")


async def _done(page: Page, party_id: str, form: str, notice: str, act: Callable[[], Awaitable[Any]]) -> Response:
    """Do it and go back to the party; a form that is wrong is shown again, with what is wrong and what was typed."""
    try:
        await act()
    except Refused as refused:
        if not refused.returns_form:
            raise
        return await show_mistake(page, party_id, refused, form)
    return page.to(f"/parties/{party_id}", notice=notice)


def _text(page: Page, name: str) -> str:
    value = page.form.get(name, "")
    return (value if isinstance(value, str) else value[0]).strip()


def _contact(page: Page) -> tuple[str, str, str]:
    """Channel, kind and direction of what passed. Raises `Refused` where that is not said: it must not be made up."""
    contact = CONTACTS.get(_text(page, "what"))
    if contact is None:
        raise Refused(422, {"code": "invalid_request", "detail": "Say what passed with the party."})
    return contact


def _author(page: Page) -> dict[str, str]:
    id = str((page.me or {}).get("id", ""))
    return {"author_id": id} if id.startswith("user_") else {}


def _when(page: Page) -> str:
    """Now; noon of an earlier day where one is said. Raises `Refused` for what is no day."""
    present, said = now(), _text(page, "day")
    if not said:
        return present.isoformat()
    try:
        day = datetime.fromisoformat(said).date()
    except ValueError:
        raise unreadable("day", "2026-12-01") from None
    if day >= present.astimezone(page.zone).date():
        return present.isoformat()
    return (datetime(day.year, day.month, day.day, tzinfo=page.zone) + timedelta(hours=12)).isoformat()


def _minor(page: Page, currency: str) -> int:
    """The amount in minor units. Raises `Refused` for what is none."""
    minor = minor_of(_text(page, "amount"), currency)
    if minor is None:
        detail = f"This is no amount in {currency}."
        raise Refused(422, {"code": "invalid_request", "errors": [{"pointer": "#/amount", "detail": detail}]})
    return minor


def _number(page: Page, field: str) -> str:
    """The number that a part of a standing is set to. Raises `Refused` for what is none."""
    text, currency = _text(page, "number"), _text(page, "currency")
    if field.endswith("_minor"):
        number, detail = minor_read(text, currency), f"This is no amount in {currency}."
        fits = number is not None and number == int(number)
    else:
        number, detail = share_of(text) if field == "p" else number_of(text), "This is no number that it can be."
        fits = number is not None and number == round(number, 6)
    if number is None or not fits:
        raise Refused(422, {"code": "invalid_request", "errors": [{"pointer": "#/number", "detail": detail}]})
    return f"{number.normalize():f}"
