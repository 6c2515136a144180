import json
from datetime import timedelta

import pytest

from chassis.clock import now
from chassis.ids import uuid7
from contracts.identity import Scheme


def captured(**other):
    return {
        "system": "crm",
        "source_id": "l1",
        "email": "Ada@Example.org",
        "phone": "+49 30 901820",
        "occurred_at": "2026-01-05T10:00:00+01:00",
        "source": "website",
        "medium": "organic",
        "campaign": "spring-2026",
        "attributes": {"company": "Analytical Engines", "employees": "60"},
        "note": "Called back.\nLikes tea.",
    } | other


async def capture(api, **other):
    answer = await api.post("/v1/leads", json=captured(**other))
    assert answer.status_code == 201, answer.text
    return answer.json()


def inner(id):
    return id.partition("_")[2]


async def test_a_lead_is_captured_and_graded_in_one_call(api, here, published):
    answer = await api.post("/v1/leads", json=captured())
    assert answer.status_code == 201, answer.text
    lead = answer.json()
    assert answer.headers["etag"] == '"1"'
    assert answer.headers["location"] == f"/v1/leads/{lead['id']}"
    email = here.identity(Scheme.EMAIL, "ada@example.org")
    phone = here.identity(Scheme.PHONE, "+4930901820")
    assert (inner(lead["identity_id"]), inner(lead["party_id"])) == (email.id.hex, email.id.hex)
    assert [given["value"] for given in lead["identifiers"]] == ["ada@example.org", "+4930901820"]
    assert (lead["status"], lead["grade"], lead["points"]) == ("new", "A", 65)
    assert lead["met"] == ["asked-us", "found-us", "campaign-answered", "company-named", "larger-company"]
    assert lead["note"] == "Called back.\nLikes tea."
    [(kind, subject, told), (then, same, graded)] = await published()
    assert (kind, then) == ("lead_captured", "lead_graded")
    assert subject == same == str(email.id)
    assert told["other_identities"] == [str(phone.id)]
    assert told["given"] == ["email", "phone"]
    assert (told["source"], told["medium"], told["campaign"]) == ("website", "organic", "spring-2026")
    assert (graded["grade"], graded["points"], graded["rubric"]) == ("A", 65, lead["rubric"])


async def test_nothing_that_a_lead_is_said_to_be_leaves_the_service(api, published):
    await capture(api, attributes={"hobby": "chess-secret"}, note="note-secret")
    told = json.dumps(await published())
    assert not any(secret in told for secret in ("secret", "ada", "Ada", "901820", "hobby"))


@pytest.mark.parametrize(
    ("given", "subject"),
    [
        ({"phone": None}, ("email", "ada@example.org")),
        ({"email": None}, ("phone", "+4930901820")),
        ({"email": None, "phone": None}, ("external", "l1")),
        (
            {"email": None, "phone": None, "identifier": {"scheme": "external", "system": "shop", "value": "c1"}},
            ("external", "c1"),
        ),
        ({"identifier": {"scheme": "external", "system": "shop", "value": "c1"}}, ("email", "ada@example.org")),
        (
            {"email": None, "identifier": {"scheme": "email", "value": "b@example.org"}},
            ("email", "b@example.org"),
        ),
    ],
)
async def test_the_subject_is_the_email_before_the_phone_before_an_id(api, published, given, subject):
    lead = await capture(api, **given)
    first = lead["identifiers"][0]
    assert (first["scheme"], first["value"]) == subject
    [(_, key, told), _] = await published()
    assert key.replace("-", "") == inner(lead["identity_id"]) == inner(first["identity_id"])
    others = [inner(other["identity_id"]) for other in lead["identifiers"][1:]]
    assert [id.replace("-", "") for id in told["other_identities"]] == others


