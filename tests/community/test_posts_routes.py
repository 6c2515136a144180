"""Posts, replies and reactions over HTTP."""

import json

import pytest

ANN = {"community": "forum", "source_id": "ann"}
BOB = {"community": "forum", "source_id": "bob"}


def wrote(**other):
    return {
        "member": ANN,
        "source": "forum",
        "source_id": "p1",
        "occurred_at": "2026-01-05T10:00:00+01:00",
        "text": "Which tea?",
    } | other


async def test_a_post_makes_its_author_known_and_its_text_stays_here(api, published):
    answer = await api.post("/v1/posts", json=wrote())
    assert (answer.status_code, answer.headers["etag"]) == (201, '"1"'), answer.text
    shown = answer.json()
    assert shown["identity_id"].removeprefix("identity_") == shown["party_id"].removeprefix("party_")
    (joined, who, _), (kind, subject, data) = await published()
    assert (joined, kind, who) == ("member_joined", "post_published", subject)
    assert data["post_id"].replace("-", "") == shown["id"].removeprefix("post_")
    assert data["occurred_at"] == "2026-01-05T10:00:00+01:00"
    assert "tea" not in json.dumps(data)
    assert (await api.get(answer.headers["location"])).json() == shown


async def test_the_same_again_is_a_duplicate_and_other_content_a_conflict(api, published):
    first = await api.post("/v1/posts", json=wrote())
    for again in (wrote(), wrote(source_id=" p1"), wrote(occurred_at=None)):
        answer = await api.post("/v1/posts", json=again)
        assert (answer.status_code, answer.json()) == (200, first.json())
    for other in ({"text": "x"}, {"member": BOB}, {"occurred_at": "2026-01-06T10:00:00Z"}, {"in_reply_to": "p0"}):
        answer = await api.post("/v1/posts", json=wrote(**other))
        assert (answer.status_code, answer.json()["code"]) == (409, "post_conflict"), other
        assert answer.json()["existing_id"] == first.json()["id"]
    assert [kind for kind, _, _ in await published()] == ["member_joined", "post_published"]
    assert len((await api.get("/v1/members")).json()["data"]) == 1


async def test_without_a_time_a_post_is_of_now_and_without_an_id_it_counts_every_time(api, published):
    for _ in range(2):
        assert (await api.post("/v1/posts", json={"member": ANN, "text": "Hello"})).status_code == 201
    assert [kind for kind, _, _ in await published()].count("post_published") == 2
    ahead = await api.post("/v1/posts", json=wrote(occurred_at="2999-01-01T00:00:00Z"))
    assert (ahead.status_code, ahead.json()["code"]) == (422, "future_date")


async def test_a_reply_names_what_and_whom_it_answers(api, published):
    begun = (await api.post("/v1/posts", json=wrote())).json()
    await published()
    path = f"/v1/posts/{begun['id']}/replies"
    reply = (await api.post(path, json={"member": BOB, "text": "Green.", "source_id": "p2"})).json()
    assert (reply["post_id"], reply["community"]) == (begun["id"], "forum")
    _, (kind, _, data) = await published()
    assert kind == "reply_published"
    assert data["reply_id"].replace("-", "") == reply["id"].removeprefix("post_")
    assert data["post_id"].replace("-", "") == begun["id"].removeprefix("post_")
    assert data["author_id"].replace("-", "") == begun["identity_id"].removeprefix("identity_")
    assert [row["id"] for row in (await api.get(path)).json()["data"]] == [reply["id"]]
    assert (await api.get(f"/v1/posts/{begun['id']}")).json()["replies"] == 1
    assert (await api.post(path, json={"member": BOB, "text": "Green.", "source_id": "p2"})).status_code == 200


async def test_a_reply_may_come_before_what_it_answers(api, published):
    reply = (await api.post("/v1/posts", json=wrote(member=BOB, source_id="p2", in_reply_to="p1"))).json()
    begun = (await api.post("/v1/posts", json=wrote())).json()
    assert reply["post_id"] == begun["id"]
    events = [(kind, data) for kind, _, data in await published() if kind != "member_joined"]
    assert [kind for kind, _ in events] == ["reply_published", "post_published"]
    assert events[0][1]["post_id"] == events[1][1]["post_id"]
    assert "author_id" not in events[0][1]
    assert (await api.get(f"/v1/posts/{begun['id']}")).json()["replies"] == 1
    assert (await api.post("/v1/posts", json=wrote(member=BOB, source_id="p2", in_reply_to="p1"))).status_code == 200


