import asyncio
from datetime import timedelta

from chassis.clock import now

UNKNOWN = f"{1:032x}"


def opened(customer="c1", **other):
    return {
        "identifier": {"scheme": "external", "system": "shop", "value": customer},
        "source": "desk",
        "source_id": "p1",
        "occurred_at": "2026-01-05T10:00:00Z",
        "category": "delivery",
        "severity": "high",
    } | other


async def open_problem(api, *args, **other):
    answer = await api.post("/v1/problems", json=opened(*args, **other))
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_a_problem_is_opened_solved_and_opened_again_with_a_fact_each(api, published):
    words = {"title": "Ann waits", "description": "For the tea."}
    problem = await open_problem(api, **words)
    path = f"/v1/problems/{problem['id']}"
    assert {name: problem[name] for name in words} == words
    solved = await api.post(
        f"{path}/solve",
        json={"occurred_at": "2026-01-07T10:00:00Z", "note": "Sent to Ann anew."},
        headers={"If-Match": '"1"'},
    )
    assert (solved.status_code, solved.headers["etag"]) == (200, '"2"')
    assert (solved.json()["status"], solved.json()["solved_at"]) == ("solved", "2026-01-07T10:00:00Z")
    again = (await api.post(f"{path}/reopen", json={"version": 2, "occurred_at": "2026-01-09T10:00:00Z"})).json()
    assert (again["status"], again["opened_at"], again["solved_at"]) == ("open", "2026-01-09T10:00:00Z", None)
    assert again["occurred_at"] == "2026-01-05T10:00:00Z"
    await api.post(f"{path}/solve", json={})
    events = await published()
    assert [kind for kind, _, _ in events] == ["problem_opened", "problem_solved", "problem_opened", "problem_solved"]
    assert len({subject for _, subject, _ in events}) == 1
    assert [data.get("opened_at") for _, _, data in events] == [
        None,
        "2026-01-05T10:00:00Z",
        None,
        "2026-01-09T10:00:00Z",
    ]
    assert "Ann" not in str(events)
    steps = (await api.get(f"{path}/steps")).json()["data"]
    assert [(row["version"], row["kind"]) for row in steps] == [
        (4, "solved"),
        (3, "reopened"),
        (2, "solved"),
        (1, "opened"),
    ]
    assert steps[2]["note"] == "Sent to Ann anew."
    assert [row["id"].removeprefix("step_") for row in steps] == [
        data["_id"].replace("-", "") for _, _, data in reversed(events)
    ]


async def test_a_problem_told_again_is_a_duplicate_or_a_conflict_that_names_the_way_out(api, published):
    first = await open_problem(api)
    again = await api.post("/v1/problems", json=opened())
    assert (again.status_code, again.json()) == (200, first)
    await api.post(f"/v1/problems/{first['id']}/solve", json={})
    assert (await api.post("/v1/problems", json=opened())).status_code == 200
    other = await api.post("/v1/problems", json=opened(severity="low"))
    assert (other.status_code, other.json()["code"]) == (409, "problem_conflict")
    assert other.json()["withdraw"] == f"/v1/problems/{first['id']}/withdraw"
    assert [kind for kind, _, _ in await published()] == ["problem_opened", "problem_solved"]


async def test_steps_that_cannot_be_are_refused(api):
    problem = await open_problem(api)
    path = f"/v1/problems/{problem['id']}"
    refused = await api.post(f"{path}/reopen", json={})
    assert (refused.status_code, refused.json()["code"]) == (409, "illegal_step")
    assert refused.json()["allowed"] == ["solved"]
    early = await api.post(f"{path}/solve", json={"occurred_at": "2026-01-04T10:00:00Z"})
    assert (early.status_code, early.json()["code"]) == (422, "step_too_early")
    ahead = await api.post(f"{path}/solve", json={"occurred_at": "2999-01-04T10:00:00Z"})
    assert ahead.json()["code"] == "future_date"
    assert (await api.post(f"{path}/solve", json={}, headers={"If-Match": '"7"'})).status_code == 412
    assert (await api.post(f"{path}/solve", json={"version": 7})).json()["code"] == "stale_version"
    assert (await api.get(f"/v1/problems/problem_{UNKNOWN}")).json()["code"] == "problem_not_found"
    assert (await api.get(f"/v1/problems/problem_{UNKNOWN}/steps")).status_code == 404


