import asyncio
from contextlib import asynccontextmanager
from itertools import pairwise
from uuid import UUID

from services.customers.models.owners import NewOwner
from services.customers.queries import owners as known
from services.customers.queries.assignments import parties_to_change
from tests.customers.waiting import waits

ANN, BEA, CEM = (f"user_{number:032x}" for number in (21, 22, 23))
SALES, DESK = (f"team_{number:032x}" for number in (31, 32))


async def party(api, value):
    identifier = {"scheme": "external", "system": "shop", "value": value}
    return (await api.post("/v1/parties", json={"identifiers": [identifier]})).json()["id"]


async def parties(api, count):
    """In the order of their ids."""
    return sorted([await party(api, f"c{number}") for number in range(count)])


async def give(api, party_id, owner_id, team_id=None, **headers):
    body = {"owner_id": owner_id, "team_id": team_id}
    return await api.put(f"/v1/parties/{party_id}/owner", json=body, headers=headers)


async def owner(api, party_id):
    found = (await api.get(f"/v1/parties/{party_id}/owner")).json()
    return found["owner_id"], found["team_id"], found["version"]


async def test_a_party_is_given_away_and_the_history_says_to_whom(api, published):
    one = await party(api, "c1")
    nobody = await api.get(f"/v1/parties/{one}/owner")
    assert (nobody.headers["etag"], nobody.json()["owner_id"], nobody.json()["version"]) == ('"0"', None, 0)
    await published()
    body = {"owner_id": ANN, "team_id": SALES, "note": "Speaks the language."}
    first = await api.put(f"/v1/parties/{one}/owner", json=body, headers={"If-Match": '"0"'})
    assert (first.status_code, first.headers["etag"], first.json()["note"]) == (200, '"1"', "Speaks the language.")
    assert (await api.put(f"/v1/parties/{one}/owner", json=body)).json() == first.json()
    stale = await give(api, one, BEA, **{"If-Match": '"0"'})
    assert (stale.status_code, stale.json()["version"]) == (412, 1)
    await give(api, one, None, None)
    events = await published()
    assert [(kind, data["version"], data.get("owner_id")) for kind, _, data in events] == [
        ("party_owner_changed", 1, "00000000-0000-0000-0000-000000000015"),
        ("party_owner_changed", 2, None),
    ]
    assert {subject.replace("-", "") for _, subject, _ in events} == {one.removeprefix("party_")}
    assert "language" not in str(events)
    history = (await api.get(f"/v1/parties/{one}/owners", params={"limit": 1})).json()
    assert [(row["version"], row["owner_id"], row["reason"]) for row in history["data"]] == [(2, None, "assigned")]
    rest = (await api.get(f"/v1/parties/{one}/owners", params={"cursor": history["next_cursor"]})).json()["data"]
    assert [(row["version"], row["owner_id"], row["note"]) for row in rest] == [(1, ANN, "Speaks the language.")]


async def test_an_owner_of_nobody_is_not_found_and_both_have_to_be_said(api):
    for path in ("owner", "owners"):
        assert (await api.get(f"/v1/parties/party_{1:032x}/{path}")).json()["code"] == "party_not_found"
    assert (await give(api, f"party_{1:032x}", ANN)).json()["code"] == "party_not_found"
    one = await party(api, "c1")
    assert (await api.put(f"/v1/parties/{one}/owner", json={"owner_id": ANN})).status_code == 422


async def test_the_parties_of_an_owner_and_of_a_team_are_listed(api):
    ids = await parties(api, 5)
    for place, one in enumerate(ids):
        await give(api, one, ANN if place % 2 else BEA, SALES if place < 3 else DESK)

    async def listed(**params):
        seen, cursor = [], None
        while True:
            asked = params | {"limit": 1} | ({"cursor": cursor} if cursor else {})
            found = (await api.get("/v1/parties", params=asked)).json()
            seen += [ids.index(row["id"]) for row in found["data"]]
            if not (cursor := found["next_cursor"]):
                return seen

    assert await listed(owner_id=ANN) == [1, 3]
    assert await listed(team_id=SALES) == [0, 1, 2]
    assert await listed(owner_id=BEA, team_id=SALES) == [0, 2]
    assert await listed(owner_id=CEM) == []


async def test_a_merge_hands_an_owner_to_a_survivor_without_one_and_an_unmerge_takes_none(api, published):
    one, other = await parties(api, 2)
    await give(api, other, ANN, SALES)
    await published()
    merge = (await api.post(f"/v1/parties/{one}/merge", json={"party_id": other})).json()
    assert merge["resolves_to"] == one
    events = await published()
    assert [kind for kind, _, _ in events] == ["identities_assigned", "party_owner_changed"]
    assert (events[1][1].replace("-", ""), events[1][2]["version"]) == (one.removeprefix("party_"), 1)
    assert await owner(api, one) == await owner(api, other) == (ANN, SALES, 1)
    [taken] = (await api.get(f"/v1/parties/{one}/owners")).json()["data"]
    assert taken["reason"] == "merged"
    await give(api, other, BEA)
    assert await owner(api, one) == (BEA, None, 2)
    await published()
    await api.post(f"/v1/parties/{one}/unmerge", json={"merge_id": merge["id"]})
    assert await owner(api, one) == (BEA, None, 2)
    assert await owner(api, other) == (ANN, SALES, 1)
    assert [kind for kind, _, _ in await published()] == ["identities_assigned"]