async def test_an_edit_keeps_what_was_read_before(api, published):
    post = (await api.post("/v1/posts", json=wrote())).json()
    await published()
    path = f"/v1/posts/{post['id']}"
    edited = await api.patch(path, json={"text": "Which green tea?"}, headers={"If-Match": '"1"'})
    assert (edited.json()["text"], edited.json()["version"], edited.headers["etag"]) == ("Which green tea?", 2, '"2"')
    assert (await api.patch(path, json={"text": "Which green tea?"})).json()["version"] == 2
    stale = await api.patch(path, json={"text": "x"}, headers={"If-Match": '"1"'})
    assert (stale.status_code, stale.json()["version"]) == (412, 2)
    named = await api.patch(path, json={"text": "x", "version": 1})
    assert (named.status_code, named.json()["code"]) == (409, "stale_version")
    await api.patch(path, json={"text": "Tea?", "version": 2})
    texts = [(row["version"], row["text"]) for row in (await api.get(f"{path}/versions")).json()["data"]]
    assert texts == [(3, "Tea?"), (2, "Which green tea?"), (1, "Which tea?")]
    first = (await api.get(f"{path}/versions", params={"limit": 2})).json()
    rest = (await api.get(f"{path}/versions", params={"cursor": first["next_cursor"]})).json()
    assert [row["version"] for row in first["data"] + rest["data"]] == [3, 2, 1]
    assert await published() == []
    assert (await api.post("/v1/posts", json=wrote(text="x"))).json()["code"] == "post_conflict"
    for told in ("Which tea?", "Tea?"):
        assert (await api.post("/v1/posts", json=wrote(text=told))).status_code == 200


