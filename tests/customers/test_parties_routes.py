from datetime import UTC, datetime
from itertools import pairwise, permutations


def email(value):
    return {"scheme": "email", "value": value}


def external(value, system="shop"):
    return {"scheme": "external", "system": system, "value": value}


def plain(id):
    return id.split("_")[1]


def uuid(text):
    return text.replace("-", "")


async def registered(api, *identifiers, **other):
    answer = await api.post("/v1/parties", json={"identifiers": list(identifiers)} | other)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_a_party_has_the_id_of_its_first_identity_and_is_announced(api, published):
    party = await registered(api, email("Ann@Example.org"), external("7"), kind="organisation")
    assert [held["value"] for held in party["identifiers"]] == ["ann@example.org", "7"]
    events = await published()
    assert [kind for kind, _, _ in events] == ["identities_assigned", "party_registered"]
    assigned = events[0][2]["assignments"]
    assert [[uuid(held["party_id"]) for held in row["holdings"]] for row in assigned] == [[plain(party["id"])]]
    assert events[1][2]["kind"] == "organisation"
    assert uuid(events[1][1]) == plain(party["id"])


async def test_the_same_identifiers_again_name_the_party_that_is_there(api, published):
    first = await registered(api, email("a@example.org"), external("7"))
    await published()
    again = await api.post("/v1/parties", json={"identifiers": [external("7"), email(" A@example.org ")]})
    assert (again.status_code, again.json()) == (200, first)
    assert await published() == []
    mixed = await api.post("/v1/parties", json={"identifiers": [external("7"), external("8")]})
    assert (mixed.status_code, mixed.json()["code"], mixed.json()["party_ids"]) == (
        409,
        "identifier_taken",
        [first["id"]],
    )


async def test_a_party_without_identifiers_is_one_of_its_own(api, published):
    ids = {(await registered(api))["id"] for _ in range(2)}
    assert len(ids) == 2
    assert [kind for kind, _, _ in await published()] == ["party_registered"] * 2


async def test_a_party_is_found_by_identifier_and_listed_by_page(api):
    parties = [await registered(api, external(str(number))) for number in range(5)]
    found = await api.get("/v1/parties", params=external("3"))
    assert found.json() == {"data": [parties[3]], "has_more": False, "next_cursor": None}
    assert (await api.get("/v1/parties", params=external("99"))).json()["data"] == []
    assert (await api.get("/v1/parties", params={"scheme": "email"})).status_code == 422
    seen, cursor = [], None
    while True:
        page = (await api.get("/v1/parties", params={"limit": 2} | ({"cursor": cursor} if cursor else {}))).json()
        seen += [party["id"] for party in page["data"]]
        if not (cursor := page["next_cursor"]):
            break
    assert seen == sorted(party["id"] for party in parties)


async def test_an_added_identifier_is_announced_and_travels_with_its_facts(api, published):
    party = await registered(api, external("1"))
    other = await registered(api, external("2"))
    await published()
    path = f"/v1/parties/{party['id']}/identifiers"
    added = await api.post(path, json={"identifier": email("a@example.org")}, headers={"If-Match": '"0"'})
    assert added.status_code == 201, added.text
    [(kind, _, announced)] = await published()
    assert kind == "identities_assigned"
    assert (await api.post(path, json={"identifier": email("a@example.org")})).status_code == 200
    taken = await api.post(path, json={"identifier": external("2")})
    assert (taken.status_code, taken.json()["party_ids"]) == (409, [other["id"]])
    stale = await api.post(path, json={"identifier": external("3")}, headers={"If-Match": '"0"'})
    assert stale.status_code == 412
    await buy(api, identifier=email("a@example.org"))
    [(_, subject, data)] = await published()
    assert data["assignment"] == announced["assignments"][0]
    assert uuid(data["assignment"]["holdings"][0]["party_id"]) == plain(party["id"])
    assert subject == data["assignment"]["identity_id"]


