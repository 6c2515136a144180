import json

import pytest

from chassis.http import encode_cursor
from chassis.installation import OtherIdentityKey, check_key
from contracts.identity import Installation

GOOD = {
    "identifier": {"scheme": "external", "system": "shop", "value": "1"},
    "source_id": "o1",
    "occurred_at": "2026-01-05T10:00:00Z",
    "currency": "EUR",
    "amount_minor": 5,
}


async def test_another_identity_key_is_refused(database, here):
    async with database.transaction() as session:
        await check_key(session, here)
    with pytest.raises(OtherIdentityKey):
        async with database.transaction() as session:
            await check_key(session, Installation(bytes(32), here.zone))


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount_minor": -1},
        {"amount_minor": 1.0},
        {"amount_minor": "5"},
        {"amount_minor": 2**53},
        {"currency": "EUX"},
        {"currency": "eur"},
        {"occurred_at": "2026-01-05T10:00:00"},
        {"occurred_at": "0001-01-01T00:00:00+14:00"},
        {"source": "My Shop"},
        {"source_id": "a\x00b"},
        {"source_id": ""},
        {"lines": [{"product": "a\x00b"}]},
        {"lines": [{"quantity": 0}]},
        {"identifier": {"scheme": "email", "value": "secret-person"}},
        {"identifier": {"scheme": "external", "value": "secret-person"}},
        {"identifier": {"scheme": "external", "system": "shop", "value": "secret\u0000person"}},
        {"unheard_of": 1},
    ],
)
async def test_what_cannot_be_recorded_is_refused_without_being_repeated(api, published, wrong):
    answer = await api.post("/v1/purchases", json=GOOD | wrong)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert "secret" not in answer.text
    assert await published() == []


async def test_the_largest_amount_and_zero_are_purchases(api):
    for place, amount in enumerate((0, 2**53 - 1)):
        answer = await api.post("/v1/purchases", json=GOOD | {"amount_minor": amount, "source_id": str(place)})
        assert (answer.status_code, answer.json()["amount_minor"]) == (201, amount)


async def test_what_is_not_there_is_not_found(api):
    for path in (
        "parties/party",
        "purchases/purchase",
        "returns/return",
        "interactions/interaction",
        "problems/problem",
    ):
        assert (await api.get(f"/v1/{path}_{1:032x}")).status_code == 404
    for params in ({"party_id": f"party_{1:032x}"}, {"party_id": f"party_{1:032x}", "limit": 1}):
        assert (await api.get("/v1/purchases", params=params)).status_code == 404
    assert (await api.get("/v1/parties/7")).status_code == 422


async def test_a_cursor_that_no_page_gave_out_is_refused(api):
    purchase = (await api.post("/v1/purchases", json=GOOD)).json()
    paths = (
        "interactions",
        "problems",
        f"purchases/{purchase['id']}/versions",
        f"parties/{purchase['party_id']}/owners",
    )
    for path in paths:
        for values in ([2**31], [-1], ["x"], [1, 2], ["2026-01-05T10:00:00", f"{1:032x}"], "x"):
            cursor = encode_cursor(*values)
            answer = await api.get(f"/v1/{path}", params={"cursor": cursor})
            assert (answer.status_code, answer.json()["code"]) == (400, "bad_cursor"), (path, values)


async def test_half_a_character_is_no_text(api, published):
    row = {name: GOOD[name] for name in ("identifier", "source_id", "occurred_at")}
    row |= {"department": "sales", "channel": "phone", "kind": "contact", "direction": "inbound", "text": "\ud800"}
    body = json.dumps(row)
    answer = await api.post("/v1/interactions", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422, answer.text
    in_bulk = (await api.post("/v1/interactions/bulk", content=body)).json()
    assert in_bulk["data"][0]["reason"] == "invalid_row"
    assert await published() == []


async def test_a_bulk_request_has_a_largest_size(api):
    answer = await api.post("/v1/purchases/bulk", content="{}\n" * 10_001)
    assert (answer.status_code, answer.json()["code"]) == (422, "too_many_rows")
    empty = await api.post("/v1/purchases/bulk", content="")
    assert (empty.status_code, empty.json()["data"]) == (200, [])


async def test_returns_come_in_bulk_too(api, published):
    row = GOOD | {"original_id": "o7"}
    body = "\n".join(map(json.dumps, [row, row, row | {"amount_minor": 6}]))
    answer = (await api.post("/v1/returns/bulk", content=body)).json()
    assert [outcome["status"] for outcome in answer["data"]] == ["accepted", "duplicate", "conflict"]
    assert len({outcome["return_id"] for outcome in answer["data"]}) == 1
    assert [kind for kind, _, _ in await published()] == ["purchase_returned"]


async def test_nobody_asks_this_service_unsigned(api):
    answer = await api.get("/v1/parties", headers={"X-Shuke-Actor": "nobody"})
    assert answer.status_code == 401
