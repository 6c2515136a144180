import json


def bought(customer="c1", **other):
    return {
        "identifier": {"scheme": "external", "system": "shop", "value": customer},
        "source": "shop",
        "source_id": "o1",
        "occurred_at": "2026-01-05T10:00:00+01:00",
        "currency": "EUR",
        "amount_minor": 1250,
    } | other


async def test_a_purchase_by_a_stranger_makes_the_party_and_one_event(api, published):
    answer = await api.post("/v1/purchases", json=bought(lines=[{"product": "tea", "quantity": 2}]))
    assert answer.status_code == 201, answer.text
    purchase = answer.json()
    assert answer.headers["etag"] == '"1"'
    assert purchase["party_id"].removeprefix("party_") == purchase["identity_id"].removeprefix("identity_")
    [(kind, subject, data)] = await published()
    assert kind == "purchase_completed"
    assert subject.replace("-", "") == purchase["party_id"].removeprefix("party_")
    assert (data["amount_minor"], data["line_count"], "assignment" in data) == (1250, 1, False)
    party = (await api.get(f"/v1/parties/{purchase['party_id']}")).json()
    assert [held["value"] for held in party["identifiers"]] == ["c1"]


async def test_the_same_again_is_a_duplicate_whatever_the_order_of_its_lines(api, published):
    lines = [{"product": "tea"}, {"product": "cup", "amount_minor": 5}]
    first = await api.post("/v1/purchases", json=bought(lines=lines))
    again = await api.post("/v1/purchases", json=bought(lines=lines[::-1], occurred_at="2026-01-05T09:00:00Z"))
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert len(await published()) == 1


async def test_the_same_id_with_other_content_is_a_conflict_that_names_the_purchase(api, published):
    first = (await api.post("/v1/purchases", json=bought())).json()
    for other in ({"amount_minor": 1251}, {"currency": "USD"}, {"channel": "web"}, {"lines": [{"product": "x"}]}):
        answer = await api.post("/v1/purchases", json=bought(**other))
        assert (answer.status_code, answer.json()["code"]) == (409, "purchase_conflict")
        assert answer.json()["existing_id"] == first["id"]
    assert (await api.post("/v1/purchases", json=bought("c2"))).status_code == 409
    assert len(await published()) == 1


async def test_the_same_under_another_identifier_of_the_customer_is_a_duplicate(api, published):
    first = (await api.post("/v1/purchases", json=bought("c1"))).json()
    other = (await api.post("/v1/purchases", json=bought("c2", source_id="o2"))).json()
    merge = (await api.post(f"/v1/parties/{first['party_id']}/merge", json={"party_id": other["party_id"]})).json()
    await published()
    again = await api.post("/v1/purchases", json=bought("c2"))
    assert (again.status_code, again.json()["identity_id"]) == (200, first["identity_id"])
    in_bulk = await api.post("/v1/purchases/bulk", content=json.dumps(bought("c2")))
    assert in_bulk.json()["duplicate"] == 1
    await api.post(f"/v1/parties/{first['party_id']}/unmerge", json={"merge_id": merge["id"]})
    assert (await api.post("/v1/purchases", json=bought("c2"))).status_code == 409
    assert [kind for kind, _, _ in await published()] == ["identities_assigned"]


async def test_a_row_that_is_not_taken_makes_nobody_known(api):
    await api.post("/v1/purchases", json=bought("c1"))
    rows = [bought("c2"), bought("c3"), bought("c3", source_id="o2"), bought("c4", amount_minor=-1)]
    answer = (await api.post("/v1/purchases/bulk", content="\n".join(map(json.dumps, rows)))).json()
    assert [row["status"] for row in answer["data"]] == ["conflict", "conflict", "accepted", "rejected"]
    known = (await api.get("/v1/parties")).json()["data"]
    assert sorted(held["value"] for party in known for held in party["identifiers"]) == ["c1", "c3"]
    assert (await api.post("/v1/purchases", json=bought("c2", source_id="o3"))).status_code == 201


