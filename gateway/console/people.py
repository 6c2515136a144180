"""Whom parties belong to: people and teams, found by a part of their names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.console.frame import Page

MOST = 200
"""People, and teams, that are shown at once; whoever is not among them is found by name."""


@dataclass(frozen=True)
class People:
    """Those who were found."""

    users: Sequence[Mapping[str, Any]]
    teams: Sequence[Mapping[str, Any]]
    more: bool
    """Whether there are others of that name."""
    text: str
    """The part of a name that was asked for."""


async def people(page: Page, *, disabled: bool | None = None) -> People:
    """Of everybody, of the own team, or the person alone, as far as whoever looks reaches; `q` is part of a name.

    Raises `Refused`.
    """
    text = page.request.query_params.get("q", "").replace("\x00", "").strip()[:100]
    me = page.me or {}
    if me.get("reach") == "all":
        parts = await page.api.together(
            users=("/v1/users", {"limit": MOST, "q": text, "disabled": disabled}),
            teams=("/v1/teams", {"limit": MOST, "q": text}),
        )
        users, teams = parts["users"].or_raise(), parts["teams"].or_raise()
        return People(users["data"], teams["data"], users["has_more"] or teams["has_more"], text)
    team = me.get("team")
    if me.get("reach") != "team" or not team:
        return People([me] if str(me.get("id", "")).startswith("user_") else [], [], False, text)
    asked = {"limit": MOST, "q": text, "disabled": disabled, "team_id": team["id"]}
    found = await page.api.get("/v1/users", **asked)
    return People(found["data"], [team], found["has_more"], text)
