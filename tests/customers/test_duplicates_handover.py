"""A number that changed hands: the days before stay with the first, and no pair makes both people one."""

import random
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest

from chassis.db import driver
from chassis.ids import uuid7
from contracts.identity import Given, Scheme
from services.customers.queries.deciding import decide
from services.customers.queries.identities import have_identities
from services.customers.queries.pairs import Evidence, Together, see

CALL = {"scheme": "phone", "value": "+4930111222"}
ANNS, BOBS, CATS = ({"scheme": "email", "value": f"{name}@x.example"} for name in ("ann", "bob", "cat"))


async def party(api, *identifiers):
    return (await api.post("/v1/parties", json={"identifiers": list(identifiers)})).json()


async def buy(api, day, amount):
    row = {"occurred_at": f"{day}T10:00:00Z", "currency": "EUR", "amount_minor": amount, "identifier": CALL}
    assert (await api.post("/v1/purchases", json=row)).status_code == 201


async def bought(api, party_id):
    purchases = (await api.get(f"/v1/purchases?party_id={party_id}")).json()["data"]
    return sorted(purchase["amount_minor"] for purchase in purchases)


@pytest.fixture
def call(here):
    return here.identity(Scheme.PHONE, CALL["value"]).id


async def test_a_number_that_changed_hands_twice_is_told_with_its_days(api, call, published):
    ann, bob, cat = await party(api, ANNS, CALL), await party(api, BOBS), await party(api, CATS)
    for amount, day in enumerate(("2026-01-15", "2026-02-15", "2026-03-15"), 1):
        await buy(api, day, amount)
    await published()
    path = f"/v1/parties/{{}}/identifiers/identity_{call.hex}/hand-over"
    late = {"to": {"party_id": cat["id"]}, "from_day": "2026-03-01"}
    first = await api.post(path.format(ann["id"]), json=late, headers={"If-Match": f'"{ann["version"]}"'})
    assert first.status_code == 200
    assert [each["party_id"] for each in first.json()["holders"]] == [ann["id"], cat["id"]]
    back_dated = {"to": {"identifier": BOBS}, "from_day": "2026-02-01"}
    second = await api.post(path.format(ann["id"]), json=back_dated)
    assert [(each["party_id"], each.get("from_day")) for each in second.json()["holders"]] == [
        (ann["id"], None),
        (bob["id"], "2026-02-01"),
        (cat["id"], "2026-03-01"),
    ]
    for body in (back_dated, late | {"to": {"party_id": bob["id"]}, "from_day": "2026-02-01"}):
        again = await api.post(path.format(ann["id"]), json=body)
        assert again.json() == second.json()
    events = await published()
    assert [kind for kind, _, _ in events] == ["identities_assigned"] * 2
    told = [[each for each in data["assignments"] if each["identity_id"] == str(call)] for _, _, data in events]
    assert told[0][0]["version"] < told[1][0]["version"]
    assert [(f"party_{UUID(row['party_id']).hex}", row.get("from_day")) for row in told[1][0]["holdings"]] == [
        (ann["id"], None),
        (bob["id"], "2026-02-01"),
        (cat["id"], "2026-03-01"),
    ]
    assert [await bought(api, each["id"]) for each in (ann, bob, cat)] == [[1], [2], [3]]
    shown = [(await api.get(f"/v1/parties/{each['id']}")).json() for each in (ann, bob, cat)]
    assert [CALL["value"] in [each["value"] for each in known["identifiers"]] for known in shown] == [
        False,
        False,
        True,
    ]


async def test_an_identifier_that_nobody_has_yet_takes_a_number_over(api, call):
    ann = await party(api, ANNS, CALL)
    path = f"/v1/parties/{ann['id']}/identifiers/identity_{call.hex}/hand-over"
    answer = await api.post(path, json={"to": {"identifier": BOBS}, "from_day": "2026-02-01"})
    assert answer.status_code == 200
    [bob] = (await api.get("/v1/parties", params=BOBS)).json()["data"]
    assert bob["id"] == answer.json()["holders"][-1]["party_id"]


