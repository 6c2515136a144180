"""Files of posts: understood, recorded whatever the order of their rows, and undone."""

import csv
import io
from datetime import UTC, datetime

import pytest

from chassis.clock import now
from chassis.ids import uuid7
from chassis.imports.importer import move_on
from chassis.imports.progress import claim
from contracts.identity import Scheme
from services.community.handlers.imports.kinds import KINDS

HEADER = "post_id,forum,author,posted,text,in_reply_to,group\n"
CONVERSATION = (
    'p2,,bob,2026-01-05T11:00:00Z,"Green,\nof course.",p1,\n'
    "p1,,ann,2026-01-05T10:00:00Z,Which tea?,,Tea  lovers\n"
    "p3,,ann,2026-01-05T12:00:00Z,Thanks!,p2,tea LOVERS\n"
)


async def carry_out(database, here):
    importer = uuid7()
    while True:
        async with database.transaction() as session:
            import_id = await claim(session, importer, now())
        if import_id is None:
            return
        while await move_on(database, KINDS, here, import_id, importer):
            pass


@pytest.fixture
def bring(api, database, here):
    async def send(content, **form):
        files = {"file": ("posts.csv", content)}
        answer = await api.post("/v1/imports", data={"kind": "posts", "source": "board"} | form, files=files)
        assert answer.status_code == 202, answer.text
        await carry_out(database, here)
        return (await api.get(f"/v1/imports/{answer.json()['id']}")).json()

    return send


@pytest.fixture
def undo(api, database, here):
    async def take_back(job):
        assert (await api.post(f"/v1/imports/{job['id']}/undo")).status_code == 202
        await carry_out(database, here)
        return (await api.get(f"/v1/imports/{job['id']}")).json()

    return take_back


def counts(job):
    return job["state"], job["accepted"], job["duplicate"], job["conflict"], job["rejected"]


async def rejected(api, job):
    text = (await api.get(f"/v1/imports/{job['id']}/rejects")).text
    return [(row[0], row[1]) for row in list(csv.reader(io.StringIO(text)))[1:]]


async def found(api):
    return {row["source_id"]: row for row in (await api.get("/v1/posts")).json()["data"]}


async def test_a_conversation_is_the_same_whatever_the_order_of_its_rows(api, bring, here, published):
    job = await bring(HEADER + CONVERSATION)
    assert counts(job) == ("done", 3, 0, 0, 0), await rejected(api, job)
    assert job["mapping"] == {
        "post_id": "post_id",
        "community": "forum",
        "member": "author",
        "occurred_at": "posted",
        "text": "text",
        "in_reply_to": "in_reply_to",
        "group": "group",
    }
    posts = await found(api)
    assert posts["p2"]["text"] == "Green,\nof course."
    assert (posts["p2"]["post_id"], posts["p3"]["post_id"]) == (posts["p1"]["id"], posts["p2"]["id"])
    assert posts["p1"]["group_id"] == posts["p3"]["group_id"] is not None
    assert {post["community"] for post in posts.values()} == {"board"}
    [group] = (await api.get("/v1/groups")).json()["data"]
    assert group["name"] == "Tea lovers"
    events = await published()
    assert [kind for kind, _, _ in events] == ["member_joined"] * 2 + [
        "reply_published",
        "post_published",
        "reply_published",
    ]
    ann, bob = (str(here.identity(Scheme.EXTERNAL, name, system="board").id) for name in ("ann", "bob"))
    assert [(subject, data.get("author_id")) for _, subject, data in events[2:]] == [
        (bob, ann),
        (ann, None),
        (ann, bob),
    ]
    assert not any("tea" in str(data).lower() for _, _, data in events)
    joined = {row["source_id"]: row["joined_at"] for row in (await api.get("/v1/members")).json()["data"]}
    assert joined == {"ann": "2026-01-05T10:00:00Z", "bob": "2026-01-05T11:00:00Z"}


