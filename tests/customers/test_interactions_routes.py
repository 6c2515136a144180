import json
from datetime import datetime

import pytest

UNKNOWN = f"{1:032x}"


def called(customer="c1", **other):
    return {
        "identifier": {"scheme": "external", "system": "shop", "value": customer},
        "source": "callcentre",
        "source_id": "i1",
        "occurred_at": "2026-01-05T10:00:00+01:00",
        "department": "sales",
        "channel": "phone",
        "kind": "inquiry",
        "direction": "inbound",
    } | other


async def record(api, *args, **other):
    answer = await api.post("/v1/interactions", json=called(*args, **other))
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_an_interaction_is_recorded_whole_and_published_without_what_was_said(api, published):
    said = {"role": "adviser", "attitude": 5, "speed": 4, "quality": 1, "text": "Asked for Ann's tea."}
    author = f"user_{9:032x}"
    answer = await api.post("/v1/interactions", json=called(**said, author_id=author, competitor="other-shop"))
    assert (answer.status_code, answer.headers["etag"]) == (201, '"1"')
    interaction = answer.json()
    assert {name: interaction[name] for name in said} == said
    assert interaction["author_id"] == author
    [(kind, subject, data)] = await published()
    assert kind == "interaction_recorded"
    assert subject.replace("-", "") == interaction["identity_id"].removeprefix("identity_")
    assert (data["department"], data["role"], data["kind"], data["speed"]) == ("sales", "adviser", "inquiry", 4)
    assert data["interaction_id"].replace("-", "") == interaction["id"].removeprefix("interaction_")
    assert "text" not in data
    assert "Ann" not in json.dumps(data)
    assert (await api.get(answer.headers["location"])).json() == interaction


async def test_the_same_again_is_a_duplicate_and_anything_else_under_the_id_a_conflict(api, published):
    first = await record(api, text="x")
    again = await api.post("/v1/interactions", json=called(text="x"))
    assert (again.status_code, again.json()) == (200, first)
    for other in ({"text": "y"}, {"kind": "contact"}, {"attitude": 2}, {"problem": {"category": "delivery"}}):
        answer = await api.post("/v1/interactions", json=called(**({"text": "x"} | other)))
        assert (answer.status_code, answer.json()["code"]) == (409, "interaction_conflict")
        assert answer.json()["existing_id"] == first["id"]
        assert answer.json()["correct"] == f"/v1/interactions/{first['id']}/correct"
    assert len(await published()) == 1


async def test_a_party_by_id_is_recorded_under_its_oldest_identity(api, published):
    one = (await api.post("/v1/parties", json={"identifiers": [called("a")["identifier"]]})).json()
    added = {"identifier": called("b")["identifier"]}
    await api.post(f"/v1/parties/{one['id']}/identifiers", json=added)
    await published()
    row = called(party_id=one["id"])
    del row["identifier"]
    interaction = (await api.post("/v1/interactions", json=row)).json()
    assert interaction["identity_id"].removeprefix("identity_") == one["id"].removeprefix("party_")
    under_b = await record(api, "b", source_id="i2")
    assert under_b["party_id"] == one["id"]
    events = await published()
    assert [kind for kind, _, _ in events] == ["interaction_recorded"] * 2
    assert ["assignment" in data for _, _, data in events] == [False, True]


async def test_a_problem_is_opened_in_the_same_call_and_once(api, published):
    problem = {"category": "delivery", "severity": "high"}
    interaction = await record(api, kind="complaint", problem=problem)
    again = await api.post("/v1/interactions", json=called(kind="complaint", problem=problem))
    assert (again.status_code, again.json()) == (200, interaction)
    opened = (await api.get(f"/v1/problems/{interaction['problem_id']}")).json()
    assert (opened["category"], opened["severity"], opened["status"]) == ("delivery", "high", "open")
    assert (opened["party_id"], opened["identity_id"]) == (interaction["party_id"], interaction["identity_id"])
    events = await published()
    assert [kind for kind, _, _ in events] == ["interaction_recorded", "problem_opened"]
    assert events[0][1] == events[1][1]
    assert events[0][2]["problem_id"] == events[1][2]["problem_id"]
    about = await record(api, source_id="i2", problem_id=interaction["problem_id"])
    listed = (await api.get("/v1/interactions", params={"problem_id": interaction["problem_id"]})).json()["data"]
    assert {row["id"] for row in listed} == {interaction["id"], about["id"]}