async def buy(api, **whom):
    row = {"occurred_at": "2026-01-05T10:00:00Z", "currency": "EUR", "amount_minor": 5} | whom
    answer = await api.post("/v1/purchases", json=row)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_a_released_identifier_is_another_partys_from_that_day_on(api, published):
    party = await registered(api, external("1"), email("a@example.org"))
    identity = next(held for held in party["identifiers"] if held["scheme"] == "email")
    await published()
    path = f"/v1/parties/{party['id']}/identifiers/{identity['identity_id']}/release"
    future = await api.post(path, json={"from_day": "2999-01-01"})
    assert future.json()["code"] == "future_date"
    released = await api.post(path, json={"from_day": "2026-02-01"})
    assert [held["scheme"] for held in released.json()["identifiers"]] == ["external"]
    [(kind, _, data)] = await published()
    holdings = data["assignments"][0]["holdings"]
    assert (kind, uuid(holdings[0]["party_id"]), holdings[1]["from_day"]) == (
        "identities_assigned",
        plain(party["id"]),
        "2026-02-01",
    )
    assert (await api.post(path, json={})).json()["code"] == "not_the_holder"
    heir = (await api.get("/v1/parties", params=email("a@example.org"))).json()["data"][0]
    assert uuid(holdings[1]["party_id"]) == plain(heir["id"])
    # 31 January 23:30 UTC is 1 February in Berlin.
    before = await buy(api, identifier=email("a@example.org"), occurred_at="2026-01-31T22:30:00Z")
    after = await buy(api, identifier=email("a@example.org"), occurred_at="2026-01-31T23:30:00Z")
    assert (before["party_id"], after["party_id"]) == (party["id"], heir["id"])
    for owner, purchase in ((party, before), (heir, after)):
        listed = (await api.get("/v1/purchases", params={"party_id": owner["id"]})).json()["data"]
        assert [row["id"] for row in listed] == [purchase["id"]]


async def test_a_corrected_identifier_is_one_change(api, published):
    party = await registered(api, email("anne@example.org"))
    await published()
    wrong = party["identifiers"][0]["identity_id"]
    path = f"/v1/parties/{party['id']}/identifiers/{wrong}/correct"
    right = await api.post(path, json={"value": "ann@example.org"})
    assert [held["value"] for held in right.json()["identifiers"]] == ["ann@example.org"]
    [(kind, _, data)] = await published()
    assert (kind, sorted(len(row["holdings"]) for row in data["assignments"])) == ("identities_assigned", [1, 2])
    assert len({row["version"] for row in data["assignments"]}) == 1


async def test_what_a_wrong_identifier_bought_today_stays_with_the_party(api):
    party = await registered(api, email("anne@example.org"))
    bought = await buy(api, identifier=email("anne@example.org"), occurred_at=datetime.now(UTC).isoformat())
    path = f"/v1/parties/{party['id']}/identifiers/{party['identifiers'][0]['identity_id']}/correct"
    assert (await api.post(path, json={"value": "ann@example.org"})).status_code == 200
    listed = (await api.get("/v1/purchases", params={"party_id": party["id"]})).json()["data"]
    assert [row["id"] for row in listed] == [bought["id"]]
    found = (await api.get("/v1/parties", params=email("anne@example.org"))).json()["data"]
    assert found[0]["id"] != party["id"]