async def test_the_same_file_again_changes_nothing_also_without_ids(api, bring, published):
    for content in (HEADER + CONVERSATION, "member,date,text\nann,2026-01-05,Hello\nann,2026-01-05,Hello\n"):
        first = await bring(content)
        await published()
        again = await bring(content)
        assert (again["same_as"], again["accepted"], again["duplicate"]) == (first["id"], 0, first["rows"])
        assert await published() == []


async def test_rows_of_several_communities_stand_in_one_file(api, bring):
    job = await bring(HEADER + "p1,Tea Board,ann,2026-01-05,Hello,,\np2,chat,ann,2026-01-05,Hello,,\n")
    assert counts(job) == ("done", 2, 0, 0, 0)
    posts = await found(api)
    assert [posts[id]["community"] for id in ("p1", "p2")] == ["tea-board", "chat"]
    assert posts["p1"]["identity_id"] != posts["p2"]["identity_id"]


async def test_rows_that_are_no_posts_are_kept_with_their_reason_and_the_rest_is_taken(api, bring, post):
    left = await post("eve", occurred_at="2026-01-01T00:00:00Z")
    await api.post(f"/v1/members/{left['member_id']}/leave", json={"left_at": "2026-01-02T00:00:00Z"})
    long = "x" * 20_001
    job = await bring(
        HEADER + "p1,,,2026-01-05,Hello,,\n"
        "p2,,ann,2026-01-05,,,\n"
        ",,ann,2026-01-05,Hello,,\n"
        "p4,,ann,yesterday,Hello,,\n"
        "p5,,ann,2099-01-01,Hello,,\n"
        f"p6,,ann,2026-01-05,{long},,\n"
        "p7,forum,eve,2026-01-05,Hello,,\n"
        "p8,forum,eve,2026-01-01,Hello,,\n"
        "p8,forum,eve,2026-01-01,Other,,\n",
    )
    assert counts(job) == ("done", 1, 0, 1, 7)
    assert await rejected(api, job) == [
        ("2", "no_party"),
        ("3", "bad_value"),
        ("4", "bad_id"),
        ("5", "bad_date"),
        ("6", "future_date"),
        ("7", "bad_value"),
        ("8", "member_left"),
        ("10", "conflict"),
    ]
    members = [row["source_id"] for row in (await api.get("/v1/members")).json()["data"]]
    assert members == ["eve"]


async def test_undone_nothing_counts_and_who_only_it_made_known_is_gone(api, bring, undo, published):
    job = await bring(HEADER + CONVERSATION)
    told = {(subject, data["_id"]) for _, subject, data in await published()}
    kept = await api.post("/v1/posts", json={"member": {"community": "board", "source_id": "bob"}, "text": "Mine"})
    stays = {(subject, data["_id"]) for _, subject, data in await published()}
    undone = await undo(job)
    assert (undone["state"], undone["withdrawn"]) == ("undone", 4)
    withdrawn = {(subject, data["fact_id"]) for _, subject, data in await published()}
    assert withdrawn < told
    assert not withdrawn & stays
    assert len(told - withdrawn) == 1
    assert [row["id"] for row in (await api.get("/v1/posts")).json()["data"]] == [kept.json()["id"]]
    assert [row["source_id"] for row in (await api.get("/v1/members")).json()["data"]] == ["bob"]


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 1, 0), (2, 0, 1)])
async def test_in_whatever_order_files_are_undone_who_they_named_goes_with_the_last(api, bring, undo, published, order):
    rows = "p{0},,ann,2026-0{0}-05,Hello,,\nq{0},,by{0},2026-01-05,Hello,,\n"
    files = [await bring(HEADER + rows.format(month)) for month in (3, 1, 2)]
    for place in order[:2]:
        await undo(files[place])
    members = (await api.get("/v1/members")).json()["data"]
    assert sorted(row["source_id"] for row in members) == ["ann", f"by{(3, 1, 2)[order[2]]}"]
    await undo(files[order[2]])
    assert (await api.get("/v1/members")).json()["data"] == []
    told = await published()
    made = {data["_id"] for name, _, data in told if name != "fact_withdrawn"}
    assert {data["fact_id"] for name, _, data in told if name == "fact_withdrawn"} == made


