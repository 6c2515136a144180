from uuid import UUID

import pytest

from chassis.http import encode_cursor
from services.customers.domain.names import condition, tokens
from services.customers.queries import searching
from tests.customers.test_parties_routes import email, external, registered


def test_a_name_is_found_by_its_words_and_by_two_characters_that_stand_together():
    assert tokens("Ann-Marie O'Neil") == ["ann", "marie", "neil", "o"]
    assert tokens("王小明") == ["小", "小明", "明", "王", "王小"]
    assert condition("Marie ann") == "'marie':* & 'ann':*"
    assert condition("王小明") == "'王小' & '小明'"
    assert condition("明") == "'明'"
    assert condition("...") is None


async def searched(api, text, **query):
    answer = await api.get("/v1/parties/search", params={"q": text, **query})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_party_is_found_by_all_that_it_is_known_by(api):
    ann = await registered(api, email("ann.smith@example.org"), external("K-1001"), name="Ann Smith")
    ming = await registered(api, {"scheme": "phone", "value": "+886912345678"}, name="王小明")

    for text, by, whom in [
        ("ann.smith@example.org", "email", ann),
        ("ANN.S", "email", ann),
        ("k-1001", "number", ann),
        ("K-10", "number", ann),
        ("smith ann", "name", ann),
        ("0912 345 678", "phone", ming),
        ("+886 912-345-678", "phone", ming),
        ("5678", "phone", ming),
        ("小明", "name", ming),
        ("王小", "name", ming),
        (ann["id"], "id", ann),
    ]:
        found = await searched(api, text)
        assert [(each["found_by"], each["party"]["id"]) for each in found["data"]] == [(by, whom["id"])], text
    nothing = await searched(api, "王明")
    assert (nothing["data"], nothing["tried"]) == ([], ["email", "number", "name"])
    assert (await searched(api, "100%_"))["data"] == []


async def test_whoever_has_exactly_what_was_typed_comes_first(api):
    for number in ("12", "123", "1", "14"):
        await registered(api, external(number))
    found = await searched(api, "1", limit=3)
    assert [each["party"]["identifiers"][0]["value"] for each in found["data"]] == ["1", "12", "123"]
    assert found["has_more"]


async def test_everybody_of_one_name_is_reached_page_by_page_and_told_once(api, monkeypatch):
    monkeypatch.setattr(searching, "_BY_NAME", searching._BY_NAME.replace("1000", "3"))
    wanted = {
        (await registered(api, email(f"kim{number}@example.org"), external(f"kim-{number}"), name=name))["id"]
        for number, name in enumerate(("Kim Lee", "Kim", "Ann Kim", "Kim Kim"))
    }
    wanted |= {(await registered(api, external(f"K{number}"), name=f"Kim {number % 2}"))["id"] for number in range(8)}
    one, other = sorted(wanted)[-2:]
    await api.post(f"/v1/parties/{one}/merge", json={"party_id": other})

    told, page = [], await searched(api, "kim", limit=2)
    while page["has_more"]:
        told += page["data"]
        page = await searched(api, "kim", limit=2, cursor=page["next_cursor"])
    told += page["data"]

    assert page["next_cursor"] is None
    assert sorted(each["party"]["id"] for each in told) == sorted(wanted - {other})
    assert [each["found_by"] for each in told] == ["email"] * 4 + ["name"] * 7


async def test_a_cursor_of_no_search_is_refused(api):
    for cursor in ("x", encode_cursor(0, "a\0", UUID(int=0)), encode_cursor(-1, "a", UUID(int=0))):
        answer = await api.get("/v1/parties/search", params={"q": "kim", "cursor": cursor})
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_cursor")
    behind_all = await searched(api, "kim", cursor=encode_cursor(9, "", UUID(int=0)))
    assert (behind_all["data"], behind_all["has_more"]) == ([], False)


async def test_a_name_can_be_given_changed_and_taken_away(api):
    party = await registered(api, email("bo@example.org"))
    assert party["name"] is None
    named = await api.put(f"/v1/parties/{party['id']}/name", json={"name": "Bo Berg"})
    assert named.json()["name"] == "Bo Berg"
    again = await api.post("/v1/parties", json={"identifiers": [email("bo@example.org")], "name": "Somebody else"})
    assert (again.status_code, again.json()["name"]) == (200, "Bo Berg")
    await api.put(f"/v1/parties/{party['id']}/name", json={"name": None})
    assert (await searched(api, "berg"))["data"] == []


async def test_a_merged_party_is_found_by_either_name_and_called_by_its_own(api):
    parties = [await registered(api, external(str(n)), name=name) for n, name in enumerate(("Kim Lee", "K. Lee-Park"))]
    await api.post(f"/v1/parties/{parties[0]['id']}/merge", json={"party_id": parties[1]["id"]})
    survivor = min(parties, key=lambda party: party["id"])
    for text in ("kim", "park"):
        [found] = (await searched(api, text))["data"]
        assert (found["party"]["id"], found["party"]["name"]) == (survivor["id"], survivor["name"])


async def test_parties_are_read_together_by_their_ids(api):
    one, two, three = [await registered(api, external(str(n))) for n in range(3)]
    answer = await api.get("/v1/parties", params={"ids": [one["id"], three["id"]]})
    assert {party["id"] for party in answer.json()["data"]} == {one["id"], three["id"]}
    assert two["id"] not in answer.text


@pytest.mark.parametrize("text", ["", "   ", "\0", " \0 ", "a" * 201])
async def test_nothing_is_no_search(api, text):
    assert (await api.get("/v1/parties/search", params={"q": text})).status_code == 422
