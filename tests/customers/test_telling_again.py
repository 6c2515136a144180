"""What is told again: it changes nothing, whatever was put right or taken back since."""

import asyncio
import json
from uuid import UUID

import pytest

from services.customers.models.interactions import InteractionIn
from services.customers.models.purchases import ReturnOfPurchase
from services.customers.queries.interactions import record_interactions
from services.customers.queries.purchases import purchase_to_change
from services.customers.queries.returns import record_return_of
from tests.customers.waiting import waits

PARTY = {"scheme": "external", "system": "shop", "value": "c1"}
OTHER = {"scheme": "external", "system": "shop", "value": "c2"}


def bought(**other):
    return {
        "identifier": PARTY,
        "source": "shop",
        "source_id": "o1",
        "occurred_at": "2026-01-05T10:00:00+01:00",
        "currency": "EUR",
        "amount_minor": 1250,
    } | other


def back(**other):
    return {"source": "shop", "source_id": "r1", "occurred_at": "2026-01-07T10:00:00Z", "amount_minor": 250} | other


def called(**other):
    return {
        "identifier": PARTY,
        "source": "desk",
        "source_id": "i1",
        "occurred_at": "2026-01-05T10:00:00+01:00",
        "department": "sales",
        "channel": "phone",
        "kind": "inquiry",
        "direction": "inbound",
    } | other


