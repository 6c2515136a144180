"""Whatever a caller sends, the answer says what is wrong with it, and nothing is our fault."""

import base64
import json
from uuid import UUID

import pytest

NUL, ALONE = "\x00", "\\ud800"
SOME = UUID("01a2189b-8d0e-7b53-97d4-dc6067b45465")


def cursor(*values):
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


QUERIES = [
    {"community": NUL},
    {"source_id": NUL},
    {"code": NUL},
    {"code": "a'b%"},
    {"party_id": f"lead_{SOME.hex}"},
    {"member_id": "member_x"},
    {"outcome": "lost"},
    {"since": "0001-01-01T00:00:00+14:00"},
    {"until": "9999-12-31T23:59:59-14:00"},
    {"limit": 0},
    {"limit": 10**30},
    {"cursor": cursor("2026-01-05T09:00:00", str(SOME))},
    {"cursor": cursor("9999-12-31T23:59:59-23:59", str(SOME))},
    {"cursor": cursor(10**30)},
    {"cursor": cursor()},
    {"cursor": "é"},
]


@pytest.mark.parametrize("params", QUERIES, ids=str)
@pytest.mark.parametrize("path", ["members", "groups", "posts", "referrals"])
async def test_a_list_answers_any_query(api, path, params):
    assert (await api.get(f"/v1/{path}", params=params)).status_code in (200, 400, 422)


@pytest.mark.parametrize("params", [{"before_id": NUL}, {"before_id": "é"}, {"before_at": "x"}, {"limit": 0}], ids=str)
async def test_a_timeline_answers_any_place(api, params):
    answer = await api.get(f"/internal/parties/party_{1:032x}/timeline", params=params)
    assert answer.status_code in (200, 422)


BODIES = [
    "",
    "null",
    "[]",
    '{"text": 1}',
    f'{{"text": "{ALONE}", "member": {{"community": "forum", "source_id": "ann"}}}}',
    '{"text": "x", "member": {"community": "forum", "source_id": "\\u0000"}}',
    '{"text": "x", "member": {"community": "forum", "source_id": "' + "a" * 201 + '"}}',
    '{"text": "x", "member": {"community": "forum", "source_id": "a"}, "occurred_at": "0000-00-00T00:00:00Z"}',
    '{"text": "x", "member": {"community": "forum", "source_id": "a"}, "occurred_at": 1e400}',
    '{"text": ' + "[" * 5_000 + "]" * 5_000 + "}",
    b"\xff\xfe",
]


@pytest.mark.parametrize("body", BODIES, ids=lambda body: str(body)[:60])
async def test_a_post_refuses_what_is_none(api, published, body):
    answer = await api.post("/v1/posts", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422), answer.text
    in_bulk = await api.post("/v1/posts/bulk", content=body)
    assert (in_bulk.status_code, in_bulk.json()["accepted"]) == (200, 0)
    assert await published() == []


@pytest.mark.parametrize("name", ["", " ", NUL, "a\x00b", "a\x7fb", "x" * 201, 5, None, ["x"]], ids=repr)
async def test_a_group_refuses_what_is_no_name(api, name):
    assert (await api.post("/v1/groups", json={"community": "forum", "name": name})).status_code == 422


@pytest.mark.parametrize("name", ["\u0391\u03a3", "\u0130stanbul", "STRASSE", "\u212b", "\U0001f375" * 200])
async def test_a_group_of_any_letters_is_found_by_any_of_its_capitals(api, post, name):
    first = (await api.post("/v1/groups", json={"community": "forum", "name": name})).json()
    for spelling in (name, name.lower(), name.casefold()):
        again = await api.post("/v1/groups", json={"community": "forum", "name": spelling})
        assert again.json()["id"] == first["id"], spelling
    assert (await post("ann", group_id=first["id"]))["group_id"] == first["id"]


async def test_an_id_in_a_community_has_one_spelling_and_its_case(api, member):
    first = await member("Caf\u00e9")
    assert (await member(" Cafe\u0301 "))["id"] == first["id"]
    assert (await member("caf\u00e9"))["id"] != first["id"]
    assert (await member("C\u0430f\u00e9"))["id"] != first["id"]


async def test_a_bulk_request_has_a_largest_size(api):
    answer = await api.post("/v1/posts/bulk", content="{}\n" * 10_001)
    assert (answer.status_code, answer.json()["code"]) == (422, "too_many_rows")
    assert (await api.post("/v1/posts/bulk", content="")).json()["data"] == []


async def test_the_same_request_again_is_answered_as_before(api, published):
    body = {"member": {"community": "forum", "source_id": "ann"}, "text": "Hello"}
    answers = [await api.post("/v1/posts", json=body, headers={"Idempotency-Key": "k1"}) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert [kind for kind, _, _ in await published()] == ["member_joined", "post_published"]


async def test_nobody_asks_this_service_unsigned(api):
    for path in ("/v1/members", f"/internal/parties/party_{1:032x}/community"):
        assert (await api.get(path, headers={"X-Shuke-Actor": "nobody"})).status_code == 401
