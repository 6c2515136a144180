"""How somebody comes in and goes out: address and password, the code, a one-time link."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote, unquote

from fastapi import APIRouter
from fastapi.responses import RedirectResponse
from starlette.responses import Response

from chassis.clock import now
from gateway.console.api import Refused
from gateway.console.forms import inside
from gateway.console.frame import Anybody, Page

router = APIRouter(include_in_schema=False)

DEVICE = "shuke_device"
"""The cookie that says: this person signed in here before. With it nobody elsewhere can slow them down."""
DEVICE_S = 400 * 86_400
"""The longest that browsers keep a cookie (RFC 6265bis §5.5)."""

FLOW = "shuke_oidc"
"""The cookie of a browser that is at the provider."""
FLOW_S = 600
NEXT = "shuke_next"
"""The cookie of the same browser with the page to which it wanted to go, as in an address."""
ELSEWHERE = {
    "oidc_refused": "sign_in.wrong_oidc_refused",
    "oidc_unknown_person": "sign_in.wrong_oidc_unknown_person",
    "oidc_address_taken": "sign_in.wrong_oidc_address_taken",
    "user_disabled": "sign_in.wrong_user_disabled",
}
"""What is said when somebody comes back from there in vain."""

GENTLE = frozenset({"sign_in_failed", "code_refused", "too_many_attempts", "user_disabled"})
"""What is said beside the form, in the reader's language."""


@router.get("/sign-in")
async def show_sign_in(page: Anybody, next: str = "/", email: str = "") -> Response:
    """The form, or on to where they wanted to go if somebody is signed in."""
    if page.me is not None:
        return page.to(inside(next))
    return page.render("sign_in/password.html", next=inside(next), email=email, wrong=None, elsewhere=provider(page))


@router.post("/sign-in")
async def sign_in(page: Anybody) -> Response:
    """Try address and password."""
    said, target = text(page, "email"), inside(text(page, "next"))
    wanted = {"email": said, "password": text(page, "password"), "device": device(page)}
    try:
        return come_in(page, await page.api.post("/v1/sessions", wanted), target)
    except Refused as refused:
        if refused.code == "code_needed":
            return page.render("sign_in/code.html", next=target, ticket=refused.problem["ticket"], wrong=None)
        return again(page, refused, "sign_in/password.html", next=target, email=said, elsewhere=provider(page))


@router.get("/sign-in/elsewhere")
async def go_elsewhere(page: Anybody, next: str = "/") -> Response:
    """Send the browser to the OpenID provider, and keep what must be there when it comes back."""
    way = await page.api.get("/v1/sessions/oidc")
    response = page.sealed(RedirectResponse(way["url"], 303))
    for name, value in ((FLOW, way["flow"]), (NEXT, quote(inside(next)))):
        response.set_cookie(
            name, value, max_age=FLOW_S, httponly=True, samesite="lax", secure=page.secure, path="/sign-in"
        )
    return response


@router.get("/sign-in/oidc")
async def come_back(page: Anybody, code: str = "", state: str = "") -> Response:
    """Take what the provider sent back."""
    back = {"code": code, "state": state, "flow": page.request.cookies.get(FLOW, "")}
    target = inside(unquote(page.request.cookies.get(NEXT, "/")))
    try:
        response = come_in(page, await page.api.post("/v1/sessions/oidc", back), target)
    except Refused as refused:
        if refused.code not in ELSEWHERE and refused.status != 422:
            raise
        wrong = ELSEWHERE.get(refused.code, "sign_in.wrong_oidc_refused")
        status = refused.status
        response = page.render(
            "sign_in/password.html", status=status, next=target, email="", wrong=wrong, elsewhere=provider(page)
        )
    for name in (FLOW, NEXT):
        response.delete_cookie(name, path="/sign-in", httponly=True, samesite="lax", secure=page.secure)
    return response


@router.post("/sign-in/code")
async def sign_in_by_code(page: Anybody) -> Response:
    """Try the code."""
    ticket, target = text(page, "ticket"), inside(text(page, "next"))
    wanted = {"ticket": ticket, "code": code(page) or "------", "device": device(page)}
    try:
        return come_in(page, await page.api.post("/v1/sessions/second-step", wanted), target)
    except Refused as refused:
        if refused.code in ("sign_in_failed", "user_disabled"):
            return again(page, refused, "sign_in/password.html", next=target, email="", elsewhere=provider(page))
        return again(page, refused, "sign_in/code.html", next=target, ticket=ticket)