async def made(api, path, body):
    answer = await api.post(path, json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


@pytest.mark.parametrize(
    ("path", "told", "wrong"),
    [
        ("/v1/purchases", bought(lines=[{"product": "tea", "quantity": 2}]), {"lines": []}),
        ("/v1/returns", bought(original_id="o9"), {"amount_minor": 1}),
        ("/v1/interactions", called(text="x", problem={"category": "delivery"}), {"text": "y"}),
    ],
)
async def test_the_first_telling_comes_again_after_corrections_and_changes_nothing(api, published, path, told, wrong):
    first = await made(api, path, told)
    for correction in (wrong, {"channel": "web"}, {"identifier": OTHER}):
        assert (await api.post(f"{path}/{first['id']}/correct", json=correction)).status_code == 200
    await published()
    again = await api.post(path, json=told)
    assert (again.status_code, again.json()["id"], again.json()["version"]) == (200, first["id"], 4)
    between = await api.post(path, json=told | wrong)
    assert (between.status_code, between.json()["version"]) == (200, 4)
    as_it_stands = await api.post(path, json=told | wrong | {"channel": "web", "identifier": OTHER})
    assert as_it_stands.status_code == 200
    assert await published() == []


async def test_what_no_version_ever_said_is_a_conflict(api, published):
    first = await made(api, "/v1/purchases", bought())
    await api.post(f"/v1/purchases/{first['id']}/correct", json={"amount_minor": 999, "channel": "web"})
    await published()
    mixed = bought(amount_minor=999)
    rows = [mixed, bought(), bought(identifier=OTHER), bought(amount_minor=999, channel="web"), bought(channel="web")]
    answer = (await api.post("/v1/purchases/bulk", content="\n".join(map(json.dumps, rows)))).json()
    assert [row["status"] for row in answer["data"]] == ["conflict", "duplicate", "conflict", "duplicate", "conflict"]
    assert await published() == []


async def test_a_former_telling_counts_for_whom_it_was_about_then(api):
    first = await made(api, "/v1/purchases", bought())
    await api.post(f"/v1/purchases/{first['id']}/correct", json={"identifier": OTHER, "amount_minor": 7})
    assert (await api.post("/v1/purchases", json=bought())).status_code == 200
    assert (await api.post("/v1/purchases", json=bought(identifier=OTHER))).status_code == 409
    assert (await api.post("/v1/purchases", json=bought(amount_minor=7))).status_code == 409


async def test_a_return_told_again_after_its_purchase_was_withdrawn_changes_nothing(api, published):
    purchase = await made(api, "/v1/purchases", bought())
    path = f"/v1/purchases/{purchase['id']}/returns"
    returned = await made(api, path, back())
    # Somebody else's by now, so that it does not go with the purchase.
    await api.post(f"/v1/returns/{returned['id']}/correct", json={"identifier": OTHER})
    await api.post(f"/v1/purchases/{purchase['id']}/withdraw", json={})
    await published()
    again = await api.post(path, json=back())
    assert (again.status_code, again.json()["id"]) == (200, returned["id"])
    new = await api.post(path, json=back(source_id="r2"))
    assert (new.status_code, new.json()["code"]) == (409, "already_withdrawn")
    assert (await api.get("/v1/returns", params={"party_id": purchase["party_id"]})).json()["data"] == []
    assert await published() == []


async def test_a_withdrawn_purchase_takes_its_returns_with_it_and_no_others(api, published):
    purchase = await made(api, "/v1/purchases", bought())
    named = await made(api, f"/v1/purchases/{purchase['id']}/returns", back())
    by_its_id = await made(api, "/v1/returns", bought(source_id="r2", original_id="o1"))
    of_another = await made(api, f"/v1/purchases/{purchase['id']}/returns", back(source_id="r3"))
    await api.post(f"/v1/returns/{of_another['id']}/correct", json={"identifier": OTHER})
    of_none = await made(api, "/v1/returns", bought(source_id="r4"))
    elsewhere = await made(api, "/v1/returns", bought(source_id="r5", source="till", original_id="o1"))
    told = {data.get("purchase_id") and data["_id"] for kind, _, data in await published()} - {None}
    path = f"/v1/purchases/{purchase['id']}/withdraw"
    assert (await api.post(path, json={})).status_code == 200
    events = await published()
    assert [kind for kind, _, _ in events] == ["fact_withdrawn"] * 3
    assert {data["fact_id"] for _, _, data in events} < told
    gone = {
        row["id"]
        for row in (named, by_its_id, of_another, of_none, elsewhere)
        if (await api.get(f"/v1/returns/{row['id']}")).json()["withdrawn_at"]
    }
    assert gone == {named["id"], by_its_id["id"]}
    assert (await api.post(path, json={})).status_code == 200
    assert await published() == []


async def test_an_interaction_about_a_withdrawn_problem_is_refused_unless_it_is_told_again(api, published):
    problem = (await made(api, "/v1/interactions", called(problem={"category": "delivery"})))["problem_id"]
    about = await made(api, "/v1/interactions", called(source_id="i2", problem_id=problem))
    free = await made(api, "/v1/interactions", called(source_id="i3"))
    await api.post(f"/v1/problems/{problem}/withdraw", json={})
    await published()
    again = await api.post("/v1/interactions", json=called(source_id="i2", problem_id=problem))
    assert (again.status_code, again.json()["id"]) == (200, about["id"])
    rows = [called(source_id=None, problem_id=problem), called(source_id="i2", problem_id=problem)]
    rows += [called(source_id="i4", problem_id=problem), called(source_id="i2", problem_id=problem, text="x")]
    answer = (await api.post("/v1/interactions/bulk", content="\n".join(map(json.dumps, rows)))).json()
    assert [(row["status"], row.get("reason")) for row in answer["data"]] == [
        ("rejected", "already_withdrawn"),
        ("duplicate", None),
        ("rejected", "already_withdrawn"),
        ("conflict", "interaction_conflict"),
    ]
    refused = await api.post(f"/v1/interactions/{free['id']}/correct", json={"problem_id": problem})
    assert (refused.status_code, refused.json()["code"]) == (409, "already_withdrawn")
    kept = await api.post(f"/v1/interactions/{about['id']}/correct", json={"problem_id": problem, "text": "late"})
    assert (kept.status_code, kept.json()["version"]) == (200, 2)
    assert [kind for kind, _, _ in await published()] == ["interaction_recorded"]


async def test_a_return_told_while_its_purchase_is_withdrawn_goes_with_it(api, database, here):
    purchase = (await made(api, "/v1/purchases", bought()))["id"]
    async with database.transaction() as session:
        row = await purchase_to_change(session, UUID(hex=purchase.removeprefix("purchase_")))
        return_id, _ = (await record_return_of(session, row, ReturnOfPurchase(**back()), here)).accepted()
        late = asyncio.create_task(api.post(f"/v1/purchases/{purchase}/withdraw"))
        await asyncio.wait_for(waits(database), 60)
    assert (await late).status_code == 200
    assert (await api.get(f"/v1/returns/return_{return_id.hex}")).json()["withdrawn_at"]


async def test_a_problem_is_not_withdrawn_while_something_about_it_is_told(api, database, here):
    problem = (await made(api, "/v1/interactions", called(problem={"category": "delivery"})))["problem_id"]
    path = f"/v1/problems/{problem}"
    async with database.transaction() as session:
        told = InteractionIn(**called(source_id="i2", problem_id=problem)).interaction(here)
        [outcome] = await record_interactions(session, [told], here)
        outcome.accepted()
        late = asyncio.create_task(api.post(f"{path}/withdraw"))
        await asyncio.wait_for(waits(database), 60)
    assert (await late).json()["withdrawn_at"]