async def test_a_lead_that_names_nobody_is_refused(api):
    answer = await api.post("/v1/leads", json={"source": "website"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


async def test_the_same_again_is_a_duplicate_also_once_the_lead_has_moved_on(api, published):
    lead = await capture(api)
    await api.post(f"/v1/leads/{lead['id']}/qualify", json={})
    await api.patch(f"/v1/leads/{lead['id']}", json={"note": "other"})
    await published()
    again = await api.post("/v1/leads", json=captured(occurred_at="2026-01-05T09:00:00Z"))
    assert (again.status_code, again.json()["id"], again.json()["status"]) == (200, lead["id"], "qualified")
    assert await published() == []


@pytest.mark.parametrize(
    "other",
    [
        {"source": "fair"},
        {"attributes": {}},
        {"phone": None},
        {"occurred_at": "2026-01-06T10:00:00Z"},
        {"note": None},
        {"owner_id": f"user_{'1' * 32}"},
    ],
)
async def test_the_same_id_with_other_content_is_a_conflict_that_names_the_lead(api, published, other):
    lead = await capture(api)
    await published()
    answer = await api.post("/v1/leads", json=captured(**other))
    assert (answer.status_code, answer.json()["code"]) == (409, "lead_conflict")
    assert answer.json()["existing_id"] == lead["id"]
    assert await published() == []


async def test_a_lead_without_a_time_happens_now_and_told_again_is_the_same(api):
    told = captured()
    del told["occurred_at"]
    first = await api.post("/v1/leads", json=told)
    again = await api.post("/v1/leads", json=told)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()


async def test_a_bulk_has_an_outcome_for_each_line(api, published):
    lead = await capture(api)
    await published()
    lines = [
        captured(),
        captured(source="fair"),
        captured(source_id="l2"),
        captured(source_id="l2"),
        captured(source_id="l3", email="no address"),
        captured(source_id="l4", occurred_at="2090-01-01T00:00:00Z"),
        {"source": "web shop"},
    ]
    body = "\n".join(map(json.dumps, lines)) + "\nnot json\n"
    answer = await api.post("/v1/leads/bulk", content=body)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert {name: found[name] for name in ("accepted", "duplicate", "conflict", "rejected")} == {
        "accepted": 1,
        "duplicate": 2,
        "conflict": 1,
        "rejected": 4,
    }
    assert [row["status"] for row in found["data"]][:4] == ["duplicate", "conflict", "accepted", "duplicate"]
    assert found["data"][0]["lead_id"] == lead["id"]
    assert [row.get("reason") for row in found["data"]][4:] == [
        "bad_identifier",
        "future_date",
        "invalid_row",
        "invalid_row",
    ]
    assert [kind for kind, _, _ in await published()] == ["lead_captured", "lead_graded"]


@pytest.mark.parametrize(
    "other",
    [
        {"attributes": {f"a{n}": "x" for n in range(101)}},
        {"attributes": {"a" * 65: "x"}},
        {"attributes": {"": "x"}},
        {"attributes": {"a": "x" * 1001}},
        {"attributes": {"a": "x\u0000"}},
        {"attributes": {"a\nb": "x"}},
        {"attributes": {"a": 3}},
        {"note": "x" * 10_001},
        {"note": "\u0000"},
        {"source": "Web Site"},
        {"owner_id": "user_1"},
        {"occurred_at": "2026-01-05T10:00:00"},
        {"surprise": 1},
    ],
)
async def test_what_is_out_of_bounds_is_refused_where_it_stands(api, other):
    answer = await api.post("/v1/leads", json=captured(**other))
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    [name] = other
    assert all(error["pointer"].startswith(f"#/{name}") for error in answer.json()["errors"])


async def test_bounds_themselves_are_taken(api):
    attributes = {f"{n:03}" + "a" * 61: "x" * 1_000 for n in range(100)}
    assert (await capture(api, attributes=attributes))["attributes"] == attributes


async def test_an_edit_is_a_new_version_graded_anew_and_the_ones_before_stay_readable(api, published):
    lead = await capture(api)
    path = f"/v1/leads/{lead['id']}"
    await published()
    answer = await api.patch(path, json={"attributes": {"hobby": "tea"}}, headers={"If-Match": '"1"'})
    edited = answer.json()
    assert (edited["grade"], edited["points"], edited["version"]) == ("B", 45, 3)
    assert edited["note"] == lead["note"]
    assert answer.headers["etag"] == '"3"'
    [(kind, _, data)] = await published()
    assert (kind, data["grade"]) == ("lead_graded", "B")
    assert (await api.patch(path, json={"note": None})).json()["note"] is None
    history = (await api.get(f"{path}/versions")).json()["data"]
    assert [row["change"] for row in history] == ["edited", "graded", "edited", "captured"]
    assert [row["attributes"].get("employees") for row in history] == [None, None, None, "60"]
    assert [row["note"] for row in history] == [None, lead["note"], lead["note"], lead["note"]]
    assert history[-1]["grade"] == "A"
    assert await published() == []
    same = await api.patch(path, json={"note": None, "attributes": {"hobby": "tea"}})
    assert same.json()["version"] == 4


async def test_of_an_edit_only_attributes_and_note_are_accepted(api):
    lead = await capture(api)
    for body in ({"source": "fair"}, {"status": "won"}, {"attributes": None}):
        assert (await api.patch(f"/v1/leads/{lead['id']}", json=body)).status_code == 422


@pytest.mark.parametrize("operation", ["qualify", "disqualify", "win", "lose", "assign", "withdraw"])
async def test_who_saw_another_version_changes_nothing(api, published, operation):
    lead = await capture(api)
    await published()
    body = {"reason": "price"} if operation in ("disqualify", "lose") else {}
    path = f"/v1/leads/{lead['id']}/{operation}"
    stale = await api.post(path, json=body, headers={"If-Match": '"2"'})
    named = await api.post(path, json=body | {"version": 2})
    assert (stale.status_code, stale.json()["code"], stale.json()["version"]) == (412, "precondition_failed", 1)
    assert (named.status_code, named.json()["code"], named.json()["version"]) == (409, "stale_version", 1)
    assert await published() == []


async def test_an_owner_is_given_with_a_version_that_rises_with_each_change(api, published):
    lead = await capture(api)
    path = f"/v1/leads/{lead['id']}/assign"
    await published()
    owner, team = f"user_{uuid7().hex}", f"team_{uuid7().hex}"
    given = (await api.post(path, json={"owner_id": owner, "team_id": team})).json()
    assert (given["owner_id"], given["team_id"], given["owner_version"]) == (owner, team, 1)
    same = (await api.post(path, json={"owner_id": owner, "team_id": team})).json()
    assert (same["owner_version"], same["version"]) == (1, given["version"])
    nobody = (await api.post(path, json={})).json()
    assert (nobody["owner_id"], nobody["owner_version"]) == (None, 2)
    events = await published()
    assert [(kind, data["version"], "owner_id" in data) for kind, _, data in events] == [
        ("lead_assigned", 1, True),
        ("lead_assigned", 2, False),
    ]


async def test_a_lead_captured_with_an_owner_tells_of_it(api, published):
    owner = f"user_{uuid7().hex}"
    lead = await capture(api, owner_id=owner)
    assert (lead["owner_id"], lead["owner_version"]) == (owner, 1)
    assert [kind for kind, _, _ in await published()] == ["lead_captured", "lead_graded", "lead_assigned"]


async def test_a_withdrawn_lead_takes_all_its_facts_along_and_frees_its_id(api, published):
    lead = await capture(api)
    path = f"/v1/leads/{lead['id']}"
    await api.post(f"{path}/qualify", json={})
    await api.post(f"{path}/lose", json={"reason": "price"})
    await api.post(f"{path}/undo", json={})
    await api.patch(path, json={"attributes": {"hobby": "tea"}})
    told = [(kind, data["_id"]) for kind, _, data in await published()]
    gone = await api.post(f"{path}/withdraw", json={})
    assert gone.json()["withdrawn_at"]
    withdrawn = await published()
    assert {kind for kind, _, _ in withdrawn} == {"fact_withdrawn"}
    facts = {id: kind for kind, id in told}
    assert [facts[data["fact_id"]] for _, _, data in withdrawn] == [
        "lead_captured", "lead_graded", "lead_qualified", "lead_graded",
    ]  # fmt: skip
    assert (await api.post(f"{path}/withdraw", json={})).status_code == 200
    assert await published() == []
    for operation in ("win", "undo", "assign"):
        refused = await api.post(f"{path}/{operation}", json={})
        assert (refused.status_code, refused.json()["code"]) == (409, "already_withdrawn")
    assert (await api.patch(path, json={"note": "x"})).json()["code"] == "already_withdrawn"
    assert (await api.get(path)).json()["withdrawn_at"]
    assert (await api.get("/v1/leads")).json()["data"] == []
    again = await capture(api, source="fair")
    assert again["id"] != lead["id"]


async def test_leads_are_found_by_what_is_known_of_them(api):
    owner, team = f"user_{uuid7().hex}", f"team_{uuid7().hex}"
    one = await capture(api, owner_id=owner, team_id=team)
    two = await capture(
        api, source_id="l2", email="b@example.org", phone=None, source="fair", campaign=None, attributes={}
    )
    await api.post(f"/v1/leads/{two['id']}/qualify", json={})

    async def found(**params):
        answer = await api.get("/v1/leads", params=params)
        assert answer.status_code == 200, answer.text
        return [row["id"] for row in answer.json()["data"]]

    assert set(await found()) == {one["id"], two["id"]}
    assert await found(status="qualified") == [two["id"]]
    assert await found(grade="A") == [one["id"]]
    assert await found(owner_id=owner) == await found(team_id=team) == [one["id"]]
    assert await found(source="fair") == [two["id"]]
    assert await found(campaign="spring-2026") == [one["id"]]
    assert await found(scheme="phone", value="+49 30 901820") == [one["id"]]
    assert await found(scheme="email", value="B@example.org") == [two["id"]]
    assert await found(party_id=two["party_id"], status="qualified") == [two["id"]]
    assert await found(party_id=two["party_id"], source="website") == []
    assert await found(system="crm", source_id="l2") == [two["id"]]
    assert await found(system="shop", source_id="l2") == await found(system="crm", source_id="l2", grade="A") == []
    for unclear in ({"scheme": "email"}, {"value": "x"}, {"system": "crm"}, {"value": ""}):
        assert (await api.get("/v1/leads", params=unclear)).json()["code"] == "bad_identifier"
    alone = await api.get("/v1/leads", params={"source_id": "l2"})
    assert (alone.status_code, alone.json()["code"]) == (422, "source_not_named")
    both = {"scheme": "email", "value": "b@example.org", "system": "crm", "source_id": "l2"}
    assert (await api.get("/v1/leads", params=both)).json()["code"] == "bad_identifier"


async def test_leads_are_listed_and_counted_between_two_instants(api):
    days = [
        (await capture(api, source_id=f"l{day}", occurred_at=f"2026-01-0{day}T10:00:00Z"))["id"] for day in (1, 2, 3)
    ]
    since, until = "2026-01-02T10:00:00Z", "2026-01-03T10:00:00Z"
    for params, wanted in [
        ({"since": since}, [days[2], days[1]]),
        ({"until": until}, [days[1], days[0]]),
        ({"since": since, "until": until}, [days[1]]),
        ({"since": until, "until": since}, []),
    ]:
        assert [row["id"] for row in (await api.get("/v1/leads", params=params)).json()["data"]] == wanted
        assert (await api.get("/v1/leads/summary", params=params)).json()["count"] == len(wanted)
    assert (await api.get("/v1/leads", params={"since": "2026-01-02T10:00:00"})).status_code == 422


async def test_a_change_about_which_nothing_needs_to_be_said_needs_no_body(api):
    path = f"/v1/leads/{(await capture(api))['id']}"
    for operation, became in [("qualify", "qualified"), ("undo", "new"), ("win", "won"), ("undo", "new")]:
        answer = await api.post(f"{path}/{operation}")
        assert (answer.status_code, answer.json()["status"]) == (200, became)
    await api.post(f"{path}/lose", json={"reason": "price"})
    assert (await api.post(f"{path}/reopen")).json()["status"] == "new"
    assert (await api.post(f"{path}/withdraw", headers={"If-Match": '"1"'})).status_code == 412
    assert (await api.post(f"{path}/withdraw")).json()["withdrawn_at"]
    for operation in ("lose", "disqualify", "assign"):
        assert (await api.post(f"{path}/{operation}")).status_code == 422


async def test_lists_come_page_by_page_the_latest_first(api):
    for day in range(1, 6):
        await capture(api, source_id=f"l{day}", occurred_at=f"2026-01-0{day}T10:00:00Z")
    seen, cursor = [], None
    while True:
        found = (await api.get("/v1/leads", params={"limit": 2} | ({"cursor": cursor} if cursor else {}))).json()
        seen += [row["source_id"] for row in found["data"]]
        cursor = found["next_cursor"]
        if not found["has_more"]:
            break
    assert seen == ["l5", "l4", "l3", "l2", "l1"]
    for bad in ("x", "WzFd", "WyIyMDI2LTAxLTAxVDAwOjAwOjAwIiwgIjAwMDAwMDAwLTAwMDAtMDAwMC0wMDAwLTAwMDAwMDAwMDAwMCJd"):
        answer = await api.get("/v1/leads", params={"cursor": bad})
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_cursor")


async def test_the_history_comes_page_by_page(api):
    lead = await capture(api)
    for note in "abc":
        await api.patch(f"/v1/leads/{lead['id']}", json={"note": note})
    path = f"/v1/leads/{lead['id']}/versions"
    first = (await api.get(path, params={"limit": 3})).json()
    rest = (await api.get(path, params={"limit": 3, "cursor": first["next_cursor"]})).json()
    assert [row["version"] for row in first["data"] + rest["data"]] == [4, 3, 2, 1]
    assert (await api.get(f"/v1/leads/lead_{uuid7().hex}/versions")).json()["code"] == "lead_not_found"


async def test_a_summary_counts_by_status_and_grade_and_says_what_share_was_won(api):
    for number, operation in enumerate(["win", "win", "lose", "qualify"]):
        lead = await capture(api, source_id=f"l{number}")
        body = {"reason": "unknown"} if operation == "lose" else {}
        await api.post(f"/v1/leads/{lead['id']}/{operation}", json=body)
    await capture(api, source_id="cool", source="list", medium="cold", campaign=None, attributes={})
    summary = (await api.get("/v1/leads/summary")).json()
    assert summary["count"] == 5
    assert {(row["status"], row["grade"]): row["count"] for row in summary["data"]} == {
        ("won", "A"): 2,
        ("lost", "A"): 1,
        ("qualified", "A"): 1,
        ("new", "D"): 1,
    }
    overall, hot, *_, cool = summary["conversion"]
    assert (overall["won"], overall["won_of_all"], overall["won_of_closed"]) == (2, 0.4, 0.6667)
    assert (hot["grade"], hot["won_of_all"]) == ("A", 0.5)
    assert (cool["grade"], cool["won_of_all"], cool["won_of_closed"]) == ("D", 0.0, None)
    assert (await api.get("/v1/leads/summary", params={"source": "list"})).json()["count"] == 1


async def test_a_lead_that_is_not_there_is_not_found(api):
    path = f"/v1/leads/lead_{uuid7().hex}"
    answers = [
        await api.get(path),
        await api.patch(path, json={}),
        await api.post(f"{path}/qualify", json={}),
        await api.post(f"{path}/withdraw", json={}),
    ]
    assert [answer.json()["code"] for answer in answers] == ["lead_not_found"] * 4


async def test_a_key_makes_a_post_safe_to_repeat(api, published):
    lead = await capture(api)
    await published()
    path = f"/v1/leads/{lead['id']}/qualify"
    answers = [await api.post(path, json={}, headers={"Idempotency-Key": "k-1"}) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert len(await published()) == 1


async def test_a_time_more_than_a_day_ahead_is_refused(api):
    ahead = (now() + timedelta(hours=25)).isoformat()
    answer = await api.post("/v1/leads", json=captured(occurred_at=ahead))
    assert (answer.status_code, answer.json()["code"]) == (422, "future_date")
    lead = await capture(api)
    answer = await api.post(f"/v1/leads/{lead['id']}/qualify", json={"occurred_at": ahead})
    assert (answer.status_code, answer.json()["code"]) == (422, "future_date")