async def test_an_id_in_a_source_has_one_spelling_and_its_case(api):
    first = await api.post("/v1/purchases", json=bought(source_id="Caf\u00e9 1"))
    for spelling in (" Caf\u00e9 1 ", "Cafe\u0301 1"):
        again = await api.post("/v1/purchases", json=bought(source_id=spelling))
        assert (again.status_code, again.json()) == (200, first.json())
    assert (await api.post("/v1/purchases", json=bought(source_id="caf\u00e9 1"))).status_code == 201
    assert (await api.post("/v1/purchases", json=bought(source_id="  "))).status_code == 422


async def test_without_an_id_in_the_source_every_telling_counts(api, published):
    for _ in range(2):
        assert (await api.post("/v1/purchases", json=bought(source_id=None))).status_code == 201
    assert len(await published()) == 2


async def test_more_than_a_day_ahead_is_refused(api):
    answer = await api.post("/v1/purchases", json=bought(occurred_at="2999-01-01T00:00:00Z"))
    assert (answer.status_code, answer.json()["code"]) == (422, "future_date")


async def test_whom_it_is_about_is_said_exactly_once(api):
    unsaid = bought()
    del unsaid["identifier"]
    assert (await api.post("/v1/purchases", json=unsaid)).status_code == 422
    assert (await api.post("/v1/purchases", json=bought(party_id=f"party_{1:032x}"))).status_code == 422
    unknown = await api.post("/v1/purchases", json=unsaid | {"party_id": f"party_{1:032x}"})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "party_not_found")


async def test_in_bulk_one_bad_row_never_fails_the_others(api, published):
    rows = [
        bought(source_id="o1"),
        bought(source_id="o1"),
        bought(source_id="o1", amount_minor=1),
        bought(source_id="o2", amount_minor=-1),
        bought("", source_id="o3"),
        bought(source_id="o4", occurred_at="2999-01-01T00:00:00Z"),
        bought(source_id="o5") | {"party_id": f"party_{7:032x}", "identifier": None},
        bought("c2", source_id="o6"),
    ]
    body = "\n".join([*map(json.dumps, rows), "{not json", ""])
    answer = (await api.post("/v1/purchases/bulk", content=body)).json()
    assert [(row["row"], row["status"], row.get("reason")) for row in answer["data"]] == [
        (1, "accepted", None),
        (2, "duplicate", None),
        (3, "conflict", "purchase_conflict"),
        (4, "rejected", "invalid_row"),
        (5, "rejected", "bad_identifier"),
        (6, "rejected", "future_date"),
        (7, "rejected", "party_not_found"),
        (8, "accepted", None),
        (9, "rejected", "invalid_row"),
    ]
    assert (answer["accepted"], answer["duplicate"], answer["conflict"], answer["rejected"]) == (2, 1, 1, 5)
    assert answer["data"][1]["purchase_id"] == answer["data"][0]["purchase_id"]
    assert [kind for kind, _, _ in await published()] == ["purchase_completed"] * 2


async def test_a_correction_is_one_event_that_names_what_it_replaces(api, published):
    purchase = (await api.post("/v1/purchases", json=bought())).json()
    [(_, subject, told)] = await published()
    path = f"/v1/purchases/{purchase['id']}/correct"
    right = (await api.post(path, json={"version": 1, "amount_minor": 999})).json()
    assert (right["amount_minor"], right["currency"], right["version"]) == (999, "EUR", 2)
    [(kind, now_subject, data)] = await published()
    assert (kind, now_subject, data["amount_minor"], data["replaces"]) == (
        "purchase_completed",
        subject,
        999,
        told["_id"],
    )
    assert "replaced_subject" not in data
    assert data["late_s"] > 86_400, "it was told long after it happened, and so is its correction"
    assert (await api.post(path, json={"version": 1, "amount_minor": 5})).json()["code"] == "stale_version"
    assert (await api.post(path, json={"amount_minor": 5}, headers={"If-Match": '"1"'})).status_code == 412
    assert (await api.post(path, json={"amount_minor": 999})).json()["version"] == 2
    assert await published() == []
    assert (await api.post("/v1/purchases", json=bought(amount_minor=999))).status_code == 200


