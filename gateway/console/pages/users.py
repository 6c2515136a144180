"""People and teams, for who administers them."""

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from gateway.console.api import Refused
from gateway.console.frame import Page, Somebody
from gateway.console.messages import LANGUAGES
from gateway.console.pages.sign_in import text
from gateway.domain.rights import Role

router = APIRouter(include_in_schema=False)

WRONG = {
    "email_taken": "users.wrong_email_taken",
    "bad_identifier": "users.wrong_email",
    "team_name_taken": "users.wrong_team_name",
    "team_in_use": "users.wrong_team_in_use",
    "last_owner": "users.wrong_last_owner",
    "owners_alone": "users.wrong_owners_alone",
    "invalid_request": "sign_in.wrong_fields",
}
"""What is said beside the form, in the reader's language."""


@router.get("/users")
async def list_users(page: Somebody, q: str = "", cursor: str = "") -> Response:
    """Everybody by name, or those whose name has a part."""
    found = await page.api.get("/v1/users", q=q or None, cursor=cursor or None, limit=50)
    teams = {each["id"]: each["name"] for each in await _teams(page)}
    template = "users/rows.html" if page.by_script and cursor else "users/list.html"
    return page.render(template, users=found, teams=teams, q=q)


@router.get("/users/new")
async def show_new_user(page: Somebody) -> Response:
    """The form for somebody new."""
    return await _form(page, None)


@router.post("/users")
async def create_user(page: Somebody) -> Response:
    """Make somebody, and show the link for them."""
    wanted = {**_said(page), "language": text(page, "language")}
    try:
        made = await page.api.post("/v1/users", wanted)
    except Refused as refused:
        return await _form(page, None, wrong=_wrong(refused), typed=wanted)
    return _link(page, made, made["invitation"])


@router.get("/users/{user_id}")
async def show_user(user_id: str, page: Somebody) -> Response:
    """Somebody, and what can be done about them."""
    return await _form(page, await page.api.get(f"/v1/users/{user_id}"))


@router.post("/users/{user_id}")
async def change_user(user_id: str, page: Somebody) -> Response:
    """Change name, address, roles, team."""
    wanted = _said(page)
    try:
        await page.api.patch(f"/v1/users/{user_id}", wanted, if_match=text(page, "version"))
    except Refused as refused:
        wrong = _wrong(refused)
        return await _form(page, await page.api.get(f"/v1/users/{user_id}"), wrong=wrong, typed=wanted)
    return page.to(f"/users/{user_id}", notice="users.saved")


@router.post("/users/{user_id}/invite")
async def invite_user(user_id: str, page: Somebody) -> Response:
    """A new link."""
    link = await page.api.post(f"/v1/users/{user_id}/invite")
    return _link(page, await page.api.get(f"/v1/users/{user_id}"), link)


@router.post("/users/{user_id}/{act}")
async def act_on_user(user_id: str, act: str, page: Somebody) -> Response:
    """Disable, enable, reset the second step, end the sessions."""
    try:
        await page.api.post(f"/v1/users/{user_id}/{act}")
    except Refused as refused:
        return await _form(page, await page.api.get(f"/v1/users/{user_id}"), wrong=_wrong(refused))
    return page.to(f"/users/{user_id}", notice="users.saved")


@router.get("/teams")
async def list_teams(page: Somebody) -> Response:
    """All teams."""
    return page.render("users/teams.html", teams=await _teams(page), wrong=None)


@router.post("/teams")
async def create_team(page: Somebody) -> Response:
    """Make a team."""
    return await _team(page, "POST", "/v1/teams", body={"name": text(page, "name")})


@router.post("/teams/{team_id}")
async def rename_team(team_id: str, page: Somebody) -> Response:
    """Give a team another name."""
    seen = {"if_match": text(page, "version")}
    return await _team(page, "PATCH", f"/v1/teams/{team_id}", body={"name": text(page, "name")}, headers=seen)


@router.post("/teams/{team_id}/remove")
async def remove_team(team_id: str, page: Somebody) -> Response:
    """Remove a team in which nobody is."""
    return await _team(page, "DELETE", f"/v1/teams/{team_id}")


async def _team(page: Page, method: str, path: str, **sent: Any) -> Response:
    try:
        await page.api.asked(method, path, **sent)
    except Refused as refused:
        teams = await _teams(page)
        return page.render("users/teams.html", status=refused.status, teams=teams, wrong=_wrong(refused))
    return page.to("/teams", notice="users.saved")


async def _teams(page: Page) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await page.api.get("/v1/teams", limit=1_000))["data"]
    return found


async def _form(
    page: Page, user: dict[str, Any] | None, *, wrong: str | None = None, typed: dict[str, Any] | None = None
) -> Response:
    account = (user or {}).get("account") or {"email": "", "roles": [Role.AGENT], "language": page.language}
    values = {"name": "", "team_id": None, **(user or {}), **account, **(typed or {})}
    is_owner = Role.OWNER in (page.me or {}).get("scopes", ())
    roles = [role for role in Role if role is not Role.OWNER or is_owner or role in values["roles"]]
    return page.render(
        "users/user.html",
        status=422 if wrong else 200,
        user=user,
        values=values,
        roles=roles,
        teams=await _teams(page),
        spoken=LANGUAGES,
        wrong=wrong,
    )


def _link(page: Page, user: dict[str, Any], link: dict[str, Any]) -> Response:
    there = str(page.request.base_url).rstrip("/") + link["path"]
    return page.render("users/link.html", user=user, link=there, until=link["expires_at"])


def _said(page: Page) -> dict[str, Any]:
    roles = page.form.get("role", [])
    return {
        "name": text(page, "name"),
        "email": text(page, "email"),
        "roles": [roles] if isinstance(roles, str) else roles,
        "team_id": text(page, "team_id") or None,
    }


def _wrong(refused: Refused) -> str:
    if (wrong := WRONG.get(refused.code)) is None:
        raise refused
    return wrong
