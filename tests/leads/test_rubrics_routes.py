import asyncio
import json
import os
import signal
import subprocess
import sys
import time

from chassis.clock import now
from chassis.db import driver
from contracts.identity import Scheme
from services.leads.domain.leads import NewLead
from services.leads.domain.rubrics import FIRST, Rubric
from services.leads.handlers.grading import move_on
from services.leads.queries.capture import capture_leads
from services.leads.queries.rubrics import BARRIER, activate, last_activation

CUTS = {"a": 30, "b": 20, "c": 10}


def rubric(points=30, source="website"):
    when = {"field": "source", "op": "is", "value": source}
    return {"name": "ours", "criteria": [{"name": "from-there", "when": when, "points": points}], "cuts": CUTS}


async def captured(api, count=1, **other):
    body = {"system": "crm", "source": "website", "occurred_at": "2026-01-05T09:00:00Z"} | other
    lines = "\n".join(json.dumps(body | {"source_id": f"l{n}"}) for n in range(count))
    answer = await api.post("/v1/leads/bulk", content=lines)
    assert answer.json()["accepted"] == count, answer.text
    return [row["lead_id"] for row in answer.json()["data"]]


async def graded(database):
    while await move_on(database):
        pass


async def test_a_rubric_is_in_force_from_the_first_start(api):
    [first] = (await api.get("/v1/leads/rubrics")).json()["data"]
    assert (first["content_hash"], first["state"], first["rubric"]["name"]) == (FIRST.content_hash, "done", "first-1")
    read = await api.get(f"/v1/leads/rubrics/{first['content_hash']}")
    assert read.json() == first["rubric"]
    assert first["activated_by"] is None
    assert (await api.get(f"/v1/leads/rubrics/{'0' * 64}")).json()["code"] == "rubric_not_found"


async def test_an_activated_rubric_grades_what_comes_at_once_and_what_is_there_bit_by_bit(api, database, published):
    [old] = await captured(api)
    assert (await api.get(f"/v1/leads/{old}")).json()["grade"] == "C"
    await published()
    answer = await api.put("/v1/leads/rubric", json=rubric())
    assert answer.status_code == 200, answer.text
    activated = answer.json()
    assert (activated["state"], activated["leads"], activated["graded"]) == ("waiting", 1, 0)
    new = (await api.post("/v1/leads", json={"email": "b@example.org", "source": "website"})).json()
    assert (new["grade"], new["met"], new["rubric"]) == ("A", ["from-there"], activated["content_hash"])
    assert (await api.get(f"/v1/leads/{old}")).json()["grade"] == "C"
    await published()
    await graded(database)
    lead = (await api.get(f"/v1/leads/{old}")).json()
    assert (lead["grade"], lead["points"], lead["rubric"], lead["version"]) == ("A", 30, activated["content_hash"], 2)
    [(kind, _, data)] = await published()
    assert (kind, data["grade"], data["points"], data["rubric"]) == ("lead_graded", "A", 30, activated["content_hash"])
    [now_in_force, before] = (await api.get("/v1/leads/rubrics")).json()["data"]
    assert (now_in_force["state"], now_in_force["graded"], now_in_force["changed"]) == ("done", 2, 1)
    assert before["content_hash"] == FIRST.content_hash
    history = (await api.get(f"/v1/leads/{old}/versions")).json()["data"]
    assert [(row["change"], row["grade"]) for row in history] == [("graded", "A"), ("captured", "C")]


async def test_a_grade_that_stays_is_not_told_again(api, database, published):
    [lead_id] = await captured(api)
    await published()
    await api.put("/v1/leads/rubric", json=rubric(points=15))
    await graded(database)
    assert await published() == []
    lead = (await api.get(f"/v1/leads/{lead_id}")).json()
    assert (lead["grade"], lead["points"], lead["version"]) == ("C", 15, 2)


async def test_the_rubric_in_force_again_changes_nothing_and_an_older_one_can_come_back(api, database):
    first = (await api.get("/v1/leads/rubrics")).json()["data"][0]
    same = await api.put("/v1/leads/rubric", json=first["rubric"], headers={"If-Match": f'"{first["activation"]}"'})
    assert (same.status_code, same.json()["activation"]) == (200, first["activation"])
    await api.put("/v1/leads/rubric", json=rubric())
    await graded(database)
    back = await api.put("/v1/leads/rubric", json=first["rubric"])
    assert back.json()["activation"] == first["activation"] + 2
    shown = await api.get("/v1/leads/rubric")
    assert (shown.json(), shown.headers["etag"]) == (back.json() | {"state": "done"}, back.headers["etag"])
    assert shown.json()["activated_by"] == "tests"
    stale = await api.put("/v1/leads/rubric", json=rubric(), headers={"If-Match": f'"{first["activation"]}"'})
    assert (stale.status_code, stale.json()["code"]) == (412, "precondition_failed")
    assert stale.json()["version"] == back.json()["activation"]


