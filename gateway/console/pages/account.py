"""What people change about themselves: name, language, time zone, keys, password, second step, sessions."""

from zoneinfo import available_timezones

import segno
from fastapi import APIRouter
from starlette.responses import Response

from gateway.console.api import Refused
from gateway.console.frame import Page, Somebody
from gateway.console.messages import DEFAULT, LANGUAGES
from gateway.console.pages.sign_in import code, come_in, device, text, weak

router = APIRouter(include_in_schema=False)

ZONES = sorted(zone for zone in available_timezones() if "/" in zone and not zone.startswith("Etc/"))
"""Those that are named for a place."""
OWN = {"password_refused": "account.wrong_own_password", "no_password": "account.no_password"}
QUIET = 4
"""Modules of white around a QR code (ISO/IEC 18004 §5.3.8)."""


@router.get("/account")
async def show_account(page: Somebody) -> Response:
    """Everything about oneself; an API key has a name alone."""
    return await _account(page)


@router.post("/account")
async def change_account(page: Somebody) -> Response:
    """Change name, language, time zone and the key of the search."""
    language = text(page, "language")
    wanted = {
        "name": text(page, "name"),
        "language": language if language in LANGUAGES else DEFAULT,
        "time_zone": text(page, "time_zone") or None,
        "search_key": text(page, "search_key") == "true",
    }
    try:
        await page.api.patch("/v1/me", wanted, if_match=text(page, "version"))
    except Refused as refused:
        if refused.status != 422:
            raise
        return await _account(page, status=422, wrong="account.wrong_profile", place="profile")
    return page.to("/account", notice="account.saved")


@router.post("/account/password")
async def change_password(page: Somebody) -> Response:
    """Set another password; every other session ends."""
    if text(page, "new") != text(page, "again"):
        return await _account(page, status=422, wrong="sign_in.wrong_again", place="password")
    wanted = {"current": text(page, "current"), "new": text(page, "new"), "device": device(page)}
    try:
        opened = await page.api.post("/v1/me/password", wanted)
    except Refused as refused:
        return await _refused(page, refused, "password")
    return come_in(page, opened, "/account?notice=account.password_changed")


@router.post("/account/second-step")
async def begin_second_step(page: Somebody) -> Response:
    """Show the secret for the authenticator app."""
    try:
        begun = await page.api.post("/v1/me/second-step", {"password": text(page, "password")})
    except Refused as refused:
        return await _refused(page, refused, "step")
    return _secret(page, begun["secret"], begun["uri"])


@router.post("/account/second-step/confirm")
async def confirm_second_step(page: Somebody) -> Response:
    """Take the first code, and show the recovery codes."""
    try:
        codes = await page.api.post("/v1/me/second-step/confirm", {"code": code(page) or "------"})
    except Refused as refused:
        if refused.code != "code_refused":
            raise
        return _secret(page, text(page, "secret"), text(page, "uri"), wrong="account.wrong_code", status=422)
    return page.render("account/codes.html", codes=codes["recovery_codes"])


@router.post("/account/second-step/remove")
async def remove_second_step(page: Somebody) -> Response:
    """Have the password do alone."""
    try:
        await page.api.post("/v1/me/second-step/remove", {"password": text(page, "password")})
    except Refused as refused:
        return await _refused(page, refused, "step")
    return page.to("/account", notice="account.step_removed")


@router.post("/account/recovery-codes")
async def renew_recovery_codes(page: Somebody) -> Response:
    """Show new recovery codes."""
    try:
        codes = await page.api.post("/v1/me/second-step/recovery-codes", {"password": text(page, "password")})
    except Refused as refused:
        return await _refused(page, refused, "step")
    return page.render("account/codes.html", codes=codes["recovery_codes"])


@router.post("/account/sessions/end-others")
async def end_other_sessions(page: Somebody) -> Response:
    """End all sessions but this one."""
    await page.api.post("/v1/sessions/end-others")
    return page.to("/account", notice="account.sessions_ended")


@router.post("/account/sessions/{session_id}/end")
async def end_session(session_id: str, page: Somebody) -> Response:
    """End one session."""
    await page.api.delete(f"/v1/sessions/{session_id}")
    return page.to("/account", notice="account.session_ended")


async def _account(
    page: Page, *, status: int = 200, wait_s: int = 0, wrong: str | None = None, place: str = ""
) -> Response:
    sessions = await page.api.part("/v1/sessions") if page.me and page.me.get("email") else None
    said = {f"wrong_{each}": wrong if each == place else None for each in ("profile", "password", "step")}
    return page.render("account/account.html", status=status, sessions=sessions, zones=ZONES, wait_s=wait_s, **said)


async def _refused(page: Page, refused: Refused, place: str) -> Response:
    if refused.code == "too_many_attempts":
        wait_s = int(refused.problem.get("retry_after_s", 1))
        wrong: str | None = "sign_in.wrong_too_many_attempts"
        return await _account(page, status=429, wait_s=wait_s, wrong=wrong, place=place)
    wrong = weak(refused) or OWN.get(refused.code)
    if wrong is None:
        raise refused
    return await _account(page, status=422, wrong=wrong, place=place)


def _secret(page: Page, secret: str, uri: str, *, wrong: str | None = None, status: int = 200) -> Response:
    size, modules = qr_code(uri)
    return page.render(
        "account/second_step.html", status=status, secret=secret, uri=uri, size=size, modules=modules, wrong=wrong
    )


def qr_code(said: str) -> tuple[int, str]:
    """A text as a QR code: the width of its square, and its dark modules as the path of an SVG."""
    matrix = segno.make(said, error="m", micro=False).matrix
    path = [
        f"M{x + QUIET} {y + QUIET}h1v1h-1z" for y, row in enumerate(matrix) for x, module in enumerate(row) if module
    ]
    return len(matrix) + 2 * QUIET, "".join(path)
