from typing import Any

from tests.system.product import Product

DAY = "2026-02-{:02}T10:00:00Z"
PARTS = ("party", "standing", "leads", "community", "problems", "interactions")


def by(scheme: str, value: str, **more: str) -> dict[str, Any]:
    return {"identifier": {"scheme": scheme, "value": value, **more}}


def test_a_party_is_seen_from_all_sides_under_the_id_that_it_had_before_a_merge(shared: Product) -> None:
    shop = {"scheme": "external", "system": "shop", "value": "C-1"}
    ada = shared.post("/v1/parties", json={"identifiers": [shop]})["id"]
    mail = shared.post("/v1/parties", json={"identifiers": [{"scheme": "email", "value": "ada@example.org"}]})["id"]
    buyer = {"party_id": ada}
    shared.post("/v1/purchases", json={**buyer, "occurred_at": DAY.format(3), "currency": "EUR", "amount_minor": 5})
    called = {"department": "service", "channel": "phone", "kind": "inquiry", "direction": "inbound"}
    shared.post("/v1/interactions", json={**buyer, "occurred_at": DAY.format(4), **called})
    trouble = {"category": "delivery", "severity": "high"}
    shared.post("/v1/problems", json={**buyer, "occurred_at": DAY.format(5), **trouble})
    shared.post("/v1/leads", json={"email": "ada@example.org", "occurred_at": DAY.format(1), "source": "website"})
    member = shared.post("/v1/members", json={"community": "forum", "source_id": "ada", "joined_at": DAY.format(2)})
    shared.post(f"/v1/members/{member['id']}/link", json={"party_id": ada})
    shared.post("/v1/posts", json={"member_id": member["id"], "occurred_at": DAY.format(6), "text": "Hello"})
    shared.post(f"/v1/parties/{ada}/merge", json={"party_id": mail})
    shared.settle()
    survivor = shared.get(f"/v1/parties/{ada}")["id"]

    seen = {id: shared.get(f"/v1/parties/{id}/360") for id in (ada, mail)}
    for id, view in seen.items():
        assert {part: view[part]["status"] for part in PARTS} == dict.fromkeys(PARTS, "ok")
        assert (view["party_id"], view["resolves_to"]) == (id, survivor)
        assert view["standing"]["data"]["stage"] == "dormant_customer"
        assert [len(view[part]["data"]["data"]) for part in ("leads", "problems", "interactions")] == [1, 1, 1]
    told = {id: shared.get(f"/v1/parties/{id}/timeline", limit=100) for id in (ada, mail)}
    assert told[ada] == told[mail]
    assert {row["service"] for row in told[ada]["data"]} == {"customers", "leads", "community", "scoring"}
    assert told[ada]["unavailable"] == []
    whole = [row["id"] for row in told[ada]["data"]]
    pages, cursor = [], None
    while True:
        page = shared.get(f"/v1/parties/{mail}/timeline", limit=3, cursor=cursor)
        pages += [row["id"] for row in page["data"]]
        if not (cursor := page["next_cursor"]):
            break
    assert pages == whole
    of_support = shared.get(f"/v1/parties/{ada}/timeline", departments="service")
    assert [row["kind"] for row in of_support["data"]] == ["interaction"]
    assert shared.get("/v1/imports")["unavailable"] == []
