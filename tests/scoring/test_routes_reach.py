from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from chassis.auth import HEADER, Caller, Reach
from chassis.db import Database
from tests.scoring.feeding import Feeding
from tests.scoring.test_routes_policies import FIRST
from tests.scoring.test_sweeping import read_until
from tests.scoring.test_trying import SHORT, tried

START = datetime(2024, 6, 1, 12, tzinfo=UTC)
PERIOD = {"since": "2024-05-01", "until": "2024-06-30"}
USER, TEAM = UUID(int=7), UUID(int=8)


@pytest.fixture
def feed(scoring: Database) -> Feeding:
    return Feeding(scoring, at=START)


def reaching(api: httpx.AsyncClient, reach: Reach) -> dict[str, str]:
    """The header of somebody of the team."""
    app: Any = api._transport.app  # type: ignore[attr-defined]
    return {HEADER: app.state.signer.sign(Caller("user_7", frozenset({"manager"}), USER, TEAM, reach))}


async def test_what_is_computed_of_many_is_of_those_within_reach(
    api: httpx.AsyncClient, scoring: Database, feed: Feeding
) -> None:
    own, of_team, other, nobodys = (feed.identity() for _ in range(4))
    for somebody in (own, of_team, other, nobodys):
        for days in (0, 15):
            await feed.bought(somebody, START + timedelta(days=days), 1_000)
    await feed.owned(own, 1, owner=USER)
    await feed.owned(of_team, 1, owner=UUID(int=9), team=TEAM)
    await feed.owned(other, 1, owner=UUID(int=9), team=UUID(int=10))
    await read_until(scoring, START + timedelta(days=90))
    done = await tried(api, scoring, SHORT, keep_moves=True)
    known_at = {"known_at": (START + timedelta(days=60)).isoformat()}

    for reach, seen in ((Reach.OWN, {own}), (Reach.TEAM, {own, of_team}), (Reach.ALL, {own, of_team, other, nobodys})):
        headers = reaching(api, reach)
        for path, query in (
            (f"/internal/trials/{done['id']}/moves", {}),
            ("/internal/standings/export", {"as_of": "2024-07-01"}),
            ("/v1/standings", {"sort": "party", "as_of": "2024-07-01"}),
            ("/v1/standings", {"sort": "next_change_at"}),
            ("/v1/standings", {"sort": "tier"}),
            ("/v1/standings", {"sort": "last_contact"}),
            ("/v1/standings", {"sort": "party", **known_at}),
            ("/v1/reports/zoom", {"level": "party", "as_of": "2024-07-01"}),
            ("/v1/reports/zoom", {"level": "party", "by": "kind"}),
            ("/v1/reports/flows/moves", {**PERIOD, "from_stage": "none", "to_stage": "customer"}),
        ):
            answer = await api.get(path, params=query, headers=headers)
            there = {each for each in (own, of_team, other, nobodys) if each.hex in answer.text}
            assert (answer.status_code, there) == (200, seen), (path, query, reach, answer.text[:300])
        unowned = await api.get("/v1/standings", params={"owned": "false"}, headers=headers)
        assert [row["party_id"] for row in unowned.json()["data"]] == [f"party_{nobodys.hex}"] * (reach is Reach.ALL)
        flows = (await api.get("/v1/reports/flows", params=PERIOD, headers=headers)).json()
        assert [(each["from_stage"], each["to_stage"], each["count"]) for each in flows["data"]] == [
            (None, "customer", len(seen))
        ]
        summary = await api.get("/v1/standings/summary", params={"as_of": "2024-07-01"}, headers=headers)
        assert summary.json()["count"] == len(seen)
        zoomed = await api.get("/v1/reports/zoom", params={"by": "owner", "as_of": "2024-07-01"}, headers=headers)
        assert sum(each["measures"]["count"] for each in zoomed.json()["data"]) == len(seen)
        body = {"held_as": "vip", "party_ids": [f"party_{each.hex}" for each in (own, of_team, other, nobodys)]}
        listed = (await api.post("/v1/reports/surprises", json=body, headers=headers)).json()
        assert (listed["named"], len(listed["unknown"])) == (len(seen), 4 - len(seen))
        merged = await api.post(
            f"/v1/standings/party_{own.hex}/merge-preview", json={"party_id": f"party_{other.hex}"}, headers=headers
        )
        assert merged.status_code == (200 if other in seen else 404)


async def test_who_does_not_reach_everything_ends_the_trials_that_they_asked_for(api: httpx.AsyncClient) -> None:
    manager = reaching(api, Reach.OWN)
    own = (await api.post(f"/v1/policies/{FIRST}/trials", headers=manager)).json()
    other = (await api.post(f"/v1/policies/{FIRST}/trials")).json()

    refused = await api.delete(f"/v1/trials/{other['id']}", headers=manager)
    ended = await api.delete(f"/v1/trials/{own['id']}", headers=manager)

    assert (refused.status_code, refused.json()["code"]) == (403, "trial_of_another")
    assert (await api.get(f"/v1/trials/{other['id']}")).json()["state"] == "waiting"
    assert (ended.status_code, ended.json()["state"]) == (200, "cancelled")
    assert (await api.delete(f"/v1/trials/{other['id']}")).json()["state"] == "cancelled"