@router.post("/sign-out")
async def sign_out(page: Anybody) -> Response:
    """End the session; the device stays known."""
    if page.me is not None:
        try:
            await page.api.delete("/v1/sessions/current")
        except Refused as refused:
            if refused.code != "people_alone":
                raise
    return page.signed_out(page.to("/sign-in", notice="sign_in.signed_out"))


@router.get("/invitation")
async def show_invitation(page: Anybody, token: str = "") -> Response:
    """What a one-time link is for, and the form for it."""
    try:
        link = await page.api.post("/v1/invitations/read", {"token": token})
    except Refused as refused:
        if refused.code not in ("invitation_not_found", "invalid_request"):
            raise
        return page.render("sign_in/no_link.html", status=404)
    return page.render("sign_in/invitation.html", link=link, token=token, name="", email="", wrong=None)


@router.post("/invitation")
async def accept_invitation(page: Anybody) -> Response:
    """Set the password, and come in."""
    token, name, email = text(page, "token"), text(page, "name"), text(page, "email")
    try:
        link = await page.api.post("/v1/invitations/read", {"token": token})
    except Refused:
        return page.render("sign_in/no_link.html", status=404)
    shown = {"link": link, "token": token, "name": name, "email": email}
    if text(page, "password") != text(page, "again"):
        return page.render("sign_in/invitation.html", status=422, wrong="sign_in.wrong_again", **shown)
    wanted: dict[str, Any] = {"token": token, "password": text(page, "password"), "device": device(page)}
    wanted |= {"name": name, "email": email} if link["kind"] == "first" else {}
    wanted |= {"code": code(page) or "------"} if link["second_step"] else {}
    try:
        return come_in(page, await page.api.post("/v1/invitations/accept", wanted), "/")
    except Refused as refused:
        if (wrong := weak(refused)) is None:
            return again(page, refused, "sign_in/invitation.html", **shown)
        return page.render("sign_in/invitation.html", status=422, wrong=wrong, **shown)


def come_in(page: Page, opened: Mapping[str, Any], target: str) -> Response:
    """The answer after which the browser has a session, and is known for this person."""
    seconds = int((datetime.fromisoformat(opened["expires_at"]) - now()).total_seconds())
    response = page.signed_in(page.to(target), opened["token"], seconds=seconds)
    response.set_cookie(
        DEVICE, opened["device"], max_age=DEVICE_S, httponly=True, samesite="lax", secure=page.secure, path="/"
    )
    return response


def again(page: Page, refused: Refused, template: str, **values: Any) -> Response:
    """The form once more, with what was wrong; what nobody can help by typing is an error like any other."""
    if refused.code in GENTLE:
        wrong = f"sign_in.wrong_{refused.code}"
    elif refused.status == 422:
        wrong = "sign_in.wrong_fields"
    else:
        raise refused
    seconds = int(refused.problem.get("retry_after_s", 0))
    return page.render(template, status=refused.status, wrong=wrong, wait_s=seconds, **values)


def weak(refused: Refused) -> str | None:
    """The message about a password that was refused as too weak; None where that is not what is wrong."""
    if refused.code != "weak_password":
        return None
    return f"sign_in.weak_{refused.problem.get('reason', 'short')}"


def provider(page: Page) -> str | None:
    """What the provider is called at which people may sign in, too; None where there is none."""
    settings = page.request.app.state.settings
    return settings.oidc_name if settings.issuer and settings.oidc_client_id else None


def device(page: Page) -> str | None:
    """What the browser is known by."""
    return page.request.cookies.get(DEVICE)


def text(page: Page, name: str) -> str:
    """A field of the form; empty where it did not come."""
    value = page.form.get(name, "")
    return value if isinstance(value, str) else value[0]


def code(page: Page) -> str:
    """The code that was typed; the spaces in it do not count."""
    return text(page, "code").strip()[:40]
