"""Where what was made is found, in which version, and what a command needs no body for."""

import pytest

PARTY = {"scheme": "external", "system": "shop", "value": "c1"}
OTHER = {"scheme": "external", "system": "shop", "value": "c2"}
UNKNOWN = f"{1:032x}"
AT = {"identifier": PARTY, "occurred_at": "2026-01-05T10:00:00Z"}
MONEY = {"currency": "EUR", "amount_minor": 5}
CALL = {"department": "sales", "channel": "phone", "kind": "contact", "direction": "inbound"}


async def made(api, path, body):
    answer = await api.post(path, json=body)
    assert answer.status_code == 201, answer.text
    return answer


async def test_what_is_made_is_found_where_the_answer_says(api):
    party = (await made(api, "/v1/parties", {"identifiers": [PARTY]})).json()["id"]
    other = (await made(api, "/v1/parties", {"identifiers": [OTHER]})).json()["id"]
    purchase = (await made(api, "/v1/purchases", AT | MONEY)).json()["id"]
    back = {"occurred_at": "2026-01-06T10:00:00Z", "amount_minor": 1}
    for path, body in (
        (f"/v1/parties/{party}/identifiers", {"identifier": {"scheme": "email", "value": "ann@x.example"}}),
        (f"/v1/purchases/{purchase}/returns", back),
        (f"/v1/parties/{party}/merge", {"party_id": other}),
    ):
        answer = await made(api, path, body)
        found = await api.get(answer.headers["location"])
        assert (found.status_code, found.json()) == (200, answer.json())
        assert found.headers.get("etag") == answer.headers.get("etag")


async def test_a_merge_is_found_by_its_id_also_when_it_is_taken_back(api):
    party = (await made(api, "/v1/parties", {"identifiers": [PARTY]})).json()["id"]
    other = (await made(api, "/v1/parties", {"identifiers": [OTHER]})).json()["id"]
    merge = (await made(api, f"/v1/parties/{party}/merge", {"party_id": other})).json()
    path = f"/v1/merges/{merge['id']}"
    assert (await api.get(path)).json() == merge
    gone = (await api.post(f"/v1/parties/{party}/unmerge", json={"merge_id": merge["id"]})).json()
    assert (await api.get(path)).json() == gone
    unknown = await api.get(f"/v1/merges/merge_{UNKNOWN}")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "merge_not_found")


async def test_a_command_that_needs_to_be_told_nothing_needs_no_body(api):
    for kind, said in (("purchases", MONEY), ("returns", MONEY), ("interactions", CALL)):
        path = f"/v1/{kind}/{(await made(api, f'/v1/{kind}', AT | said)).json()['id']}/withdraw"
        assert (await api.post(path, headers={"If-Match": '"9"'})).status_code == 412
        gone = await api.post(path)
        assert gone.status_code == 200, gone.text
        assert gone.json()["withdrawn_at"]
    problem = (await made(api, "/v1/problems", AT | {"category": "delivery"})).json()["id"]
    for step in ("solve", "reopen", "withdraw"):
        answer = await api.post(f"/v1/problems/{problem}/{step}")
        assert answer.status_code == 200, answer.text
    party = (await made(api, "/v1/parties", {"identifiers": [OTHER]})).json()
    identity = party["identifiers"][0]["identity_id"]
    released = await api.post(f"/v1/parties/{party['id']}/identifiers/{identity}/release")
    # It became known today, so that there is no day before.
    assert released.status_code == 200, released.text


@pytest.mark.parametrize("command", ["purchases/{}/withdraw", "duplicates/{}/accept", "problems/{}/solve"])
async def test_the_documents_say_which_bodies_are_needed(served, command):
    document = (await served.get("/openapi.json")).json()
    [posted] = [
        operations["post"]
        for path, operations in document["paths"].items()
        if "post" in operations and path.endswith(command.rpartition("/")[2]) and command.split("/")[0] in path
    ]
    assert not posted["requestBody"].get("required", False)
