from uuid import UUID, uuid4

import pytest

from chassis.auth import HEADER, Caller, Reach, Signer
from chassis.http import decode_cursor, encode_cursor
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


async def searched(api, text, headers=None, **query):
    answer = await api.get("/v1/parties/search", params={"q": text, **query}, headers=headers)
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
    monkeypatch.setattr(searching, "RANKED", 3)
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


async def test_a_page_and_its_cursor_tell_a_limited_caller_of_its_own_parties_alone(api, monkeypatch):
    monkeypatch.setattr(searching, "RANKED", 2)
    monkeypatch.setattr(searching, "LOOKED_AT", 2)
    caller = Caller("user_1", frozenset({"sales"}), user_id=uuid4(), reach=Reach.OWN)
    own = {HEADER: Signer("the-tests-of-customers-have-a-secret-of-their-own").sign(caller)}
    for number in range(7):
        held = [email(f"kim{number:02}@example.org"), external(f"kim-{number:02}")]
        body = {"identifiers": held, "name": f"Kim Number{number:02}"}
        answer = await api.post("/v1/parties", json=body, headers=own if number % 3 == 2 else None)
        assert answer.status_code == 201, answer.text
    wanted, others = ("02", "05"), ("00", "01", "03", "04", "06")
    known = {party["id"] for party in (await api.get("/v1/parties", headers=own)).json()["data"]}
    hidden = {party["id"] for party in (await api.get("/v1/parties")).json()["data"]} - known
    assert (len(known), len(hidden)) == (2, 5)
    theirs = {"", *(f"kim{each}@example.org" for each in wanted), *(f"kim-{each}" for each in wanted)}

    names = [str(UUID(each.removeprefix("party_"))) for each in known]
    made_up = [encode_cursor(0, f"kim{each}@example.org", UUID(int=0)) for each in others]
    made_up += [encode_cursor(2, "", UUID(each.removeprefix("party_"))) for each in hidden]

    told, asked = [], [{}, *({"cursor": each} for each in made_up)]
    while asked:
        page = await searched(api, "kim", own, limit=1, **(at := asked.pop(0)))
        told += [each["party"]["id"] for each in page["data"]]
        if cursor := page["next_cursor"]:
            _, key, id = decode_cursor(cursor, tuple[int, str, UUID])
            assert key in theirs or key.endswith(tuple(names)), key
            assert f"party_{id.hex}" not in hidden or at.get("cursor") in made_up
            asked.append({"cursor": cursor})
    assert set(told) == known


async def test_what_was_found_before_is_passed_in_ever_larger_strides(api, monkeypatch):
    for number in range(60):
        await registered(api, email(f"kim{number:02}@example.org"), name=f"Kim {number:02}")
    strides = []
    read = vars(searching)["shown"]

    async def counted(session, ids):
        strides.append(len(ids))
        return await read(session, ids)

    monkeypatch.setattr(searching, "shown", counted)
    last = await searched(api, "kim", limit=5, cursor=encode_cursor(0, "kim57@example.org", UUID(int=0)))
    assert ([each["found_by"] for each in last["data"]], last["has_more"]) == (["email"] * 3, False)
    assert len(strides) <= 6


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
