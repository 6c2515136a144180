"""What parties and people are called on a page: one question for all of a page, whoever is on it."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from gateway.console.api import Api, Refused

AT_ONCE = 200
"""Ids that one question asks for: an address is no longer than servers take."""


class Names:
    """What those on a page are called."""

    def __init__(self, parties: Mapping[str, str], people: Mapping[str, str]) -> None:
        self._parties, self._people = parties, people

    def party(self, party_id: str) -> str:
        """The name of a party, else what it is known by, else the beginning of its id."""
        return self._parties.get(party_id) or shortened(party_id)

    def person(self, user_id: str | None) -> str:
        """The name of somebody who works here, or of a team."""
        return "" if user_id is None else self._people.get(user_id) or shortened(user_id)


async def names(api: Api, party_ids: Iterable[str], people_ids: Iterable[str | None] = ()) -> Names:
    """The names of everybody on a page; whoever cannot be asked for now goes by their id."""
    people = {id for id in people_ids if id}
    parties, users, teams = await asyncio.gather(
        _parties(api, sorted(set(party_ids))),
        _people(api, "/v1/users", sorted(id for id in people if id.startswith("user_"))),
        _people(api, "/v1/teams", sorted(id for id in people if id.startswith("team_"))),
    )
    return Names(parties, users | teams)


async def _parties(api: Api, ids: list[str]) -> dict[str, str]:
    named: dict[str, str] = {}
    for place in range(0, len(ids), AT_ONCE):
        found = await api.part("/v1/parties", ids=ids[place : place + AT_ONCE], limit=AT_ONCE)
        for party in found["data"] if found else []:
            called = label(party)
            if called is not None:
                named |= dict.fromkeys([party["id"], *party["merged_ids"]], called)
    return named


async def _people(api: Api, path: str, ids: list[str]) -> dict[str, str]:
    if not ids:
        return {}
    try:
        found = await api.get(path, ids=ids, limit=AT_ONCE)
    except Refused:
        return {}
    return {each["id"]: each["name"] for each in found["data"]}


def label(party: Mapping[str, Any]) -> str | None:
    """What a party goes by: its name, an e-mail address, a phone number, a number in another system."""
    if party.get("name"):
        return str(party["name"])
    held = {each["scheme"]: each for each in reversed(party["identifiers"])}
    for scheme in ("email", "phone"):
        if scheme in held:
            return str(held[scheme]["value"])
    return f"{held['external']['system']} {held['external']['value']}" if "external" in held else None


def shortened(id: str) -> str:
    """The beginning of an id."""
    kind, _, digits = id.partition("_")
    return f"{kind} {digits[:8]}"