async def test_a_problem_is_named_or_opened_and_has_to_be_there(api, published):
    both = called(problem_id=f"problem_{UNKNOWN}", problem={"category": "delivery"})
    assert (await api.post("/v1/interactions", json=both)).status_code == 422
    unknown = await api.post("/v1/interactions", json=called(problem_id=f"problem_{UNKNOWN}"))
    assert (unknown.status_code, unknown.json()["code"]) == (404, "problem_not_found")
    assert (await api.get("/v1/parties")).json()["data"] == []
    interaction = await record(api)
    path = f"/v1/interactions/{interaction['id']}/correct"
    assert (await api.post(path, json={"problem_id": f"problem_{UNKNOWN}"})).json()["code"] == "problem_not_found"
    assert len(await published()) == 1


async def test_a_loss_reason_goes_with_declined_and_with_nothing_else(api, published):
    for wrong in ({"kind": "declined"}, {"loss_reason": "price"}):
        answer = await api.post("/v1/interactions", json=called(**wrong))
        assert (answer.status_code, answer.json()["code"]) == (422, "unfit_loss_reason")
    declined = await record(api, kind="declined", loss_reason="competitor", competitor="other-shop")
    [(_, _, data)] = await published()
    assert (data["loss_reason"], data["competitor"]) == ("competitor", "other-shop")
    path = f"/v1/interactions/{declined['id']}/correct"
    assert (await api.post(path, json={"kind": "contact"})).json()["code"] == "unfit_loss_reason"
    assert (await api.post(path, json={"loss_reason": None})).json()["code"] == "unfit_loss_reason"
    right = (await api.post(path, json={"kind": "contact", "loss_reason": None})).json()
    assert (right["kind"], right["loss_reason"], right["competitor"]) == ("contact", None, "other-shop")


@pytest.mark.parametrize(
    "wrong",
    [
        {"attitude": 0},
        {"attitude": 6},
        {"speed": "3"},
        {"quality": 2.5},
        {"department": "kitchen"},
        {"kind": "purchase"},
        {"direction": "sideways"},
        {"channel": "By Phone"},
        {"text": "secret\x00"},
        {"text": "x" * 20_001},
        {"occurred_at": "2999-01-01T00:00:00Z"},
        {"author_id": "user_1"},
        {"unheard_of": 1},
    ],
)
async def test_what_cannot_be_recorded_is_refused_without_being_repeated(api, published, wrong):
    answer = await api.post("/v1/interactions", json=called(**wrong))
    assert answer.status_code == 422, answer.text
    assert "secret" not in answer.text
    assert await published() == []


async def test_the_longest_text_is_kept(api):
    interaction = await record(api, text="\u00e9" * 20_000)
    assert len((await api.get(f"/v1/interactions/{interaction['id']}")).json()["text"]) == 20_000


async def test_in_bulk_each_row_has_its_outcome_and_only_new_ones_open_problems(api, published):
    opening = called(kind="complaint", problem={"category": "delivery"})
    rows = [
        opening,
        opening,
        opening | {"problem": {"category": "invoice"}},
        called(source_id="i2", kind="declined"),
        called(source_id="i3", problem_id=f"problem_{UNKNOWN}"),
        called("c2", source_id="i4", problem={"category": "invoice"}),
    ]
    answer = (await api.post("/v1/interactions/bulk", content="\n".join(map(json.dumps, rows)))).json()
    assert [(row["status"], row.get("reason")) for row in answer["data"]] == [
        ("accepted", None),
        ("duplicate", None),
        ("conflict", "interaction_conflict"),
        ("rejected", "unfit_loss_reason"),
        ("rejected", "problem_not_found"),
        ("accepted", None),
    ]
    kinds = [kind for kind, _, _ in await published()]
    assert sorted(kinds) == ["interaction_recorded"] * 2 + ["problem_opened"] * 2
    assert len((await api.get("/v1/problems")).json()["data"]) == 2


