"""What is told again, late or in another order comes to the same."""

import asyncio
import json
from itertools import permutations

import pytest
from sqlalchemy import text

from chassis.clock import now
from services.community.domain.groups import Access
from services.community.queries.groups import group_to_change, join_group
from services.community.queries.members import member_named
from tests.community.conftest import uuid

ANN = {"community": "forum", "source_id": "ann"}
JOINED = "2026-01-01T09:00:00Z"


async def sent(api, path, body, status=201):
    answer = await api.post(path, json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


async def counting(published):
    """The facts that count, without their ids."""
    events = await published()
    gone = {data["fact_id"] for kind, _, data in events if kind == "fact_withdrawn"}
    return sorted(
        (kind, subject, data["occurred_at"])
        for kind, subject, data in events
        if data["_id"] not in gone and kind in ("member_joined", "post_published")
    )


TELLINGS = {
    "member": ("/v1/members", ANN | {"joined_at": JOINED, "display_name": "Ann"}),
    "post": ("/v1/posts", {"member": ANN, "source_id": "p1", "text": "a", "occurred_at": "2026-01-02T09:00:00Z"}),
    "earlier": ("/v1/posts", {"member": ANN, "source_id": "p0", "text": "b", "occurred_at": "2025-12-01T09:00:00Z"}),
}


@pytest.mark.parametrize("order", [*permutations(TELLINGS)], ids=" ".join)
async def test_a_member_and_its_posts_come_to_the_same_in_any_order(api, published, order):
    for name in order:
        path, body = TELLINGS[name]
        answer = await api.post(path, json=body)
        assert answer.status_code in (200, 201), answer.text
    [ann] = (await api.get("/v1/members")).json()["data"]
    assert (ann["joined_at"], ann["display_name"]) == (JOINED, "Ann")
    assert [(kind, at[:10]) for kind, _, at in await counting(published)] == [
        ("member_joined", "2026-01-01"),
        ("post_published", "2025-12-01"),
        ("post_published", "2026-01-02"),
    ]
    again = await api.post("/v1/members", json=TELLINGS["member"][1])
    assert (again.status_code, again.json()["id"]) == (200, ann["id"])


@pytest.mark.parametrize("order", [*permutations(["2026-01-03", "2026-01-01", "2026-01-02"])], ids=" ".join)
async def test_who_is_only_named_joined_when_it_did_the_first_thing_known(api, published, order):
    begun = await sent(api, "/v1/posts", {"member": ANN | {"source_id": "bob"}, "text": "x"})
    await published()
    for day in order:
        at = {"member": ANN, "occurred_at": f"{day}T09:00:00Z"}
        if day.endswith("2"):
            await sent(api, f"/v1/posts/{begun['id']}/reactions", at | {"reaction": "like"})
        else:
            await sent(api, "/v1/posts", at | {"text": day})
    [ann] = (await api.get("/v1/members", params=ANN)).json()["data"]
    assert ann["joined_at"] == "2026-01-01T09:00:00Z"
    assert [at[:10] for kind, _, at in await counting(published) if kind == "member_joined"] == ["2026-01-01"]


async def test_a_row_that_is_refused_says_nothing_of_when_its_member_joined(api, published):
    rows = [
        {"member": ANN, "text": "a", "occurred_at": "2026-01-05T09:00:00Z"},
        {"member": ANN, "text": "b", "occurred_at": "2026-01-01T09:00:00Z", "post_id": f"post_{7:032x}"},
    ]
    await api.post("/v1/posts/bulk", content="\n".join(map(json.dumps, rows)))
    [ann] = (await api.get("/v1/members")).json()["data"]
    assert ann["joined_at"] == "2026-01-05T09:00:00Z"
    assert {at[:10] for _, _, at in await counting(published)} == {"2026-01-05"}


async def test_what_was_changed_before_the_first_telling_is_a_conflict_that_names_both_ways_out(api, post):
    one = await post("ann", occurred_at="2026-01-02T09:00:00Z")
    path = f"/v1/members/{one['member_id']}"
    await api.patch(path, json={"display_name": "Anna"})
    answer = await api.post("/v1/members", json=ANN | {"display_name": "Ann"})
    assert (answer.status_code, answer.json()["change"], answer.json()["correct"]) == (409, path, f"{path}/correct")
    await sent(api, "/v1/members", ANN | {"bio": "Tea"}, 200)


async def test_a_joining_told_wrongly_is_corrected_and_its_event_replaced(api, member, published):
    one = await member("ann", joined_at=JOINED)
    [(_, _, first)] = await published()
    path = f"/v1/members/{one['id']}/correct"
    right = await api.post(path, json={"joined_at": "2025-06-01T09:00:00Z"}, headers={"If-Match": '"1"'})
    assert (right.json()["joined_at"], right.headers["etag"]) == ("2025-06-01T09:00:00Z", '"2"')
    (gone, _, which), (kind, _, anew) = await published()
    assert (gone, which["fact_id"], kind, anew["occurred_at"][:10]) == (
        "fact_withdrawn",
        first["_id"],
        "member_joined",
        "2025-06-01",
    )
    assert (await api.post(path, json={"joined_at": "2025-06-01T09:00:00Z"})).json()["version"] == 2
    assert (await api.post(path, json={"joined_at": JOINED}, headers={"If-Match": '"1"'})).status_code == 412
    # The old telling again, and the right one.
    for told in (JOINED, "2025-06-01T09:00:00Z"):
        assert (await member("ann", joined_at=told))["version"] == 2
    await api.post(f"/v1/members/{one['id']}/leave", json={"left_at": "2026-02-01T09:00:00Z"})
    late = await api.post(path, json={"joined_at": "2026-02-02T09:00:00Z"})
    assert (late.status_code, late.json()["code"]) == (422, "wrong_order")


async def test_what_a_member_said_of_itself_before_stays_readable_and_is_no_conflict(api, member):
    one = await member("ann", joined_at=JOINED, display_name="Ann", bio="Tea")
    path = f"/v1/members/{one['id']}"
    await api.patch(path, json={"display_name": "Anna"})
    await api.patch(path, json={"bio": None})
    assert (await member("ann", joined_at=JOINED, display_name="Ann", bio="Tea"))["version"] == 3
    answer = await api.post("/v1/members", json=ANN | {"display_name": "Annie"})
    assert answer.json()["code"] == "member_conflict"
    versions = (await api.get(f"{path}/versions")).json()["data"]
    assert [(row["version"], row.get("display_name"), row.get("bio")) for row in versions] == [
        (3, "Anna", None),
        (2, "Anna", "Tea"),
        (1, "Ann", "Tea"),
    ]
    [second] = (await api.get(f"{path}/versions", params={"limit": 1, "cursor": await cursor(api, path)})).json()[
        "data"
    ]
    assert second["version"] == 2
    assert (await api.get(f"/v1/members/member_{1:032x}/versions")).status_code == 404


async def cursor(api, path):
    return (await api.get(f"{path}/versions", params={"limit": 1})).json()["next_cursor"]


async def test_a_group_s_former_names_and_access_stay_readable_and_are_no_conflict(api):
    told = {"community": "forum", "name": "Tea", "access": "open"}
    group = await sent(api, "/v1/groups", told)
    path = f"/v1/groups/{group['id']}"
    await api.patch(path, json={"access": "closed"})
    assert (await sent(api, "/v1/groups", told, 200))["version"] == 2
    await api.patch(path, json={"name": "Leaves"})
    versions = (await api.get(f"{path}/versions")).json()["data"]
    assert [(row["version"], row["name"], row["access"]) for row in versions] == [
        (3, "Leaves", "closed"),
        (2, "Tea", "closed"),
        (1, "Tea", "open"),
    ]


async def test_who_joins_again_keeps_both_joinings_and_the_leaving_between(api, member, published):
    one = await member("ann", joined_at=JOINED, display_name="Ann")
    path = f"/v1/members/{one['id']}"
    await sent(api, f"{path}/leave", {"left_at": "2026-02-01T09:00:00Z"}, 200)
    await sent(api, f"{path}/rejoin", {"joined_at": "2026-03-01T09:00:00Z"}, 200)
    timeline = f"/internal/parties/party_{uuid(one['identity_id']).hex}/timeline"
    rows = (await api.get(timeline)).json()["data"]
    assert [(row["kind"], row["at"][:10]) for row in rows] == [
        ("member_joined", "2026-03-01"),
        ("member_left", "2026-02-01"),
        ("member_joined", "2026-01-01"),
    ]
    assert len({row["id"] for row in rows}) == 3
    memberships = (await api.get(f"{path}/memberships")).json()["data"]
    assert [(row["joined_at"][:10], row.get("left_at")) for row in memberships] == [
        ("2026-03-01", None),
        ("2026-01-01", "2026-02-01T09:00:00Z"),
    ]
    facts = {f"event_{data['_id'].replace('-', '')}" for _, _, data in await published()}
    assert {row["fact_id"] for row in memberships} == facts
    assert (await member("ann", joined_at=JOINED, display_name="Ann"))["joined_at"] == "2026-03-01T09:00:00Z"
    early = await api.post(f"{path}/correct", json={"joined_at": "2026-01-15T09:00:00Z"})
    assert (early.status_code, early.json()["left_at"]) == (422, "2026-02-01T09:00:00Z")


async def test_the_first_telling_of_who_was_back_before_it_moves_the_first_joining(api, post, published):
    one = await post("ann", occurred_at="2026-01-10T09:00:00Z")
    path = f"/v1/members/{one['member_id']}"
    await sent(api, f"{path}/leave", {"left_at": "2026-02-01T09:00:00Z"}, 200)
    await sent(api, f"{path}/rejoin", {"joined_at": "2026-03-01T09:00:00Z"}, 200)
    await post("ann", "x", occurred_at="2026-01-05T09:00:00Z")
    await sent(api, "/v1/members", ANN | {"joined_at": JOINED}, 200)
    days = [at[:10] for kind, _, at in await counting(published) if kind == "member_joined"]
    assert days == ["2026-01-01", "2026-03-01"]
    memberships = (await api.get(f"{path}/memberships")).json()["data"]
    assert [row["joined_at"][:10] for row in memberships] == ["2026-03-01", "2026-01-01"]


async def test_what_a_member_did_before_it_left_may_be_told_again_after(api, member, post):
    ann, bob = await member("ann"), await post("bob")
    reactions = f"/v1/posts/{bob['id']}/reactions"
    group = await sent(api, "/v1/groups", {"community": "forum", "name": "Tea"})
    joins = f"/v1/groups/{group['id']}/members"
    made = [
        (reactions, {"member_id": ann["id"], "reaction": "like", "source_id": "r1"}),
        ("/v1/referrals", {"member_id": ann["id"], "source_id": "f1"}),
        (joins, {"member_id": ann["id"], "joined_at": now().isoformat()}),
    ]
    first = [(await sent(api, path, body))["id"] for path, body in made]
    await sent(api, f"/v1/members/{ann['id']}/leave", {}, 200)
    again = [(await sent(api, path, body, 200))["id"] for path, body in made]
    assert again == first
    for path, body in (
        (reactions, {"member_id": ann["id"], "reaction": "thanks"}),
        ("/v1/referrals", {"member_id": ann["id"]}),
        (joins, {"member_id": ann["id"]}),
    ):
        assert (await api.post(path, json=body)).json()["code"] == "member_left", path
    assert (await api.get(reactions)).json()["data"][0]["reaction"] == "like"


async def test_a_reaction_and_a_referral_told_again_are_not_held_against_what_became_of_them(api, post):
    begun = await post("ann")
    path = f"/v1/posts/{begun['id']}/reactions"
    like = {"member": ANN | {"source_id": "bob"}, "reaction": "like", "source_id": "r1"}
    given = await sent(api, path, like)
    right = await sent(api, f"{path}/{given['id']}/correct", {"reaction": "thanks"}, 200)
    assert await sent(api, path, like, 200) == right
    await sent(api, f"/v1/posts/{begun['id']}/withdraw", {}, 200)
    assert (await sent(api, path, like, 200))["id"] == given["id"]
    made = {
        "identifier": {"scheme": "email", "value": "ann@example.org"},
        "source_id": "f1",
        "expires_at": "2999-01-01T00:00:00Z",
    }
    referral = await sent(api, "/v1/referrals", made)
    await sent(api, f"/v1/referrals/{referral['id']}/expire", {}, 200)
    assert (await sent(api, "/v1/referrals", made, 200))["outcome"] == "expired"
    assert (await api.post("/v1/referrals", json=made | {"expires_at": "2998-01-01T00:00:00Z"})).status_code == 409


async def test_the_same_post_again_after_it_was_changed_is_no_conflict(api, post):
    told = {"source_id": "p1", "occurred_at": "2026-01-05T09:00:00Z"}
    begun = await post("ann", "a", **told)
    for right in ("b", "c"):
        await api.patch(f"/v1/posts/{begun['id']}", json={"text": right})
    for known in ("a", "b", "c"):
        assert (await post("ann", known, **told))["text"] == "c"
    for other in ({"text": "d"}, {"text": "a", "occurred_at": "2026-01-06T09:00:00Z"}):
        answer = await api.post("/v1/posts", json={"member": ANN, "text": "a"} | told | other)
        assert (answer.status_code, answer.json()["change"]) == (409, f"/v1/posts/{begun['id']}")


@pytest.mark.parametrize("doing", ["post", "reaction", "referral", "group"])
async def test_nobody_left_before_what_it_did(api, member, post, doing):
    ann, bob = await member("ann", joined_at=JOINED), await post("bob")
    at, group = "2026-01-20T09:00:00Z", await sent(api, "/v1/groups", {"community": "forum", "name": "Tea"})
    path, body = {
        "post": ("/v1/posts", {"text": "x", "occurred_at": at}),
        "reaction": (f"/v1/posts/{bob['id']}/reactions", {"reaction": "like", "occurred_at": at}),
        "referral": ("/v1/referrals", {"occurred_at": at}),
        "group": (f"/v1/groups/{group['id']}/members", {"joined_at": at}),
    }[doing]
    await sent(api, path, body | {"member_id": ann["id"]})
    leave = f"/v1/members/{ann['id']}/leave"
    early = await api.post(leave, json={"left_at": at})
    assert (early.status_code, early.json()["code"], early.json()["active_at"]) == (422, "wrong_order", at)
    await sent(api, leave, {"left_at": "2026-01-20T09:00:01Z"}, 200)


async def test_nobody_joins_a_group_again_before_it_left_it(api, member):
    ann, group = (
        await member("ann", joined_at=JOINED),
        await sent(api, "/v1/groups", {"community": "forum", "name": "T"}),
    )
    path = f"/v1/groups/{group['id']}/members"
    joined = await sent(api, path, {"member_id": ann["id"], "joined_at": "2026-01-02T09:00:00Z"})
    await sent(api, f"{path}/{ann['id']}/leave", {"left_at": "2026-01-04T09:00:00Z"}, 200)
    between = await api.post(path, json={"member_id": ann["id"], "joined_at": "2026-01-03T09:00:00Z"})
    assert (between.status_code, between.json()["left_at"]) == (422, "2026-01-04T09:00:00Z")
    again = await sent(api, path, {"member_id": ann["id"], "joined_at": "2026-01-02T09:00:00Z"}, 200)
    assert (again["id"], again["left_at"]) == (joined["id"], "2026-01-04T09:00:00Z")


async def test_who_leaves_while_it_joins_a_group_is_in_none_afterwards(api, member, database, here):
    ann, group = (
        await member("ann", joined_at=JOINED),
        await sent(api, "/v1/groups", {"community": "forum", "name": "T"}),
    )
    async with database.transaction() as session:
        joining = await member_named(session, uuid(ann["id"]), now(), here)
        leaving = asyncio.create_task(api.post(f"/v1/members/{ann['id']}/leave", json={}))
        async with database.transaction() as other:
            while not leaving.done() and not await other.scalar(WAITS):
                await asyncio.sleep(0.01)
        await join_group(session, await group_to_change(session, uuid(group["id"])), joining, now())
    answer = await leaving
    left = answer if answer.status_code == 200 else await api.post(f"/v1/members/{ann['id']}/leave", json={})
    assert left.status_code == 200, left.text
    shown = (await api.get(f"/v1/groups/{group['id']}")).json()
    assert (shown["access"], shown["members"]) == (Access.OPEN, 0)


WAITS = text(
    "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database())"
)


PLANS = [
    "SELECT * FROM group_member WHERE group_id = '0191d6f0-0000-7000-8000-000000000001'"
    " ORDER BY joined_at DESC, id DESC LIMIT 50",
    "SELECT * FROM community_group ORDER BY recorded_at DESC, id DESC LIMIT 50",
    "SELECT * FROM community_group WHERE community = 'forum' ORDER BY recorded_at DESC, id DESC LIMIT 50",
    "SELECT * FROM referral WHERE member_id = '0191d6f0-0000-7000-8000-000000000001' AND withdrawn_at IS NULL"
    " ORDER BY occurred_at DESC, id DESC LIMIT 50",
    "SELECT * FROM post WHERE source_id = 'p1' AND withdrawn_at IS NULL ORDER BY occurred_at DESC, id DESC LIMIT 50",
    "SELECT * FROM referral WHERE source_id = 'f1' AND withdrawn_at IS NULL"
    " ORDER BY occurred_at DESC, id DESC LIMIT 50",
]


@pytest.mark.parametrize("query", PLANS)
async def test_a_list_is_read_by_an_index(database, query):
    async with database.transaction() as session:
        await session.execute(text("SET LOCAL enable_seqscan = off"))
        plan = "\n".join((await session.scalars(text(f"EXPLAIN {query}"))).all())
    assert "Seq Scan" not in plan, plan


async def test_what_needs_nothing_said_needs_no_body(api, member, post):
    ann, begun = await member("ann"), await post("bob")
    own = f"/v1/members/{ann['id']}"
    for step in ("leave", "rejoin"):
        assert (await api.post(f"{own}/{step}")).status_code == 200, step
    codes = [await sent(api, "/v1/referrals", {"member_id": ann["id"]}) for _ in range(2)]
    for path in (
        f"/v1/referrals/{codes[0]['id']}/convert",
        f"/v1/referrals/{codes[1]['id']}/expire",
        f"/v1/referrals/{codes[1]['id']}/withdraw",
        f"/v1/posts/{begun['id']}/withdraw",
    ):
        assert (await api.post(path)).status_code == 200, path


async def test_a_referral_is_found_by_its_id_in_the_source(api):
    mail = {"identifier": {"scheme": "email", "value": "ann@example.org"}}
    made = [await sent(api, "/v1/referrals", mail | {"source": "shop", "source_id": f"f{n}"}) for n in range(2)]
    found = await api.get("/v1/referrals", params={"source": "shop", "source_id": "f1"})
    assert [row["id"] for row in found.json()["data"]] == [made[1]["id"]]
    assert (await api.get("/v1/referrals", params={"source": "api"})).json()["data"] == []