async def test_a_party_named_by_its_id_buys_under_its_oldest_identity(api, published):
    party = await registered(api, external("1"), email("a@example.org"))
    purchase = await buy(api, party_id=party["id"])
    assert plain(purchase["identity_id"]) == plain(party["id"])
    first = next(held for held in party["identifiers"] if plain(held["identity_id"]) == plain(party["id"]))
    await api.post(f"/v1/parties/{party['id']}/identifiers/{first['identity_id']}/release", json={})
    again = await buy(api, party_id=party["id"])
    assert again["identity_id"] != purchase["identity_id"]
    assert again["party_id"] == party["id"]
    other = next(held for held in party["identifiers"] if held != first)
    await api.post(f"/v1/parties/{party['id']}/identifiers/{other['identity_id']}/release", json={})
    await published()
    empty = await buy(api, party_id=party["id"], amount_minor=6)
    assert empty["party_id"] == party["id"]
    assert [kind for kind, _, _ in await published()] == ["identities_assigned", "purchase_completed"]
    assert (await buy(api, party_id=party["id"], amount_minor=7))["identity_id"] == empty["identity_id"]


async def test_the_smallest_id_survives_and_every_old_id_leads_to_it(api, published):
    ids = sorted([(await registered(api, external(str(number))))["id"] for number in range(3)])
    await published()
    low, middle, high = ids
    made = await api.post(f"/v1/parties/{high}/merge", json={"party_id": middle})
    assert (made.status_code, made.json()["resolves_to"]) == (201, middle)
    again = await api.post(f"/v1/parties/{middle}/merge", json={"party_id": high})
    assert (again.status_code, again.json()) == (200, made.json())
    second = (await api.post(f"/v1/parties/{high}/merge", json={"party_id": low})).json()
    assert {(await api.get(f"/v1/parties/{id}")).json()["id"] for id in ids} == {low}
    shown = await api.get(f"/v1/parties/{high}")
    assert shown.json()["merged_ids"] == [middle, high]
    assert len(shown.json()["identifiers"]) == 3
    assert shown.headers["etag"] == f'"{shown.json()["version"]}"'
    events = await published()
    assert [kind for kind, _, _ in events] == ["identities_assigned"] * 2
    assert {(uuid(row["party_id"]), uuid(row["resolves_to"])) for row in events[1][2]["resolutions"]} == {
        (plain(middle), plain(low)),
        (plain(high), plain(low)),
    }
    undone = await api.post(f"/v1/parties/{low}/unmerge", json={"merge_id": made.json()["id"]})
    assert undone.json()["unmerged_at"]
    assert [(await api.get(f"/v1/parties/{id}")).json()["id"] for id in ids] == [low, middle, low]
    listed = (await api.get(f"/v1/parties/{low}/merges")).json()["data"]
    assert [merge["id"] for merge in listed] == [made.json()["id"], second["id"]]
    stranger = await registered(api, external("9"))
    elsewhere = await api.post(f"/v1/parties/{stranger['id']}/unmerge", json={"merge_id": second["id"]})
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (404, "merge_not_found")
    itself = await api.post(f"/v1/parties/{low}/merge", json={"party_id": low})
    assert (itself.status_code, itself.json()["code"]) == (422, "merge_with_itself")


async def test_merges_taken_back_in_any_order_leave_everyone_alone(api):
    for order in permutations(range(3)):
        ids = [(await registered(api))["id"] for _ in range(4)]
        merges = [
            (await api.post(f"/v1/parties/{one}/merge", json={"party_id": other})).json()
            for one, other in pairwise(ids)
        ]
        for place in order:
            await api.post(f"/v1/parties/{ids[0]}/unmerge", json={"merge_id": merges[place]["id"]})
            await api.post(f"/v1/parties/{ids[place]}/unmerge", json={"merge_id": merges[place]["id"]})
        assert [(await api.get(f"/v1/parties/{id}")).json()["id"] for id in ids] == ids


async def test_the_gateway_learns_the_external_ids_of_a_merged_party(api):
    one, other = sorted([await registered(api, external(str(number))) for number in range(2)], key=lambda p: p["id"])
    await api.post(f"/v1/parties/{one['id']}/merge", json={"party_id": other["id"]})
    answer = (await api.post("/internal/external-ids", json={"party_ids": [one["id"]]})).json()
    assert {(row["party_id"], row["value"]) for row in answer["data"]} == {(one["id"], "0"), (one["id"], "1")}