async def test_a_problem_opened_by_mistake_takes_all_its_facts_back(api, published):
    problem = await open_problem(api)
    path = f"/v1/problems/{problem['id']}"
    await api.post(f"{path}/solve", json={})
    told = {data["_id"] for _, _, data in await published()}
    gone = (await api.post(f"{path}/withdraw", json={"version": 2})).json()
    assert (await api.post(f"{path}/withdraw", json={})).json() == gone
    events = await published()
    assert [kind for kind, _, _ in events] == ["fact_withdrawn"] * 2
    assert {data["fact_id"] for _, _, data in events} == told
    assert (await api.post(f"{path}/reopen", json={})).json()["code"] == "already_withdrawn"
    assert (await api.get("/v1/problems")).json()["data"] == []
    assert (await open_problem(api, severity="low"))["id"] != problem["id"]


async def test_a_problem_follows_merges_and_unmerges(api):
    problem = await open_problem(api, "b")
    other = (await api.post("/v1/parties", json={"identifiers": [opened("a")["identifier"]]})).json()
    merge = (await api.post(f"/v1/parties/{other['id']}/merge", json={"party_id": problem["party_id"]})).json()
    survivor = merge["resolves_to"]
    for asked in (other["id"], problem["party_id"]):
        [listed] = (await api.get("/v1/problems", params={"party_id": asked})).json()["data"]
        assert (listed["id"], listed["party_id"]) == (problem["id"], survivor)
    await api.post(f"/v1/parties/{other['id']}/unmerge", json={"merge_id": merge["id"]})
    assert (await api.get("/v1/problems", params={"party_id": other["id"]})).json()["data"] == []
    assert (await api.get(f"/v1/problems/{problem['id']}")).json()["party_id"] == problem["party_id"]


async def test_a_list_of_problems_is_filtered(api):
    mine, team = f"user_{5:032x}", f"team_{6:032x}"
    days = {}
    for number, severity in enumerate(["low", "high", "critical"], 1):
        at = (now() - timedelta(days=10 * number)).isoformat()
        days[number] = await open_problem(
            api, f"c{number}", source_id=f"p{number}", severity=severity, occurred_at=at, category=f"k{number}"
        )
    await api.post(f"/v1/problems/{days[3]['id']}/solve", json={})
    owner = {"owner_id": mine, "team_id": team}
    await api.put(f"/v1/parties/{days[2]['party_id']}/owner", json=owner)

    async def listed(**params):
        answer = await api.get("/v1/problems", params=params)
        assert answer.status_code == 200, answer.text
        return [int(row["source_id"][1:]) for row in answer.json()["data"]]

    assert await listed() == [1, 2, 3]
    assert await listed(status="open") == [1, 2]
    assert await listed(status="solved") == [3]
    assert await listed(severity="high") == [2]
    assert await listed(category="k3") == [3]
    assert await listed(owner_id=mine) == await listed(team_id=team, status="open") == [2]
    assert await listed(owner_id=f"user_{7:032x}") == []
    await api.post(f"/v1/parties/{days[2]['party_id']}/merge", json={"party_id": days[1]["party_id"]})
    assert await listed(owner_id=mine) == [1, 2]
    assert await listed(owner_id=mine, category="k1") == [1]
    assert await listed(open_days=15) == [2]
    assert await listed(open_days=25) == []
    assert await listed(party_id=days[1]["party_id"], severity="low") == [1]


async def test_of_many_who_solve_at_once_one_does(api, published):
    problem = await open_problem(api)
    path = f"/v1/problems/{problem['id']}/solve"
    answers = await asyncio.gather(*(api.post(path, json={}) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 5
    assert [kind for kind, _, _ in await published()] == ["problem_opened", "problem_solved"]