async def test_a_correction_of_the_customer_takes_the_returns_with_it(api, published):
    purchase = (await api.post("/v1/purchases", json=bought())).json()
    back = await api.post(
        f"/v1/purchases/{purchase['id']}/returns",
        json={"source": "shop", "source_id": "r1", "occurred_at": "2026-01-07T10:00:00Z", "amount_minor": 250},
    )
    assert back.status_code == 201, back.text
    bare = bought(source_id="r2") | {"original_id": "o1"}
    assert (await api.post("/v1/returns", json=bare)).json()["purchase_id"] == purchase["id"]
    told = await published()
    right = await api.post(f"/v1/purchases/{purchase['id']}/correct", json={"identifier": bought("c2")["identifier"]})
    assert right.status_code == 200, right.text
    events = await published()
    assert [kind for kind, _, _ in events] == ["purchase_completed", "purchase_returned", "purchase_returned"]
    assert {data["replaces"] for _, _, data in events} == {data["_id"] for _, _, data in told}
    assert {data["replaced_subject"] for _, _, data in events} == {told[0][1]}
    assert len({subject for _, subject, _ in events} | {told[0][1]}) == 2


async def test_a_withdrawal_frees_the_id_in_the_source(api, published):
    purchase = (await api.post("/v1/purchases", json=bought())).json()
    [(_, subject, told)] = await published()
    path = f"/v1/purchases/{purchase['id']}/withdraw"
    assert (await api.post(path, json={"version": 2})).status_code == 409
    gone = (await api.post(path, json={"version": 1})).json()
    assert gone["withdrawn_at"]
    assert (await api.post(path, json={"version": 1})).json() == gone
    [(kind, now_subject, data)] = await published()
    assert (kind, now_subject, data["fact_id"]) == ("fact_withdrawn", subject, told["_id"])
    correction = await api.post(f"/v1/purchases/{purchase['id']}/correct", json={"amount_minor": 1})
    assert correction.json()["code"] == "already_withdrawn"
    anew = await api.post("/v1/purchases", json=bought(amount_minor=7))
    assert anew.status_code == 201
    assert anew.json()["id"] != purchase["id"]
    listed = (await api.get("/v1/purchases", params={"party_id": purchase["party_id"]})).json()
    assert [row["id"] for row in listed["data"]] == [anew.json()["id"]]


async def test_purchases_of_a_party_come_page_by_page_the_latest_first(api):
    for day in range(1, 6):
        row = bought(source_id=f"o{day}", occurred_at=f"2026-01-0{day}T10:00:00Z")
        purchase = (await api.post("/v1/purchases", json=row)).json()
    seen, cursor = [], None
    while True:
        params = {"party_id": purchase["party_id"], "limit": 2} | ({"cursor": cursor} if cursor else {})
        found = (await api.get("/v1/purchases", params=params)).json()
        seen += [row["source_id"] for row in found["data"]]
        cursor = found["next_cursor"]
        if not found["has_more"]:
            break
    assert seen == ["o5", "o4", "o3", "o2", "o1"]


async def test_a_return_before_its_purchase_shows_it_once_it_is_there(api, published):
    early = await api.post("/v1/returns", json=bought(source_id="r1") | {"original_id": "o9"})
    assert early.status_code == 201, early.text
    assert early.json()["purchase_id"] is None
    again = await api.post("/v1/returns", json=bought(source_id="r1") | {"original_id": "o9"})
    assert again.status_code == 200
    purchase = (await api.post("/v1/purchases", json=bought(source_id="o9"))).json()
    path = f"/v1/returns/{early.json()['id']}"
    assert (await api.get(path)).json()["purchase_id"] == purchase["id"]
    await published()
    right = (await api.post(f"{path}/correct", json={"amount_minor": 3})).json()
    assert (right["amount_minor"], right["version"]) == (3, 2)
    [(kind, _, data)] = await published()
    assert (kind, data["purchase_id"].replace("-", "")) == ("purchase_returned", purchase["id"][9:])
    assert (await api.post(f"{path}/withdraw", json={})).json()["withdrawn_at"]


async def test_a_key_makes_a_post_safe_to_repeat(api, published):
    row = bought(source_id=None)
    answers = [await api.post("/v1/purchases", json=row, headers={"Idempotency-Key": "k-1"}) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert len(await published()) == 1