async def test_a_correction_is_a_new_version_and_the_original_stays_readable(api, published):
    first = await record(api, text="wrong", attitude=1)
    path = f"/v1/interactions/{first['id']}"
    told = (await published())[0][2]
    right = await api.post(f"{path}/correct", json={"text": "right", "attitude": None}, headers={"If-Match": '"1"'})
    assert (right.status_code, right.headers["etag"]) == (200, '"2"')
    [(kind, _, data)] = await published()
    assert (kind, data["replaces"], "attitude" in data) == ("interaction_recorded", told["_id"], False)
    other = {"identifier": called("c2")["identifier"], "version": 2}
    moved = (await api.post(f"{path}/correct", json=other)).json()
    [(_, _, data)] = await published()
    assert data["replaced_subject"].replace("-", "") == first["identity_id"].removeprefix("identity_")
    versions = (await api.get(f"{path}/versions")).json()["data"]
    assert [(row["version"], row["text"], row["attitude"]) for row in versions] == [
        (3, "right", None),
        (2, "right", None),
        (1, "wrong", 1),
    ]
    assert [row["party_id"] for row in versions] == [moved["party_id"], first["party_id"], first["party_id"]]
    assert versions[2]["changed_at"] == first["recorded_at"] < versions[1]["changed_at"] < versions[0]["changed_at"]
    assert {name: value for name, value in versions[2].items() if name != "changed_at"} == first
    stale = await api.post(f"{path}/correct", json={"text": "x"}, headers={"If-Match": '"1"'})
    assert stale.status_code == 412
    assert (await api.post(f"{path}/correct", json={"text": "x", "version": 1})).json()["code"] == "stale_version"
    assert (await api.post(f"{path}/correct", json={"text": "right"})).json()["version"] == 3
    assert await published() == []


async def test_versions_come_page_by_page(api):
    interaction = await record(api, text="0")
    path = f"/v1/interactions/{interaction['id']}"
    for number in range(1, 5):
        await api.post(f"{path}/correct", json={"text": str(number)})
    seen, cursor = [], None
    while True:
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        found = (await api.get(f"{path}/versions", params=params)).json()
        seen += [(row["version"], row["text"]) for row in found["data"]]
        assert all(row["changed_at"] for row in found["data"])
        if not (cursor := found["next_cursor"]):
            break
    assert seen == [(5, "4"), (4, "3"), (3, "2"), (2, "1"), (1, "0")]


async def test_a_withdrawal_is_the_last_version_and_frees_the_id(api, published):
    interaction = await record(api, text="x")
    [(_, subject, told)] = await published()
    path = f"/v1/interactions/{interaction['id']}"
    gone = (await api.post(f"{path}/withdraw", json={}, headers={"If-Match": '"1"'})).json()
    assert gone["withdrawn_at"]
    assert (await api.post(f"{path}/withdraw", json={})).json() == gone
    [(kind, now_subject, data)] = await published()
    assert (kind, now_subject, data["fact_id"]) == ("fact_withdrawn", subject, told["_id"])
    assert (await api.post(f"{path}/correct", json={"text": "y"})).json()["code"] == "already_withdrawn"
    versions = (await api.get(f"{path}/versions")).json()["data"]
    assert [(row["version"], row["text"], bool(row["withdrawn_at"])) for row in versions] == [
        (2, "x", True),
        (1, "x", False),
    ]
    assert versions[0]["changed_at"] == gone["withdrawn_at"]
    anew = await record(api, text="y")
    listed = (await api.get("/v1/interactions", params={"party_id": anew["party_id"]})).json()["data"]
    assert [row["id"] for row in listed] == [anew["id"]]


