"""Writers at once: none deadlocks, each thing counts once, and what is published is what is stored."""

import asyncio
import random
from collections import Counter
from datetime import UTC, datetime

from chassis.db import driver
from chassis.ids import uuid7
from contracts.identity import Scheme
from contracts.problems import Problem
from contracts.telling import Status
from services.leads.domain.leads import NewLead
from services.leads.domain.moves import CHANGES, LeadStatus, NewMove
from services.leads.queries.capture import capture_leads
from services.leads.queries.changes import (
    assign,
    lead_to_change,
    make_move,
    undo,
    withdraw,
    withdraw_leads_of_import,
)

CAPTURED = datetime(2026, 1, 5, tzinfo=UTC)


def lead(here, name, import_id=None):
    return NewLead(
        identities=(here.identity(Scheme.EMAIL, f"{name}@example.org"),),
        system="crm",
        source_id=name,
        occurred_at=CAPTURED,
        source="website",
        import_id=import_id,
    )


async def captured(api):
    return (await api.post("/v1/leads", json={"email": "a@example.org", "occurred_at": "2026-01-05T09:00:00Z"})).json()


async def test_two_captures_of_the_same_id_at_once_are_one_lead(api, published):
    body = {"system": "crm", "source_id": "l1", "email": "a@example.org", "occurred_at": "2026-01-05T09:00:00Z"}
    answers = await asyncio.gather(*(api.post("/v1/leads", json=body) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(await published()) == 2


async def test_two_captures_of_the_same_id_with_other_content_are_one_lead_and_a_conflict(api, published):
    bodies = [{"system": "crm", "source_id": "l1", "email": f"{name}@example.org"} for name in "abcd"]
    answers = await asyncio.gather(*(api.post("/v1/leads", json=body) for body in bodies))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    assert len(await published()) == 2


async def test_of_two_moves_at_once_the_second_meets_what_the_first_made(api, published):
    lead = await captured(api)
    await published()
    path = f"/v1/leads/{lead['id']}"
    win, lose = [api.post(f"{path}/win", json={}) for _ in range(4)], {"reason": "price"}
    answers = await asyncio.gather(*win, *(api.post(f"{path}/lose", json=lose) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 7
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"illegal_move"}
    assert len(await published()) == 1


async def test_of_changes_to_one_version_only_one_holds(api):
    lead = await captured(api)
    path, seen = f"/v1/leads/{lead['id']}", {"If-Match": '"1"'}
    answers = await asyncio.gather(
        api.post(f"{path}/qualify", json={}, headers=seen),
        api.patch(path, json={"note": "x"}, headers=seen),
        api.post(f"{path}/assign", json={"owner_id": f"user_{uuid7().hex}"}, headers=seen),
        api.post(f"{path}/withdraw", json={}, headers=seen),
    )
    assert sorted(answer.status_code for answer in answers) == [200, 412, 412, 412]


async def test_bulks_of_the_same_leads_in_any_order_capture_each_once(database, here, published):
    rows = [lead(here, f"l{number}") for number in range(200)]

    async def write(seed):
        mine = random.Random(seed).sample(rows, len(rows))
        async with database.transaction() as session:
            return await capture_leads(session, mine)

    found = await asyncio.gather(*map(write, range(5)))
    counted = Counter(outcome.status for outcomes in found for outcome in outcomes)
    assert counted == {Status.ACCEPTED: 200, Status.DUPLICATE: 800}
    assert Counter(kind for kind, _, _ in await published()) == {"lead_captured": 200, "lead_graded": 200}


async def test_an_import_taken_back_while_it_is_told_again_loses_and_doubles_nothing(database, here, published):
    old, new = uuid7(), uuid7()
    async with database.transaction() as session:
        await capture_leads(session, [lead(here, f"l{n}", old) for n in range(60)])

    async def take_back():
        done = 0
        while True:
            async with database.transaction() as session:
                some = await withdraw_leads_of_import(session, old, 7)
            done += some
            if not some:
                return done

    async def tell(seed):
        rows = [lead(here, f"l{n}", new) for n in range(60)]
        random.Random(seed).shuffle(rows)
        for start in range(0, 60, 10):
            async with database.transaction() as session:
                await capture_leads(session, rows[start : start + 10])

    undone, *_ = await asyncio.gather(take_back(), tell(1), tell(2))
    assert undone == 60
    await tell(3)
    async with database.transaction() as session:
        counted = await (await driver(session)).fetchval("SELECT count(*) FROM lead WHERE withdrawn_at IS NULL")
    assert counted == 60
    kinds = Counter(kind for kind, _, _ in await published())
    assert kinds["lead_captured"] + kinds["lead_graded"] - kinds["fact_withdrawn"] == 120


async def test_whatever_happens_at_once_the_events_tell_where_each_lead_stands(database, here, published):
    async with database.transaction() as session:
        leads = [outcome.id for outcome in await capture_leads(session, [lead(here, f"l{n}") for n in range(6)])]

    async def one(chance):
        async with database.transaction() as session:
            row = await lead_to_change(session, chance.choice(leads))
            action = chance.choice(["move"] * 6 + ["undo", "undo", "assign"] + ["withdraw"] * (chance.random() < 0.05))
            if action == "move":
                to = chance.choice(list(LeadStatus))
                make_move(session, row, NewMove(to=to, reason="price" if to is LeadStatus.LOST else None))
            elif action == "undo":
                await undo(session, row)
            elif action == "assign":
                assign(session, row, uuid7(), None)
            else:
                await withdraw(session, row)

    async def worker(seed):
        chance = random.Random(seed)
        for _ in range(40):
            try:
                await one(chance)
            except Problem:
                continue

    await asyncio.gather(*map(worker, range(6)))
    told: dict[str, list[tuple[str, str]]] = {}
    owners, graded, gone = {}, {}, set()
    for kind, _, data in await published():
        if kind == "fact_withdrawn":
            gone.add(data["fact_id"])
        elif kind == "lead_assigned":
            owners[data["lead_id"]] = max(owners.get(data["lead_id"], (0, "")), (data["version"], data["owner_id"]))
        elif kind == "lead_graded":
            graded[data["lead_id"]] = data["_id"]
        else:
            told.setdefault(data["lead_id"], []).append((kind, data["_id"]))
    reached = {f"lead_{change}": status for status, change in CHANGES.items()}
    async with database.transaction() as session:
        rows = await (await driver(session)).fetch("SELECT * FROM lead")
        versions = await (await driver(session)).fetch(
            "SELECT lead_id, array_agg(version) FROM lead_version GROUP BY 1"
        )
    assert {row["lead_id"]: sorted(row["array_agg"]) for row in versions} == {
        row["id"]: list(range(1, row["version"] + 1)) for row in rows
    }
    for row in rows:
        counting = [kind for kind, id in told[str(row["id"])] if id not in gone]
        if row["withdrawn_at"]:
            assert counting == []
            assert graded[str(row["id"])] in gone
            continue
        assert graded[str(row["id"])] not in gone
        assert counting[0] == "lead_captured"
        assert row["status"] == (reached[counting[-1]] if counting[1:] else LeadStatus.NEW)
        assert (row["owner_version"], str(row["owner_id"] or "")) == owners.get(str(row["id"]), (0, ""))


async def test_leads_captured_at_once_are_answered_and_told_each_for_itself(api, database):
    bodies = [{"system": "crm", "source_id": f"l{n}", "email": f"l{n}@example.org"} for n in range(30)]
    answers = await asyncio.gather(
        *(api.post("/v1/leads", json=body, headers={"X-Request-Id": body["source_id"]}) for body in bodies)
    )

    assert {answer.status_code for answer in answers} == {201}
    assert [answer.json()["source_id"] for answer in answers] == [body["source_id"] for body in bodies]
    async with database.transaction() as session:
        rows = await (await driver(session)).fetch("SELECT convert_from(payload, 'UTF8')::jsonb AS said FROM outbox")
    told = Counter((row["said"]["correlationid"], row["said"]["data"]["lead_id"]) for row in rows)
    leads = [(body["source_id"], answer.json()["id"]) for body, answer in zip(bodies, answers, strict=True)]
    assert {(command, lead.replace("-", "")) for command, lead in told} == {
        (command, lead.removeprefix("lead_")) for command, lead in leads
    }
    assert set(told.values()) == {2}