async def test_a_hand_over_that_cannot_be_says_why(api, call):
    ann, bob = await party(api, ANNS, CALL), await party(api, BOBS)
    path = f"/v1/parties/{{}}/identifiers/identity_{call.hex}/hand-over"
    body = {"to": {"party_id": bob["id"]}, "from_day": "2026-02-01"}
    refusals = {
        "not_the_holder": await api.post(path.format(bob["id"]), json=body | {"to": {"party_id": ann["id"]}}),
        "handed_over_to_itself": await api.post(path.format(ann["id"]), json=body | {"to": {"party_id": ann["id"]}}),
        "future_date": await api.post(path.format(ann["id"]), json=body | {"from_day": "2999-01-01"}),
        "party_not_found": await api.post(
            path.format(ann["id"]), json=body | {"to": {"party_id": f"party_{call.hex}"}}
        ),
        "precondition_failed": await api.post(path.format(ann["id"]), json=body, headers={"If-Match": '"99"'}),
    }
    assert {code: answer.json()["code"] for code, answer in refusals.items()} == {code: code for code in refusals}
    unknown = await api.post(f"/v1/parties/{ann['id']}/identifiers/identity_{uuid7().hex}/hand-over", json=body)
    assert unknown.json()["code"] == "not_the_holder"


def told(pair, day):
    at = datetime.combine(day, datetime.min.time(), UTC) + timedelta(hours=12)
    return Together(pair, Evidence(uuid7(), "leads", "lead_captured", at, "website"), (Given.EMAIL, Given.PHONE))


@pytest.mark.parametrize("seed", range(6))
async def test_pairs_seen_before_and_after_merge_each_holder_alone_in_any_order(database, api, here, call, seed):
    known = [here.identity(*each) for each in ((Scheme.EMAIL, ANNS["value"]), (Scheme.EMAIL, BOBS["value"]))]
    ann, bob = (identity.id for identity in known)
    async with database.transaction() as session:
        await have_identities(session, [*known, here.identity(Scheme.PHONE, CALL["value"])])

    async def decided():
        while True:
            async with database.transaction() as session:
                if not await decide(session, here.zone):
                    return

    async def tell(pair, day):
        async with database.transaction() as session:
            await see(session, [told(pair, day)])

    async def over():
        body = {"to": {"party_id": f"party_{bob.hex}"}, "from_day": "2026-02-01"}
        path = f"/v1/parties/party_{call.hex}/identifiers/identity_{call.hex}/hand-over"
        answer = await api.post(path, json=body)
        assert answer.status_code == 200, answer.text

    # Before the hand-over is told, the new holder's leads must not have come: they would have made both one by then.
    steps = [lambda: tell((ann, call), date(2026, 1, 10)), over]
    random.Random(seed).shuffle(steps)
    if seed % 2:
        steps.insert(1, decided)
    later = [lambda: tell((bob, call), date(2026, 2, 10)), lambda: tell((ann, call), date(2026, 1, 20)), decided]
    random.Random(seed).shuffle(later)
    for step in (*steps, *later, decided):
        await step()
    async with database.transaction() as session:
        rows = await (await driver(session)).fetch("SELECT id, resolves_to FROM party")
    top = {row["id"]: row["resolves_to"] for row in rows}
    assert top[ann] == top[call] == min(ann, call)
    assert top[bob] == bob


@pytest.mark.parametrize("decided_between", [True, False])
@pytest.mark.parametrize("unmerge_first", [True, False])
async def test_a_hand_over_and_an_unmerge_part_in_any_order_those_whom_the_number_had_made_one(
    database, api, here, call, unmerge_first, decided_between
):
    ann, bob = (here.identity(Scheme.EMAIL, each["value"]) for each in (ANNS, BOBS))
    async with database.transaction() as session:
        await have_identities(session, [ann, bob, here.identity(Scheme.PHONE, CALL["value"])])
        await see(session, [told((ann.id, call), date(2026, 1, 10)), told((bob.id, call), date(2026, 2, 10))])

    async def decided():
        while True:
            async with database.transaction() as session:
                if not await decide(session, here.zone):
                    return

    await decided()
    [one] = {each["id"] for by in (ANNS, BOBS) for each in (await api.get("/v1/parties", params=by)).json()["data"]}
    path = f"/v1/parties/party_{call.hex}/identifiers/identity_{call.hex}/hand-over"
    merges = (await api.get(f"/v1/parties/{one}/merges")).json()["data"]
    [theirs] = [merge for merge in merges if f"party_{bob.id.hex}" in (merge["party_id"], merge["other_id"])]
    body = {"to": {"party_id": f"party_{bob.id.hex}"}, "from_day": "2026-02-01"}
    steps = [(f"/v1/parties/{one}/unmerge", {"merge_id": theirs["id"]}), (path, body)]
    for url, sent in steps if unmerge_first else steps[::-1]:
        answer = await api.post(url, json=sent)
        assert answer.status_code == 200, answer.text
        if decided_between:
            await decided()
    await decided()
    parties = [(await api.get("/v1/parties", params=by)).json()["data"][0] for by in (ANNS, BOBS)]
    assert parties[0]["id"] != parties[1]["id"]
    assert CALL["value"] in [each["value"] for each in parties[1]["identifiers"]]