async def test_a_post_taken_back_by_hand_keeps_nobody_when_the_files_are_undone(api, bring, undo):
    for order in ((0, 1), (1, 0)):
        files = [await bring(HEADER + f"p{n},,ann,2026-01-05,Hello,,\n") for n in (1, 2)]
        await api.post(f"/v1/posts/{(await found(api))['p1']['id']}/withdraw")
        mine = await api.post("/v1/posts", json={"member": {"community": "board", "source_id": "ann"}, "text": "Mine"})
        await undo(files[order[0]])
        await api.post(f"/v1/posts/{mine.json()['id']}/withdraw")
        assert len((await api.get("/v1/members")).json()["data"]) == 1
        await undo(files[order[1]])
        assert (await api.get("/v1/members")).json()["data"] == []


async def test_undone_files_leave_those_that_their_community_told_of(api, bring, undo):
    first = await bring(HEADER + "p1,,ann,2026-01-05,Hello,,\np2,,bob,2026-01-05,Hello,,\n")
    second = await bring(HEADER + "p3,,bob,2026-01-01,Hello,,\n")
    await api.post("/v1/members", json={"community": "board", "source_id": "ann"})
    members = {row["source_id"]: row for row in (await api.get("/v1/members")).json()["data"]}
    assert members["bob"]["joined_at"] == "2025-12-31T23:00:00Z"
    for job in (second, first):
        await undo(job)
    assert [row["source_id"] for row in (await api.get("/v1/members")).json()["data"]] == ["ann"]
    gone = f"/v1/members/{members['bob']['id']}"
    for answer in (await api.patch(gone, json={"bio": "x"}), await api.post(f"{gone}/leave")):
        assert (answer.status_code, answer.json()["code"]) == (409, "already_withdrawn")


async def test_an_undone_file_is_told_anew_with_its_answers(api, bring, undo):
    await undo(await bring(HEADER + CONVERSATION))
    job = await bring(HEADER + CONVERSATION)
    assert counts(job) == ("done", 3, 0, 0, 0)
    posts = await found(api)
    assert (posts["p2"]["post_id"], posts["p3"]["post_id"]) == (posts["p1"]["id"], posts["p2"]["id"])


async def test_a_dry_run_reads_everything_and_records_nothing(api, bring, published):
    job = await bring(HEADER + CONVERSATION, dry_run="true")
    assert (job["accepted"], await published(), await found(api)) == (3, [], {})
    assert job["preview"][1] == {
        "row": 3,
        "post_id": "p1",
        "community": "board",
        "member": "ann",
        "occurred_at": "2026-01-05T10:00:00+00:00",
        "text": "Which tea?",
        "group": "Tea lovers",
    }


async def test_several_thousand_rows_whose_answers_lie_in_other_chunks(api, bring, database, published):
    rows = [f"p{n},,m{n % 97},2026-01-05T10:00:00Z,t{n},{f'p{n + 2_500}' if n < 2_500 else ''}," for n in range(5_000)]
    job = await bring(HEADER + "\n".join(rows) + "\n")
    assert counts(job) == ("done", 5_000, 0, 0, 0)
    events = await published()
    posts = {data["post_id"] for kind, _, data in events if kind == "post_published"}
    answered = {data["post_id"] for kind, _, data in events if kind == "reply_published"}
    assert answered == posts
    assert len(posts) == 2_500


async def test_a_file_without_dates_takes_the_day_that_was_said(api, bring):
    answer = await api.post(
        "/v1/imports", data={"kind": "posts"}, files={"file": ("x.csv", "member,text\nann,Hello\n")}
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "column_missing")
    job = await bring("member,text\nann,Hello\n", date="2026-01-05")
    assert counts(job) == ("done", 1, 0, 0, 0)
    [shown] = (await api.get("/v1/posts")).json()["data"]
    assert datetime.fromisoformat(shown["occurred_at"]) == datetime(2026, 1, 4, 23, tzinfo=UTC)