async def test_a_list_is_filtered_and_comes_page_by_page_the_latest_first(api):
    for day in range(1, 7):
        await record(
            api,
            f"c{day % 2}",
            source_id=f"i{day}",
            occurred_at=f"2026-01-0{day}T10:00:00Z",
            department="sales" if day < 4 else "service",
            channel="phone" if day % 3 else "store",
            direction="inbound" if day < 6 else "outbound",
            kind="visit" if day == 2 else "contact",
            source="crm" if day == 1 else "callcentre",
        )

    async def listed(**params):
        seen, cursor = [], None
        while True:
            asked = params | {"limit": 2} | ({"cursor": cursor} if cursor else {})
            found = (await api.get("/v1/interactions", params=asked)).json()
            seen += [int(row["source_id"][1:]) for row in found["data"]]
            if not (cursor := found["next_cursor"]):
                return seen

    party = (await api.get("/v1/interactions", params={"limit": 1})).json()["data"][0]["party_id"]
    assert await listed() == [6, 5, 4, 3, 2, 1]
    assert await listed(party_id=party) == [6, 4, 2]
    assert await listed(party_id=party, department="service") == [6, 4]
    assert await listed(department="sales") == [3, 2, 1]
    assert await listed(channel="store") == [6, 3]
    assert await listed(direction="outbound") == [6]
    assert await listed(kind="visit") == [2]
    assert await listed(source="crm") == [1]
    assert await listed(since="2026-01-03T10:00:00Z", until="2026-01-05T10:00:00Z") == [4, 3]
    unknown = await api.get("/v1/interactions", params={"party_id": f"party_{UNKNOWN}"})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "party_not_found")
    assert (await api.get(f"/v1/interactions/interaction_{UNKNOWN}")).json()["code"] == "interaction_not_found"
    assert (await api.get(f"/v1/interactions/interaction_{UNKNOWN}/versions")).status_code == 404


async def test_days_before_a_number_changed_hands_stay_with_the_first(api):
    before = await record(api, "n1", source_id="i1", occurred_at="2026-03-31T21:30:00Z")
    path = f"/v1/parties/{before['party_id']}/identifiers/{before['identity_id']}/release"
    assert (await api.post(path, json={"from_day": "2026-04-01"})).status_code == 200
    after = await record(api, "n1", source_id="i2", occurred_at="2026-03-31T22:30:00Z")
    assert after["party_id"] != before["party_id"]
    for interaction in (before, after):
        listed = (await api.get("/v1/interactions", params={"party_id": interaction["party_id"]})).json()["data"]
        assert [row["id"] for row in listed] == [interaction["id"]]


async def test_former_versions_of_purchases_and_returns_are_readable(api):
    row = {name: called()[name] for name in ("identifier", "source", "source_id", "occurred_at")}
    money = row | {"currency": "EUR", "amount_minor": 500}
    purchase = (await api.post("/v1/purchases", json=money | {"lines": [{"product": "tea"}]})).json()
    await api.post(f"/v1/purchases/{purchase['id']}/correct", json={"amount_minor": 900, "lines": []})
    await api.post(f"/v1/purchases/{purchase['id']}/withdraw", json={})
    versions = (await api.get(f"/v1/purchases/{purchase['id']}/versions")).json()["data"]
    assert [(version["version"], version["amount_minor"]) for version in versions] == [(3, 900), (2, 900), (1, 500)]
    assert [line["product"] for line in versions[2]["lines"]] == ["tea"]
    assert [bool(version["withdrawn_at"]) for version in versions] == [True, False, False]
    returned = (await api.post("/v1/returns", json=money | {"source_id": "r1"})).json()
    await api.post(f"/v1/returns/{returned['id']}/correct", json={"channel": "store"})
    versions = (await api.get(f"/v1/returns/{returned['id']}/versions")).json()["data"]
    assert [(version["version"], version["channel"]) for version in versions] == [(2, "store"), (1, None)]


