"""The leads of a party, and its life, by what the service was told of whose identity is whose."""

import asyncio
from datetime import UTC, date, datetime
from itertools import count
from uuid import UUID

import pytest

from chassis import assignments, consumer, outbox, sequencer
from chassis.bus import connect_bus
from chassis.consumer import Delivery
from chassis.db import declare_topics
from chassis.ids import uuid7
from contracts.customers import Assignment, Holding, IdentitiesAssigned, Resolution
from contracts.identity import Scheme
from contracts.topics import PARTIES

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ENOUGH_S = 60


def party(id):
    return f"party_{id.hex}"


@pytest.fixture
def identity(here):
    return lambda value: here.identity(Scheme.EXTERNAL, value, system="shop").id


@pytest.fixture
def told(database):
    """Have the service learn assignments (identity to its holders) and where party ids lead."""
    numbers = count(1)

    async def tell(version, holders, leads_to=()):
        event = assigned(version, holders, leads_to)
        delivery = Delivery(event, uuid7(), PARTIES.name, 0, 1, next(numbers), NOON)
        async with database.transaction() as session:
            await assignments.learn(session, [delivery])

    return tell


def assigned(version, holders, leads_to=()):
    return IdentitiesAssigned(
        subject=next(iter(holders)),
        occurred_at=NOON,
        assignments=tuple(
            Assignment(
                identity_id=identity,
                version=version,
                holdings=tuple(Holding(party_id=held, from_day=day) for held, day in held_by),
            )
            for identity, held_by in holders.items()
        ),
        resolutions=tuple(
            Resolution(party_id=one, version=version, resolves_to=other) for one, other in dict(leads_to).items()
        ),
    )


async def capture(api, who, day, **other):
    body = {
        "system": "crm",
        "source_id": f"{who}-{day}",
        "identifier": {"scheme": "external", "system": "shop", "value": who},
        "occurred_at": f"2026-01-{day:02}T09:00:00Z",
        "source": "website",
    }
    answer = await api.post("/v1/leads", json=body | other)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def leads_of(api, id):
    inner = (await api.get(f"/internal/parties/{party(id)}/leads")).json()["data"]
    outer = (await api.get("/v1/leads", params={"party_id": party(id)})).json()["data"]
    assert inner == outer
    return [row["source_id"] for row in inner]


