"""Every cell of the table of rights, decided by the running product: operation, role, and whose party it is."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any
from uuid import uuid4

import httpx
import pytest

from chassis.auth import Reach
from deploy import rights as described
from gateway.domain.rights import Role, area_of, rights
from tests.system.product import Product, party_of

PASSWORD = "quiet lantern over 7 rivers"
DAY = "2026-02-{:02}T10:00:00Z"
PLACES = ("own", "team", "other")
CONTACT = {
    "email": "vera.planted@example.org",
    "phone": "+442071838750",
    "note": "Ring her sister at noon, not before.",
}
"""What an analyst is to see nowhere."""
WHOSE = {
    "party_id": "party",
    "merge_id": "merge",
    "purchase_id": "purchase",
    "return_id": "return",
    "interaction_id": "interaction",
    "problem_id": "problem",
    "observation_id": "observation",
    "lead_id": "lead",
    "override_id": "override",
}
"""Steps of a path that name something of a party."""
OUTSIDE = {(403, "out_of_reach"), (403, "trial_of_another")}
"""How a change of what is out of reach is refused."""
READING = ("merge-preview", "unmerge-preview", "verify", "surprises")
"""Last steps of a POST that changes nothing."""
LISTED = ("party", "purchase", "return", "interaction", "problem", "lead")
_numbers = count(1)


class World:
    """People of every role, and of each of four of them a party with all that may be told of one."""

    def __init__(self, product: Product) -> None:
        self.product = product
        self.client = product.client
        self.tokens: dict[str, str] = {}
        self.addresses: dict[str, str] = {}
        link = product.post("/v1/invitations/first")
        self._accept("owner", link, name="Olga", email="owner@people.example")
        teams = [product.post("/v1/teams", json={"name": name})["id"] for name in ("North", "South")]
        people = [(str(role), [role], teams[0]) for role in Role if role is not Role.OWNER]
        people += [("colleague", [Role.AGENT], teams[0]), ("stranger", [Role.AGENT], teams[1])]
        ids = {name: self._person(name, roles, team) for name, roles, team in people}
        cares = {who: (ids[who], teams[who == "stranger"]) for who in ("agent", "manager", "colleague", "stranger")}
        self.things = {who: self._party(who, *care) for who, care in cares.items()}
        product.settle()
        self.policy: str = product.get("/v1/policies")["data"][0]["hash"]
        for things in self.things.values():
            body = {"field": "tier", "value": "top", "why": "As agreed."}
            things["override"] = product.post(f"/v1/standings/{things['party']}/overrides", json=body)["id"]
        for who, things in self.things.items():
            # Agents ask for none: theirs are somebody else's, too.
            asker = "manager" if who == "manager" else "operator"
            asked = self.asked(asker, "POST", f"/v1/policies/{self.policy}/trials", {"keep_moves": True})
            assert asked.status_code == 202, asked.text
            things["trial"] = asked.json()["id"]

    def _accept(self, who: str, link: Mapping[str, Any], **said: str) -> None:
        body = {"token": link["token"], "password": PASSWORD, **said}
        answer = self.client.post("/v1/invitations/accept", json=body, headers={"Authorization": ""})
        assert answer.status_code == 201, answer.text
        self.tokens[who] = answer.json()["token"]
        self.addresses[who] = f"{who}@people.example"

    def _person(self, who: str, roles: Sequence[Role], team_id: str) -> str:
        wanted = {"name": who, "email": f"{who}@people.example", "roles": roles, "team_id": team_id}
        made = self.product.post("/v1/users", json=wanted)
        self._accept(who, made["invitation"])
        return str(made["id"])

    def _party(self, who: str, owner_id: str, team_id: str) -> dict[str, Any]:
        told, number = self.product.post, next(_numbers)
        identifiers = [
            {"scheme": "email", "value": f"{number}{CONTACT['email']}"},
            {"scheme": "phone", "value": f"{CONTACT['phone'][:-1]}{number}"},
        ]
        party = told("/v1/parties", json={"identifiers": identifiers})["id"]
        twin = told("/v1/parties", json={"identifiers": [{"scheme": "external", "system": "x", "value": who}]})["id"]
        merge = told(f"/v1/parties/{party}/merge", json={"party_id": twin})
        care = {"owner_id": owner_id, "team_id": team_id}
        top = merge["resolves_to"]
        self.product.put(f"/v1/parties/{top}/owner", json=care)
        buyer = {"party_id": top, "occurred_at": DAY.format(3)}
        money = {"currency": "EUR", "amount_minor": 500}
        contact = {"department": "service", "channel": "phone", "kind": "inquiry", "direction": "inbound"}
        purchase = told("/v1/purchases", json={**buyer, **money})["id"]
        problem = {**buyer, "category": "delivery", "severity": "high", "description": CONTACT["note"]}
        lead = {
            "email": identifiers[0]["value"],
            "occurred_at": DAY.format(1),
            "source": "web",
            "note": CONTACT["note"],
        }
        seen = {"aspect": "mood", "occurred_at": DAY.format(5), "text": CONTACT["note"], "rating": 3, "source": "api"}
        return {
            "party": top,
            "merge": merge["id"],
            "twin": twin,
            "identifiers": identifiers,
            "care": care,
            "purchase": purchase,
            "return": told("/v1/returns", json={**buyer, **money, "amount_minor": 100})["id"],
            "interaction": told("/v1/interactions", json={**buyer, **contact, "text": CONTACT["note"]})["id"],
            "problem": told("/v1/problems", json=problem)["id"],
            "observation": told(f"/v1/parties/{top}/observations", json=seen)["id"],
            "lead": told("/v1/leads", json={**lead, **care, "note": CONTACT["note"]})["id"],
        }

    def of(self, role: str, place: str) -> dict[str, Any]:
        """A party that is the own one of somebody with a role, one of the team, or another one."""
        own = role if role in self.things else "agent"
        return self.things[{"own": own, "team": "colleague", "other": "stranger"}[place]]

    def asked(self, role: str, method: str, path: str, json: Any = None) -> httpx.Response:
        """An answer to somebody with a role, whose session is begun anew where it was ended."""
        for _ in range(2):
            headers = {"Authorization": f"Bearer {self.tokens[role]}"}
            with self.client.stream(method, path, json=json, headers=headers, timeout=60) as answer:
                if answer.headers.get("content-type", "").startswith("text/event-stream"):
                    # It has no end: that it begins is all that is asked here.
                    return httpx.Response(answer.status_code)
                answer.read()
            if answer.status_code != 401:
                break
            said = {"email": self.addresses[role], "password": PASSWORD}
            self.tokens[role] = self.client.post("/v1/sessions", json=said).json()["token"]
        return answer

    def listed(self, role: str, path: str) -> str:
        """All pages of a list: one of standings that are computed is short where many others have the product."""
        text, cursor = "", None
        while not text or cursor:
            query: dict[str, str] = {"cursor": cursor} if cursor else {}
            answer = self.asked(role, "GET", str(httpx.URL(path).copy_merge_params(query)))
            assert answer.status_code == 200, answer.text
            text += answer.text
            cursor = answer.json()["next_cursor"]
        return text

    def body(self, method: str, path: str, things: Mapping[str, Any]) -> Any:
        """What to send so that a party within reach is changed; nothing sensible where no reach is short of all."""
        buyer = {"party_id": things["party"], "occurred_at": DAY.format(4)}
        money = {"currency": "EUR", "amount_minor": 100}
        contact = {"department": "sales", "channel": "phone", "kind": "inquiry", "direction": "inbound"}
        fresh = {"scheme": "external", "system": "x", "value": f"n{next(_numbers)}"}
        known = {
            "POST /v1/parties": {"identifiers": things["identifiers"]},
            "POST /v1/parties/{party_id}/identifiers": {"identifier": fresh},
            "POST /v1/parties/{party_id}/merge-preview": {"party_id": things["twin"]},
            "POST /v1/standings/{party_id}/merge-preview": {"party_id": things["twin"]},
            "POST /v1/parties/{party_id}/unmerge-preview": {"merge_id": things["merge"]},
            "PUT /v1/parties/{party_id}/owner": things["care"],
            "PUT /v1/parties/{party_id}/name": {"name": "Ann Chen"},
            "POST /v1/parties/{party_id}/observations": {"aspect": "mood", "occurred_at": DAY.format(6), "rating": 2},
            "POST /v1/purchases": {**buyer, **money},
            "POST /v1/returns": {**buyer, **money},
            "POST /v1/interactions": {**buyer, **contact},
            "POST /v1/problems": {**buyer, "category": "delivery", "severity": "low"},
            "POST /v1/purchases/{purchase_id}/returns": {"occurred_at": DAY.format(5), "amount_minor": 1},
            "POST /v1/purchases/{purchase_id}/correct": {"amount_minor": 501},
            "POST /v1/returns/{return_id}/correct": {"amount_minor": 101},
            "POST /v1/interactions/{interaction_id}/correct": {"channel": "chat"},
            "POST /v1/observations/{observation_id}/correct": {"rating": 4},
            "POST /v1/leads": {
                "email": f"n{next(_numbers)}@new.example", "source": "web", "team_id": things["care"]["team_id"],
            },
            "PATCH /v1/leads/{lead_id}": {"note": "Again."},
            "POST /v1/leads/{lead_id}/assign": things["care"],
            "POST /v1/leads/{lead_id}/disqualify": {"reason": "unknown"},
            "POST /v1/leads/{lead_id}/lose": {"reason": "unknown"},
            "POST /v1/standings/{party_id}/overrides": {"field": "tier", "value": "high", "why": "As agreed."},
            "POST /v1/reports/surprises": {"party_ids": [things["party"]], "held_as": "vip"},
        }  # fmt: skip
        return known.get(f"{method} {path}", {} if any(step in path for step in WHOSE) else None)


@pytest.fixture(scope="module")
def world(shared: Product) -> World:
    return World(shared)


def filled(path: str, things: Mapping[str, Any]) -> str:
    """A path with what is in it named, and with what nobody has where it is nothing of a party."""
    for name, thing in WHOSE.items():
        path = path.replace(f"{{{name}}}", str(things[thing]))
    path = path.replace("{trial_id}", things["trial"])
    for step in [step for step in path.split("/") if step.startswith("{")]:
        path = path.replace(step, f"{step.strip('{}').removesuffix('_id').replace('_', '')}_{uuid4().hex}")
    return path


def wrong(world: World, method: str, path: str, role: Role) -> Iterator[str]:
    """Where the product decides otherwise than the table says, for an operation and a role."""
    area = area_of(path)
    assert area is not None
    reach = rights(method, path, area).get(role)
    by_party = any(reach is not Reach.ALL for reach in rights(method, path, area).values())
    for place in PLACES if by_party and reach in (Reach.OWN, Reach.TEAM) else PLACES[:1]:
        things = world.of(role, place)
        body = world.body(method, path, things) if by_party else None
        body = [] if body is None and method not in ("GET", "DELETE") else body
        answer = world.asked(role, method, filled(path.replace("{policy_hash}", world.policy), things), body)
        status, code = answer.status_code, None
        if answer.headers.get("content-type") == "application/problem+json":
            code = answer.json()["code"]
        told = f"{method} {path} {role} {place}: {status} {code}"
        if status >= 500 and status != 503:
            yield told
        elif reach is None:
            if (status, code) != (403, "forbidden"):
                yield told
        elif reach is Reach.ALL or PLACES.index(place) <= (0 if reach is Reach.OWN else 1):
            missing = status == 404 and any(f"{{{name}}}" in path for name in WHOSE)
            if status in (401, 403) or missing:
                yield told
            elif method == "GET" and by_party and "{" not in path and not_within(answer.text, world, reach):
                yield f"{told}: {not_within(answer.text, world, reach)}"
        elif method == "GET" and not any(f"{{{name}}}" in path for name in WHOSE):
            if not_within(answer.text, world, reach):
                yield f"{told}: {not_within(answer.text, world, reach)}"
        elif path.endswith("surprises"):
            if things["party"] in str(answer.json()["over_rated"]) or status != 200:
                yield told
        elif method == "GET" or path.endswith(READING):
            if status != 404:
                yield told
        elif (status, code) not in OUTSIDE:
            yield told


def not_within(text: str, world: World, reach: Reach) -> list[str]:
    """What a list has and should not."""
    if reach is Reach.ALL:
        return []
    return [f"{name} {world.things['stranger'][name]}" for name in LISTED if world.things["stranger"][name] in text]


OPERATIONS = described.operations()
READS = [(method, path) for method, path in OPERATIONS if method == "GET"]
CHANGES = [(method, path) for method, path in OPERATIONS if method != "GET"]


@pytest.mark.parametrize("role", list(Role))
def test_a_role_reads_as_far_as_its_cells_say(world: World, role: Role) -> None:
    assert [each for method, path in READS for each in wrong(world, method, path, role)] == []


def test_lists_counts_and_sums_have_what_is_within_reach_and_no_more(world: World) -> None:
    for path in ("/v1/parties", "/v1/purchases", "/v1/returns", "/v1/interactions", "/v1/problems", "/v1/leads"):
        text = world.listed("agent", path)
        thing = {"parties": "party"}.get(path.split("/")[2], path.split("/")[2].removesuffix("s"))
        there = {who for who, things in world.things.items() if things[thing] in text}
        assert there == {"agent", "manager", "colleague"}, path
    for path in ("/v1/standings", "/v1/standings?as_of=2026-03-01"):
        text = world.listed("agent", path)
        there = {who for who, each in world.things.items() if each["party"] in text}
        assert there == {"agent", "manager", "colleague"}, path
    for path in ("/v1/standings/summary", "/v1/standings/summary?as_of=2026-03-01", "/v1/leads/summary"):
        assert world.asked("agent", "GET", path).json()["count"] == 3, path
        assert world.asked("admin", "GET", path).json()["count"] > 3, path
    zoomed = world.asked("manager", "GET", "/v1/reports/zoom").json()["data"]
    assert [each["measures"]["count"] for each in zoomed] == [3]
    for who in ("agent", "manager"):
        flows = world.asked(who, "GET", "/v1/reports/flows?since=2025-12-01").json()
        assert sum(each["count"] for each in flows["data"] if each["from_stage"] is None) == 3
    exported = world.asked("manager", "GET", "/v1/standings/export").text
    assert len(exported.splitlines()) == 1 + 3


def test_an_analyst_finds_no_contact_data_in_any_answer(world: World) -> None:
    found = []
    for method, path in READS:
        for things in world.things.values():
            text = world.asked("analyst", method, filled(path, things)).text
            planted = [
                *(identifier["value"] for each in world.things.values() for identifier in each["identifiers"]),
                CONTACT["email"], CONTACT["note"], CONTACT["phone"][:-1],
            ]  # fmt: skip
            found += [f"{path}: {value}" for value in planted if value in text]
            if "{" not in path:
                break
    assert found == []
    party = world.asked("analyst", "GET", f"/v1/parties/{world.things['agent']['party']}").json()
    shown = {each["scheme"]: each["value"] for each in party["identifiers"]}
    assert (shown["email"][1:], shown["phone"][:4], shown["external"]) == ("…@…", "+44…", "agent")
    for scheme, value in (("email", CONTACT["email"]), ("phone", CONTACT["phone"])):
        for path in ("/v1/parties", "/v1/leads"):
            answer = world.asked("analyst", "GET", f"{path}?scheme={scheme}&value={value.replace('+', '%2B')}")
            assert (answer.status_code, answer.json()["code"]) == (403, "contact_hidden")
    assert CONTACT["note"] in world.asked("reader", "GET", "/v1/interactions").text


def test_whom_an_agent_makes_known_is_its_own(world: World) -> None:
    body = {"identifiers": [{"scheme": "external", "system": "x", "value": f"n{next(_numbers)}"}]}
    made = world.asked("agent", "POST", "/v1/parties", body)
    assert made.status_code == 201
    owner = world.asked("agent", "GET", f"/v1/parties/{made.json()['id']}/owner").json()
    assert {name: owner[name] for name in ("owner_id", "team_id")} == world.things["agent"]["care"]
    assert world.asked("stranger", "GET", f"/v1/parties/{made.json()['id']}").status_code == 404


def test_a_prospect_known_by_a_lead_alone_is_within_reach_of_whoever_looks_after_the_lead(world: World) -> None:
    email = f"n{next(_numbers)}@prospects.example"
    lead = {"email": email, "source": "web", "occurred_at": DAY.format(1), **world.things["stranger"]["care"]}
    world.product.post("/v1/leads", json=lead)
    world.product.settle()
    path = f"/v1/parties/party_{party_of(email).hex}"
    assert world.asked("stranger", "GET", path).status_code == 404
    for role in ("agent", "manager"):
        assert [world.asked(role, "GET", f"{path}/{part}").status_code for part in ("360", "timeline")] == [404, 404]
    view = world.asked("stranger", "GET", f"{path}/360")
    timeline = world.asked("stranger", "GET", f"{path}/timeline")
    assert (view.status_code, timeline.status_code) == (200, 200), view.text + timeline.text
    assert view.json()["standing"]["data"]["stage"] == "lost_prospect"
    assert len(view.json()["leads"]["data"]["data"]) == 1
    assert {each["service"] for each in timeline.json()["data"]} == {"leads", "scoring"}

    assert world.product.client.put(f"{path}/owner", json=world.things["colleague"]["care"]).is_success
    world.product.settle()
    assert world.asked("stranger", "GET", f"{path}/360").status_code == 404


@pytest.mark.parametrize("role", sorted(Role, key=lambda role: role is not Role.AGENT))
def test_a_role_changes_as_far_as_its_cells_say(world: World, role: Role) -> None:
    assert [each for method, path in CHANGES for each in wrong(world, method, path, role)] == []