async def test_an_interaction_put_right_to_be_another_customers_takes_the_problem_that_it_opened_along(api, published):
    first = await record(api, kind="complaint", problem={"category": "delivery"})
    path = f"/v1/problems/{first['problem_id']}"
    await api.post(f"{path}/solve", json={"occurred_at": "2026-02-01T10:00:00Z", "note": "Sent anew."})
    await api.post(f"{path}/reopen", json={"occurred_at": "2026-02-03T10:00:00Z"})
    before = [(kind, data) for kind, _, data in await published() if kind.startswith("problem")]
    right = called("c2")["identifier"]
    answer = await api.post(f"/v1/interactions/{first['id']}/correct", json={"version": 1, "identifier": right})
    assert answer.status_code == 200, answer.text
    moved = (await api.get(path)).json()
    assert (moved["party_id"], moved["status"], moved["version"]) == (answer.json()["party_id"], "open", 4)
    events = await published()
    taken_back = {data["fact_id"] for kind, subject, data in events if kind == "fact_withdrawn"}
    assert taken_back == {data["_id"] for _, data in before}
    after = [(kind, data) for kind, _, data in events if kind.startswith("problem")]
    subjects = {subject for kind, subject, _ in events if kind.startswith("problem")}
    assert {subject.replace("-", "") for subject in subjects} == {moved["identity_id"].removeprefix("identity_")}
    assert [(kind, content(data)) for kind, data in after] == [(kind, content(data)) for kind, data in before]
    steps = (await api.get(f"{path}/steps")).json()["data"]
    assert [(row["kind"], row["note"]) for row in steps] == [
        ("reopened", None),
        ("solved", "Sent anew."),
        ("opened", None),
    ]
    assert [row["id"].removeprefix("step_") for row in steps[::-1]] == [
        data["_id"].replace("-", "") for _, data in after
    ]
    assert (await api.post(f"{path}/solve", json={"version": 4})).json()["version"] == 5
    await api.post(f"{path}/withdraw", json={})
    gone = [data["fact_id"] for kind, _, data in await published() if kind == "fact_withdrawn"]
    assert len(gone) == 4
    assert {data["_id"] for _, data in after} < set(gone)


def content(data):
    told = {name: value for name, value in data.items() if name not in ("_id", "assignment", "late_s")}
    return told | {"occurred_at": datetime.fromisoformat(data["occurred_at"])}


async def test_a_problem_stays_that_something_else_with_the_former_customer_is_about_or_that_another_opened(api):
    first = await record(api, kind="complaint", problem={"category": "delivery"})
    about = await record(api, source_id="i2", problem_id=first["problem_id"])
    right = called("c2")["identifier"]
    path = f"/v1/problems/{first['problem_id']}"
    former = (await api.get(path)).json()["party_id"]
    for each in (about, first):
        answer = await api.post(f"/v1/interactions/{each['id']}/correct", json={"version": 1, "identifier": right})
        assert answer.json()["party_id"] != former
        assert (await api.get(path)).json()["party_id"] == former
        back = await api.post(
            f"/v1/interactions/{each['id']}/correct", json={"version": 2, "identifier": called()["identifier"]}
        )
        assert back.json()["party_id"] == former
    elsewhere = await api.post("/v1/problems", json=PROBLEM)
    changed = {"version": 3, "identifier": right, "problem_id": elsewhere.json()["id"]}
    assert (await api.post(f"/v1/interactions/{first['id']}/correct", json=changed)).status_code == 200
    assert (await api.get(path)).json()["party_id"] == former
    assert (await api.get(f"/v1/problems/{elsewhere.json()['id']}")).json()["party_id"] == former


PROBLEM = {
    "identifier": {"scheme": "external", "system": "shop", "value": "c1"},
    "occurred_at": "2026-01-05T10:00:00Z",
    "category": "invoice",
}


async def test_what_nobody_answered_is_listed_until_somebody_turns_to_the_party(api):
    first = await record(api, "a", source_id="q1", occurred_at="2026-01-05T10:00:00Z")
    await api.post(
        f"/v1/parties/{first['party_id']}/identifiers",
        json={"identifier": {"scheme": "phone", "value": "+49 30 123456"}},
    )
    await record(api, "b", source_id="q2", occurred_at="2026-01-05T11:00:00Z", kind="view")

    async def unanswered(**query):
        answer = await api.get("/v1/interactions", params={"unanswered": True, **query})
        return [row["id"] for row in answer.json()["data"]]

    assert await unanswered() == [first["id"]]
    assert await unanswered(until="2026-01-05T10:00:00Z") == []
    call = called("a", source_id="q3", occurred_at="2026-01-06T10:00:00Z", kind="contact", direction="outbound")
    call["identifier"] = {"scheme": "phone", "value": "+49 30 123456"}
    assert (await api.post("/v1/interactions", json=call)).status_code == 201
    assert await unanswered() == []