async def test_a_survivor_with_an_owner_keeps_it(api, published):
    one, other = await parties(api, 2)
    await give(api, one, None, DESK)
    await give(api, other, ANN, SALES)
    await published()
    await api.post(f"/v1/parties/{other}/merge", json={"party_id": one})
    assert await owner(api, one) == (None, DESK, 1)
    assert [kind for kind, _, _ in await published()] == ["identities_assigned"]
    assert [row["id"] for row in (await api.get("/v1/parties", params={"owner_id": ANN})).json()["data"]] == []


async def test_all_parties_of_a_user_are_handed_over_in_parts_and_asking_again_changes_nothing(api, published):
    ids = await parties(api, 5)
    for one in ids[:4]:
        await give(api, one, ANN, SALES)
    await give(api, ids[4], BEA, DESK)
    await published()
    body = {"from_owner_id": ANN, "to_owner_id": CEM}
    answers = [(await api.post("/v1/owners/hand-over", json=body, params={"at_once": 3})).json() for _ in range(3)]
    assert answers == [
        {"handed_over": 3, "remaining": 1},
        {"handed_over": 1, "remaining": 0},
        {"handed_over": 0, "remaining": 0},
    ]
    assert [await owner(api, one) for one in ids] == [(CEM, SALES, 2)] * 4 + [(BEA, DESK, 1)]
    assert [(kind, data["version"]) for kind, _, data in await published()] == [("party_owner_changed", 2)] * 4
    with_team = {"from_owner_id": CEM, "to_owner_id": BEA, "to_team_id": DESK, "note": "Cem has left."}
    await api.post("/v1/owners/hand-over", json=with_team)
    assert await owner(api, ids[0]) == (BEA, DESK, 3)
    itself = await api.post("/v1/owners/hand-over", json=body | {"to_owner_id": ANN})
    assert (itself.status_code, itself.json()["code"]) == (422, "hand_over_to_itself")


async def test_an_unmerge_after_a_hand_over_does_not_bring_the_old_owner_back(api):
    one, other = await parties(api, 2)
    await give(api, other, ANN)
    merge = (await api.post(f"/v1/parties/{one}/merge", json={"party_id": other})).json()
    await api.post("/v1/owners/hand-over", json={"from_owner_id": ANN, "to_owner_id": CEM})
    await api.post(f"/v1/parties/{one}/unmerge", json={"merge_id": merge["id"]})
    assert (await owner(api, one))[0] == (await owner(api, other))[0] == CEM


@asynccontextmanager
async def given_meanwhile(database, party_id, user):
    """A party is given away by a transaction that ends once somebody waits for it."""
    id = UUID(hex=party_id.removeprefix("party_"))
    async with database.transaction() as session:
        await parties_to_change(session, id)
        wanted = NewOwner(owner_id=UUID(hex=user.removeprefix("user_")), team_id=None)
        await known.give(session, await known.owner(session, id), wanted)
        yield
        await asyncio.wait_for(waits(database), 60)


async def test_who_waits_for_a_party_sees_what_became_of_it(api, database):
    one = await party(api, "c1")
    async with given_meanwhile(database, one, ANN):
        late = asyncio.create_task(give(api, one, BEA, **{"If-Match": '"0"'}))
    assert (await late).status_code == 412
    async with given_meanwhile(database, one, BEA):
        body = {"from_owner_id": ANN, "to_owner_id": CEM}
        late = asyncio.create_task(api.post("/v1/owners/hand-over", json=body))
    assert (await late).json() == {"handed_over": 0, "remaining": 0}
    assert await owner(api, one) == (BEA, None, 2)


async def test_of_many_who_saw_the_same_version_one_gives_the_party_away(api, published):
    one = await party(api, "c1")
    await published()
    users = [f"user_{number:032x}" for number in range(40, 46)]
    answers = await asyncio.gather(*(give(api, one, user, **{"If-Match": '"0"'}) for user in users))
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 5
    assert len(await published()) == 1


async def test_hand_overs_merges_and_gifts_at_once_end_in_what_was_told(api, published):
    ids = await parties(api, 12)
    for one in ids:
        await give(api, one, ANN)

    async def shuffle(users):
        for _ in range(4):
            for place, user in enumerate(users):
                body = {"from_owner_id": user, "to_owner_id": users[place - 1]}
                answer = await api.post("/v1/owners/hand-over", json=body, params={"at_once": 5})
                assert answer.status_code == 200, answer.text

    async def join():
        for one, other in pairwise(ids):
            merge = (await api.post(f"/v1/parties/{other}/merge", json={"party_id": one})).json()
            await api.post(f"/v1/parties/{one}/unmerge", json={"merge_id": merge["id"]})

    async def grant():
        for one in reversed(ids):
            await give(api, one, BEA)
            await give(api, one, None)

    await asyncio.gather(shuffle([ANN, BEA]), shuffle([BEA, CEM]), join(), grant())
    told = {}
    for kind, subject, data in await published():
        if kind == "party_owner_changed":
            before = told.get(subject, {"version": 0})
            assert data["version"] == before["version"] + 1
            told[subject] = data
    for one in ids:
        found = (await api.get(f"/v1/parties/{one}/owner")).json()
        last = next(data for subject, data in told.items() if subject.replace("-", "") == one.removeprefix("party_"))
        assert last["version"] == found["version"]
        assert last.get("owner_id", "").replace("-", "") == (found["owner_id"] or "").removeprefix("user_")