async def test_a_withdrawn_post_does_not_count_and_its_id_in_the_source_is_free(api, published):
    post = (await api.post("/v1/posts", json=wrote())).json()
    told = (await published())[-1]
    path = f"/v1/posts/{post['id']}"
    gone = await api.post(f"{path}/withdraw", json={}, headers={"If-Match": '"1"'})
    assert (gone.json()["version"], gone.json()["withdrawn_at"] is None) == (2, False)
    assert (await api.post(f"{path}/withdraw", json={})).json() == gone.json()
    [(kind, subject, data)] = await published()
    assert (kind, subject, data["fact_id"]) == ("fact_withdrawn", told[1], told[2]["_id"])
    for answer in (
        await api.patch(path, json={"text": "x"}),
        await api.post(f"{path}/replies", json={"member": BOB, "text": "x"}),
        await api.post(f"{path}/reactions", json={"member": BOB, "reaction": "like"}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "already_withdrawn")
    assert (await api.get("/v1/posts")).json()["data"] == []
    anew = await api.post("/v1/posts", json=wrote())
    assert (anew.status_code, anew.json()["id"] != post["id"]) == (201, True)
    reply = (await api.post("/v1/posts", json=wrote(member=BOB, source_id="p2", in_reply_to="p1"))).json()
    assert reply["post_id"] == anew.json()["id"]


async def test_the_same_of_who_left_since_is_still_a_duplicate(api, post):
    told = {"source_id": "p1", "occurred_at": "2026-01-05T10:00:00Z"}
    first = await post("ann", **told)
    await api.post(f"/v1/members/{first['member_id']}/leave", json={"left_at": "2026-01-05T10:00:01Z"})
    assert await post("ann", **told) == first
    late = {"source_id": "p2", "occurred_at": "2026-01-05T10:00:01Z"}
    late = await api.post("/v1/posts", json={"member": ANN, "text": "Hello", **late})
    assert late.json()["code"] == "member_left"


async def test_in_bulk_one_bad_row_never_fails_the_others(api, published):
    rows = [
        wrote(source_id="p1"),
        wrote(source_id="p1"),
        wrote(source_id="p1", text="Other"),
        wrote(source_id="p2", text=""),
        wrote(source_id="p3", occurred_at="2999-01-01T00:00:00Z"),
        wrote(source_id="p4", member=None, member_id=f"member_{7:032x}"),
        wrote(source_id="p5", member=BOB, in_reply_to="p1"),
        wrote(source_id="p6", post_id=f"post_{7:032x}"),
        wrote(source_id="p7", group_id=f"group_{7:032x}"),
        wrote(source_id="p8", member={"community": "chat", "source_id": "cat"}, text="x" * 20_001),
    ]
    body = "\n".join([*map(json.dumps, rows), "{not json", ""])
    answer = (await api.post("/v1/posts/bulk", content=body)).json()
    assert [(row["row"], row["status"], row.get("reason")) for row in answer["data"]] == [
        (1, "accepted", None),
        (2, "duplicate", None),
        (3, "conflict", "post_conflict"),
        (4, "rejected", "invalid_row"),
        (5, "rejected", "future_date"),
        (6, "rejected", "member_not_found"),
        (7, "accepted", None),
        (8, "rejected", "post_not_found"),
        (9, "rejected", "group_not_found"),
        (10, "rejected", "invalid_row"),
        (11, "rejected", "invalid_row"),
    ]
    assert (answer["accepted"], answer["duplicate"], answer["conflict"], answer["rejected"]) == (2, 1, 1, 7)
    assert answer["data"][1]["post_id"] == answer["data"][0]["post_id"]
    events = await published()
    assert [kind for kind, _, _ in events] == ["member_joined", "member_joined", "post_published", "reply_published"]
    assert events[3][2]["author_id"] == events[2][1]
    assert sorted(row["source_id"] for row in (await api.get("/v1/members")).json()["data"]) == ["ann", "bob"]


async def test_a_row_that_is_not_taken_makes_nobody_known(api, post, published):
    await post("ann", source="forum", source_id="p1")
    await published()
    conflict = await api.post("/v1/posts", json=wrote(member=BOB))
    assert conflict.status_code == 409
    assert [row["source_id"] for row in (await api.get("/v1/members")).json()["data"]] == ["ann"]
    assert await published() == []


async def test_of_each_kind_a_member_gives_one_reaction(api, post, published):
    begun = await post("ann")
    await published()
    path = f"/v1/posts/{begun['id']}/reactions"
    first = await api.post(path, json={"member": BOB, "reaction": "like", "occurred_at": "2026-01-05T10:00:00Z"})
    assert first.status_code == 201, first.text
    again = await api.post(path, json={"member": BOB, "reaction": "like"})
    assert (again.status_code, again.json()) == (200, first.json())
    other_time = await api.post(path, json={"member": BOB, "reaction": "like", "occurred_at": "2026-01-06T10:00:00Z"})
    assert (other_time.status_code, other_time.json()["code"]) == (409, "reaction_conflict")
    assert (await api.post(path, json={"member": BOB, "reaction": "thanks"})).status_code == 201
    assert (await api.post(path, json={"member": ANN, "reaction": "like"})).status_code == 201
    assert (await api.get(f"/v1/posts/{begun['id']}")).json()["reactions"] == {"like": 2, "thanks": 1}
    assert len((await api.get(path, params={"limit": 2})).json()["data"]) == 2
    events = [data for kind, _, data in await published() if kind == "reaction_given"]
    assert [data["reaction"] for data in events] == ["like", "thanks", "like"]
    assert {data["author_id"].replace("-", "") for data in events} == {begun["identity_id"].removeprefix("identity_")}


async def test_a_reaction_changed_or_taken_back_withdraws_the_former_fact(api, post, published):
    begun = await post("ann")
    path = f"/v1/posts/{begun['id']}/reactions"
    like = (await api.post(path, json={"member": BOB, "reaction": "like"})).json()
    given = (await published())[-1]
    changed = (await api.post(f"{path}/{like['id']}/correct", json={"reaction": "dislike"})).json()
    assert (changed["id"], changed["reaction"]) == (like["id"], "dislike")
    (kind, _, gone), (anew, _, data) = await published()
    assert (kind, gone["fact_id"], anew, data["reaction"]) == (
        "fact_withdrawn",
        given[2]["_id"],
        "reaction_given",
        "dislike",
    )
    assert (await api.post(f"{path}/{like['id']}/correct", json={"reaction": "dislike"})).json() == changed
    back = (await api.post(f"{path}/{like['id']}/withdraw", json={})).json()
    assert (await api.post(f"{path}/{like['id']}/withdraw", json={})).json() == back
    assert [(kind, told["fact_id"]) for kind, _, told in await published()] == [("fact_withdrawn", data["_id"])]
    assert (await api.post(f"{path}/{like['id']}/correct", json={"reaction": "like"})).status_code == 409
    assert (await api.get(path)).json()["data"] == []
    assert (await api.post(path, json={"member": BOB, "reaction": "dislike"})).json()["id"] != like["id"]


async def test_a_reaction_changed_to_one_that_is_there_leaves_that_one(api, post, published):
    begun = await post("ann")
    path = f"/v1/posts/{begun['id']}/reactions"
    like, thanks = [
        (await api.post(path, json={"member": BOB, "reaction": kind})).json() for kind in ("like", "thanks")
    ]
    await published()
    stands = (await api.post(f"{path}/{like['id']}/correct", json={"reaction": "thanks"})).json()
    assert stands["id"] == thanks["id"]
    assert [kind for kind, _, _ in await published()] == ["fact_withdrawn"]


async def test_an_id_in_the_source_belongs_to_one_reaction(api, post):
    begun = await post("ann")
    path = f"/v1/posts/{begun['id']}/reactions"
    body = {"member": BOB, "reaction": "like", "source": "forum", "source_id": "r1"}
    first = await api.post(path, json=body)
    assert (await api.post(path, json=body)).json() == first.json()
    other = await api.post(path, json=body | {"reaction": "thanks"})
    assert (other.json()["code"], other.json()["existing_id"]) == ("reaction_conflict", first.json()["id"])


async def test_a_reaction_has_a_place_and_versions_and_names_the_one_that_was_seen(api, post, published):
    begun = await post("ann")
    path = f"/v1/posts/{begun['id']}/reactions"
    like = {"member": BOB, "reaction": "like", "occurred_at": "2026-01-05T10:00:00Z"}
    answer = await api.post(path, json=like)
    place = answer.headers["location"]
    assert (place, answer.headers["etag"]) == (f"{path}/{answer.json()['id']}", '"1"')
    read = await api.get(place)
    assert (read.json(), read.headers["etag"]) == (answer.json(), '"1"')
    await published()
    later = {"reaction": "like", "occurred_at": "2026-01-06T10:00:00Z"}
    moved = await api.post(f"{place}/correct", json=later, headers={"If-Match": '"1"'})
    assert (moved.json()["occurred_at"], moved.headers["etag"]) == ("2026-01-06T10:00:00Z", '"2"')
    assert [kind for kind, _, _ in await published()] == ["fact_withdrawn", "reaction_given"]
    assert (await api.post(f"{place}/correct", json={"reaction": "thanks", "version": 2})).json()["version"] == 3
    assert (await api.post(path, json=like | {"source_id": "r1"})).status_code == 201
    stale = {"If-Match": '"2"'}
    assert (await api.post(f"{place}/correct", json={"reaction": "dislike"}, headers=stale)).status_code == 412
    assert (await api.post(f"{place}/withdraw", headers=stale)).status_code == 412
    assert (await api.post(f"{place}/withdraw", json={"version": 2})).json()["code"] == "stale_version"
    versions = (await api.get(f"{place}/versions")).json()["data"]
    assert [(row["version"], row["reaction"], row["occurred_at"][:10]) for row in versions] == [
        (3, "thanks", "2026-01-06"),
        (2, "like", "2026-01-06"),
        (1, "like", "2026-01-05"),
    ]
    gone = await api.post(f"{place}/withdraw")
    assert (gone.json()["version"], gone.headers["etag"]) == (4, '"4"')
    assert (await api.post(f"{place}/withdraw", headers=stale)).json() == gone.json()
    assert (await api.get(place)).json() == gone.json()
    assert (await api.post(f"{place}/correct", json={"reaction": "like"})).json()["code"] == "already_withdrawn"
    other = await post("bob")
    for nothing in (f"{path}/reaction_{1:032x}", place.replace(begun["id"], other["id"])):
        for part in ("", "/versions"):
            assert (await api.get(f"{nothing}{part}")).json()["code"] == "reaction_not_found"


async def test_what_a_source_told_of_is_found_by_its_id_there(api, post):
    here, there = [await post("ann", source=source, source_id="p1") for source in ("forum", "board")]
    await post("ann", source="forum", source_id="p2")
    for params, ids in (
        ({"source": "forum", "source_id": "p1"}, [here["id"]]),
        ({"source_id": " p1"}, [here["id"], there["id"]]),
        ({"source": "board"}, [there["id"]]),
        ({"source": "board", "source_id": "p2"}, []),
    ):
        found = (await api.get("/v1/posts", params=params)).json()["data"]
        assert sorted(row["id"] for row in found) == sorted(ids), params


async def test_posts_are_narrowed_and_paged_latest_first(api, post):
    group = (await api.post("/v1/groups", json={"community": "forum", "name": "Tea"})).json()
    for day in range(1, 8):
        await post("ann" if day % 2 else "bob", f"t{day}", occurred_at=f"2026-01-0{day}T10:00:00Z")
    begun = await post("ann", "t8", occurred_at="2026-01-08T10:00:00Z", group_id=group["id"])
    seen, cursor = [], {}
    while True:
        found = (await api.get("/v1/posts", params={"limit": 3, **cursor})).json()
        seen += [row["text"] for row in found["data"]]
        if not found["has_more"]:
            break
        cursor = {"cursor": found["next_cursor"]}
    assert seen == [f"t{day}" for day in range(8, 0, -1)]

    async def texts(**params):
        return [row["text"] for row in (await api.get("/v1/posts", params=params)).json()["data"]]

    assert await texts(member_id=begun["member_id"]) == ["t8", "t7", "t5", "t3", "t1"]
    assert await texts(group_id=group["id"]) == ["t8"]
    assert await texts(community="chat") == []
    assert await texts(since="2026-01-02T10:00:00Z", until="2026-01-04T10:00:00Z") == ["t3", "t2"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"text": ""},
        {"text": "x" * 20_001},
        {"text": "a\x00b"},
        {"source": "My Forum"},
        {"source_id": ""},
        {"member": {"community": "forum"}},
        {"member": {"community": "forum", "source_id": "a\u0000b"}},
        {"member": None},
        {"member_id": f"member_{1:032x}"},
        {"post_id": f"post_{1:032x}", "in_reply_to": "p0"},
        {"occurred_at": "2026-01-05"},
        {"unheard_of": 1},
    ],
)
async def test_what_cannot_be_a_post_is_refused(api, published, wrong):
    assert (await api.post("/v1/posts", json=wrote(**wrong))).status_code == 422
    assert await published() == []