async def test_another_rubric_supersedes_one_that_is_still_grading(api, database):
    await captured(api, 3)
    await api.put("/v1/leads/rubric", json=rubric())
    await api.put("/v1/leads/rubric", json=rubric(points=20))
    await graded(database)
    states = [row["state"] for row in (await api.get("/v1/leads/rubrics")).json()["data"]]
    assert states[:2] == ["done", "superseded"]
    found = (await api.get("/v1/leads")).json()["data"]
    assert {(row["grade"], row["points"]) for row in found} == {("B", 20)}


async def test_a_rubric_that_is_none_is_refused_where_it_is_wrong(api):
    for wrong, pointer in [
        (rubric() | {"cuts": {"a": 1, "b": 2, "c": 3}}, "#/cuts"),
        (rubric(points="many"), "#/criteria/0/points"),
        (rubric() | {"surprise": 1}, "#/surprise"),
    ]:
        answer = await api.put("/v1/leads/rubric", json=wrong)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
        assert answer.json()["errors"][0]["pointer"] == pointer
    deep = '{"not":' * 50_000 + "1" + "}" * 50_000
    body = f'{{"name":"r","criteria":[{{"name":"c","points":1,"when":{deep}}}],"cuts":{{"a":3,"b":2,"c":1}}}}'
    answer = await api.put("/v1/leads/rubric", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)


async def test_captures_and_edits_beside_an_activation_all_end_under_it(api, database):
    await captured(api, 60)

    async def capture(n):
        return await api.post("/v1/leads", json={"system": "web", "source_id": f"n{n}", "source": "website"})

    async def edit(n):
        found = (await api.get("/v1/leads", params={"limit": 60})).json()["data"]
        return await api.patch(f"/v1/leads/{found[n]['id']}", json={"attributes": {"n": str(n)}})

    async def put():
        return await api.put("/v1/leads/rubric", json=rubric(points=23))

    answers = await asyncio.gather(*map(capture, range(15)), put(), *map(edit, range(10)), graded(database))
    assert {answer.status_code for answer in answers if answer is not None} <= {200, 201}
    await graded(database)
    async with database.transaction() as session:
        grades = await (await driver(session)).fetch("SELECT grade, points, count(*) FROM lead GROUP BY 1, 2")
    assert [tuple(row) for row in grades] == [("B", 23, 75)]


async def test_a_rubric_waits_for_captures_under_the_one_before_and_then_grades_them(api, database, here):
    told = NewLead(identities=(here.identity(Scheme.EMAIL, "a@example.org"),), system="crm", source="website")
    async with database.transaction() as session:
        await capture_leads(session, [told])
        activating = asyncio.create_task(api.put("/v1/leads/rubric", json=rubric()))
        async with asyncio.timeout(60):
            while not activating.done() and not await waiting_for_the_barrier(database):
                await asyncio.sleep(0.01)
        assert not activating.done()
    assert (await activating).json()["leads"] == 1
    await graded(database)
    [lead] = (await api.get("/v1/leads")).json()["data"]
    assert (lead["grade"], lead["met"]) == ("A", ["from-there"])


async def waiting_for_the_barrier(database):
    query = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = $1 AND NOT granted)"
    async with database.transaction() as session:
        return await (await driver(session)).fetchval(query, BARRIER)


GRADER = """
import asyncio, sys
from chassis.db import connect
from services.leads.handlers import grading
grading.PAGE = 25
grading.REST_S = 0.01
asyncio.run(grading.carry_out_gradings(connect(sys.argv[1])))
"""


def grader(database):
    return subprocess.Popen([sys.executable, "-c", GRADER, database.url], env={**os.environ, "PYTHONPATH": "."})


async def test_graders_killed_in_the_middle_go_on_where_they_were(api, database, published):
    count = 2_500
    await captured(api, count)
    await published()
    async with database.transaction() as session:
        await last_activation(session)
        await activate(session, Rubric.model_validate_json(json.dumps(rubric())), now(), by=None)

    async def progress():
        [row, *_] = (await api.get("/v1/leads/rubrics", params={"limit": 1})).json()["data"]
        return row

    running, kills, until = grader(database), 0, time.monotonic() + 90
    try:
        while (row := await progress())["state"] != "done":
            assert time.monotonic() < until
            if kills < 3 and row["graded"] > kills * count / 5:
                running.send_signal(signal.SIGKILL)
                running.wait()
                kills, running = kills + 1, grader(database)
            await asyncio.sleep(0.005)
    finally:
        running.kill()
        running.wait()
    assert kills == 3
    assert (row["graded"], row["changed"]) == (count, count)
    events = await published()
    assert len({data["lead_id"] for _, _, data in events}) == len(events) == count


async def test_how_many_leads_are_to_be_graded_anew_is_told_until_none_is(api, database):
    async def ungraded():
        return (await api.get("/internal/status")).json()["ungraded"]

    await captured(api, 3)
    before = await ungraded()
    await api.put("/v1/leads/rubric", json=rubric())
    begun = await ungraded()
    await move_on(database)
    ending = await ungraded()
    await graded(database)

    assert (before, begun, ending, await ungraded()) == (0, 3, 1, 0)