async def timeline(api, id, **params):
    answer = await api.get(f"/internal/parties/{party(id)}/timeline", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


async def test_an_identity_that_nobody_told_of_is_its_own_party(api, identity):
    lead = await capture(api, "ada", 5)
    assert lead["party_id"] == party(identity("ada"))
    assert await leads_of(api, identity("ada")) == ["ada-5"]
    assert await leads_of(api, uuid7()) == []


async def test_merged_ids_lead_to_the_survivor(api, identity, told):
    ada, bob = identity("ada"), identity("bob")
    one, other = await capture(api, "ada", 5), await capture(api, "bob", 6)
    top, gone = min(ada, bob), max(ada, bob)
    await told(2, {ada: [(top, None)], bob: [(top, None)]}, {gone: top})
    for id in (ada, bob):
        assert await leads_of(api, id) == ["bob-6", "ada-5"]
    for lead in (one, other):
        assert (await api.get(f"/v1/leads/{lead['id']}")).json()["party_id"] == party(top)
    await told(3, {ada: [(ada, None)], bob: [(bob, None)]}, {gone: gone})
    assert await leads_of(api, ada) == ["ada-5"]


async def test_of_a_number_that_changed_hands_each_holder_has_its_own_days(api, identity, told):
    number, first, second = identity("number"), uuid7(), uuid7()
    early, late = await capture(api, "number", 9), await capture(api, "number", 10)
    await told(4, {number: [(first, None), (second, date(2026, 1, 10))]})
    assert (await leads_of(api, first), await leads_of(api, second)) == (["number-9"], ["number-10"])
    assert (await api.get(f"/v1/leads/{early['id']}")).json()["party_id"] == party(first)
    assert (await api.get(f"/v1/leads/{late['id']}")).json()["party_id"] == party(second)
    body = {"occurred_at": "2026-01-09T23:30:00Z", "reason": "moved"}
    await api.post(f"/v1/leads/{early['id']}/lose", json=body)
    assert [row["kind"] for row in await timeline(api, first)] == ["lead_captured"]
    assert [row["kind"] for row in await timeline(api, second)] == ["lead_captured", "lead_lost"]


async def test_the_life_of_a_party_is_told_latest_first_and_page_by_page(api, identity, published):
    ada = identity("ada")
    owner = f"user_{uuid7().hex}"
    lead = await capture(api, "ada", 5, campaign="spring")
    path = f"/v1/leads/{lead['id']}"
    await api.post(f"{path}/qualify", json={"occurred_at": "2026-01-06T09:00:00Z"})
    await api.post(f"{path}/disqualify", json={"occurred_at": "2026-01-07T09:00:00Z", "reason": "no_need"})
    await api.post(f"{path}/undo", json={})
    order = {"amount_minor": 4_800, "currency": "EUR"}
    await api.post(f"{path}/win", json={"occurred_at": "2026-01-08T09:00:00Z", "order": order})
    await api.post(f"{path}/assign", json={"owner_id": owner})
    rows = await timeline(api, ada)
    told = ["lead_assigned", "lead_won", "lead_disqualified", "lead_qualified", "lead_captured"]
    assert [row["kind"] for row in rows] == told
    assert {row["service"] for row in rows} == {"leads"}
    assert rows[0]["detail"] == {"lead_id": lead["id"], "owner_id": owner}
    assert rows[1]["detail"] == {"lead_id": lead["id"], **order}
    assert rows[4]["detail"] == {
        "lead_id": lead["id"],
        "source": "website",
        "campaign": "spring",
        "grade": lead["grade"],
    }
    events = {f"event_{UUID(data['_id']).hex}" for _, _, data in await published()}
    assert {row["id"] for row in rows} <= events
    kinds = ["moved", "lead_won", "lead_captured"]
    assert await timeline(api, ada, kinds=kinds) == [rows[1], rows[4]]
    assert await timeline(api, ada, kinds=["moved"]) == await timeline(api, ada, departments="sales") == []
    seen, place = [], {}
    while page := await timeline(api, ada, limit=1, **place):
        seen += page
        place = {"before_at": page[-1]["at"], "before_id": page[-1]["id"]}
    assert seen == rows


async def test_what_was_taken_back_is_still_in_the_life_of_a_party_and_says_so(api, identity):
    kept, gone = await capture(api, "ada", 5), await capture(api, "ada", 4)
    for lead in (kept, gone):
        await api.post(f"/v1/leads/{lead['id']}/lose", json={"occurred_at": "2026-01-06T09:00:00Z", "reason": "moved"})
    await api.post(f"/v1/leads/{kept['id']}/undo", json={})
    await api.post(f"/v1/leads/{kept['id']}/lose", json={"occurred_at": "2026-01-07T09:00:00Z", "reason": "price"})
    await api.post(f"/v1/leads/{gone['id']}/withdraw", json={})
    versions = (await api.get(f"/v1/leads/{kept['id']}/versions")).json()["data"]
    withdrawn_at = (await api.get(f"/v1/leads/{gone['id']}")).json()["withdrawn_at"]
    undone_at = next(version["recorded_at"] for version in versions if version["change"] == "undone")
    rows = await timeline(api, identity("ada"))
    assert [row["kind"] for row in rows] == ["lead_lost"] * 3 + ["lead_captured"] * 2
    marks = {
        (row["detail"]["lead_id"], row["at"][:10]): {
            name: datetime.fromisoformat(at) for name, at in row["detail"].items() if name.endswith("_at")
        }
        for row in rows
    }
    assert marks == {
        (kept["id"], "2026-01-07"): {},
        (kept["id"], "2026-01-06"): {"undone_at": datetime.fromisoformat(undone_at)},
        (kept["id"], "2026-01-05"): {},
        (gone["id"], "2026-01-06"): {"withdrawn_at": datetime.fromisoformat(withdrawn_at)},
        (gone["id"], "2026-01-04"): {"withdrawn_at": datetime.fromisoformat(withdrawn_at)},
    }


async def test_a_page_of_the_life_begins_before_a_row_of_any_service(api, identity):
    ada = identity("ada")
    lead = await capture(api, "ada", 5)
    at = lead["occurred_at"]
    assert len(await timeline(api, ada, before_at=at, before_id="purchase_0")) == 1
    assert await timeline(api, ada, before_at=at, before_id="assignment_0") == []
    assert await timeline(api, ada, before_at=at) == []
    for wrong in ({"before_at": "yesterday"}, {"before_at": "2026-01-05T09:00:00"}, {"before_id": "\x00"}):
        answer = await api.get(f"/internal/parties/{party(ada)}/timeline", params=wrong)
        assert answer.status_code == 422


async def test_leads_of_a_party_come_page_by_page(api, identity):
    for day in range(1, 6):
        await capture(api, "ada", day)
    path, seen, cursor = f"/internal/parties/{party(identity('ada'))}/leads", [], None
    while True:
        found = (await api.get(path, params={"limit": 2} | ({"cursor": cursor} if cursor else {}))).json()
        seen += [row["source_id"] for row in found["data"]]
        cursor = found["next_cursor"]
        if not found["has_more"]:
            break
    assert seen == [f"ada-{day}" for day in (5, 4, 3, 2, 1)]


async def test_the_ids_in_sources_are_told_of_whoever_has_the_leads_the_oldest_first(api, identity, told):
    ada, bob, number = identity("ada"), identity("bob"), identity("number")
    top, gone, second = min(ada, bob), max(ada, bob), uuid7()
    await told(2, {ada: [(top, None)], bob: [(top, None)]}, {gone: top})
    await told(4, {number: [(number, None), (second, date(2026, 1, 10))]})
    await capture(api, "ada", 5)
    await capture(api, "bob", 4, system="web")
    await capture(api, "ada", 3, source_id=None)
    for day in (9, 10):
        await capture(api, "number", day)
    withdrawn = await capture(api, "bob", 1)
    await api.post(f"/v1/leads/{withdrawn['id']}/withdraw")
    asked = {"party_ids": [party(id) for id in (top, gone, number, second, uuid7())]}
    answer = await api.post("/internal/external-ids", json=asked)
    found = {}
    for row in answer.json()["data"]:
        found.setdefault(row["party_id"], []).append((row["system"], row["value"]))
    assert found == {
        party(top): [("web", "bob-4"), ("crm", "ada-5")],
        party(number): [("crm", "number-9")],
        party(second): [("crm", "number-10")],
    }


async def test_the_worker_learns_from_the_log_of_customers(api, database, make_database, identity):
    lead = await capture(api, "ada", 5)
    ada, other = identity("ada"), uuid7()
    source = await make_database(None)
    await declare_topics(source, [PARTIES])
    async with source.transaction() as session:
        outbox.append(session, assigned(7, {ada: [(other, None)]}, {ada: other}))
    transport = connect_bus("log://", database, {"customers": source.url})
    running = [
        asyncio.create_task(sequencer.run(source)),
        asyncio.create_task(consumer.run("leads", database, transport, [PARTIES.name], assignments.learn, {})),
    ]
    try:
        async with asyncio.timeout(ENOUGH_S):
            while (await api.get(f"/v1/leads/{lead['id']}")).json()["party_id"] != party(other):
                await asyncio.sleep(0.05)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    assert await leads_of(api, ada) == await leads_of(api, other) == ["ada-5"]