async def test_the_longest_text_is_a_post(api):
    answer = await api.post("/v1/posts", json=wrote(text="é" * 20_000))
    assert (answer.status_code, len(answer.json()["text"])) == (201, 20_000)


async def test_a_member_does_not_answer_in_another_community(api, post):
    begun = await post("ann")
    stranger = {"member": {"community": "chat", "source_id": "cat"}}
    for path, body in (("replies", {"text": "x"}), ("reactions", {"reaction": "like"})):
        answer = await api.post(f"/v1/posts/{begun['id']}/{path}", json=stranger | body)
        assert (answer.status_code, answer.json()["code"]) == (422, "other_community")


async def test_what_is_not_there_is_not_found(api):
    nothing = f"/v1/posts/post_{1:032x}"
    for path in ("", "/versions", "/replies", "/reactions"):
        assert (await api.get(f"{nothing}{path}")).json()["code"] == "post_not_found", path
    assert (await api.patch(nothing, json={"text": "x"})).json()["code"] == "post_not_found"
    for path, body in (
        ("withdraw", {}),
        ("replies", {"member": BOB, "text": "x"}),
        ("reactions", {"member": BOB, "reaction": "like"}),
    ):
        assert (await api.post(f"{nothing}/{path}", json=body)).json()["code"] == "post_not_found", path
