import pytest

from services.customers.domain.names import condition, tokens
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
    assert [each["party"]["identifiers"][0]["value"] for each in found["data"]] == ["1", "12", "14"]
    assert found["has_more"]


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