async def test_what_people_made_one_hands_nothing_over_to_itself_until_that_is_taken_back(api, call):
    ann, bob = await party(api, ANNS, CALL), await party(api, BOBS)
    merge = (await api.post(f"/v1/parties/{ann['id']}/merge", json={"party_id": bob["id"]})).json()
    path = f"/v1/parties/{ann['id']}/identifiers/identity_{call.hex}/hand-over"
    body = {"to": {"party_id": bob["id"]}, "from_day": "2026-02-01"}
    assert (await api.post(path, json=body)).json()["code"] == "handed_over_to_itself"
    await api.post(f"/v1/parties/{ann['id']}/unmerge", json={"merge_id": merge["id"]})
    assert (await api.post(path, json=body)).status_code == 200


async def held_by(api, *identifiers):
    """The parties that hold identifiers now."""
    return [(await api.get("/v1/parties", params=each)).json()["data"][0]["id"] for each in identifiers]


async def seen_on(database, pair, day):
    async with database.transaction() as session:
        await see(session, [told(pair, day)])


async def release(api, party_id, call, **body):
    answer = await api.post(f"/v1/parties/{party_id}/identifiers/identity_{call.hex}/release", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def over(api, party_id, call, to, day):
    path = f"/v1/parties/{party_id}/identifiers/identity_{call.hex}/hand-over"
    answer = await api.post(path, json={"to": {"party_id": to}, "from_day": day})
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("decided_before", [True, False])
@pytest.mark.parametrize("body", [{}, {"from_day": "2026-02-01"}], ids=["today", "earlier"])
@pytest.mark.parametrize("added", [True, False])
async def test_what_was_told_today_and_is_released_stays_released(
    api, call, decided, published, added, body, decided_before
):
    ann = await party(api, ANNS, *([] if added else [CALL]))
    if added:
        assert (await api.post(f"/v1/parties/{ann['id']}/identifiers", json={"identifier": CALL})).status_code == 201
    if decided_before:
        await decided()
    await release(api, ann["id"], call, **body)
    await published()
    await decided()
    assert await published() == []
    anns, heirs = await held_by(api, ANNS, CALL)
    assert anns == ann["id"] != heirs
    assert (await api.get("/v1/duplicates")).json()["data"] == []


async def test_what_a_lead_brought_today_and_is_released_stays_released(database, api, here, call, decided):
    ann = here.identity(Scheme.EMAIL, ANNS["value"])
    async with database.transaction() as session:
        await have_identities(session, [ann, here.identity(Scheme.PHONE, CALL["value"])])
    today = datetime.now(here.zone).date()
    await seen_on(database, (ann.id, call), today)
    await decided()
    [one] = set(await held_by(api, ANNS, CALL))
    await release(api, one, call)
    await decided()
    await seen_on(database, (ann.id, call), today + timedelta(days=3))
    await decided()
    anns, heirs = await held_by(api, ANNS, CALL)
    assert anns != heirs


async def test_a_corrected_identifier_does_not_come_back_with_what_is_told_later(database, api, here, call, decided):
    ann = await party(api, ANNS, CALL)
    path = f"/v1/parties/{ann['id']}/identifiers/identity_{call.hex}/correct"
    assert (await api.post(path, json={"value": "+4930111333"})).status_code == 200
    later = datetime.now(here.zone).date() + timedelta(days=3)
    await seen_on(database, (here.identity(Scheme.EMAIL, ANNS["value"]).id, call), later)
    await decided()
    right, wrong = await held_by(api, {"scheme": "phone", "value": "+4930111333"}, CALL)
    assert right == ann["id"] != wrong


HAND_OVERS = {
    "in turn": [("ann", "bob", "2026-02-01"), ("bob", "cat", "2026-03-01")],
    "told late": [("ann", "cat", "2026-03-01"), ("ann", "bob", "2026-02-01")],
}


@pytest.mark.parametrize("order", HAND_OVERS)
async def test_a_hand_over_from_before_the_telling_makes_nobody_one(api, call, decided, order):
    known = {"ann": await party(api, ANNS, CALL), "bob": await party(api, BOBS), "cat": await party(api, CATS)}
    for giver, to, day in HAND_OVERS[order]:
        await over(api, known[giver]["id"], call, known[to]["id"], day)
        await decided()
    assert await held_by(api, ANNS, BOBS, CATS) == [each["id"] for each in known.values()]
    assert await held_by(api, CALL) == [known["cat"]["id"]]


async def test_what_people_made_one_with_the_giver_is_not_the_new_holder_either(database, api, here, call, decided):
    ann, alias, bob = await party(api, ANNS, CALL), await party(api, CATS), await party(api, BOBS)
    await api.post(f"/v1/parties/{ann['id']}/merge", json={"party_id": alias["id"]})
    await over(api, ann["id"], call, bob["id"], "2026-02-01")
    await seen_on(database, (here.identity(Scheme.EMAIL, CATS["value"]).id, call), date(2026, 2, 10))
    await decided()
    anns, cats, bobs = await held_by(api, ANNS, CATS, BOBS)
    assert anns == cats != bobs


@pytest.mark.parametrize("decided_between", [True, False])
@pytest.mark.parametrize("handed_over_at", [0, 1, 2])
async def test_a_merge_and_its_unmerge_leave_no_trace_in_a_hand_over(
    database, api, here, call, decided, handed_over_at, decided_between
):
    ann, alias, bob = await party(api, ANNS, CALL), await party(api, CATS), await party(api, BOBS)
    await seen_on(database, (here.identity(Scheme.EMAIL, CATS["value"]).id, call), date(2026, 2, 10))
    merge = {}
    for step in range(3):
        if step == handed_over_at:
            await over(api, ann["id"], call, bob["id"], "2026-02-01")
        elif not merge:
            merge = (await api.post(f"/v1/parties/{ann['id']}/merge", json={"party_id": alias["id"]})).json()
        else:
            sent = {"merge_id": merge["id"]}
            assert (await api.post(f"/v1/parties/{ann['id']}/unmerge", json=sent)).status_code == 200
        if decided_between:
            await decided()
    await decided()
    anns, cats, bobs = await held_by(api, ANNS, CATS, BOBS)
    assert anns != cats == bobs


async def test_holders_in_turn_are_one_when_a_person_says_so(api, call, decided):
    ann, bob = await party(api, ANNS, CALL), await party(api, BOBS)
    await over(api, ann["id"], call, bob["id"], "2026-02-01")
    await decided()
    [dismissed] = (await api.get("/v1/duplicates?status=dismissed")).json()["data"]
    assert {dismissed["party_id"], dismissed["other_id"]} == {ann["id"], bob["id"]}
    merged = await api.post(f"/v1/parties/{ann['id']}/merge", json={"party_id": bob["id"]})
    assert merged.status_code == 201
    await decided()
    assert len(set(await held_by(api, ANNS, BOBS, CALL))) == 1


async def test_the_same_hand_over_again_does_not_part_whom_a_person_made_one_since(api, call, decided):
    ann, bob = await party(api, ANNS, CALL), await party(api, BOBS)
    for _ in range(2):
        await over(api, ann["id"], call, bob["id"], "2026-02-01")
        await api.post(f"/v1/parties/{ann['id']}/merge", json={"party_id": bob["id"]})
        await decided()
        assert len(set(await held_by(api, ANNS, BOBS, CALL))) == 1


@pytest.mark.parametrize("back", ["2026-03-01", None])
async def test_a_number_that_is_handed_back_is_its_first_holders_again(api, here, call, decided, back):
    ann = await party(api, ANNS, CALL)
    await release(api, ann["id"], call, from_day="2026-02-01")
    [heir] = await held_by(api, CALL)
    await over(api, heir, call, ann["id"], back or datetime.now(here.zone).date().isoformat())
    await decided()
    assert await held_by(api, ANNS, CALL) == [ann["id"]] * 2
